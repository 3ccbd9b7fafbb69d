//! Which files of a set are wanted.

use std::fmt;

use mail_common::relpath::RelPath;
use mail_common::set::mailbox::{mailbox_of, plain_path};
use mail_common::set::{Address, Component};
use mail_common::tool::ComponentArg;

/// Components and mailboxes; everything when there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) components: Vec<Component>,
    pub(crate) mailboxes: Vec<Address>,
}

impl Wanted {
    /// What was asked for; everything when that is nothing in particular, or `all`.
    pub(crate) fn new(components: &[ComponentArg], mailboxes: &[Address]) -> Self {
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
            || self.mailboxes.iter().any(|mailbox| is_in(path, mailbox))
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

/// A file of a mailbox lies directly in its directory; in a set of the old scripts, anywhere below.
fn is_in(path: &RelPath, mailbox: &Address) -> bool {
    if let Some(directory) = path.parent().and_then(|parent| mailbox_of(&parent)) {
        return mailbox.names(&directory);
    }
    match (plain_path(path), mailbox.usual_path()) {
        (Some(path), Some(directory)) => path != directory && path.is_within(&directory),
        _ => false,
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
        check(&wanted, "mailboxes/example.com/a/alice/0001.tar.zst", true);
        check(&wanted, "mailboxes/example.com/bob/0001.tar.zst", false);
        check(&wanted, "mail/example.com/alice", false);
        check(&wanted, "mail/example.com/bob/cur/1.x", false);
    }

    #[test]
    fn a_mailbox_directly_in_the_mail_root_has_the_name_of_its_directory() {
        let wanted = Wanted {
            mailboxes: vec!["alice".parse().unwrap(), "_root".parse().unwrap()],
            components: Vec::new(),
        };
        check(&wanted, "mailboxes/alice/index.jsonl.zst", true);
        check(&wanted, "mailboxes/_root/index.jsonl.zst", true);
        check(&wanted, "mailboxes/example.com/alice/0001.tar.zst", false);
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
}
