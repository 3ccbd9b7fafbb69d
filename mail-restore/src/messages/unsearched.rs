//! What a search could not look into.

use std::fmt;

/// Messages of which it cannot be told whether they are what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsearched {
    /// By mail_crypt of Dovecot; by S/MIME or PGP where a text is looked for.
    pub encrypted: u64,
    /// Longer, or nested deeper, than is looked at; or compressed and damaged.
    pub unclear: u64,
}

impl Unsearched {
    /// Whether every message was looked into.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.encrypted + self.unclear == 0
    }

    /// Both together.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            encrypted: self.encrypted + other.encrypted,
            unclear: self.unclear + other.unclear,
        }
    }
}

impl fmt::Display for Unsearched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages were not looked into ({} encrypted, {} that cannot be read to the end)",
            self.encrypted + self.unclear,
            self.encrypted,
            self.unclear
        )
    }
}
