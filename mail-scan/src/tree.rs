//! A live tree that is scanned, held open.
//!
//! Mail users own what lies in it, and can exchange any directory for a link at any moment. So root
//! reaches nothing in it by path: every directory is opened from the top, which the administrator
//! has named, and no link is followed on the way.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mail_common::beneath::Beneath;
use mail_common::relpath::RelPath;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// A tree that is scanned.
#[derive(Debug)]
pub(crate) struct Tree {
    path: PathBuf,
    root: Beneath,
}

impl Tree {
    /// Opens the tree at `path`, which is absolute. The way there may lead over links.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            root: Beneath::open(path)?,
        })
    }

    /// Opens the directory at `path`, an absolute path in the tree.
    pub(crate) fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let below = path.strip_prefix(&self.path).map_err(io::Error::other)?;
        if below.as_os_str().is_empty() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            return Ok(rustix::fs::openat(&self.root, ".", flags, Mode::empty())?);
        }
        let below = RelPath::new(below.as_os_str().as_bytes()).map_err(io::Error::other)?;
        self.root.directory(&below)
    }

    /// What stands at `path`, an absolute path in the tree.
    pub(crate) fn entry(&self, path: &Path) -> io::Result<Entry> {
        let above = self.directory(path.parent().unwrap_or(path))?;
        Entry::look(above, path.file_name().unwrap_or_default())
    }

    /// What stands in an open directory. What is gone before it is looked at is not in it.
    pub(crate) fn entries(directory: &OwnedFd) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in Dir::read_from(directory)? {
            let found = found?;
            let name = OsStr::from_bytes(found.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            match Entry::look(directory, name) {
                Ok(entry) => entries.push(entry),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }
}

/// What stands in a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) kind: EntryKind,
    pub(crate) identity: Identity,
    pub(crate) bytes: u64,
}

/// What something in a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Directory,
    Link,
    /// A file, or a pipe, a socket or a device.
    Other,
}

/// The file behind a name: its device and inode, which stay when it is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Entry {
    fn look(directory: impl AsFd, name: &OsStr) -> io::Result<Self> {
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Link,
            _ => EntryKind::Other,
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
            identity: Identity {
                device: stat.st_dev,
                inode: stat.st_ino,
            },
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
        })
    }
}

/// Whether something in a tree is no longer where it was listed: it is gone, or a directory on the
/// way to it is another thing by now.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    let swapped = [Errno::LOOP, Errno::NOTDIR].map(Errno::raw_os_error);
    error.kind() == io::ErrorKind::NotFound
        || error
            .raw_os_error()
            .is_some_and(|code| swapped.contains(&code))
}
