//! A live tree: opens and looks at its entries, never through a symbolic link.
//!
//! Whoever may write into a mailbox could put a link where a file was; nothing outside the tree is
//! read for it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mail_common::archive::index::{Kind, Stat};
use mail_common::beneath::Beneath;
use mail_common::relpath::RelPath;
use rustix::fs::{AtFlags, FileType};

/// A directory that is being backed up.
#[derive(Debug)]
pub(crate) struct SourceTree {
    root: Beneath,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something that a set can hold.
    Savable(Kind, Stat),
    /// A socket, a named pipe or a device: nothing to save.
    Special,
}

impl SourceTree {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            root: Beneath::open(path)?,
        })
    }

    pub(crate) fn open_directory(&self, path: &RelPath) -> io::Result<OwnedFd> {
        self.root.directory(path)
    }

    /// Opens for reading; does not wait for the other end of a named pipe.
    pub(crate) fn open_file(&self, path: &RelPath) -> io::Result<File> {
        self.root.any_file(path)
    }

    pub(crate) fn look(&self, path: &RelPath) -> io::Result<Look> {
        look_at(&self.root, path.as_path())
    }

    /// How many names a file has.
    pub(crate) fn links(&self, path: &RelPath) -> io::Result<u64> {
        Ok(rustix::fs::statat(&self.root, path.as_path(), AtFlags::SYMLINK_NOFOLLOW)?.st_nlink)
    }

    pub(crate) fn read_link(&self, path: &RelPath) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.root, path.as_path(), Vec::new())?.into_bytes())
    }
}

/// Looks at `name` in `directory` without following it.
pub(crate) fn look_at(directory: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Look> {
    Ok(look_with_links(directory, name)?.0)
}

/// The same, and how many names it has.
pub(crate) fn look_with_links(
    directory: impl AsFd,
    name: impl rustix::path::Arg,
) -> io::Result<(Look, u64)> {
    let raw = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((classify(&raw), raw.st_nlink))
}

/// Looks at what is open.
pub(crate) fn look_at_open(file: impl AsFd) -> io::Result<Look> {
    Ok(classify(&rustix::fs::fstat(file)?))
}

fn classify(raw: &rustix::fs::Stat) -> Look {
    let kind = match FileType::from_raw_mode(raw.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        _ => return Look::Special,
    };
    let size = if kind == Kind::Directory {
        0
    } else {
        u64::try_from(raw.st_size).unwrap_or(0)
    };
    Look::Savable(
        kind,
        Stat {
            size,
            mode: raw.st_mode & 0o7777,
            uid: raw.st_uid,
            gid: raw.st_gid,
            mtime_ns: nanoseconds(raw.st_mtime, i64::try_from(raw.st_mtime_nsec).unwrap_or(0)),
            inode: raw.st_ino,
            ctime_ns: nanoseconds(raw.st_ctime, i64::try_from(raw.st_ctime_nsec).unwrap_or(0)),
        },
    )
}

/// Nanoseconds since 1970; saturates in the years 1677 and 2262.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// Whether the error says that something is no longer there, or became something else.
pub(crate) fn vanished(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A file system's clock ticks coarsely: a change in the tick of a look leaves no trace in the time
/// stamp.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Whether `stat` changed so recently that another change could leave the same time.
pub(crate) fn is_fresh(stat: &Stat) -> bool {
    // A file system that keeps whole seconds has a tick of up to two.
    let tick = if stat.ctime_ns % 1_000_000_000 == 0 {
        Duration::from_secs(2)
    } else {
        TICK
    };
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let changed = Duration::from_nanos(u64::try_from(stat.ctime_ns).unwrap_or(0));
    now.saturating_sub(changed) < tick
}
