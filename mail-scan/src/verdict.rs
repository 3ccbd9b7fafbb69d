//! What a scan comes to.

/// What a scan came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was found.
    Clean,
    /// Nothing was found, and what could not be looked into was let pass: what that is, and why.
    Noted(String),
    /// The name of what was found.
    Infected(String),
    /// Why there is no verdict; asking again would not help.
    Unscanned(String),
}
