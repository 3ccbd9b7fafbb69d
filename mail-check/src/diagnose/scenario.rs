//! What does not work.

use clap::ValueEnum;

/// What does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Mail does not arrive
    Receive,
    /// Mail does not go out
    Send,
    /// Users cannot log in
    Auth,
    /// A container does not run as it should
    Container,
}

impl Scenario {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Auth => "auth",
            Self::Container => "container",
        }
    }
}
