//! Which files of a set are wanted.

use std::fmt;
use std::str::FromStr;

use mail_common::relpath::RelPath;
use mail_common::set::Component;
use mail_common::tool::ComponentArg;

/// Components and mailboxes; everything when there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) components: Vec<Component>,
    pub(crate) mailboxes: Vec<Mailbox>,
}

/// `user@domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mailbox {
    user: String,
    domain: String,
}

/// The text is not an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a mailbox: {0:?}; write it as user@example.com")]
pub(crate) struct NotAMailbox(String);

impl Wanted {
    /// What was asked for; everything when that is nothing in particular, or `all`.
    pub(crate) fn new(components: &[ComponentArg], mailboxes: &[Mailbox]) -> Self {
        match ComponentArg::named(components) {
            Some(components) => Self {
                components,
                mailboxes: mailboxes.to_vec(),
            },
            None if components.is_empty() => Self {
                components: Vec::new(),
                mailboxes: mailboxes.to_vec(),
            },
            None => Self::default(),
        }
    }

    /// Whether nothing is left out.
    pub(crate) fn is_everything(&self) -> bool {
        self.components.is_empty() && self.mailboxes.is_empty()
    }

    /// Whether the file at `path` in a set is wanted.
    pub(crate) fn holds(&self, path: &RelPath) -> bool {
        self.is_everything()
            || self
                .components
                .iter()
                .any(|component| is_of(path, *component))
            || self.mailboxes.iter().any(|mailbox| mailbox.holds(path))
    }
}

/// The old scripts called the directory of the mailboxes `mail`.
fn is_of(path: &RelPath, component: Component) -> bool {
    let first = path
        .components()
        .next()
        .and_then(|first| std::str::from_utf8(first).ok());
    path.depth() > 1 && first.is_some_and(|first| first.parse::<Component>() == Ok(component))
}

impl Mailbox {
    fn holds(&self, path: &RelPath) -> bool {
        let below: Vec<&[u8]> = path.components().skip(1).take(2).collect();
        is_of(path, Component::Mailboxes)
            && path.depth() > 3
            && below == [self.domain.as_bytes(), self.user.as_bytes()]
    }
}

impl FromStr for Mailbox {
    type Err = NotAMailbox;

    fn from_str(text: &str) -> Result<Self, NotAMailbox> {
        match text.rsplit_once('@') {
            Some((user, domain)) if !user.is_empty() && !domain.is_empty() => Ok(Self {
                user: user.to_owned(),
                domain: domain.to_owned(),
            }),
            _ => Err(NotAMailbox(text.to_owned())),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.domain)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let components = self.components.iter().map(ToString::to_string);
        let all: Vec<String> = components
            .chain(self.mailboxes.iter().map(ToString::to_string))
            .collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &Wanted, path: &str, expected: bool) {
        assert_eq!(
            wanted.holds(&path.parse().unwrap()),
            expected,
            "{wanted}: {path}"
        );
    }

    #[test]
    fn a_mailbox_is_its_directory_and_nothing_else() {
        let wanted = Wanted {
            mailboxes: vec!["alice@example.com".parse().unwrap()],
            components: Vec::new(),
        };
        check(&wanted, "mailboxes/example.com/alice/0001.tar.zst", true);
        check(&wanted, "mail/example.com/alice/cur/1.x", true);
        check(&wanted, "mailboxes/example.com/alice2/0001.tar.zst", false);
        check(&wanted, "mailboxes/example.com/alice", false);
        check(&wanted, "mysql/example.com/alice/x", false);
    }

    #[test]
    fn a_component_is_its_directory() {
        let wanted = Wanted {
            components: vec![Component::Mysql],
            mailboxes: Vec::new(),
        };
        check(&wanted, "mysql/a.sql.zst", true);
        check(&wanted, "mysql", false);
        check(&wanted, "backup.log", false);
        check(&Wanted::default(), "backup.log", true);
    }

    #[test]
    fn all_is_everything_whatever_else_is_named() {
        let alice = ["alice@example.com".parse().unwrap()];
        assert!(
            Wanted::new(&[ComponentArg::All], &alice).is_everything()
                && Wanted::new(&[], &[]).is_everything()
        );
        assert!(!Wanted::new(&[], &alice).is_everything());
    }

    #[test]
    fn addresses_are_read() {
        assert_eq!(
            "a@b@example.com".parse::<Mailbox>().unwrap().to_string(),
            "a@b@example.com"
        );
        for text in ["alice", "@example.com", "alice@"] {
            assert_eq!(text.parse::<Mailbox>(), Err(NotAMailbox(text.to_owned())));
        }
    }
}
