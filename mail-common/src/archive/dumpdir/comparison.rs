//! Whether `tar --incremental` comes to the mailbox that our tools see: the dumpdirs of `0000`
//! against the state and the indexes.
//!
//! tar would delete what a dumpdir does not list and rename across the whole file system. Nobody
//! restores by a set in which the two ways lead to different mailboxes: one of them is damaged.
//!
//! Listings are compared by their sums, and the renames are carried out on the names of what has
//! changed: memory grows with the changes, and not with the mailbox.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::ops::Bound;

use super::record::{self, Dumpdir, Listed, Rename};
use crate::archive::index::Kind;
use crate::archive::reader::{self, Head, MemberKind, TarReader};
use crate::archive::state::{CONTROL, Change, State};
use crate::archive::view::{Member, Stored};
use crate::failure::{Failure, FailureKind};
use crate::relpath::{RelPath, UnsafePath};

/// What `0000` must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every directory has its dumpdir.
    Mailbox,
    /// What lies above mailboxes: no directory may have one, which would delete them.
    Above,
    /// All of a mail tree that is not divided, or what lies above no mailbox: the one or the other.
    Alone,
}

/// Why the two ways lead to different mailboxes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `0000` cannot be read to its end.
    #[error("read 0000.tar.zst of {mailbox}")]
    Archive {
        /// Whose it is.
        mailbox: RelPath,
        /// The cause.
        source: reader::Error,
    },
    /// A member of `0000` has a name that leads elsewhere.
    #[error("read 0000.tar.zst of {mailbox}")]
    Name {
        /// Whose it is.
        mailbox: RelPath,
        /// The cause.
        source: UnsafePath,
    },
    /// A dumpdir is not followed.
    #[error(transparent)]
    Dumpdir(#[from] record::Error),
    /// A name does not lie in the mailbox.
    #[error("{path} is not in the mailbox {mailbox}")]
    Outside {
        /// The name.
        path: RelPath,
        /// The mailbox.
        mailbox: RelPath,
    },
    /// `0000` does not begin with the mailbox, twice.
    #[error("0000.tar.zst does not begin with the directory {mailbox}, twice")]
    Beginning {
        /// The mailbox.
        mailbox: RelPath,
    },
    /// A directory above mailboxes has a dumpdir, or one of a mailbox has none.
    #[error("{directory} has {found} in 0000.tar.zst: unpacked, that would lose mail")]
    Presence {
        /// The directory.
        directory: RelPath,
        /// What it has.
        found: &'static str,
    },
    /// The state lists other entries than `0000` holds.
    #[error("0000.tar.zst and the state do not agree on {path}")]
    Control {
        /// The first entry that they do not agree on.
        path: RelPath,
    },
    /// A dumpdir lists other names than the state has.
    #[error("the dumpdir of {directory} does not list what the state has there")]
    Listing {
        /// The directory.
        directory: RelPath,
    },
    /// A rename cannot be carried out.
    #[error("the rename of {from} to {to} cannot be carried out")]
    Rename {
        /// The name that nothing has, or that cannot be left.
        from: RelPath,
        /// The name that cannot be had.
        to: RelPath,
    },
    /// A member does not come to its name by the renames, or is lost on the way.
    #[error("{stored} of segment {segment} does not come to be {path} by the renames")]
    Lost {
        /// The segment.
        segment: u32,
        /// The name in the segment.
        stored: RelPath,
        /// The name in the mailbox.
        path: RelPath,
    },
    /// A message is stored where no message can be: only files of `0000` lie above the mailboxes.
    #[error("{path} lies above the mailboxes and is in segment {segment}")]
    Segment {
        /// The name.
        path: RelPath,
        /// The segment.
        segment: u32,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Archive { source, .. } => source.kind(),
            Self::Dumpdir(error) => error.kind(),
            Self::Name { .. } | Self::Outside { .. } => FailureKind::Refused,
            Self::Beginning { .. }
            | Self::Presence { .. }
            | Self::Control { .. }
            | Self::Listing { .. }
            | Self::Rename { .. }
            | Self::Lost { .. }
            | Self::Segment { .. } => FailureKind::Damaged,
        }
    }
}

/// The names of a directory: how many, and the sum of the digests of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Names {
    count: u64,
    sum: u64,
}

