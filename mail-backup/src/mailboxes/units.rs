//! Divides the mail tree into mailboxes and what lies above them.

use std::io;

use mail_common::archive::index::Kind;
use mail_common::relpath::RelPath;

use super::listing::Reach;
use super::mailbox::Unit;
use crate::source::tree::{Look, SourceTree, look_at};
use rustix::fs::Dir;

/// Where a set keeps what lies above the mailboxes.
const ABOVE: &str = "_root";

/// The mailboxes at `depth` below the root, sorted, after the unit of what lies above them.
///
/// # Errors
/// When a directory above the mailboxes cannot be read.
pub(crate) fn units(tree: &SourceTree, depth: usize) -> io::Result<Vec<Unit>> {
    let above = Unit {
        path: RelPath::root(),
        directory: in_set(ABOVE.as_bytes())?,
        reach: if depth == 0 { Reach::Whole } else { Reach::Above(depth) },
    };
    let mut mailboxes = Vec::new();
    if depth > 0 {
        collect(tree, &RelPath::root(), depth, &mut mailboxes)?;
    }
    mailboxes.sort();
    let mailbox = |path: RelPath| Ok(Unit { directory: directory_of(&path)?, path, reach: Reach::Whole });
    std::iter::once(Ok(above)).chain(mailboxes.into_iter().map(mailbox)).collect()
}

fn collect(tree: &SourceTree, path: &RelPath, depth: usize, found: &mut Vec<RelPath>) -> io::Result<()> {
    let directory = tree.open_directory(path)?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." || !is_directory(&directory, name) {
            continue;
        }
        let child = path.child(name).map_err(io::Error::other)?;
        if child.depth() == depth {
            found.push(child);
        } else {
            collect(tree, &child, depth, found)?;
        }
    }
    Ok(())
}

fn is_directory(parent: &std::os::fd::OwnedFd, name: &[u8]) -> bool {
    matches!(look_at(parent, name), Ok(Look::Savable(Kind::Directory, _)))
}

fn directory_of(mailbox: &RelPath) -> io::Result<RelPath> {
    if mailbox.as_bytes() == ABOVE.as_bytes() {
        return in_set(b"_root.mailbox");
    }
    in_set(mailbox.as_bytes())
}

fn in_set(path: &[u8]) -> io::Result<RelPath> {
    let path = RelPath::new([b"mailboxes/", path].concat());
    path.map_err(io::Error::other)
}
