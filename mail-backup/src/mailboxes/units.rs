//! Divides the mail tree into mailboxes and what lies above them.

use std::io;

use mail_common::archive::index::Kind;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::directory_of;
use rustix::fs::Dir;

use crate::source::tree::{Look, SourceTree, look_at, vanished};

/// A part of the mail tree that has a directory of its own in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// In the mail tree.
    pub(crate) path: RelPath,
    /// In the set.
    pub(crate) directory: RelPath,
    pub(crate) reach: Reach,
}

/// Which directories belong to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A mailbox with all below it.
    Whole,
    /// What lies above the mailboxes: directories of less than this depth.
    Above(usize),
}

impl Reach {
    /// Whether the directory at `path` is a mailbox, and so not of the unit above the mailboxes.
    pub(crate) fn ends_at(self, path: &RelPath) -> bool {
        match self {
            Self::Whole => false,
            Self::Above(depth) => path.depth() >= depth,
        }
    }

    /// Whether the directories in `path` are mailboxes.
    pub(crate) fn ends_below(self, path: &RelPath) -> bool {
        match self {
            Self::Whole => false,
            Self::Above(depth) => path.depth() + 1 >= depth,
        }
    }
}

/// The units of a tree, and the directories above mailboxes that cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Units {
    pub(crate) found: Vec<Unit>,
    /// Symbolic links where a mailbox or a domain could be: saved as links.
    pub(crate) links: Vec<RelPath>,
    pub(crate) failed: Vec<(RelPath, io::Error)>,
}

/// What lies above the mailboxes, then the mailboxes at `depth` below the root, sorted.
pub(crate) fn units(tree: &SourceTree, depth: usize) -> Units {
    let mut units = Units::default();
    let mut mailboxes = Vec::new();
    if depth > 0 {
        collect(tree, &RelPath::root(), depth, &mut mailboxes, &mut units);
    }
    mailboxes.sort();
    units.found.push(Unit {
        path: RelPath::root(),
        directory: directory_of(&RelPath::root()),
        reach: if depth == 0 {
            Reach::Whole
        } else {
            Reach::Above(depth)
        },
    });
    let mailbox = |path: RelPath| Unit {
        directory: directory_of(&path),
        path,
        reach: Reach::Whole,
    };
    units.found.extend(mailboxes.into_iter().map(mailbox));
    units
}

fn collect(
    tree: &SourceTree,
    path: &RelPath,
    depth: usize,
    mailboxes: &mut Vec<RelPath>,
    units: &mut Units,
) {
    let children = match subdirectories(tree, path, &mut units.failed) {
        Ok(children) => children,
        // Removed since its parent was read.
        Err(error) if vanished(&error) && !path.is_root() => return,
        Err(error) => return units.failed.push((path.clone(), error)),
    };
    for child in children {
        match child.kind {
            Kind::Symlink => units.links.push(child.path),
            _ if child.path.depth() == depth => mailboxes.push(child.path),
            _ => collect(tree, &child.path, depth, mailboxes, units),
        }
    }
}

struct Child {
    path: RelPath,
    kind: Kind,
}

/// The directories and symbolic links in `path`. What cannot be looked at may be one of them, so it
/// is added to `failed`.
fn subdirectories(
    tree: &SourceTree,
    path: &RelPath,
    failed: &mut Vec<(RelPath, io::Error)>,
) -> io::Result<Vec<Child>> {
    let directory = tree.open_directory(path)?;
    let mut children = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let child = path.child(name).map_err(io::Error::other)?;
        match look_at(&directory, name) {
            Ok(Look::Savable(kind @ (Kind::Directory | Kind::Symlink), _)) => {
                children.push(Child { path: child, kind });
            }
            Ok(_) => {}
            Err(error) if vanished(&error) => {}
            Err(error) => failed.push((child, error)),
        }
    }
    Ok(children)
}
