//! The names of all directories of a mailbox, listed until they hold still.
//!
//! A rename during `readdir` can hide a message or show it twice. So every directory that changed
//! after its listing began is listed again, until for one moment all listings were true together. A
//! mailbox that never holds still for so long is taken as it is, and what left a listing without
//! arriving in another is looked for by its unique name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use mail_common::archive::index::{Kind, Stat};
use mail_common::maildir::{holds_messages, unique_name};
use mail_common::relpath::RelPath;

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
    /// Gone from a listing and in none at the end: they moved on, or were expunged.
    pub(crate) strays: Vec<Missing>,
    /// Directories that cannot be read.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Whether all listings were true at one moment. If not, a message may be listed under two
    /// names.
    pub(crate) is_settled: bool,
}

#[derive(Debug)]
struct Directory {
    names: Names,
    /// The directory's own times before it was listed; `None` when too fresh to tell a later
    /// change.
    stamp: Option<Stat>,
}

impl Listing {
    /// Lists `top` and everything within `reach` below it.
    pub(crate) fn of(
        tree: &SourceTree,
        top: &RelPath,
        reach: Reach,
        scratch: &Path,
    ) -> io::Result<Self> {
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
    pub(crate) fn names(
        &self,
        directory: &RelPath,
    ) -> impl Iterator<Item = io::Result<Name>> + use<'_> {
        let names = self
            .directories
            .get(directory)
            .map(|directory| directory.names);
        names.into_iter().flat_map(|names| self.spool.read(names))
    }

    /// Whether `path` is a directory whose names are listed.
    pub(crate) fn lists(&self, path: &RelPath) -> bool {
        self.directories.contains_key(path)
    }

    /// Whether the directory `path` is a mailbox, and so not of the unit that lies above the
    /// mailboxes.
    pub(crate) fn ends_above(&self, path: &RelPath) -> bool {
        matches!(self.reach, Reach::Above(depth) if path.depth() >= depth)
    }

