//! The names of all directories of a mailbox, listed until they hold still.
//!
//! Mail keeps flowing while it is listed, and `readdir` promises nothing about a file that is
//! renamed meanwhile (POSIX leaves it open): a message that is flagged or filed may be seen under
//! both names, or under none. A message that is seen under none would be missing from the backup
//! though it was there all the time. So a directory's own times are taken before its listing, and
//! each directory whose times have changed since is listed again, in rounds, until a round finds no
//! change: at the moment when the last round began, all listings were true together. Times that are
//! younger than a tick of the file system's clock prove nothing, since a second change in the same
//! tick leaves the same time; such a directory counts as changed, and is looked at again a tick
//! later.
//!
//! A mailbox that never holds still for so long is taken as it is after [`ROUNDS`] rounds. Two
//! nets catch what that may lose. What left one listing and is in none at the end is *unaccounted*,
//! and is looked for by its unique name and inode when the rest is saved (`moved`). And a message
//! may be listed under two names; `walk` takes it once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use mail_common::archive::index::{Kind, Stat};
use mail_common::maildir::{holds_messages, unique_name};
use mail_common::relpath::RelPath;

use super::names::{Hint, Name, NameRange, NameSpool};
use super::units::Reach;
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

/// A message under whatever flags and in whatever folder: its unique name and its inode. The name
/// alone is not enough: a folder that was copied by hand has every name a second time.
pub(crate) type Identity = (Vec<u8>, u64);

/// The directories of a mailbox and their names.
#[derive(Debug)]
pub(crate) struct Listing {
    spool: NameSpool,
    directories: BTreeMap<RelPath, Directory>,
    pub(crate) reach: Reach,
    /// Gone from a listing and in none at the end: they moved on, or were expunged.
    pub(crate) unaccounted: Vec<Missing>,
    /// Directories that cannot be read.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Whether all listings were true at one moment. If not, a message may be listed under two
    /// names.
    pub(crate) is_settled: bool,
}

#[derive(Debug)]
struct Directory {
    names: NameRange,
    /// The directory's own times before it was listed; `None` when too fresh to tell a later
    /// change.
    stamp: Option<Stat>,
}

impl Missing {
    pub(crate) fn new(directory: &RelPath, name: &Name) -> io::Result<Self> {
        Ok(Self {
            path: directory.child(&name.bytes).map_err(io::Error::other)?,
            inode: name.inode,
        })
    }

    pub(crate) fn unique_name(&self) -> &[u8] {
        unique_name(self.path.name())
    }

    pub(crate) fn identity(&self) -> Identity {
        (self.unique_name().to_vec(), self.inode)
    }
}

impl Listing {
    /// Lists `top` and everything within `reach` below it.
    pub(crate) fn of(
        tree: &SourceTree,
        top: &RelPath,
        reach: Reach,
        scratch: &Path,
    ) -> io::Result<Self> {
        let listing = Self {
            spool: NameSpool::create(scratch)?,
            directories: BTreeMap::new(),
            reach,
            unaccounted: Vec::new(),
            failed: Vec::new(),
            is_settled: false,
        };
        let mut lister = Lister {
            tree,
            listing,
            departed: Vec::new(),
        };
        lister.list_below(top);
        lister.settle()
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

    /// As if the disk of the spool gave nothing back any more.
    #[cfg(test)]
    pub(crate) fn lose_names(&mut self, scratch: &Path) {
        self.spool.lose(scratch);
    }

    /// Whether `path` is a directory whose names are listed.
    pub(crate) fn lists(&self, path: &RelPath) -> bool {
        self.directories.contains_key(path)
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

    /// Every message with its directory.
    pub(crate) fn messages(&self) -> impl Iterator<Item = io::Result<(&RelPath, Name)>> {
        let directories = self
            .directories
            .keys()
            .filter(|path| holds_messages(path.name()));
        directories.flat_map(|directory| {
            self.names(directory)
                .map(move |name| Ok((directory, name?)))
        })
    }

    /// Those of `departed` that no listing has. That one arrived somewhere in between says nothing:
    /// it may have left from there, too.
    fn not_listed(&self, mut departed: Vec<Missing>) -> io::Result<Vec<Missing>> {
        let inodes: HashSet<u64> = departed.iter().map(|missing| missing.inode).collect();
        let mut listed: HashSet<Identity> = HashSet::new();
        for message in self.messages() {
            let (_, name) = message?;
            if inodes.contains(&name.inode) {
                listed.insert((unique_name(&name.bytes).to_vec(), name.inode));
            }
        }
        departed.retain(|missing| !listed.contains(&missing.identity()));
        Ok(departed)
    }
}

/// Lists a mailbox.
struct Lister<'a> {
    tree: &'a SourceTree,
    listing: Listing,
    /// Messages that have left a directory between two listings of it.
    departed: Vec<Missing>,
}

impl Lister<'_> {
    fn list_below(&mut self, top: &RelPath) {
        let mut waiting = vec![top.clone()];
        while let Some(path) = waiting.pop() {
            match self.list_one(&path) {
                Ok(subdirectories) => waiting.extend(subdirectories),
                // It went away while its parent was read; the parent will be listed again.
                Err(error) if vanished(&error) => {}
                Err(error) => self.listing.failed.push((path, error)),
            }
        }
    }

