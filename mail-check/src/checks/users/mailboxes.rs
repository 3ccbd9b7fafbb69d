//! The mailboxes on disk: `domain/user` below the mail root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mail_common::relpath::RelPath;
use mail_common::set::address_of;
use mail_common::suspicion::CANARY_DOMAIN;

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mailbox {
    pub(super) path: PathBuf,
    /// When its directory was made; `None` where the file system does not say.
    pub(super) made: Option<Timestamp>,
}

/// By address, in small letters.
pub(super) type Mailboxes = BTreeMap<String, Mailbox>;

/// Every mailbox below `root`, a mail root or the directory of a set. Hidden directories are none.
pub(super) fn list(root: &Path) -> io::Result<Mailboxes> {
    let mut mailboxes = Mailboxes::new();
    let mut domains = directories(root, &RelPath::root())?;
    // It belongs to mail-backup.
    domains.retain(|domain| domain.name() != CANARY_DOMAIN.as_bytes());
    for domain in domains {
        for mailbox in directories(root, &domain)? {
            let path = root.join(mailbox.as_path());
            let created = fs::metadata(&path).and_then(|metadata| metadata.created());
            let made = created.ok().and_then(|time| Timestamp::try_from(time).ok());
            let address = address_of(&mailbox).to_lowercase();
            mailboxes.insert(address, Mailbox { path, made });
        }
    }
    Ok(mailboxes)
}

/// The directories directly below `parent`, also through symlinks.
fn directories(root: &Path, parent: &RelPath) -> io::Result<Vec<RelPath>> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(root.join(parent.as_path()))? {
        let entry = entry?;
        let name = entry.file_name();
        let is_hidden = name.as_bytes().starts_with(b".");
        if !is_hidden && entry.path().is_dir() {
            directories.push(parent.child(name.as_bytes()).map_err(io::Error::other)?);
        }
    }
    Ok(directories)
}
