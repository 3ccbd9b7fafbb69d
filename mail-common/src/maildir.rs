//! What Maildir means: which file is a message, and which part of its name stays when its flags
//! change.
//!
//! <https://cr.yp.to/proto/maildir.html>,
//! <https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/>.

use crate::relpath::RelPath;

/// Whether a directory of this name holds messages.
#[must_use]
pub fn holds_messages(directory_name: &[u8]) -> bool {
    directory_name == b"cur" || directory_name == b"new"
}

/// Whether a file at `path` is a message: it lies in a `cur` or `new`.
#[must_use]
pub fn is_message(path: &RelPath) -> bool {
    path.parent()
        .is_some_and(|directory| holds_messages(directory.name()))
}

/// The part of a message's name that stays the same when it is flagged or moved: before `:2,`.
#[must_use]
pub fn unique_name(name: &[u8]) -> &[u8] {
    let end = name.windows(3).position(|window| window == b":2,");
    &name[..end.unwrap_or(name.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, message: bool, unique: &str) {
        let path: RelPath = path.parse().unwrap();
        assert_eq!(is_message(&path), message, "{path}");
        assert_eq!(unique_name(path.name()), unique.as_bytes(), "{path}");
    }

    #[test]
    fn messages_and_unique_names() {
        check(
            "example.com/alice/cur/1.M2P3.mx,S=4:2,FS",
            true,
            "1.M2P3.mx,S=4",
        );
        check(
            "example.com/alice/new/1.M2P3.mx.lock",
            true,
            "1.M2P3.mx.lock",
        );
        check(
            "example.com/alice/.Sent/cur/1.M2P3.mx:2,",
            true,
            "1.M2P3.mx",
        );
        check("example.com/alice/tmp/1.M2P3.mx", false, "1.M2P3.mx");
        check(
            "example.com/alice/dovecot-uidlist",
            false,
            "dovecot-uidlist",
        );
    }
}
