//! The names of all directories of a mailbox, listed until they hold still.
//!
//! A rename during `readdir` can hide a message or show it twice. So every directory that changed after its listing
//! began is listed again, until for one moment all listings were true together. A mailbox that never holds still for
//! so long is taken as it is, and what left a listing without arriving in another is looked for by its unique name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use mail_common::archive::index::{Kind, Stat};
use mail_common::relpath::RelPath;

use super::maildir::{holds_messages, unique_name};
use super::names::{Hint, Name, NameSpool, Names};
use crate::source::tree::{Look, SourceTree, TICK, is_fresh, look_at, look_at_open, vanished};

/// How often a mailbox that keeps changing is listed.
const ROUNDS: usize = 5;

/// A message that was listed and is not where it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Missing {
    /// Where it was.
    pub(crate) path: RelPath,
    /// Its inode number then.
    pub(crate) inode: u64,
}

/// Which directories belong to a unit of backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A mailbox with all below it.
    Whole,
    /// What lies above the mailboxes: directories of less than this depth.
    Above(usize),
}

/// The directories of a mailbox and their names.
#[derive(Debug)]
pub(crate) struct Listing {
    spool: NameSpool,
    directories: BTreeMap<RelPath, Directory>,
    reach: Reach,
    /// Gone from a listing and not found in another.
    pub(crate) strays: Vec<Missing>,
    /// Directories that cannot be read.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Whether all listings were true at one moment. If not, a message may be listed under two names.
    pub(crate) is_settled: bool,
}

#[derive(Debug)]
struct Directory {
    names: Names,
    /// The directory's own times before it was listed; `None` when too fresh to tell a later change.
    stamp: Option<Stat>,
}

/// What changed between two listings of directories.
#[derive(Default)]
struct Moves {
    departed: Vec<Missing>,
    arrived: HashSet<Vec<u8>>,
}

impl Listing {
    /// Lists `top` and everything within `reach` below it.
    pub(crate) fn of(tree: &SourceTree, top: &RelPath, reach: Reach, scratch: &Path) -> io::Result<Self> {
        let mut listing = Self {
            spool: NameSpool::create(scratch)?,
            directories: BTreeMap::new(),
            reach,
            strays: Vec::new(),
            failed: Vec::new(),
            is_settled: false,
        };
        listing.list_below(tree, top);
        listing.settle(tree)?;
        Ok(listing)
    }

