//! A file that is to be scanned, and how records name it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::relpath::PathField;
use mail_common::set::ReadLock;

use crate::look::{Opened, open_in};
use crate::mailbox::Segment;
use crate::tree::{Identity, Tree};

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
    /// The mailbox that it is an archive of, where some members may be gone.
    pub(crate) segment: Option<Segment>,
}

/// What a file lies in, held while it is scanned.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// A live tree, and which file was found there.
    Tree(Arc<Tree>, Option<Identity>),
    /// A set, which is neither replaced nor removed meanwhile.
    Set(Arc<HeldSet>),
    /// Nothing: it cannot be opened.
    Nothing,
}

/// A set that is held open, and against replacement.
#[derive(Debug)]
pub(crate) struct HeldSet {
    tree: Tree,
    _lock: ReadLock,
}

impl HeldSet {
    /// The set in the directory `set`, which is locked.
    pub(crate) fn open(set: &Path, lock: ReadLock) -> io::Result<Self> {
        Ok(Self {
            tree: Tree::open(set)?,
            _lock: lock,
        })
    }
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
            Holder::Set(_) | Holder::Nothing => None,
        }
    }

    fn folder(&self) -> io::Result<OwnedFd> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        match &self.holder {
            Holder::Tree(tree, _) => tree.directory(folder),
            Holder::Set(set) => set.tree.directory(folder),
            Holder::Nothing => Err(io::ErrorKind::NotFound.into()),
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
