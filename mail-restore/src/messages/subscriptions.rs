//! `subscriptions`: the folders of a mailbox that mail programs show. A folder that was made is
//! added, or its user would not see what came back.
//!
//! Dovecot writes the file as a whole, into `subscriptions.lock`, which is its lock too, and
//! renames that; so does this. Since Dovecot 2.3 its first line is `V`, a tab and `2`, and a tab
//! stands between the levels of a name; before, each line was a name as it is on disk.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use mail_common::relpath::RelPath;

use super::candidate::Owner;
use super::directory::Directory;
use super::folder::hand_over;

const NAME: &[u8] = b"subscriptions";
const LOCK: &[u8] = b"subscriptions.lock";
const HEAD: &[u8] = b"V\t2\n";

/// Dovecot holds the lock for as long as it writes a few lines.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// A lock that is older is of a run that was killed: whoever holds it renames it at once. Dovecot
/// does not wait so long itself.
const STALE_SECONDS: i64 = 120;

/// A longer file is not read: a mailbox has thousands of folders at most.
const MAX_BYTES: u64 = 4 << 20;

/// Adds the folder at `path` of a mailbox, unless it is there.
pub(super) fn subscribe(mailbox: &Directory, path: &RelPath, owner: &Owner) -> io::Result<()> {
    if path.as_bytes().iter().any(u8::is_ascii_control) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the name has control characters",
        ));
    }
    let mut file = lock(mailbox)?;
    let added = read(mailbox).and_then(|(text, mode)| {
        let Some(text) = with(&text, path) else {
            return mailbox.remove_file(LOCK);
        };
        file.write_all(&text)?;
        hand_over(&file, owner, mode)?;
        file.sync_all()?;
        mailbox.replace(LOCK, NAME)
    });
    if added.is_err() {
        // The failure matters more than whether this succeeds.
        let _ = mailbox.remove_file(LOCK);
    }
    added
}

fn lock(mailbox: &Directory) -> io::Result<std::fs::File> {
    let start = Instant::now();
    loop {
        match mailbox.create_file(LOCK) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && is_stale(mailbox)
                    && mailbox.remove_file(LOCK).is_ok() => {}
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && start.elapsed() < PATIENCE =>
            {
                thread::sleep(POLL);
            }
            created => return created,
        }
    }
}

fn is_stale(mailbox: &Directory) -> bool {
    let oldest = jiff::Timestamp::now().as_second() - STALE_SECONDS;
    mailbox
        .look(LOCK)
        .is_ok_and(|found| found.st_mtime < oldest)
}

/// The file and its mode; what a new one begins with where there is none.
fn read(mailbox: &Directory) -> io::Result<(Vec<u8>, u32)> {
    let file = match mailbox.open_file(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(([HEAD, b"\n"].concat(), 0o600));
        }
        file => file?,
    };
    let mode = mailbox.look(NAME)?.st_mode & 0o777;
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    if text.len() as u64 == MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is too large",
        ));
    }
    Ok((text, mode))
}

/// `text` with the folder at `path`; `None` where it has it.
fn with(text: &[u8], path: &RelPath) -> Option<Vec<u8>> {
    let on_disk = path
        .as_bytes()
        .strip_prefix(b".")
        .unwrap_or(path.as_bytes());
    let line = if text.starts_with(HEAD) {
        let separator = if path.as_bytes().starts_with(b".") {
            b'.'
        } else {
            b'/'
        };
        let levels: Vec<&[u8]> = on_disk.split(|&byte| byte == separator).collect();
        levels.join(&b'\t')
    } else {
        on_disk.to_vec()
    };
    if text.split(|&byte| byte == b'\n').any(|known| known == line) {
        return None;
    }
    let end: &[u8] = if text.is_empty() || text.ends_with(b"\n") {
        b""
    } else {
        b"\n"
    };
    Some([text, end, &line, b"\n"].concat())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make the mailbox")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_is_added_as_the_file_has_the_others() {
        let check = |text: &str, path: &str, expected: Option<&str>| {
            let path: RelPath = path.parse().unwrap();
            let text = with(text.as_bytes(), &path);
            let text = text.map(|text| String::from_utf8(text).unwrap());
            assert_eq!(text.as_deref(), expected, "{path}");
        };
        check(
            "V\t2\n\nSent\n",
            ".Archive.2025",
            Some("V\t2\n\nSent\nArchive\t2025\n"),
        );
        check("V\t2\n\nArchive\t2025\n", ".Archive.2025", None);
        check("Sent", ".Archive.2025", Some("Sent\nArchive.2025\n"));
        check("Sent\nArchive.2025\n", ".Archive.2025", None);
        check("V\t2\n\n", "Work/Old", Some("V\t2\n\nWork\tOld\n"));
        check("", "Work/Old", Some("Work/Old\n"));
    }

    #[test]
    fn the_file_is_exchanged_whole_and_a_lock_of_others_is_respected() {
        let dir = tempfile::tempdir().unwrap();
        let mailbox = Directory::open_root(dir.path()).unwrap();
        let owner = mailbox.owner().unwrap();
        let path: RelPath = ".Archive".parse().unwrap();
        let text = || fs::read_to_string(dir.path().join("subscriptions")).unwrap();
        subscribe(&mailbox, &path, &owner).unwrap();
        assert_eq!(text(), "V\t2\n\nArchive\n");
        subscribe(&mailbox, &path, &owner).unwrap();
        assert_eq!(text(), "V\t2\n\nArchive\n");
        fs::write(dir.path().join("subscriptions.lock"), "").unwrap();
        let other: RelPath = ".Other".parse().unwrap();
        let error = subscribe(&mailbox, &other, &owner).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(
            dir.path().join("subscriptions.lock").exists(),
            "it is not ours"
        );
        assert_eq!(text(), "V\t2\n\nArchive\n");
        // Of a run that was killed.
        let lock = fs::File::open(dir.path().join("subscriptions.lock")).unwrap();
        let age = Duration::from_secs(STALE_SECONDS.unsigned_abs() + 10);
        lock.set_modified(std::time::SystemTime::now() - age)
            .unwrap();
        subscribe(&mailbox, &other, &owner).unwrap();
        assert_eq!(text(), "V\t2\n\nArchive\nOther\n");
        assert!(!dir.path().join("subscriptions.lock").exists());
    }
}
