//! Whether mailboxes lie as deep as the settings say.

use std::collections::BTreeSet;
use std::fmt;

use mail_common::relpath::RelPath;

use super::units::Unit;

/// Where mailboxes lie in truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    example: RelPath,
    depth: usize,
    wrong: Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    TooDeep,
    TooShallow,
}

impl Fit {
    /// By a unit that is `cur` of a Maildir: its `new` is one, too. A user may be called so, but
    /// not two of a domain by just these names.
    pub(crate) fn of_too_deep(units: &[Unit]) -> Option<Self> {
        let paths: BTreeSet<&RelPath> = units.iter().map(|unit| &unit.path).collect();
        let is_sibling_there = |maildir: &RelPath| {
            let sibling = maildir.child(b"new");
            sibling.is_ok_and(|sibling| paths.contains(&sibling))
        };
        let of_cur = paths.iter().filter(|path| path.name() == b"cur");
        let maildir = of_cur
            .filter_map(|path| path.parent())
            .find(is_sibling_there)?;
        Some(Self {
            depth: depth_of(&maildir),
            example: maildir,
            wrong: Wrong::TooDeep,
        })
    }

    /// By a unit that has Maildirs at `depth`.
    pub(crate) fn of_too_shallow(unit: &RelPath, depth: usize) -> Self {
        Self {
            example: unit.clone(),
            depth,
            wrong: Wrong::TooShallow,
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { example, depth, .. } = self;
        match self.wrong {
            Wrong::TooDeep => write!(
                f,
                "cur, new and tmp of a mailbox are taken for mailboxes, as in {example}: set \
                 MAILBOX_DEPTH={depth}"
            ),
            Wrong::TooShallow => write!(
                f,
                "several mailboxes are taken for one, as in {example}: set MAILBOX_DEPTH={depth}"
            ),
        }
    }
}

/// How deep the mailbox with the Maildir `maildir` lies: folders of Maildir++ belong to the mailbox
/// above them, and the home of a user, which holds `Maildir` and more, is the mailbox.
pub(crate) fn depth_of(maildir: &RelPath) -> usize {
    let mut mailbox = maildir.clone();
    while let Some(parent) = mailbox.parent()
        && (mailbox.name().starts_with(b".") || mailbox.name() == b"Maildir")
    {
        mailbox = parent;
    }
    mailbox.depth()
}

#[cfg(test)]
mod tests {
    use super::super::units::Reach;
    use super::*;

    fn of_too_deep(units: &[&str]) -> Option<Fit> {
        let unit = |path: &&str| Unit {
            path: path.parse().unwrap(),
            directory: path.parse().unwrap(),
            reach: Reach::Whole,
        };
        Fit::of_too_deep(&units.iter().map(unit).collect::<Vec<_>>())
    }

    #[test]
    fn directories_of_a_maildir_are_not_mailboxes() {
        let check = |units: &[&str], expected: Option<usize>| {
            let found = of_too_deep(units).map(|fit| fit.depth);
            assert_eq!(found, expected, "{units:?}");
        };
        check(
            &["a.com/alice/cur", "a.com/alice/new", "a.com/alice/tmp"],
            Some(2),
        );
        check(
            &["a.com/alice/Maildir/cur", "a.com/alice/Maildir/new"],
            Some(2),
        );
        check(&["alice/.Sent/cur", "alice/.Sent/new"], Some(1));
        check(&["cur", "new"], Some(0));
        check(&["a.com/cur", "b.com/new"], None);
        check(&["a.com/new", "a.com/tmp"], None);
        check(&["a.com/alice", "a.com/bob"], None);
    }
}
