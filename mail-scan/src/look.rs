//! What stands at a name in an open directory, and how it looks. Nothing here follows a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// What stands at a name that is to be scanned.
#[derive(Debug)]
pub(crate) enum Opened {
    File(File, Look),
    /// A link, a named pipe, a socket or a device: it holds nothing to be scanned.
    NoFile(&'static str),
}

/// How a file looks; two equal looks mean that it has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) bytes: u64,
    device: u64,
    inode: u64,
    mtime_ns: i128,
    ctime_ns: i128,
}

/// Opens `name` in `directory` where it is a file, and nothing else: to open a device may set it
/// off, and a pipe's writer waits for a reader.
pub(crate) fn open_in(directory: impl AsFd, name: &OsStr) -> io::Result<Opened> {
    let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if let Some(what) = other_than_file(&stat) {
        return Ok(Opened::NoFile(what));
    }
    // It may have been replaced since.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&directory, name, flags, Mode::empty()) {
        Err(Errno::LOOP) => return Ok(Opened::NoFile("a symbolic link")),
        file => File::from(file?),
    };
    let stat = rustix::fs::fstat(&file)?;
    Ok(other_than_file(&stat).map_or_else(|| Opened::File(file, Look::of(&stat)), Opened::NoFile))
}

fn other_than_file(stat: &rustix::fs::Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Symlink => Some("a symbolic link"),
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a named pipe"),
        FileType::Socket => Some("a socket"),
        _ => Some("a device"),
    }
}

impl Look {
    /// How `file` looks now.
    pub(crate) fn at(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// Whether `name` in `directory` is the file that looked so. Its change time may differ: a
    /// rename sets it. A number of an inode is given again once a file is gone.
    pub(crate) fn is_at(self, directory: impl AsFd, name: &OsStr) -> bool {
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return false;
        };
        let now = Self {
            ctime_ns: self.ctime_ns,
            ..Self::of(&stat)
        };
        other_than_file(&stat).is_none() && now == self
    }

    /// How long ago it last changed.
    pub(crate) fn age(self) -> Duration {
        let changed = u64::try_from(self.ctime_ns)
            .map(Duration::from_nanos)
            .unwrap_or_default();
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH + changed)
            .unwrap_or_default()
    }

    fn of(stat: &rustix::fs::Stat) -> Self {
        let nanoseconds =
            |seconds: i64, rest: u64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev,
            inode: stat.st_ino,
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}