/// What `0000` says to tar.
#[derive(Debug)]
pub struct Dumpdirs {
    mailbox: RelPath,
    scope: Scope,
    renames: Vec<Rename>,
    listings: BTreeMap<RelPath, Names>,
    /// The members of `0000`, sorted, each once.
    members: Vec<RelPath>,
    hasher: RandomState,
}

impl Dumpdirs {
    /// Reads the members of `0000` of `mailbox` to the end of the archive.
    ///
    /// # Errors
    /// When it is damaged, or has dumpdirs where there may be none, or none where there must be.
    pub fn read(
        mailbox: &RelPath,
        scope: Scope,
        mut tar: TarReader<impl Read>,
    ) -> Result<Self, Error> {
        let mut dumpdirs = Self {
            mailbox: mailbox.clone(),
            scope,
            renames: Vec::new(),
            listings: BTreeMap::new(),
            members: Vec::new(),
            hasher: RandomState::new(),
        };
        let archive = |source| Error::Archive {
            mailbox: mailbox.clone(),
            source,
        };
        while let Some(head) = tar.next_member().map_err(archive)? {
            dumpdirs.meet(head)?;
        }
        tar.finish().map_err(archive)?;
        if dumpdirs.scope == Scope::Mailbox {
            if dumpdirs.members.len() < 2 {
                return Err(dumpdirs.beginning());
            }
            dumpdirs.members.remove(1);
        }
        dumpdirs.members.sort();
        Ok(dumpdirs)
    }

    fn meet(&mut self, head: Head) -> Result<(), Error> {
        if self.scope == Scope::Alone {
            self.scope = match head.dumpdir {
                Some(_) => Scope::Mailbox,
                None => Scope::Above,
            };
        }
        let path = head.path().map_err(|source| Error::Name {
            mailbox: self.mailbox.clone(),
            source,
        })?;
        if !path.is_within(&self.mailbox) {
            return Err(self.outside(&path));
        }
        let is_first = self.members.len() < 2 && self.scope == Scope::Mailbox;
        if is_first && path != self.mailbox {
            return Err(self.beginning());
        }
        let is_directory = head.kind == MemberKind::Directory;
        match (head.dumpdir, self.scope) {
            (Some(record), Scope::Mailbox) if is_directory => self.list(&path, &record)?,
            (Some(_), _) => return Err(presence(&path, "a dumpdir")),
            (None, Scope::Mailbox) if is_directory => return Err(presence(&path, "no dumpdir")),
            (None, _) => {}
        }
        self.members.push(path);
        Ok(())
    }

    /// Only the first entry may rename: that of the mailbox follows once more, without.
    fn list(&mut self, directory: &RelPath, record: &[u8]) -> Result<(), Error> {
        let dumpdir = Dumpdir::parse(record, directory, &self.mailbox)?;
        let mut names = Names::default();
        for (name, listed) in dumpdir.names() {
            self.add_name(&mut names, name, listed);
        }
        let before = self.listings.insert(directory.clone(), names);
        match self.members.len() {
            0 => self.renames = dumpdir.renames,
            1 if dumpdir.renames.is_empty() && before == Some(names) => {}
            number if number > 1 && dumpdir.renames.is_empty() && before.is_none() => {}
            _ => return Err(self.beginning()),
        }
        Ok(())
    }

    fn add_name(&self, names: &mut Names, name: &[u8], listed: Listed) {
        let letter = match listed {
            Listed::Here => 'Y',
            Listed::Elsewhere => 'N',
            Listed::Directory => 'D',
        };
        names.count += 1;
        let digest = self.hasher.hash_one((letter, name));
        names.sum = names.sum.wrapping_add(digest);
    }

    /// Begins to compare them with `state`.
    ///
    /// # Errors
    /// When `0000` does not hold what the state says, or the renames do not lead where it says.
    pub fn compare(self, state: &State) -> Result<Comparison, Error> {
        let control = state.control.iter().map(|entry| &entry.live.path);
        let found = self.members.iter();
        if let Some(path) = first_difference(control, found) {
            return Err(Error::Control { path });
        }
        let changed = Changed::of(&self.mailbox, state)?.renamed(&self.mailbox, &self.renames)?;
        Ok(Comparison {
            dumpdirs: self,
            changed,
            listings: BTreeMap::new(),
        })
    }

