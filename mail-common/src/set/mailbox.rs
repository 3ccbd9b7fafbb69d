//! Where the mailboxes lie in a set, and back: a mailbox of the mail tree has a directory of its
//! own below `mailboxes/`, with its segments and what tells about them: in a set of format 1 one
//! index, in a set of format 2 an index for each segment and the state of the day.
//!
//! What lies above the mailboxes has the directory `_root`; where the tree is not divided, that is
//! all mail. A mailbox directly in the mail root may have that very name, so `_root`,
//! `_root.mailbox` and so on move up by one `.mailbox`.

use super::Component;
use crate::archive::segment::segment_number;
use crate::relpath::RelPath;

/// What lies above the mailboxes, as a directory beside theirs and as people name it.
pub const ABOVE: &str = "_root";

/// The index of a mailbox of format 1, in its directory.
pub const INDEX: &str = "index.jsonl.zst";

/// What became of the members of a mailbox of format 2, in its directory.
pub const STATE: &str = "state.jsonl.zst";

/// Where the old scripts kept the mail tree in a set, as it was.
pub const PLAIN: &str = "mail";

const MOVED: &[u8] = b".mailbox";

/// What follows the number in the name of a segment's index.
const SEGMENT_INDEX: &[u8] = b".jsonl.zst";

/// The directory in a set of the mailbox at `mailbox` in the mail tree; of what lies above the
/// mailboxes for the root of the tree.
#[must_use]
pub fn directory_of(mailbox: &RelPath) -> RelPath {
    let base = of_component();
    if mailbox.is_root() {
        return child(&base, ABOVE.as_bytes());
    }
    if is_taken(mailbox) {
        return child(&base, &[mailbox.name(), MOVED].concat());
    }
    mailbox.below(&base)
}

/// The path in the mail tree of the mailbox that the directory `directory` of a set holds; the root
/// of the tree for what lies above the mailboxes. `None` where mailboxes have no directories.
#[must_use]
pub fn mailbox_of(directory: &RelPath) -> Option<RelPath> {
    let path = relative(directory, Component::Mailboxes.name())?;
    if path.depth() == 1 && path.as_bytes() == ABOVE.as_bytes() {
        return Some(RelPath::root());
    }
    if is_taken(&path) {
        let name = path.name();
        return RelPath::new(name.strip_suffix(MOVED).unwrap_or(name)).ok();
    }
    Some(path)
}

/// The path in the mail tree of a file in a set of the old scripts.
#[must_use]
pub fn plain_path(file: &RelPath) -> Option<RelPath> {
    relative(file, PLAIN)
}

/// Whether `file` of a set is the index of a mailbox.
#[must_use]
pub fn is_index(file: &RelPath) -> bool {
    file.name() == INDEX.as_bytes() && lies_in_mailbox(file)
}

/// The index of the mailbox whose directory in a set is `directory`.
#[must_use]
pub fn index_in(directory: &RelPath) -> RelPath {
    child(directory, INDEX.as_bytes())
}

/// Whether `file` of a set is the state of a mailbox.
#[must_use]
pub fn is_state(file: &RelPath) -> bool {
    file.name() == STATE.as_bytes() && lies_in_mailbox(file)
}

/// The state of the mailbox whose directory in a set is `directory`.
#[must_use]
pub fn state_in(directory: &RelPath) -> RelPath {
    child(directory, STATE.as_bytes())
}

/// The segment whose index `file` of a set is, in format 2.
#[must_use]
pub fn indexed_segment(file: &RelPath) -> Option<u32> {
    let digits = file.name().strip_suffix(SEGMENT_INDEX)?;
    let archive = [digits, b".tar.zst"].concat();
    segment_number(&archive).filter(|_| lies_in_mailbox(file))
}

/// The index of the segment `number`, in format 2, of the mailbox whose directory is `directory`.
#[must_use]
pub fn segment_index_in(directory: &RelPath, number: u32) -> RelPath {
    let name = format!("{number:04}");
    child(directory, &[name.as_bytes(), SEGMENT_INDEX].concat())
}

/// Whether `path` is `_root`, `_root.mailbox`, `_root.mailbox.mailbox` and so on.
fn is_taken(path: &RelPath) -> bool {
    let mut name = path.as_bytes();
    while let Some(shorter) = name.strip_suffix(MOVED) {
        name = shorter;
    }
    name == ABOVE.as_bytes()
}

fn lies_in_mailbox(file: &RelPath) -> bool {
    let directory = file.parent();
    directory.is_some_and(|directory| mailbox_of(&directory).is_some())
}

fn of_component() -> RelPath {
    child(&RelPath::root(), Component::Mailboxes.name().as_bytes())
}

fn child(directory: &RelPath, name: &[u8]) -> RelPath {
    directory
        .child(name)
        .expect("a name of a file or a plain word is one safe component")
}

