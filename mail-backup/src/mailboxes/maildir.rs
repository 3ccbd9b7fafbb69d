//! What Maildir means for a backup: which file is a message, and which name it keeps when its flags change.
//!
//! <https://cr.yp.to/proto/maildir.html>, <https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/>.

use mail_common::relpath::RelPath;

/// The two directories that hold messages.
pub(crate) fn holds_messages(directory_name: &[u8]) -> bool {
    directory_name == b"cur" || directory_name == b"new"
}

/// Whether a file at `path` is a message: it lies in a `cur` or `new`.
pub(crate) fn is_message(path: &RelPath) -> bool {
    path.parent().is_some_and(|directory| holds_messages(directory.name()))
}

/// The part of a message's name that stays the same when it is flagged or moved: before `:2,`.
pub(crate) fn unique_name(name: &[u8]) -> &[u8] {
    let end = name.windows(3).position(|window| window == b":2,");
    &name[..end.unwrap_or(name.len())]
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

    fn check(path: &str, message: bool, scratch: bool, unique: &str) {
        let path: RelPath = path.parse().unwrap();
        assert_eq!(is_message(&path), message, "{path}");
        assert_eq!(is_scratch(&path), scratch, "{path}");
        assert_eq!(unique_name(path.name()), unique.as_bytes(), "{path}");
    }

    #[test]
    fn messages_scratch_files_and_unique_names() {
        check("example.com/alice/cur/1.M2P3.mx,S=4:2,FS", true, false, "1.M2P3.mx,S=4");
        check("example.com/alice/new/1.M2P3.mx.lock", true, true, "1.M2P3.mx.lock");
        check("example.com/alice/.Sent/cur/1.M2P3.mx:2,", true, false, "1.M2P3.mx");
        check("example.com/alice/dovecot-uidlist.lock", false, true, "dovecot-uidlist.lock");
        check("example.com/alice/dovecot-uidlist", false, false, "dovecot-uidlist");
        check("example.com/alice/sieve/a.tmp", false, true, "a.tmp");
    }
}