    /// Those of `paths` whose names are listed.
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
        self.directories
            .insert(path.clone(), Directory { names, stamp });
        if self.reach_ends_at(path) {
            return Ok(Vec::new());
        }
        self.subdirectories(&directory, path, names)
    }

    fn reach_ends_at(&self, path: &RelPath) -> bool {
        matches!(self.reach, Reach::Above(depth) if path.depth() + 1 >= depth)
    }

    fn subdirectories(
        &self,
        directory: impl AsFd,
        path: &RelPath,
        names: Names,
    ) -> io::Result<Vec<RelPath>> {
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
            // The `tmp` of a Maildir: deliveries under way, not yet mail. The directory itself is
            // kept.
            found.retain(|child| child.name() != b"tmp");
        }
        Ok(found)
    }

    fn settle(&mut self, tree: &SourceTree) -> io::Result<()> {
        let mut departed = Vec::new();
        for _ in 0..ROUNDS {
            let changed = self.changed(tree);
            if changed.is_empty() {
                self.is_settled = true;
                break;
            }
            if changed
                .iter()
                .any(|path| self.directories[path].stamp.is_none())
            {
                std::thread::sleep(TICK);
            }
            for path in changed {
                self.list_again(tree, &path, &mut departed)?;
            }
        }
        if !self.is_settled {
            self.strays = self.not_listed(departed)?;
        }
        Ok(())
    }

    /// Those of `departed` that no listing has. That one arrived somewhere in between says nothing:
    /// it may have left from there, too.
    fn not_listed(&self, mut departed: Vec<Missing>) -> io::Result<Vec<Missing>> {
        let wanted: HashSet<u64> = departed.iter().map(|stray| stray.inode).collect();
        let mut listed: HashSet<(Vec<u8>, u64)> = HashSet::new();
        self.each_message(|_, name| {
            if wanted.contains(&name.inode) {
                listed.insert((unique_name(&name.bytes).to_vec(), name.inode));
            }
        })?;
        departed.retain(|stray| {
            !listed.contains(&(unique_name(stray.path.name()).to_vec(), stray.inode))
        });
        Ok(departed)
    }

    /// Shows every message with its directory.
    pub(crate) fn each_message(&self, mut show: impl FnMut(&RelPath, &Name)) -> io::Result<()> {
        for directory in self
            .directories
            .keys()
            .filter(|path| holds_messages(path.name()))
        {
            for name in self.names(directory) {
                show(directory, &name?);
            }
        }
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

    fn list_again(
        &mut self,
        tree: &SourceTree,
        path: &RelPath,
        departed: &mut Vec<Missing>,
    ) -> io::Result<()> {
        let Some(before) = self.directories.get(path).map(|directory| directory.names) else {
            return Ok(()); // It went with its parent in this round.
        };
        let subdirectories = match self.list_one(tree, path) {
            Ok(subdirectories) => subdirectories,
            Err(error) if vanished(&error) => return self.forget(path, departed),
            Err(error) => {
                self.failed.push((path.clone(), error));
                return Ok(());
            }
        };
        let after = self.directories[path].names;
        if holds_messages(path.name()) {
            self.compare(path, before, after, departed)?;
        }
        let now: HashSet<&RelPath> = subdirectories.iter().collect();
        let gone: Vec<RelPath> = self
            .children(path)
            .filter(|child| !now.contains(child))
            .cloned()
            .collect();
        for child in gone {
            self.forget(&child, departed)?;
        }
        for child in subdirectories {
            if !self.lists(&child) {
                self.list_below(tree, &child);
            }
        }
        Ok(())
    }

    fn children<'a>(&'a self, path: &'a RelPath) -> impl Iterator<Item = &'a RelPath> {
        self.directories
            .keys()
            .filter(move |child| child.parent().is_some_and(|parent| parent == *path))
    }

    /// Drops a directory that is gone, with all below it; its messages may be elsewhere.
    fn forget(&mut self, path: &RelPath, departed: &mut Vec<Missing>) -> io::Result<()> {
        let gone: Vec<RelPath> = self
            .directories
            .keys()
            .filter(|key| key.is_within(path))
            .cloned()
            .collect();
        for path in gone {
            if holds_messages(path.name()) {
                departed.extend(self.messages(&path)?);
            }
            self.directories.remove(&path);
        }
        Ok(())
    }

    /// The messages listed in `directory`, as missing.
    pub(crate) fn messages(&self, directory: &RelPath) -> io::Result<Vec<Missing>> {
        self.names(directory)
            .map(|name| missing(directory, &name?))
            .collect()
    }

    /// Notes the names of `before` that `after` has not.
    fn compare(
        &self,
        path: &RelPath,
        before: Names,
        after: Names,
        departed: &mut Vec<Missing>,
    ) -> io::Result<()> {
        let mut after = self.spool.read(after).peekable();
        for name in self.spool.read(before) {
            let name = name?;
            while after
                .next_if(|new| new.as_ref().is_ok_and(|new| new.bytes < name.bytes))
                .is_some()
            {}
            match after.peek() {
                Some(Ok(new)) if new.bytes == name.bytes => {}
                Some(Err(_)) => return after.next().transpose().map(drop),
                _ => departed.push(missing(path, &name)?),
            }
        }
        Ok(())
    }
}

fn missing(directory: &RelPath, name: &Name) -> io::Result<Missing> {
    let path = directory.child(&name.bytes).map_err(io::Error::other)?;
    Ok(Missing {
        path,
        inode: name.inode,
    })
}

fn is_directory(parent: impl AsFd, name: &Name) -> bool {
    match name.hint {
        Hint::Directory => true,
        Hint::Other => false,
        Hint::Unknown => {
            matches!(
                look_at(parent, &name.bytes[..]),
                Ok(Look::Savable(Kind::Directory, _))
            )
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

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make the mailbox that is listed"
)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_message_that_departed_and_is_listed_nowhere_is_a_stray() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["m/cur", "m/new", "m/tmp"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("m/cur/1.a:2,S"), "").unwrap();
        let tree = SourceTree::open(dir.path()).unwrap();
        let listing = Listing::of(&tree, &"m".parse().unwrap(), Reach::Whole, dir.path()).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(
            &fs::metadata(dir.path().join("m/cur/1.a:2,S")).unwrap(),
        );
        let missing = |path: &str| Missing {
            path: path.parse().unwrap(),
            inode,
        };
        // The second arrived under this name earlier in the same rounds, and left again.
        let departed = vec![
            missing("m/new/1.a"),
            missing("m/new/2.b"),
            missing("m/cur/2.b:2,"),
        ];
        assert_eq!(listing.not_listed(departed.clone()).unwrap(), departed[1..]);
        assert!(listing.is_settled && listing.strays.is_empty());
    }
}