/// `path` relative to the directory `base` of a set.
fn relative(path: &RelPath, base: &str) -> Option<RelPath> {
    let rest = path.as_bytes().strip_prefix(base.as_bytes())?;
    RelPath::new(rest.strip_prefix(b"/")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[track_caller]
    fn check(mailbox: &[u8], directory: &[u8]) {
        let (mailbox, directory) = (
            RelPath::new(mailbox).unwrap(),
            RelPath::new(directory).unwrap(),
        );
        assert_eq!(directory_of(&mailbox), directory);
        assert_eq!(mailbox_of(&directory), Some(mailbox));
    }

    #[test]
    fn a_mailbox_has_a_directory_of_its_own() {
        check(b"example.com/alice", b"mailboxes/example.com/alice");
        check(b"example.com/a/alice", b"mailboxes/example.com/a/alice");
        check(b"alice", b"mailboxes/alice");
        check(b"alice.mailbox", b"mailboxes/alice.mailbox");
        check(b"a b\xff\n/\xfe", b"mailboxes/a b\xff\n/\xfe");
    }

    #[test]
    fn what_lies_above_the_mailboxes_is_told_from_one_of_that_name() {
        check(b".", b"mailboxes/_root");
        check(b"_root", b"mailboxes/_root.mailbox");
        check(b"_root.mailbox", b"mailboxes/_root.mailbox.mailbox");
        check(b"_root.mailboxx", b"mailboxes/_root.mailboxx");
        check(b"_root/alice", b"mailboxes/_root/alice");
        check(b"_root/.mailbox", b"mailboxes/_root/.mailbox");
        check(b"a/_root", b"mailboxes/a/_root");
    }

    #[test]
    fn other_directories_hold_no_mailbox() {
        for directory in [
            ".",
            "mailboxes",
            "mail/a",
            "mailboxes2/a",
            "mysql/mailboxes/a",
        ] {
            assert_eq!(mailbox_of(&directory.parse().unwrap()), None, "{directory}");
        }
        let is = |path: &str| is_index(&path.parse().unwrap());
        assert!(is("mailboxes/a/b/index.jsonl.zst") && is("mailboxes/_root/index.jsonl.zst"));
        assert!(!is("mail/a/index.jsonl.zst") && !is("mailboxes/index.jsonl.zst"));
        assert!(!is("mailboxes/a/b/xindex.jsonl.zst"));
        let directory: RelPath = "mailboxes/a/b".parse().unwrap();
        assert!(is_state(&state_in(&directory)) && !is_state(&index_in(&directory)));
        assert!(!is_state(&"mysql/state.jsonl.zst".parse().unwrap()));
        assert_eq!(
            segment_index_in(&directory, 7).to_string(),
            "mailboxes/a/b/0007.jsonl.zst"
        );
        let segment = |path: &str| indexed_segment(&path.parse().unwrap());
        assert_eq!(segment("mailboxes/a/b/0007.jsonl.zst"), Some(7));
        assert_eq!(segment("mailboxes/a/b/12345.jsonl.zst"), Some(12345));
        for other in [
            "mailboxes/a/b/7.jsonl.zst",
            "mailboxes/a/b/index.jsonl.zst",
            "a/0007.jsonl.zst",
        ] {
            assert_eq!(segment(other), None, "{other}");
        }
        assert_eq!(
            plain_path(&"mail/a/b/cur/1".parse().unwrap()),
            "a/b/cur/1".parse().ok()
        );
        assert_eq!(plain_path(&"mailboxes/a".parse().unwrap()), None);
    }

    /// Names that come near the rule, and any others.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let near = "_root(\\.mailbox){0,3}".prop_map(String::into_bytes);
        let any = proptest::collection::vec(any::<u8>(), 1..12);
        prop_oneof![near, any]
    }

    fn mailbox() -> impl Strategy<Value = RelPath> {
        proptest::collection::vec(name(), 0..4).prop_filter_map("a safe path", |names| {
            if names.is_empty() {
                return Some(RelPath::root());
            }
            RelPath::new(names.join(&b'/')).ok()
        })
    }

    proptest! {
        #[test]
        fn a_mailbox_is_found_again_by_its_directory(mailbox in mailbox()) {
            prop_assert_eq!(mailbox_of(&directory_of(&mailbox)), Some(mailbox));
        }

        #[test]
        fn no_two_mailboxes_share_a_directory(
            mailboxes in proptest::collection::vec(mailbox(), 1..9),
        ) {
            let mut taken: HashMap<RelPath, RelPath> = HashMap::new();
            for mailbox in mailboxes {
                if let Some(other) = taken.insert(directory_of(&mailbox), mailbox.clone()) {
                    prop_assert_eq!(other, mailbox);
                }
            }
        }
    }
}
