//! What a scan comes to.

/// What a scan came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was found.
    Clean,
    /// The name of what was found.
    Infected(String),
    /// Why there is no verdict; asking again would not help.
    Unscanned(String),
}
