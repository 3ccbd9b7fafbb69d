//! Divides the mail tree into mailboxes and what lies above them.

use std::io;

use mail_common::archive::index::Kind;
use mail_common::relpath::RelPath;

use super::listing::Reach;
use super::mailbox::Unit;
use crate::source::tree::{Look, SourceTree, look_at, vanished};
use rustix::fs::Dir;

/// Where a set keeps what lies above the mailboxes.
const ABOVE: &str = "_root";

/// Where it keeps a mailbox that has that very name, at depth 1.
const MAILBOX_CALLED_ABOVE: &str = "_root.mailbox";

/// The units of a tree, and the directories above mailboxes that cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Units {
    pub(crate) found: Vec<Unit>,
    pub(crate) failed: Vec<(RelPath, io::Error)>,
}

/// What lies above the mailboxes, then the mailboxes at `depth` below the root, sorted.
pub(crate) fn units(tree: &SourceTree, depth: usize) -> Units {
    let mut units = Units::default();
    let mut mailboxes = Vec::new();
    if depth > 0 {
        collect(tree, &RelPath::root(), depth, &mut mailboxes, &mut units.failed);
    }
    mailboxes.sort();
    units.found.push(Unit {
        path: RelPath::root(),
        directory: in_set(ABOVE),
        reach: if depth == 0 { Reach::Whole } else { Reach::Above(depth) },
    });
    let mailbox = |path: RelPath| Unit { directory: directory_of(&path), path, reach: Reach::Whole };
    units.found.extend(mailboxes.into_iter().map(mailbox));
    units
}

fn collect(
    tree: &SourceTree,
    path: &RelPath,
    depth: usize,
    found: &mut Vec<RelPath>,
    failed: &mut Vec<(RelPath, io::Error)>,
) {
    let children = match subdirectories(tree, path) {
        Ok(children) => children,
        Err(error) if vanished(&error) && !path.is_root() => return, // Removed since its parent was read.
        Err(error) => return failed.push((path.clone(), error)),
    };
    for child in children {
        match child.depth() == depth {
            true => found.push(child),
            false => collect(tree, &child, depth, found, failed),
        }
    }
}

fn subdirectories(tree: &SourceTree, path: &RelPath) -> io::Result<Vec<RelPath>> {
    let directory = tree.open_directory(path)?;
    let mut children = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && is_directory(&directory, name) {
            children.push(path.child(name).map_err(io::Error::other)?);
        }
    }
    Ok(children)
}

fn is_directory(parent: &std::os::fd::OwnedFd, name: &[u8]) -> bool {
    matches!(look_at(parent, name), Ok(Look::Savable(Kind::Directory, _)))
}

fn directory_of(mailbox: &RelPath) -> RelPath {
    if *mailbox == name(ABOVE) { in_set(MAILBOX_CALLED_ABOVE) } else { mailbox.below(&name("mailboxes")) }
}

fn in_set(unit: &str) -> RelPath {
    name(unit).below(&name("mailboxes"))
}

fn name(name: &str) -> RelPath {
    RelPath::new(name).expect("a plain word is a safe path")
}