    /// Lists one directory and returns those in it that belong to the unit.
    fn list_one(&mut self, path: &RelPath) -> io::Result<Vec<RelPath>> {
        let directory = self.tree.open_directory(path)?;
        let stamp = stamp(&directory)?;
        let names = self.listing.spool.list(&directory)?;
        self.listing
            .directories
            .insert(path.clone(), Directory { names, stamp });
        if self.listing.reach.ends_below(path) {
            return Ok(Vec::new());
        }
        self.subdirectories(&directory, path, names)
    }

    fn subdirectories(
        &self,
        directory: impl AsFd,
        path: &RelPath,
        names: NameRange,
    ) -> io::Result<Vec<RelPath>> {
        let mut found = Vec::new();
        let mut siblings = 0;
        for name in self.listing.spool.read(names) {
            let name = name?;
            if !is_directory(&directory, &name)? {
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

    /// Lists again what has changed, until nothing has.
    fn settle(mut self) -> io::Result<Listing> {
        for _ in 0..ROUNDS {
            let changed = self.changed();
            if changed.is_empty() {
                self.listing.is_settled = true;
                return Ok(self.listing);
            }
            let is_fresh = |path| self.listing.directories[path].stamp.is_none();
            if changed.iter().any(is_fresh) {
                std::thread::sleep(TICK);
            }
            for path in changed {
                self.list_again(&path)?;
            }
        }
        self.listing.unaccounted = self.listing.not_listed(self.departed)?;
        Ok(self.listing)
    }

    /// The directories that are not, or may not be, as they were when they were listed.
    fn changed(&self) -> Vec<RelPath> {
        let mut changed = Vec::new();
        for (path, directory) in &self.listing.directories {
            let now = self.tree.open_directory(path).and_then(read_stat);
            if directory.stamp.is_none() || directory.stamp != now.ok() {
                changed.push(path.clone());
            }
        }
        changed
    }

    fn list_again(&mut self, path: &RelPath) -> io::Result<()> {
        let Some(before) = self.listing.directories.get(path) else {
            return Ok(()); // It went with its parent in this round.
        };
        let before = before.names;
        let subdirectories = match self.list_one(path) {
            Ok(subdirectories) => subdirectories,
            Err(error) if vanished(&error) => return self.forget(path),
            Err(error) => {
                self.listing.failed.push((path.clone(), error));
                return Ok(());
            }
        };
        if holds_messages(path.name()) {
            self.note_departed(path, before, self.listing.directories[path].names)?;
        }
        let still_there: HashSet<&RelPath> = subdirectories.iter().collect();
        for child in self.children(path) {
            if !still_there.contains(&child) {
                self.forget(&child)?;
            }
        }
        for child in subdirectories {
            if !self.listing.lists(&child) {
                self.list_below(&child);
            }
        }
        Ok(())
    }

    /// The directories in `path` that are listed.
    fn children(&self, path: &RelPath) -> Vec<RelPath> {
        let listed = self.listing.directories.keys();
        listed
            .filter(|child| child.parent().is_some_and(|parent| parent == *path))
            .cloned()
            .collect()
    }

    /// Drops a directory that is gone, with all below it; its messages may be elsewhere.
    fn forget(&mut self, path: &RelPath) -> io::Result<()> {
        let gone: Vec<RelPath> = self
            .listing
            .directories
            .keys()
            .filter(|key| key.is_within(path))
            .cloned()
            .collect();
        for path in gone {
            if holds_messages(path.name()) {
                for name in self.listing.names(&path) {
                    self.departed.push(Missing::new(&path, &name?)?);
                }
            }
            self.listing.directories.remove(&path);
        }
        Ok(())
    }

    /// Notes the names of `before` that `after` does not have. Both are sorted.
    fn note_departed(
        &mut self,
        directory: &RelPath,
        before: NameRange,
        after: NameRange,
    ) -> io::Result<()> {
        let mut after = self.listing.spool.read(after);
        let mut next = after.next().transpose()?;
        for name in self.listing.spool.read(before) {
            let name = name?;
            while next.as_ref().is_some_and(|next| next.bytes < name.bytes) {
                next = after.next().transpose()?;
            }
            if next.as_ref().is_none_or(|next| next.bytes != name.bytes) {
                self.departed.push(Missing::new(directory, &name)?);
            }
        }
        Ok(())
    }
}

/// What cannot be looked at may be a directory full of mail: that is an error, and no file.
fn is_directory(parent: impl AsFd, name: &Name) -> io::Result<bool> {
    match name.hint {
        Hint::Directory => Ok(true),
        Hint::Other => Ok(false),
        Hint::Unknown => match look_at(parent, &name.bytes[..]) {
            Ok(look) => Ok(matches!(look, Look::Savable(Kind::Directory, _))),
            Err(error) if vanished(&error) => Ok(false),
            Err(error) => Err(error),
        },
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
    fn a_message_that_departed_and_is_listed_nowhere_is_unaccounted_for() {
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
        assert!(listing.is_settled && listing.unaccounted.is_empty());
    }
}
