//! What the entries of a mailbox are to a backup: messages, control files, or scratch files, which
//! are left out.

use mail_common::archive::index::{Kind, LiveEntry};
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;

/// Whether an entry belongs to the segments of messages, not to the control segment.
pub(crate) fn is_message_entry(entry: &LiveEntry) -> bool {
    entry.kind == Kind::File && is_message(&entry.path)
}

/// Whether a file outside `cur` and `new` is one that a program holds only while it works.
///
/// Messages are never judged by their names: a host called `mx.lock` must not cost mail.
pub(crate) fn is_scratch(path: &RelPath) -> bool {
    let name = path.name();
    name.ends_with(b".lock") || name.ends_with(b".tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, scratch: bool) {
        let path: RelPath = path.parse().unwrap();
        assert_eq!(is_scratch(&path), scratch, "{path}");
    }

    #[test]
    fn scratch_files() {
        check("example.com/alice/dovecot-uidlist.lock", true);
        check("example.com/alice/dovecot-uidlist", false);
        check("example.com/alice/sieve/a.tmp", true);
    }
}
