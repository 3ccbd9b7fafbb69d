//! A file that is to be scanned, and how records name it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::relpath::PathField;
use mail_common::set::ReadLock;
use rustix::fs::{Mode, OFlags};

use crate::listed::Identity;
use crate::look::{Opened, open_in};
use crate::tree::Tree;

/// How records name a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The directory that holds the sets, and the set; `None` for a file in no set.
    pub(crate) set: Option<(String, String)>,
    /// Relative to the set, or absolute.
    pub(crate) path: PathField,
}

/// A file that is to be scanned.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Where it is.
    pub(crate) file: PathBuf,
    pub(crate) place: Place,
    /// What holds it.
    pub(crate) holder: Holder,
    /// The digest that its set has on record.
    pub(crate) expected: Option<Sha256>,
}

/// What a file lies in, held while it is scanned.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// A live tree, and which file was found there.
    Tree(Arc<Tree>, Option<Identity>),
    /// A set, which is neither replaced nor removed meanwhile.
    Set { _lock: Arc<ReadLock> },
    /// Nothing: it cannot be opened.
    Nothing,
}

impl Place {
    /// Of a file that is in no set: its absolute path.
    pub(crate) fn of_path(file: &Path) -> Self {
        Self {
            set: None,
            path: PathField::of_bytes(file.as_os_str().as_bytes()),
        }
    }
}

impl Item {
    /// Opens it where it is a file.
    pub(crate) fn open(&self) -> io::Result<Opened> {
        let folder = self.folder()?;
        open_in(folder, self.file.file_name().unwrap_or_default())
    }

    /// The live tree that it lies in.
    pub(crate) fn tree(&self) -> Option<&Tree> {
        match &self.holder {
            Holder::Tree(tree, _) => Some(tree),
            Holder::Set { .. } | Holder::Nothing => None,
        }
    }

    fn folder(&self) -> io::Result<OwnedFd> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        match self.tree() {
            Some(tree) => tree.directory(folder),
            None => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Ok(rustix::fs::open(folder, flags, Mode::empty())?)
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.set {
            Some((root, set)) => write!(f, "{root}/{set}/{}", self.path.path),
            None => f.write_str(&self.path.path),
        }
    }
}