    fn beginning(&self) -> Error {
        Error::Beginning {
            mailbox: self.mailbox.clone(),
        }
    }

    fn outside(&self, path: &RelPath) -> Error {
        Error::Outside {
            path: path.clone(),
            mailbox: self.mailbox.clone(),
        }
    }
}

fn presence(directory: &RelPath, found: &'static str) -> Error {
    let directory = directory.clone();
    Error::Presence { directory, found }
}

/// The first that only one of two sorted sequences has.
fn first_difference<'a>(
    mut one: impl Iterator<Item = &'a RelPath>,
    mut other: impl Iterator<Item = &'a RelPath>,
) -> Option<RelPath> {
    loop {
        match (one.next(), other.next()) {
            (None, None) => return None,
            (Some(a), Some(b)) if a == b => {}
            (a, b) => return a.into_iter().chain(b).min().cloned(),
        }
    }
}

/// The mailbox compared with its dumpdirs, member by member.
#[derive(Debug)]
pub struct Comparison {
    dumpdirs: Dumpdirs,
    changed: Changed,
    /// What the directories should list.
    listings: BTreeMap<RelPath, Names>,
}

impl Comparison {
    /// Adds a member as the view has it.
    ///
    /// # Errors
    /// When tar would put another file in its place, or none.
    pub fn add(&mut self, member: &Member) -> Result<(), Error> {
        let Member::Here(Stored { entry, stored }) = member else {
            return Ok(());
        };
        let (path, segment) = (&entry.live.path, entry.location.segment);
        for name in [path, stored] {
            if !name.is_within(&self.dumpdirs.mailbox) {
                return Err(self.dumpdirs.outside(name));
            }
        }
        if self.dumpdirs.scope == Scope::Above {
            return self.add_above(path, segment);
        }
        if segment != CONTROL && path == stored {
            self.changed
                .check_in_place(&self.dumpdirs.mailbox, path, segment)?;
        }
        let listed = match (segment, entry.live.kind) {
            (_, Kind::Directory) => Listed::Directory,
            (CONTROL, _) => Listed::Here,
            _ => Listed::Elsewhere,
        };
        if listed == Listed::Directory {
            self.listings.entry(path.clone()).or_default();
        }
        if *path != self.dumpdirs.mailbox {
            self.list(path, listed);
        }
        Ok(())
    }

    fn add_above(&self, path: &RelPath, segment: u32) -> Result<(), Error> {
        match segment {
            CONTROL => Ok(()),
            _ => Err(Error::Segment {
                path: path.clone(),
                segment,
            }),
        }
    }

    fn list(&mut self, path: &RelPath, listed: Listed) {
        let parent = path.parent().unwrap_or_else(RelPath::root);
        let mut names = self.listings.get(&parent).copied().unwrap_or_default();
        self.dumpdirs.add_name(&mut names, path.name(), listed);
        self.listings.insert(parent, names);
    }

    /// All members were added.
    ///
    /// # Errors
    /// When a directory does not list what it has.
    pub fn finish(self) -> Result<(), Error> {
        let found = self.dumpdirs.listings;
        if found == self.listings {
            return Ok(());
        }
        let all = found.keys().chain(self.listings.keys());
        let differing = all.filter(|path| found.get(*path) != self.listings.get(*path));
        let directory = differing.min().cloned().unwrap_or(self.dumpdirs.mailbox);
        Err(Error::Listing { directory })
    }
}

/// A member that is not where its segment puts it.
#[derive(Debug)]
struct Occupant {
    segment: u32,
    stored: RelPath,
    /// `None` for what is gone.
    path: Option<RelPath>,
}

/// The members that are gone or renamed, in the tree that the segments give.
#[derive(Debug, Default)]
struct Changed {
    tree: BTreeMap<RelPath, Occupant>,
    /// The segment of what is gone, by its stored name; the last where there are several.
    gone: HashMap<RelPath, u32>,
    /// Names that were stored or are renamed, other than those of what is gone.
    used: HashSet<RelPath>,
    /// The folders that all of them lie in.
    folders: HashSet<RelPath>,
    /// The folders that are there at the moment, as far as these members need them.
    present: BTreeSet<RelPath>,
}

