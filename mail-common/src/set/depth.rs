//! How deep below the mail root the mailboxes lie: as a number, or as a path that shows it.

use std::fmt;
use std::str::FromStr;

/// More levels than this no mail server has.
const MAX: usize = 16;

/// The component of a path that is the directory of a mailbox.
const USER: &str = "{user}";

/// Levels of directories from the mail root to a mailbox, including its own; 0: all mail is one
/// unit. Two by default: `DOMAIN/USER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxDepth(u8);

/// The text does not say how deep mailboxes lie.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not {}", MailboxDepth::EXPECTED)]
pub struct NotADepth;

impl MailboxDepth {
    /// What a text must be.
    pub const EXPECTED: &str = "a whole number from 0 to 16, or a path below MAIL_DATA_DIR such \
                                as {domain}/{user}/Maildir";

    /// As a number of levels.
    #[must_use]
    pub fn levels(self) -> usize {
        self.0.into()
    }

    fn of_levels(levels: usize) -> Option<Self> {
        let levels = u8::try_from(levels).ok()?;
        (usize::from(levels) <= MAX).then_some(Self(levels))
    }
}

impl Default for MailboxDepth {
    fn default() -> Self {
        Self(2)
    }
}

impl FromStr for MailboxDepth {
    type Err = NotADepth;

    /// A number; or a path with `{user}`, the depth of which counts: what other components say is
    /// for people, and what lies below `{user}` belongs to the mailbox.
    fn from_str(text: &str) -> Result<Self, NotADepth> {
        let text = text.trim();
        if let Ok(levels) = text.parse() {
            return Self::of_levels(levels).ok_or(NotADepth);
        }
        let mut components = text.trim_end_matches('/').split('/');
        if components.clone().any(str::is_empty) {
            return Err(NotADepth);
        }
        let above = components.position(|component| component == USER);
        let levels = above.map(|above| above + 1);
        levels.and_then(Self::of_levels).ok_or(NotADepth)
    }
}

impl fmt::Display for MailboxDepth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_path_says_how_deep_mailboxes_lie() {
        let check = |text: &str, expected: Option<usize>| {
            let depth = text.parse::<MailboxDepth>().ok();
            assert_eq!(depth.map(MailboxDepth::levels), expected, "{text:?}");
        };
        check("2", Some(2));
        check(" 0 ", Some(0));
        check("16", Some(16));
        check("{user}", Some(1));
        check("{user}/Maildir", Some(1));
        check("{domain}/{user}/", Some(2));
        check("{domain}/{user}/Maildir", Some(2));
        check("{domain}/a/b/c/{user}/Maildir", Some(5));
        check("vmail1/{domain}/*/*/*/{user}", Some(6));
        for wrong in [
            "",
            "/",
            "17",
            "-1",
            "1.5",
            "two",
            "{domain}",
            "/home/{user}/Maildir",
            "{domain}//{user}",
            "{domain}/{name}",
            "{domain}/{user}x",
            "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/{user}",
        ] {
            check(wrong, None);
        }
    }
}