    /// The names in `directory`, sorted; nothing for one that is not listed.
    pub(crate) fn names(&self, directory: &RelPath) -> impl Iterator<Item = io::Result<Name>> + use<'_> {
        let names = self.directories.get(directory).map(|directory| directory.names);
        names.into_iter().flat_map(|names| self.spool.read(names))
    }

    /// Whether `path` is a directory whose names are listed.
    pub(crate) fn lists(&self, path: &RelPath) -> bool {
        self.directories.contains_key(path)
    }

    /// Whether the directory `path` is a mailbox, and so not of the unit that lies above the mailboxes.
    pub(crate) fn ends_above(&self, path: &RelPath) -> bool {
        matches!(self.reach, Reach::Above(depth) if path.depth() >= depth)
    }

    /// The directories in the order of their paths.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &RelPath> {
        self.directories.keys()
    }

    /// Those of `paths` that are listed.
    pub(crate) fn known(&self, paths: &BTreeSet<RelPath>) -> io::Result<HashSet<RelPath>> {
        let parents: BTreeSet<RelPath> = paths.iter().filter_map(RelPath::parent).collect();
        let mut known = HashSet::new();
        for parent in &parents {
            for name in self.names(parent) {
                if let Ok(path) = parent.child(&name?.bytes)
                    && paths.contains(&path)
                {
                    known.insert(path);
                }
            }
        }
        Ok(known)
    }

    fn list_below(&mut self, tree: &SourceTree, top: &RelPath) {
        let mut waiting = vec![top.clone()];
        while let Some(path) = waiting.pop() {
            match self.list_one(tree, &path) {
                Ok(subdirectories) => waiting.extend(subdirectories),
                // It went away while its parent was read; the parent will be listed again.
                Err(error) if vanished(&error) => {}
                Err(error) => self.failed.push((path, error)),
            }
        }
    }

    /// Lists one directory and returns those in it that belong to the unit.
    fn list_one(&mut self, tree: &SourceTree, path: &RelPath) -> io::Result<Vec<RelPath>> {
        let directory = tree.open_directory(path)?;
        let stamp = stamp(&directory)?;
        let names = self.spool.list(&directory)?;
        self.directories.insert(path.clone(), Directory { names, stamp });
        if self.reach_ends_at(path) {
            return Ok(Vec::new());
        }
        self.subdirectories(&directory, path, names)
    }

    fn reach_ends_at(&self, path: &RelPath) -> bool {
        matches!(self.reach, Reach::Above(depth) if path.depth() + 1 >= depth)
    }

    fn subdirectories(&self, directory: impl AsFd, path: &RelPath, names: Names) -> io::Result<Vec<RelPath>> {
        let mut found = Vec::new();
        let mut siblings = 0;
        for name in self.spool.read(names) {
            let name = name?;
            if !is_directory(&directory, &name) {
                continue;
            }
            siblings += usize::from(holds_messages(&name.bytes));
            if let Ok(child) = path.child(&name.bytes) {
                found.push(child);
            }
        }
        if siblings == 2 {
            // The `tmp` of a Maildir: deliveries under way, not yet mail. The directory itself is kept.
            found.retain(|child| child.name() != b"tmp");
        }
        Ok(found)
    }

    fn settle(&mut self, tree: &SourceTree) -> io::Result<()> {
        let mut moves = Moves::default();
        for _ in 0..ROUNDS {
            let changed = self.changed(tree);
            if changed.is_empty() {
                self.is_settled = true;
                break;
            }
            if changed.iter().any(|path| self.directories[path].stamp.is_none()) {
                std::thread::sleep(TICK);
            }
            for path in changed {
                self.list_again(tree, &path, &mut moves)?;
            }
        }
        let arrived = moves.arrived;
        self.strays = moves.departed;
        self.strays.retain(|stray| !arrived.contains(unique_name(stray.path.name())));
        Ok(())
    }

    fn changed(&self, tree: &SourceTree) -> Vec<RelPath> {
        let still = |path: &RelPath, directory: &Directory| {
            let now = tree.open_directory(path).and_then(|open| read_stat(&open));
            match (directory.stamp, now) {
                (Some(then), Ok(now)) => then == now,
                _ => false,
            }
        };
        self.directories
            .iter()
            .filter(|(path, directory)| !still(path, directory))
            .map(|(path, _)| path.clone())
            .collect()
    }

    fn list_again(&mut self, tree: &SourceTree, path: &RelPath, moves: &mut Moves) -> io::Result<()> {
        let Some(before) = self.directories.get(path).map(|directory| directory.names) else {
            return Ok(()); // It went with its parent in this round.
        };
        let subdirectories = match self.list_one(tree, path) {
            Ok(subdirectories) => subdirectories,
            Err(error) if vanished(&error) => return self.forget(path, moves),
            Err(error) => {
                self.failed.push((path.clone(), error));
                return Ok(());
            }
        };
        let after = self.directories[path].names;
        if holds_messages(path.name()) {
            self.compare(path, before, after, moves)?;
        }
        let now: HashSet<&RelPath> = subdirectories.iter().collect();
        let gone: Vec<RelPath> = self.children(path).filter(|child| !now.contains(child)).cloned().collect();
        for child in gone {
            self.forget(&child, moves)?;
        }
        for child in subdirectories {
            if !self.lists(&child) {
                self.list_below(tree, &child);
                self.note_arrivals(&child, moves)?;
            }
        }
        Ok(())
    }

    fn children<'a>(&'a self, path: &'a RelPath) -> impl Iterator<Item = &'a RelPath> {
        self.directories.keys().filter(move |child| child.parent().is_some_and(|parent| parent == *path))
    }

    /// Drops a directory that is gone, with all below it; its messages may be elsewhere.
    fn forget(&mut self, path: &RelPath, moves: &mut Moves) -> io::Result<()> {
        let gone: Vec<RelPath> = self.directories.keys().filter(|key| key.is_within(path)).cloned().collect();
        for path in gone {
            if holds_messages(path.name()) {
                moves.departed.extend(self.messages(&path)?);
            }
            self.directories.remove(&path);
        }
        Ok(())
    }

    fn note_arrivals(&self, path: &RelPath, moves: &mut Moves) -> io::Result<()> {
        for path in self.directories.keys().filter(|key| key.is_within(path) && holds_messages(key.name())) {
            for name in self.names(path) {
                moves.arrived.insert(unique_name(&name?.bytes).to_vec());
            }
        }
        Ok(())
    }

    /// The messages listed in `directory`, as missing.
    pub(crate) fn messages(&self, directory: &RelPath) -> io::Result<Vec<Missing>> {
        self.names(directory).map(|name| missing(directory, &name?)).collect()
    }

    fn compare(&self, path: &RelPath, before: Names, after: Names, moves: &mut Moves) -> io::Result<()> {
        let mut old = self.spool.read(before).peekable();
        let mut new = self.spool.read(after).peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return Ok(()),
                (Some(Ok(old)), Some(Ok(new))) => old.bytes.cmp(&new.bytes),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                // The error is taken out below.
                (Some(Err(_)), _) => std::cmp::Ordering::Less,
                (_, Some(Err(_))) => std::cmp::Ordering::Greater,
            };
            if order.is_le()
                && let Some(name) = old.next().transpose()?
                && order.is_lt()
            {
                moves.departed.push(missing(path, &name)?);
            }
            if order.is_ge()
                && let Some(name) = new.next().transpose()?
                && order.is_gt()
            {
                moves.arrived.insert(unique_name(&name.bytes).to_vec());
            }
        }
    }
}

fn missing(directory: &RelPath, name: &Name) -> io::Result<Missing> {
    let path = directory.child(&name.bytes).map_err(io::Error::other)?;
    Ok(Missing { path, inode: name.inode })
}

fn is_directory(parent: impl AsFd, name: &Name) -> bool {
    match name.hint {
        Hint::Directory => true,
        Hint::Other => false,
        Hint::Unknown => {
            matches!(look_at(parent, &name.bytes[..]), Ok(Look::Savable(Kind::Directory, _)))
        }
    }
}

fn read_stat(directory: impl AsFd) -> io::Result<Stat> {
    match look_at_open(directory)? {
        Look::Savable(_, stat) => Ok(stat),
        Look::Special => Err(io::ErrorKind::NotADirectory.into()),
    }
}

fn stamp(directory: impl AsFd) -> io::Result<Option<Stat>> {
    let stat = read_stat(directory)?;
    Ok((!is_fresh(&stat)).then_some(stat))
}