impl Changed {
    /// A later segment wins.
    fn of(mailbox: &RelPath, state: &State) -> Result<Self, Error> {
        let mut changed = Self::default();
        for ((segment, stored), change) in &state.changes {
            let path = match change {
                Change::Gone { .. } => None,
                Change::Here { path, .. } if path == stored => continue,
                Change::Here { path, .. } => Some(path.clone()),
            };
            for name in [Some(stored), path.as_ref()].into_iter().flatten() {
                if !name.is_within(mailbox) || name == mailbox {
                    return Err(Error::Outside {
                        path: name.clone(),
                        mailbox: mailbox.clone(),
                    });
                }
            }
            let occupant = Occupant {
                segment: *segment,
                stored: stored.clone(),
                path,
            };
            changed.put(mailbox, occupant)?;
        }
        let stored: Vec<&RelPath> = changed.tree.keys().collect();
        // What lies in another one follows it.
        let inside = stored.windows(2).find(|pair| pair[1].is_within(pair[0]));
        if let Some(path) = inside.map(|pair| pair[1].clone()) {
            let occupant = changed.tree.remove(&path);
            return occupant.map_or(Ok(changed), |occupant| Err(lost(occupant)));
        }
        Ok(changed)
    }

    /// Segments come ascending.
    fn put(&mut self, mailbox: &RelPath, occupant: Occupant) -> Result<(), Error> {
        let stored = occupant.stored.clone();
        self.folders.extend(above(mailbox, &stored));
        self.present.extend(above(mailbox, &stored));
        if occupant.path.is_none() {
            self.gone.insert(stored.clone(), occupant.segment);
        } else {
            self.used.insert(stored.clone());
        }
        match self.tree.insert(stored, occupant) {
            Some(before) if before.path.is_some() => Err(lost(before)),
            _ => Ok(()),
        }
    }

    /// Carries out what tar does, and looks where everything came.
    fn renamed(mut self, mailbox: &RelPath, renames: &[Rename]) -> Result<Self, Error> {
        for Rename { from, to } in renames {
            let fits = !to.is_within(from)
                && !self.present.contains(to)
                && !above(mailbox, to).any(|folder| self.tree.contains_key(&folder));
            if !(fits && (self.rename_file(from, to) || self.rename_folder(from, to))) {
                let (from, to) = (from.clone(), to.clone());
                return Err(Error::Rename { from, to });
            }
            self.present.extend(above(mailbox, to));
            for name in [from, to] {
                self.used.insert(name.clone());
                self.folders.extend(above(mailbox, name));
            }
        }
        let is_astray = |(path, occupant): &(&RelPath, &Occupant)| {
            let wanted = occupant.path.as_ref();
            wanted.is_some_and(|wanted| wanted != *path)
        };
        let astray = self
            .tree
            .iter()
            .find(is_astray)
            .map(|(path, _)| path.clone());
        match astray.and_then(|path| self.tree.remove(&path)) {
            Some(occupant) => Err(lost(occupant)),
            None => Ok(self),
        }
    }

    /// A file takes the place of one that is gone. False where there is no such file.
    fn rename_file(&mut self, from: &RelPath, to: &RelPath) -> bool {
        let is_taken = self.tree.get(to).is_some_and(|other| other.path.is_some());
        if is_taken {
            return false;
        }
        let Some(occupant) = self.tree.remove(from) else {
            return false;
        };
        self.tree.insert(to.clone(), occupant);
        true
    }

    /// A folder with all that is in it gets a name that nothing has.
    fn rename_folder(&mut self, from: &RelPath, to: &RelPath) -> bool {
        if !self.present.contains(from) || self.tree.contains_key(to) {
            return false;
        }
        let files: Vec<RelPath> = below(&self.tree, from).cloned().collect();
        for path in files {
            if let Some(occupant) = self.tree.remove(&path) {
                self.tree.insert(moved(&path, from, to), occupant);
            }
        }
        let is_inside = |folder: &RelPath| folder.is_within(from);
        let folders: Vec<RelPath> = self
            .present
            .iter()
            .filter(|f| is_inside(f))
            .cloned()
            .collect();
        for folder in folders {
            self.present.remove(&folder);
            self.present.insert(moved(&folder, from, to));
        }
        true
    }

