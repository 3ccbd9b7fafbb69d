//! The live entries of a mailbox in the order of their paths, each looked at (lstat) once.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;

use mail_common::archive::index::{Kind, LiveEntry, Stat};
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;

use super::listing::{Listing, Missing};
use super::maildir::{is_message_entry, is_scratch};
use super::names::Name;
use crate::source::tree::{Look, SourceTree, look_at_open, look_with_links, vanished};

/// What the walk met.
#[derive(Debug)]
pub(crate) enum Step {
    /// Something to save.
    Entry {
        entry: LiveEntry,
        /// How many names it has.
        links: u64,
    },
    /// A message that was listed and is gone.
    Missing(Missing),
    /// A second name of a message that was met already: it was renamed while a busy mailbox was
    /// listed.
    SecondName(RelPath),
    /// A file that a program holds only while it works: left out by design.
    Scratch,
    /// A socket, a named pipe or a device: cannot be saved.
    Special(RelPath),
    /// Something that cannot be looked at.
    Failed(RelPath, io::Error),
    /// What was listed cannot be read back from the spool: what is there is not known any more.
    Unlisted(io::Error),
}

/// Walks `top` and what `listing` has below it.
pub(crate) struct Walk<'a> {
    tree: &'a SourceTree,
    listing: &'a Listing,
    start: Option<RelPath>,
    open: Vec<Level<'a>>,
    /// Inodes of the messages met, kept only where a message may be listed under two names.
    met: HashSet<u64>,
}

struct Level<'a> {
    path: RelPath,
    /// `None` when the directory went away after it was listed.
    directory: Option<OwnedFd>,
    names: Box<dyn Iterator<Item = io::Result<Name>> + 'a>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(tree: &'a SourceTree, listing: &'a Listing, top: &RelPath) -> Self {
        Self {
            tree,
            listing,
            start: Some(top.clone()),
            open: Vec::new(),
            met: HashSet::new(),
        }
    }

    /// Opens a directory and says what it is.
    fn enter(&mut self, path: RelPath) -> Option<Step> {
        let opened = self.tree.open_directory(&path).and_then(|directory| {
            let look = look_at_open(&directory)?;
            Ok((directory, look))
        });
        let (directory, step) = match opened {
            Ok((directory, Look::Savable(kind, stat))) => (
                Some(directory),
                Some(Step::Entry {
                    entry: LiveEntry {
                        path: path.clone(),
                        kind,
                        stat,
                    },
                    links: 1,
                }),
            ),
            Ok((_, Look::Special)) => return Some(Step::Special(path)),
            // Its messages may have moved with it: they are met below, as missing.
            Err(error) if vanished(&error) => (None, None),
            Err(error) => return Some(Step::Failed(path, error)),
        };
        if self.listing.lists(&path) {
            let names = Box::new(self.listing.names(&path));
            self.open.push(Level {
                path,
                directory,
                names,
            });
        }
        step
    }

    fn visit(&mut self, name: &Name) -> Option<Step> {
        let level = self.open.last()?;
        let path = match level.path.child(&name.bytes) {
            Ok(path) => path,
            Err(error) => return Some(Step::Failed(level.path.clone(), io::Error::other(error))),
        };
        if self.listing.lists(&path) {
            return self.enter(path);
        }
        let looked = match &level.directory {
            Some(directory) => look_with_links(directory, &name.bytes[..]),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        match looked {
            Ok((Look::Savable(Kind::Directory, _), _)) if self.listing.reach.ends_at(&path) => None,
            Ok((Look::Savable(_, stat), links)) if self.is_second_name(&path, &stat, links) => {
                Some(Step::SecondName(path))
            }
            Ok((Look::Savable(kind, stat), links)) => {
                Some(classify(LiveEntry { path, kind, stat }, links))
            }
            Ok((Look::Special, _)) => Some(Step::Special(path)),
            Err(error) if vanished(&error) => is_message(&path).then_some(Step::Missing(Missing {
                path,
                inode: name.inode,
            })),
            Err(error) => Some(Step::Failed(path, error)),
        }
    }

    /// Whether this is a message that has one name only, and was already met under another. A
    /// message with two links has two names by right, and is saved under both.
    fn is_second_name(&mut self, path: &RelPath, stat: &Stat, links: u64) -> bool {
        if self.listing.is_settled || !is_message(path) {
            return false;
        }
        !self.met.insert(stat.inode) && links == 1
    }
}

fn classify(entry: LiveEntry, links: u64) -> Step {
    if entry.kind == Kind::File && !is_message_entry(&entry) && is_scratch(&entry.path) {
        return Step::Scratch;
    }
    Step::Entry { entry, links }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(top) = self.start.take()
            && let Some(step) = self.enter(top)
        {
            return Some(step);
        }
        loop {
            let level = self.open.last_mut()?;
            let step = match level.names.next() {
                Some(Ok(name)) => self.visit(&name),
                Some(Err(error)) => Some(Step::Unlisted(error)),
                None => {
                    self.open.pop();
                    None
                }
            };
            if step.is_some() {
                return step;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailboxes::units::Reach;

    #[test]
    fn names_that_cannot_be_read_back_are_no_directory_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("m/cur")).unwrap();
        let tree = SourceTree::open(dir.path()).unwrap();
        let top: RelPath = "m".parse().unwrap();
        let mut listing = Listing::of(&tree, &top, Reach::Whole, dir.path()).unwrap();
        listing.lose_names(dir.path());
        let second = Walk::new(&tree, &listing, &top).nth(1);
        assert!(matches!(second, Some(Step::Unlisted(_))), "{second:?}");
    }
}
