//! How people name a mailbox, and where it lies below the mail root.

use std::fmt;
use std::str::FromStr;

use super::mailbox::ABOVE;
use crate::relpath::RelPath;

/// The name of a mailbox: `USER@DOMAIN` for the directory `DOMAIN/USER`, or the name of its
/// directory where mailboxes lie directly in the mail root. The time that iRedMail appends to the
/// directory, `USER-2026.11.23.02.00.00`, need not be part of it. Upper and lower case are told
/// apart, as the file system does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    text: String,
}

/// The text names no mailbox.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a mailbox: {text:?}: {reason}; a mailbox is named USER@DOMAIN")]
pub struct NotAnAddress {
    text: String,
    reason: &'static str,
}

impl Address {
    /// Whether the mailbox at `path` has this name. Directories between domain and user
    /// (`--mailbox-depth` over 2) are not part of it.
    #[must_use]
    pub fn names(&self, path: &RelPath) -> bool {
        if path.is_root() {
            return self.text == ABOVE;
        }
        let mut components = path.components();
        match (components.next(), components.next_back()) {
            (Some(domain), Some(user)) => {
                let parts = self.parts();
                parts == Some((user, domain)) || parts == Some((without_time(user), domain))
            }
            _ => path.as_bytes() == self.text.as_bytes(),
        }
    }

    /// Where such a mailbox lies in a tree of which nothing is known.
    #[must_use]
    pub fn usual_path(&self) -> Option<RelPath> {
        match self.parts() {
            Some((user, domain)) => RelPath::new([domain, b"/", user].concat()).ok(),
            None => RelPath::new(&self.text).ok(),
        }
    }

    fn parts(&self) -> Option<(&[u8], &[u8])> {
        self.text
            .rsplit_once('@')
            .map(|(user, domain)| (user.as_bytes(), domain.as_bytes()))
    }
}

/// What people call the mailbox at `path`: `USER@DOMAIN`, or the path where it has another depth
/// than two.
#[must_use]
pub fn address_of(path: &RelPath) -> String {
    if path.is_root() {
        return ABOVE.to_owned();
    }
    let components: Vec<_> = path.components().map(String::from_utf8_lossy).collect();
    match &components[..] {
        [domain, .., _] => {
            let user = String::from_utf8_lossy(without_time(path.name()));
            format!("{user}@{domain}")
        }
        _ => path.to_string_lossy(),
    }
}

/// What iRedMail calls the directory of a user, without the time at which it was made:
/// <https://docs.iredmail.org/customize.maildir.path.html>.
fn without_time(name: &[u8]) -> &[u8] {
    const TIME: &[u8] = b"-0000.00.00.00.00.00";
    let Some(end) = name.len().checked_sub(TIME.len()).filter(|end| *end > 0) else {
        return name;
    };
    let (user, time) = name.split_at(end);
    let is_like = |(byte, like): (&u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        like => byte == like,
    };
    if time.iter().zip(TIME).all(is_like) {
        user
    } else {
        name
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let refuse = |reason| {
            Err(NotAnAddress {
                text: text.to_owned(),
                reason,
            })
        };
        let is_directory = |name: &str| RelPath::new(name).is_ok_and(|path| !path.is_root());
        if text.contains('/') {
            return refuse("it holds a slash");
        }
        match text.rsplit_once('@') {
            Some((user, domain)) if is_directory(user) && is_directory(domain) => Ok(Self {
                text: text.to_owned(),
            }),
            Some(_) => refuse("user or domain is missing or is not a name of a directory"),
            None if is_directory(text) => Ok(Self {
                text: text.to_owned(),
            }),
            None => refuse("it is not a name of a directory"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_names_a_directory() {
        let check = |address: &str, at: &str, expected: bool| {
            assert_eq!(
                address.parse::<Address>().unwrap().names(&path(at)),
                expected,
                "{address} {at}"
            );
        };
        check("alice@example.com", "example.com/alice", true);
        check("alice@example.com", "alice/example.com", false);
        check("Alice@example.com", "example.com/alice", false);
        check("alice@example.com", "example.com/a/alice", true);
        check("alice@example.com", "alice@example.com", true);
        check("odd@name@example.com", "example.com/odd@name", true);
        let hashed = "example.com/a/l/i/alice-2026.11.23.02.00.00";
        check("alice@example.com", hashed, true);
        check("alice-2026.11.23.02.00.00@example.com", hashed, true);
        check("al@example.com", hashed, false);
        check("alice@example.com", "example.com/alice-2026.11.23", false);
        check("alice", "alice", true);
        check("alice", "example.com/alice", false);
        check("_root", ".", true);
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "",
            "@",
            "alice@",
            "@example.com",
            "..@example.com",
            "alice@..",
            "a/b@c",
            "..",
            ".",
            "/",
            "a\0@b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_mailbox_has_one_name() {
        assert_eq!(address_of(&path("example.com/alice")), "alice@example.com");
        assert_eq!(
            address_of(&path("example.com/a/alice")),
            "alice@example.com"
        );
        assert_eq!(
            address_of(&path("example.com/a/l/i/alice-2026.11.23.02.00.00")),
            "alice@example.com"
        );
        assert_eq!(
            address_of(&path("example.com/-2026.11.23.02.00.00")),
            "-2026.11.23.02.00.00@example.com"
        );
        assert_eq!(address_of(&path("alice")), "alice");
        assert_eq!(address_of(&RelPath::root()), "_root");
    }
}