    /// Whether a member that has its stored name is left alone by all renames, and not replaced by
    /// another one.
    fn check_in_place(&self, mailbox: &RelPath, path: &RelPath, segment: u32) -> Result<(), Error> {
        let is_gone_later = self.gone.get(path).is_some_and(|gone| *gone > segment);
        let is_moved = above(mailbox, path)
            .chain([path.clone()])
            .any(|name| self.used.contains(&name));
        let in_the_way = above(mailbox, path).any(|name| self.gone.contains_key(&name));
        if is_gone_later || is_moved || in_the_way || self.folders.contains(path) {
            return Err(Error::Lost {
                segment,
                stored: path.clone(),
                path: path.clone(),
            });
        }
        Ok(())
    }
}

fn lost(occupant: Occupant) -> Error {
    let Occupant {
        segment,
        stored,
        path,
    } = occupant;
    let path = path.unwrap_or_else(|| stored.clone());
    Error::Lost {
        segment,
        stored,
        path,
    }
}

/// The names of `tree` that lie in the folder `folder`.
fn below<'a, T>(
    tree: &'a BTreeMap<RelPath, T>,
    folder: &'a RelPath,
) -> impl Iterator<Item = &'a RelPath> {
    let behind = (Bound::Excluded(folder.clone()), Bound::Unbounded);
    tree.range(behind)
        .map(|(path, _)| path)
        .take_while(move |path| path.is_within(folder))
}

/// The name of `path` after the folder `from` that it lies in, or is, became `to`.
fn moved(path: &RelPath, from: &RelPath, to: &RelPath) -> RelPath {
    let rest = path.as_bytes().get(from.as_bytes().len() + 1..);
    let rest = rest.and_then(|rest| RelPath::new(rest).ok());
    rest.unwrap_or_else(RelPath::root).below(to)
}

