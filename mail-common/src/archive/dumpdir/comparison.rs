//! Whether `tar --incremental` comes to the mailbox that our tools see: the dumpdirs of `0000`
//! against the state and the indexes.
//!
//! tar would delete what a dumpdir does not list and rename across the whole file system. Nobody
//! restores by a set in which the two ways lead to different mailboxes: one of them is damaged.
//!
//! Listings are compared by their sums, and the renames are carried out on the names of what has
//! changed: memory grows with the changes, and not with the mailbox.

use std::collections::BTreeMap;

use super::changed::Changed;
use super::control::{Dumpdirs, Names, Scope};
use super::error::Error;
use super::record::Listed;
use crate::archive::index::Kind;
use crate::archive::members::{Member, Stored};
use crate::archive::state::{CONTROL, State};
use crate::relpath::RelPath;

impl Dumpdirs {
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

#[cfg(test)]
mod tests {
    use super::super::record::{Dumpdir, Rename};
    use super::super::testing::{list, path, plan, some_members};
    use super::*;
    use crate::archive::fixture::{STAT, entry};
    use crate::archive::index::IndexEntry;
    use crate::archive::member::MemberHead;
    use crate::archive::reader::TarReader;
    use crate::archive::state::Change;
    use crate::failure::{Failure, FailureKind};
    use proptest::prelude::*;

    /// A segment, a stored name, and the present one; none for what is gone.
    type Saved = (u32, RelPath, Option<RelPath>);

    fn saved(texts: &[(u32, &str, &str)]) -> Vec<Saved> {
        let present = |to: &str| (!to.is_empty()).then(|| path(to));
        let member = |(segment, from, to): &(u32, &str, &str)| (*segment, path(from), present(to));
        texts.iter().map(member).collect()
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
                let entry = entry(present.clone(), Kind::File, *segment);
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
                .map(|directory| entry(directory.clone(), Kind::Directory, CONTROL))
                .collect();
            members.extend(control.iter().cloned().map(|entry| {
                let stored = entry.live.path.clone();
                Member::Here(Stored { entry, stored })
            }));
            let mut first = dumpdirs[&path("m")].clone();
            let names: Vec<_> = saved
                .iter()
                .map(|(_, from, to)| (from.clone(), to.clone()))
                .collect();
            first.renames = plan(&names).unwrap_or_default();
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

    const SWAPPED: [(u32, &str, &str); 4] = [
        (1, "m/cur/1", "m/cur/2"),
        (1, "m/cur/2", "m/cur/1"),
        (2, "m/cur/3", ""),
        (2, "m/cur/4", "m/cur/4"),
    ];

    #[test]
    fn a_later_segment_wins() {
        let shadowed = "m/cur/1 of segment 1 is not renamed to m/cur/1";
        let check = |members: &[(u32, &str, &str)]| Mailbox::new(&saved(members));
        check(&[(1, "m/cur/1", "m/cur/1"), (2, "m/cur/1", "")]).check(shadowed);
        let later = [(1, "m/cur/1", ""), (2, "m/cur/1", "m/cur/1")];
        assert!(check(&later).compare(Scope::Mailbox).is_ok());
        let renamed = [(1, "m/cur/1", ""), (2, "m/cur/1", "m/cur/2")];
        assert!(check(&renamed).compare(Scope::Mailbox).is_ok());
        let lost = "m/cur/1 of segment 1 is not renamed to m/cur/2";
        check(&[(1, "m/cur/1", "m/cur/2"), (2, "m/cur/1", "")]).check(lost);
        // No tree holds a file in a file.
        let inside = "m/a/1 of segment 2 is not renamed to m/a/1";
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
        let lost = "m/cur/1 of segment 1 is not renamed to m/cur/2";
        let (one, two, aside) = ("m/cur/1", "m/cur/2", "m/x");
        check(&[], lost);
        check(
            &[(two, aside), (one, two), (aside, "m/cur/5")],
            "m/cur/2 of segment 1 is not renamed to m/cur/1",
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
        let moved = "m/cur/4 of segment 2 is not renamed to m/cur/4";
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
        let here = entry(path("n/1"), Kind::File, 1);
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
        let here = entry(path("m/1"), Kind::File, 1);
        let stored = path("m/1");
        mailbox.members.push(Member::Here(Stored {
            entry: here,
            stored,
        }));
        let error = mailbox.compare(Scope::Alone).unwrap_err();
        let message = "m/1 lies above the mailboxes and is in segment 1";
        assert_eq!(error.to_string(), message);
    }

    fn in_one_segment(members: Vec<(RelPath, Option<RelPath>)>) -> Vec<Saved> {
        let members = members.into_iter();
        members.map(|(stored, path)| (1, stored, path)).collect()
    }

    proptest! {
        #[test]
        fn every_plan_of_ours_leads_to_its_mailbox(members in some_members()) {
            prop_assert!(Mailbox::new(&in_one_segment(members)).compare(Scope::Mailbox).is_ok());
        }

        #[test]
        fn a_plan_without_one_of_its_renames_does_not(members in some_members(), at in 0..20_usize) {
            let mut mailbox = Mailbox::new(&in_one_segment(members));
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
