//! What a search for a Message-ID could not look into.

use std::fmt;

/// Messages whose Message-ID cannot be told: one of them may be what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsearched {
    /// By mail_crypt of Dovecot.
    pub encrypted: u64,
    /// With a header or a Message-ID longer than is looked at, or compressed and damaged.
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
    pub(super) const fn and(self, other: Self) -> Self {
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
            "{} messages were not looked into ({} encrypted, {} with a header that cannot be read)",
            self.encrypted + self.unclear,
            self.encrypted,
            self.unclear
        )
    }
}