/// The folders of the mailbox that `path` lies in, from the innermost.
fn above(mailbox: &RelPath, path: &RelPath) -> impl Iterator<Item = RelPath> + use<> {
    let end = mailbox.clone();
    std::iter::successors(path.parent(), RelPath::parent).take_while(move |folder| *folder != end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::dumpdir::{Still, plan_renames};
    use crate::archive::index::{IndexEntry, LiveEntry, Location, Stat};
    use crate::archive::member::MemberHead;
    use proptest::prelude::*;

    const STAT: Stat = Stat {
        size: 0,
        mode: 0o700,
        uid: 1,
        gid: 1,
        mtime_ns: 0,
        inode: 1,
        ctime_ns: 0,
    };

    /// A segment, a stored name, and the present one; none for what is gone.
    type Saved = (u32, RelPath, Option<RelPath>);

    fn path(text: &str) -> RelPath {
        text.parse().unwrap()
    }

    fn saved(texts: &[(u32, &str, &str)]) -> Vec<Saved> {
        let present = |to: &str| (!to.is_empty()).then(|| path(to));
        let member = |(segment, from, to): &(u32, &str, &str)| (*segment, path(from), present(to));
        texts.iter().map(member).collect()
    }

    fn entry(path: &RelPath, kind: Kind, segment: u32) -> IndexEntry {
        IndexEntry {
            live: LiveEntry {
                path: path.clone(),
                kind,
                stat: STAT,
            },
            sha256: None,
            location: Location {
                segment,
                frame_offset: 0,
                frame_bytes: 1,
            },
            message_id: None,
            envelope: None,
            xattrs_sha256: None,
        }
    }

    /// A mailbox `m`, as a state, a view and `0000`.
    struct Mailbox {
        state: State,
        members: Vec<Member>,
        /// The members of `0000` with their dumpdirs.
        control: Vec<(RelPath, Kind, Option<Dumpdir>)>,
    }

    impl Mailbox {
        fn new(saved: &[Saved]) -> Self {
            let mut dumpdirs = BTreeMap::from([(path("m"), Dumpdir::default())]);
            let (mut members, mut changes) = (Vec::new(), BTreeMap::new());
            for (segment, stored, present) in saved {
                let at = (*segment, stored.clone());
                let Some(present) = present else {
                    changes.insert(at, Change::Gone { since_seconds: 1 });
                    continue;
                };
                let entry = entry(present, Kind::File, *segment);
                let stored = stored.clone();
                members.push(Member::Here(Stored { entry, stored }));
                let (path, inode, ctime_ns) = (present.clone(), 1, 1);
                let here = Change::Here {
                    path,
                    inode,
                    ctime_ns,
                };
                changes.insert(at, here);
                list(&mut dumpdirs, present);
            }
            let directories = dumpdirs.keys();
            let control: Vec<IndexEntry> = directories
                .map(|directory| entry(directory, Kind::Directory, CONTROL))
                .collect();
            members.extend(control.iter().cloned().map(|entry| {
                let stored = entry.live.path.clone();
                Member::Here(Stored { entry, stored })
            }));
            let mut first = dumpdirs[&path("m")].clone();
            first.renames = plan(saved);
            let heads = [(path("m"), first)].into_iter().chain(dumpdirs);
            Self {
                state: State {
                    segments: vec![1, 2],
                    control,
                    changes,
                },
                members,
                control: heads
                    .map(|(path, dumpdir)| (path, Kind::Directory, Some(dumpdir)))
                    .collect(),
            }
        }

        fn archive(&self) -> Vec<u8> {
            let mut tar = Vec::new();
            for (path, kind, dumpdir) in &self.control {
                let record = dumpdir.as_ref().map(Dumpdir::to_bytes);
                let head = MemberHead {
                    path,
                    kind: *kind,
                    stat: &STAT,
                    link_target: b"",
                    xattrs: &[],
                    dumpdir: record.as_deref(),
                };
                head.append_to(&mut tar);
            }
            tar.extend([0; 1024]);
            tar
        }

        fn compare(&self, scope: Scope) -> Result<(), Error> {
            let archive = self.archive();
            let dumpdirs = Dumpdirs::read(&path("m"), scope, TarReader::new(&archive[..]))?;
            let mut comparison = dumpdirs.compare(&self.state)?;
            for member in &self.members {
                comparison.add(member)?;
            }
            comparison.finish()
        }

        #[track_caller]
        fn check(&self, expected: &str) {
            let error = self.compare(Scope::Mailbox).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    fn list(dumpdirs: &mut BTreeMap<RelPath, Dumpdir>, present: &RelPath) {
        let mut listed = Listed::Elsewhere;
        let mut child = present.clone();
        while child != path("m") {
            let parent = child.parent().unwrap();
            let dumpdir = dumpdirs.entry(parent.clone()).or_default();
            dumpdir.list(child.name(), listed).unwrap();
            (child, listed) = (parent, Listed::Directory);
        }
    }

    fn plan(saved: &[Saved]) -> Vec<Rename> {
        let mut moves = Vec::new();
        let mut others = Vec::new();
        for (_, from, to) in saved {
            match to {
                Some(to) if to != from => moves.push(Rename {
                    from: from.clone(),
                    to: to.clone(),
                }),
                Some(_) => others.push((from, Still::InPlace)),
                None => others.push((from, Still::Dead)),
            }
        }
        plan_renames(&path("m"), &moves, others).unwrap_or_default()
    }

    const SWAPPED: [(u32, &str, &str); 4] = [
        (1, "m/cur/1", "m/cur/2"),
        (1, "m/cur/2", "m/cur/1"),
        (2, "m/cur/3", ""),
        (2, "m/cur/4", "m/cur/4"),
    ];

    #[test]
    fn a_later_segment_wins() {
        let shadowed = "m/cur/1 of segment 1 does not come to be m/cur/1 by the renames";
        let check = |members: &[(u32, &str, &str)]| Mailbox::new(&saved(members));
        check(&[(1, "m/cur/1", "m/cur/1"), (2, "m/cur/1", "")]).check(shadowed);
        let later = [(1, "m/cur/1", ""), (2, "m/cur/1", "m/cur/1")];
        assert!(check(&later).compare(Scope::Mailbox).is_ok());
        let renamed = [(1, "m/cur/1", ""), (2, "m/cur/1", "m/cur/2")];
        assert!(check(&renamed).compare(Scope::Mailbox).is_ok());
        let lost = "m/cur/1 of segment 1 does not come to be m/cur/2 by the renames";
        check(&[(1, "m/cur/1", "m/cur/2"), (2, "m/cur/1", "")]).check(lost);
        // No tree holds a file in a file.
        let inside = "m/a/1 of segment 2 does not come to be m/a/1 by the renames";
        check(&[(1, "m/a", ""), (2, "m/a/1", "m/a/1")]).check(inside);
    }

    #[test]
    fn renames_that_lead_elsewhere_are_found() {
        let check = |renames: &[(&str, &str)], expected: &str| {
            let mut mailbox = Mailbox::new(&saved(&SWAPPED));
            let Some((_, _, Some(first))) = mailbox.control.first_mut() else {
                panic!("it has a dumpdir");
            };
            let rename = |(from, to): &(&str, &str)| Rename {
                from: path(from),
                to: path(to),
            };
            first.renames = renames.iter().map(rename).collect();
            mailbox.check(expected);
        };
        let lost = "m/cur/1 of segment 1 does not come to be m/cur/2 by the renames";
        let (one, two, aside) = ("m/cur/1", "m/cur/2", "m/x");
        check(&[], lost);
        check(
            &[(two, aside), (one, two), (aside, "m/cur/5")],
            "m/cur/2 of segment 1 does not come to be m/cur/1 by the renames",
        );
        // One would replace the other.
        let replaced = "the rename of m/cur/1 to m/cur/2 cannot be carried out";
        check(&[(one, two), (two, one)], replaced);
        // Nothing is there, or the folder is.
        let none = "the rename of m/cur/9 to m/cur/8 cannot be carried out";
        check(&[("m/cur/9", "m/cur/8")], none);
        let folder = "the rename of m/cur/1 to m/cur cannot be carried out";
        check(&[(one, "m/cur")], folder);
        let inside = "the rename of m/cur/1 to m/cur/3/1 cannot be carried out";
        check(&[(one, "m/cur/3/1")], inside);
        // What stays is moved away with its folder, or written over.
        let moved = "m/cur/4 of segment 2 does not come to be m/cur/4 by the renames";
        let and_back = [("m/cur", aside), ("m/x/1", "m/cur/2"), ("m/x/2", "m/cur/1")];
        check(&and_back, moved);
        let over = [
            (two, aside),
            (one, two),
            (aside, one),
            ("m/cur/3", "m/cur/4"),
        ];
        check(&over, moved);
    }

    #[test]
    fn a_listing_that_differs_is_found() {
        let differs = "the dumpdir of m/cur does not list what the state has there";
        let check = |names: &[(&[u8], Listed)], expected: &str| {
            let mut mailbox = Mailbox::new(&saved(&SWAPPED));
            let mut dumpdir = Dumpdir::default();
            for (name, listed) in names {
                dumpdir.list(name, *listed).unwrap();
            }
            mailbox.control[2].2 = Some(dumpdir);
            match expected {
                "" => mailbox.compare(Scope::Mailbox).unwrap(),
                expected => mailbox.check(expected),
            }
        };
        let (one, two) = (
            (&b"1"[..], Listed::Elsewhere),
            (&b"2"[..], Listed::Elsewhere),
        );
        let four = (&b"4"[..], Listed::Elsewhere);
        check(&[one, two, four], "");
        check(&[one, two], differs);
        check(&[], differs);
        check(&[one, two, four, (b"3", Listed::Elsewhere)], differs);
        check(&[one, two, (b"4", Listed::Here)], differs);
        check(&[one, two, (b"4", Listed::Directory)], differs);
    }

    #[test]
    fn what_0000_must_begin_with_and_hold() {
        let beginning = "0000.tar.zst does not begin with the directory m, twice";
        let check = |change: fn(&mut Mailbox), expected: &str| {
            let mut mailbox = Mailbox::new(&saved(&SWAPPED));
            change(&mut mailbox);
            mailbox.check(expected);
        };
        check(|mailbox| mailbox.control.clear(), beginning);
        check(|mailbox| drop(mailbox.control.remove(0)), beginning);
        check(|mailbox| mailbox.control.swap(0, 2), beginning);
        check(
            |mailbox| mailbox.control[1] = mailbox.control[0].clone(),
            beginning,
        );
        check(
            |mailbox| mailbox.control.push(mailbox.control[2].clone()),
            beginning,
        );
        let none = "m/cur has no dumpdir in 0000.tar.zst: unpacked, that would lose mail";
        check(|mailbox| mailbox.control[2].2 = None, none);
        let foreign = "m2 is not in the mailbox m";
        check(|mailbox| mailbox.control[2].0 = path("m2"), foreign);
        let more = "0000.tar.zst and the state do not agree on m/new";
        let add = |mailbox: &mut Mailbox| {
            let empty = Some(Dumpdir::default());
            mailbox
                .control
                .push((path("m/new"), Kind::Directory, empty));
        };
        check(add, more);
        let less = "0000.tar.zst and the state do not agree on m/cur";
        check(|mailbox| drop(mailbox.control.pop()), less);
    }

    #[test]
    fn what_leads_out_of_the_mailbox_is_refused() {
        let refused = |mailbox: &Mailbox| mailbox.compare(Scope::Mailbox).unwrap_err().kind();
        let mut mailbox = Mailbox::new(&saved(&SWAPPED));
        let outside = (1, path("n/1"));
        let gone = Change::Gone { since_seconds: 1 };
        mailbox.state.changes.insert(outside, gone);
        mailbox.check("n/1 is not in the mailbox m");
        assert_eq!(refused(&mailbox), FailureKind::Refused);
        let mut mailbox = Mailbox::new(&saved(&SWAPPED));
        let here = entry(&path("n/1"), Kind::File, 1);
        let stored = path("n/1");
        mailbox.members.push(Member::Here(Stored {
            entry: here,
            stored,
        }));
        assert_eq!(refused(&mailbox), FailureKind::Refused);
    }

    #[test]
    fn nothing_above_mailboxes_has_a_dumpdir() {
        let mut mailbox = Mailbox::new(&saved(&[]));
        let has = "m has a dumpdir in 0000.tar.zst: unpacked, that would lose mail";
        let error = mailbox.compare(Scope::Above).unwrap_err();
        assert_eq!(error.to_string(), has);
        assert!(mailbox.compare(Scope::Alone).is_ok());
        mailbox.control = vec![(path("m"), Kind::Directory, None)];
        assert!(mailbox.compare(Scope::Above).is_ok());
        assert!(mailbox.compare(Scope::Alone).is_ok());
        let here = entry(&path("m/1"), Kind::File, 1);
        let stored = path("m/1");
        mailbox.members.push(Member::Here(Stored {
            entry: here,
            stored,
        }));
        let error = mailbox.compare(Scope::Alone).unwrap_err();
        let message = "m/1 lies above the mailboxes and is in segment 1";
        assert_eq!(error.to_string(), message);
    }

    /// Members at some of few names, so that they often meet.
    fn some_members() -> impl Strategy<Value = Vec<Saved>> {
        let names = [
            "m/a", "m/b", "m/c", "m/a/a", "m/a/b", "m/b/a", "m/b/b", "m/c/a", "m/a/a/a", "m/b/a/b",
        ];
        let names: Vec<RelPath> = names.iter().map(|name| path(name)).collect();
        let order = || Just(names.clone()).prop_shuffle();
        let lives = proptest::collection::vec(any::<bool>(), names.len());
        (order(), order(), lives).prop_map(|(stored, present, lives)| {
            let mut present = consistent(present).into_iter();
            let stored = consistent(stored).into_iter().zip(lives);
            stored
                .map(|(stored, lives)| (1, stored, if lives { present.next() } else { None }))
                .collect()
        })
    }

    /// Those of `paths` that do not lie in one another, the first first.
    fn consistent(paths: Vec<RelPath>) -> Vec<RelPath> {
        let mut kept: Vec<RelPath> = Vec::new();
        for path in paths {
            let excludes = |other: &RelPath| other.is_within(&path) || path.is_within(other);
            if !kept.iter().any(excludes) {
                kept.push(path);
            }
        }
        kept
    }

    proptest! {
        #[test]
        fn every_plan_of_ours_leads_to_its_mailbox(members in some_members()) {
            prop_assert!(Mailbox::new(&members).compare(Scope::Mailbox).is_ok());
        }

        #[test]
        fn a_plan_without_one_of_its_renames_does_not(members in some_members(), at in 0..20_usize) {
            let mut mailbox = Mailbox::new(&members);
            let Some((_, _, Some(first))) = mailbox.control.first_mut() else {
                panic!("it has a dumpdir");
            };
            if at < first.renames.len() {
                first.renames.remove(at);
                prop_assert!(mailbox.compare(Scope::Mailbox).is_err());
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let tar = TarReader::new(&bytes[..]);
            prop_assert!(Dumpdirs::read(&path("m"), Scope::Mailbox, tar).is_err());
        }
    }
}
