//! `maildirsize`, in which a mailbox counts its quota: each message that is added appends a line.
//!
//! The rule of Maildir++: one write to the end of the file, the size and the number of messages. A
//! mailbox without the file counts nothing. Dovecot counts every folder and every flag, so this
//! does too.

use std::io::{self, Write};

use super::directory::Directory;

const NAME: &[u8] = b"maildirsize";

/// Counts one message of `bytes`, if the mailbox counts.
pub(super) fn count(mailbox: &Directory, bytes: u64) -> io::Result<()> {
    match mailbox.append_to(NAME) {
        // The file may be replaced at any moment: it is opened each time, and written in one call.
        Ok(mut file) => file.write_all(format!("{bytes} 1\n").as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make the mailbox")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_line_is_added_where_there_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mailbox = Directory::open_root(dir.path()).unwrap();
        count(&mailbox, 5).unwrap();
        assert!(!dir.path().join("maildirsize").exists());
        fs::write(dir.path().join("maildirsize"), "1000000S\n300 2\n").unwrap();
        count(&mailbox, 5).unwrap();
        count(&mailbox, 70).unwrap();
        assert_eq!(
            fs::read_to_string(dir.path().join("maildirsize")).unwrap(),
            "1000000S\n300 2\n5 1\n70 1\n"
        );
    }
}
