//! A folder of a live mailbox, open to be added to; made where there is none.

use std::fs::File;
use std::io::{self, Write};

use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use rustix::fs::{Mode, Timespec, Timestamps, UTIME_NOW};

use super::candidate::Owner;
use super::directory::{Directory, Made, give};
use super::error::Error;
use super::keywords::{FILE_MAX_BYTES, FILE_NAME, Keywords};

/// In Maildir++, what tells a folder from a mailbox.
const FOLDER_MARK: &[u8] = b"maildirfolder";

/// Who else may do what in a folder: <https://doc.dovecot.org/2.3/settings/plugin/acl/>.
pub(super) const ACL: &[u8] = b"dovecot-acl";

/// A folder with its three directories.
#[derive(Debug)]
pub(super) struct Folder {
    /// Relative to the live mail root.
    pub(super) path: RelPath,
    pub(super) cur: Directory,
    pub(super) new: Directory,
    pub(super) tmp: Directory,
    /// What its flags a to z mean.
    pub(super) keywords: Keywords,
    /// Whether it was there.
    pub(super) made: Made,
}

/// Where a folder belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent<'a> {
    pub(super) mailbox: &'a Directory,
    /// Relative to the live mail root.
    pub(super) path: &'a RelPath,
    pub(super) owner: &'a Owner,
}

/// What a set has of a folder beside its messages; empty where it has nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Saved<'a> {
    /// Its `dovecot-keywords`.
    pub(super) keywords: &'a [u8],
    /// Its `dovecot-acl`.
    pub(super) acl: &'a [u8],
}

impl Folder {
    /// Opens the folder at `path` of a mailbox, or makes what is missing of it. One without
    /// messages and without a `dovecot-keywords` gets that of the set; one that is made gets its
    /// `dovecot-acl`, before Dovecot takes it for a folder.
    pub(super) fn open(
        parent: Parent<'_>,
        path: &RelPath,
        saved: Saved<'_>,
    ) -> Result<Self, Error> {
        let at = path.below(parent.path);
        let opened = Self::try_open(parent, path, saved);
        Ok(opened.map_err(Failed::at("open or make", at.as_path()))?)
    }

    /// Whether the folder at `path` of a mailbox is there: Dovecot takes it for one by its `cur`.
    pub(super) fn is_there(mailbox: &Directory, path: &RelPath) -> bool {
        let folder = mailbox.descend(path);
        folder.is_ok_and(|folder| folder.look(b"cur").is_ok())
    }

    fn try_open(parent: Parent<'_>, path: &RelPath, saved: Saved<'_>) -> io::Result<Self> {
        let Parent { mailbox, owner, .. } = parent;
        // What a killed run began is made to its end.
        let made = if Self::is_there(mailbox, path) {
            Made::Before
        } else {
            Made::Now
        };
        let mut directory = mailbox.descend(&RelPath::root())?;
        for name in path.components() {
            (directory, _) = directory.ensure(name, owner)?;
        }
        // Dovecot looks for new mail in `cur` and `new`: they come last.
        let (tmp, _) = directory.ensure(b"tmp", owner)?;
        if made == Made::Now && path.depth() == 1 && path.name().starts_with(b".") {
            put_small(&tmp, &directory, FOLDER_MARK, b"", owner)?;
        }
        if made == Made::Now && !saved.acl.is_empty() {
            put_small(&tmp, &directory, ACL, saved.acl, owner)?;
        }
        let (new, _) = directory.ensure(b"new", owner)?;
        let (cur, _) = directory.ensure(b"cur", owner)?;
        // Where there is no message, no flag has a meaning yet.
        let has_keywords = !saved.keywords.is_empty();
        if has_keywords && cur.entries()?.is_empty() && new.entries()?.is_empty() {
            put_small(&tmp, &directory, FILE_NAME, saved.keywords, owner)?;
        }
        let keywords = read_keywords(&directory)?;
        Ok(Self {
            path: path.below(parent.path),
            cur,
            new,
            tmp,
            keywords,
            made,
        })
    }

    /// Waits until what was added is on stable storage.
    pub(super) fn sync(&self) -> Result<(), Error> {
        let synced = self.cur.sync().and_then(|()| self.new.sync());
        Ok(synced.map_err(Failed::at("sync", self.path.as_path()))?)
    }
}

/// Writes a small file whole, unless there is one.
fn put_small(
    tmp: &Directory,
    target: &Directory,
    name: &[u8],
    content: &[u8],
    owner: &Owner,
) -> io::Result<()> {
    let temporary = [
        b"restore.",
        name,
        b".",
        std::process::id().to_string().as_bytes(),
    ]
    .concat();
    let mut file = tmp.create_file(&temporary)?;
    let written = file
        .write_all(content)
        .and_then(|()| hand_over(&file, owner, 0o600))
        .and_then(|()| file.sync_all())
        .and_then(|()| tmp.move_into(&temporary, target, name));
    match written {
        Ok(()) => Ok(()),
        Err(error) => {
            // The failure matters more than whether this succeeds.
            let _ = tmp.remove_file(&temporary);
            if error.kind() == io::ErrorKind::AlreadyExists {
                Ok(())
            } else {
                Err(error)
            }
        }
    }
}

/// Gives a file its owner and permission bits.
pub(super) fn hand_over(file: &File, owner: &Owner, mode: u32) -> io::Result<()> {
    give(file, owner)?;
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// Sets the modification time, from which Dovecot has the time of delivery.
pub(super) fn set_time(file: &File, mtime_ns: i64) -> io::Result<()> {
    let modified = Timespec {
        tv_sec: mtime_ns.div_euclid(1_000_000_000),
        tv_nsec: mtime_ns.rem_euclid(1_000_000_000),
    };
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
        last_modification: modified,
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

fn read_keywords(folder: &Directory) -> io::Result<Keywords> {
    match folder.open_file(FILE_NAME) {
        Ok(file) => {
            let mut text = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(file, FILE_MAX_BYTES), &mut text)?;
            Ok(Keywords::parse(&text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Keywords::default()),
        Err(error) => Err(error),
    }
}
