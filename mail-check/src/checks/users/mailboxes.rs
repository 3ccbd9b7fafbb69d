//! The mailboxes on disk, as deep below the mail root as MAILBOX_DEPTH says.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mail_common::relpath::RelPath;
use mail_common::set::{MailboxDepth, address_of};
use mail_common::suspicion::CANARY_DOMAIN;
use mail_common::trusted;

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) path: PathBuf,
    /// When its directory was made; `None` where the file system does not say.
    pub(super) made: Option<Timestamp>,
}

/// By address, in small letters.
pub(super) type Mailboxes = BTreeMap<String, Mailbox>;

/// Every mailbox below the mail root `root`. Hidden directories are none. Where all mail is saved
/// as one, mailboxes are looked for where they usually are.
pub(super) fn list(root: &Path, depth: MailboxDepth) -> io::Result<Mailboxes> {
    let levels = match depth.levels() {
        0 => MailboxDepth::default().levels(),
        levels => levels,
    };
    let mut paths = vec![RelPath::root()];
    for _ in 0..levels {
        let mut below = Vec::new();
        for path in &paths {
            below.extend(directories(root, path)?);
        }
        // It belongs to mail-backup.
        below.retain(|path| path.as_bytes() != CANARY_DOMAIN.as_bytes());
        paths = below;
    }
    let mailbox = |path: RelPath| {
        let address = address_of(&path).to_lowercase();
        let path = root.join(path.as_path());
        let created = fs::metadata(&path).and_then(|metadata| metadata.created());
        let made = created.ok().and_then(|time| Timestamp::try_from(time).ok());
        (address, Mailbox { path, made })
    };
    Ok(paths.into_iter().map(mailbox).collect())
}

/// The directories directly below `parent`, also through symlinks.
pub(super) fn directories(root: &Path, parent: &RelPath) -> io::Result<Vec<RelPath>> {
    let mut directories = Vec::new();
    for entry in trusted::read_dir(root.join(parent.as_path()))? {
        let entry = entry?;
        let name = entry.file_name();
        let is_hidden = name.as_bytes().starts_with(b".");
        if !is_hidden && entry.path().is_dir() {
            directories.push(parent.child(name.as_bytes()).map_err(io::Error::other)?);
        }
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_lie_as_deep_as_it_is_said() {
        let root = tempfile::tempdir().unwrap();
        for mailbox in ["a.com/alice", "a.com/b/bob", ".hidden/c/d"] {
            fs::create_dir_all(root.path().join(mailbox)).unwrap();
        }
        let check = |depth: &str, expected: &[&str]| {
            let found = list(root.path(), depth.parse().unwrap()).unwrap();
            let found: Vec<&str> = found.keys().map(String::as_str).collect();
            assert_eq!(found, expected, "{depth}");
        };
        check("0", &["alice@a.com", "b@a.com"]);
        check("1", &["a.com"]);
        check("2", &["alice@a.com", "b@a.com"]);
        check("{domain}/*/{user}", &["bob@a.com"]);
    }
}
