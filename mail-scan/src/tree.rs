//! A live tree that is scanned, held open.
//!
//! Mail users own what lies in it, and can exchange any directory for a link at any moment. So root
//! reaches nothing in it by path: every directory is opened from the top, which the administrator
//! has named, and no link is followed on the way.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mail_common::beneath::Beneath;
use mail_common::relpath::RelPath;
use rustix::fs::{Mode, OFlags};
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
