//! The files below an open directory. No link is followed on the way.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use mail_common::beneath::Beneath;
use mail_common::relpath::RelPath;
use rustix::fs::{AtFlags, Dir, FileType, Stat};
use rustix::io::Errno;

/// What stands at a name.
pub(super) enum Entry {
    Directory,
    File(FileFacts),
    /// A link, a pipe, a device.
    Other,
}

/// What is known of a regular file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileFacts {
    pub(super) bytes: u64,
    pub(super) modified: Timestamp,
    inode: (u64, u64),
}

impl Entry {
    fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File(FileFacts::of(stat)),
            _ => Self::Other,
        }
    }
}

impl FileFacts {
    fn of(stat: &Stat) -> Self {
        let nanoseconds = i32::try_from(stat.st_mtime_nsec).unwrap_or_default();
        Self {
            bytes: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: Timestamp::new(stat.st_mtime, nanoseconds).unwrap_or(Timestamp::MAX),
            inode: (stat.st_dev, stat.st_ino),
        }
    }

    /// Equal for all names of one file, and for no others.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.inode
    }

    /// Whether these are two names of one file.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.inode == other.inode
    }
}

/// What stands at `name` in an open directory.
pub(super) fn look_in(directory: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<Entry> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(Entry::of(&stat))
}

/// What is in the directory at `path` below `root`; nothing when there is no such directory.
pub(super) fn entries(root: &Beneath, path: &RelPath) -> io::Result<Vec<(RelPath, Entry)>> {
    let directory = match root.directory(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if [&b"."[..], b".."].contains(&name) {
            continue;
        }
        match look_in(&directory, OsStr::from_bytes(name)) {
            // Another push has just given it its name.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
            entry => found.push((path.child(name).map_err(io::Error::other)?, entry?)),
        }
    }
    Ok(found)
}
