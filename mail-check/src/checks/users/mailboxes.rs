//! The mailboxes on disk: `domain/user` below the mail root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) path: PathBuf,
    /// When its directory was made; `None` where the file system does not say.
    pub(super) made: Option<Timestamp>,
}

/// By address, in small letters.
pub(super) type Mailboxes = BTreeMap<String, Mailbox>;

/// Every mailbox below `root`. Hidden directories are none.
pub(super) fn list(root: &Path) -> io::Result<Mailboxes> {
    let mut mailboxes = Mailboxes::new();
    for (domain, path) in directories(root)? {
        for (user, path) in directories(&path)? {
            let made = fs::metadata(&path)
                .and_then(|metadata| metadata.created())
                .ok();
            let made = made.and_then(|made| Timestamp::try_from(made).ok());
            mailboxes.insert(
                format!("{user}@{domain}").to_lowercase(),
                Mailbox { path, made },
            );
        }
    }
    Ok(mailboxes)
}

/// Names and paths, also through symlinks.
fn directories(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with('.') && path.is_dir() {
            directories.push((name, path));
        }
    }
    Ok(directories)
}
