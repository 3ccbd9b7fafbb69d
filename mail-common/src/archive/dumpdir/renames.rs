//! The order in which the stored messages of a mailbox get their present names.
//!
//! They are renamed one after the other, as `tar --incremental` does it, in the tree that the
//! segments gave. There a name that is wanted may be taken: by a message that moves on itself, by
//! one that is dead, by a folder, or by a file where a folder is to be. What moves on goes first.
//! Where that leads in a circle, one of them waits under a temporary name in the mailbox. What is
//! dead and in the way goes to such a name for good, and is deleted there.
//!
//! It is not deleted by the dumpdir that holds the renames: tar takes the names of a directory
//! before it renames in it. So the entry of a mailbox stands in its archive twice, first with the
//! renames, then with the same names and no renames.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ops::Bound;

use super::above;
use super::error::Error;
use super::record::Rename;
use crate::relpath::RelPath;

/// What the temporary names begin with; a number follows.
const TEMPORARY: &[u8] = b".renamed-";

/// A stored member that gets no other name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Still {
    /// It lives, and has the name under which it is stored.
    InPlace,
    /// It is gone from the mailbox.
    Dead,
}

/// Orders `moves`, from stored to present names, beside all `others` that are stored in `mailbox`.
/// No stored name may lie in another one: no tree could hold both. A dead member may have the name
/// under which a later one is stored.
///
/// # Errors
/// When the names do not lie in the mailbox or exclude each other.
pub fn plan_renames<'a>(
    mailbox: &RelPath,
    moves: &[Rename],
    others: impl IntoIterator<Item = (&'a RelPath, Still)>,
) -> Result<Vec<Rename>, Error> {
    let mut planner = RenamePlanner::new(mailbox, moves)?;
    for (path, still) in others {
        planner.meet(path, still)?;
    }
    Ok(planner.plan())
}

/// The same as [`plan_renames`], for members that come one by one.
#[derive(Debug)]
pub struct RenamePlanner<'a> {
    mailbox: &'a RelPath,
    moves: Vec<Rename>,
    sources: BTreeMap<RelPath, usize>,
    targets: HashSet<RelPath>,
    /// Folders that the targets need.
    folders: HashSet<RelPath>,
    /// Folders that have the name of a target.
    folders_in_the_way: BTreeSet<RelPath>,
    /// Names in the mailbox that look like temporary ones.
    taken: HashSet<RelPath>,
    temporaries: u64,
    /// Dead files that have the name of a folder.
    files_in_the_way: Vec<RelPath>,
    plan: Vec<Rename>,
}

impl<'a> RenamePlanner<'a> {
    /// For `moves` in `mailbox`.
    ///
    /// # Errors
    /// As [`plan_renames`].
    pub fn new(mailbox: &'a RelPath, moves: &[Rename]) -> Result<Self, Error> {
        let moves: Vec<Rename> = moves
            .iter()
            .filter(|rename| rename.from != rename.to)
            .cloned()
            .collect();
        let mut planner = Self {
            mailbox,
            moves,
            sources: BTreeMap::new(),
            targets: HashSet::new(),
            folders: HashSet::new(),
            folders_in_the_way: BTreeSet::new(),
            taken: HashSet::new(),
            temporaries: 0,
            files_in_the_way: Vec::new(),
            plan: Vec::new(),
        };
        planner.take_moves()?;
        Ok(planner)
    }

    fn take_moves(&mut self) -> Result<(), Error> {
        for (number, rename) in self.moves.iter().enumerate() {
            for path in [&rename.from, &rename.to] {
                within(self.mailbox, path)?;
            }
            let is_new = self.sources.insert(rename.from.clone(), number).is_none();
            if !is_new || !self.targets.insert(rename.to.clone()) {
                let path = rename.to.clone();
                return Err(Error::Conflict { path });
            }
            self.folders.extend(above(self.mailbox, &rename.to));
        }
        if let Some(path) = self.targets.intersection(&self.folders).next() {
            let path = path.clone();
            return Err(Error::Conflict { path });
        }
        for rename in self.moves.clone() {
            self.note_folders(&rename.from);
            self.note_temporary(&rename.from);
            self.note_temporary(&rename.to);
        }
        Ok(())
    }

    /// Notes what a member that is not renamed stands in the way of. A dead one is to be met once,
    /// however many have its name.
    ///
    /// # Errors
    /// As [`plan_renames`].
    pub fn meet(&mut self, path: &RelPath, still: Still) -> Result<(), Error> {
        within(self.mailbox, path)?;
        if still == Still::Dead && self.sources.contains_key(path) {
            return Ok(()); // A later segment has replaced it.
        }
        let wants_its_folder = |folder: &RelPath| self.targets.contains(folder);
        let conflicts = self.sources.contains_key(path)
            || still == Still::InPlace
                && (self.targets.contains(path)
                    || self.folders.contains(path)
                    || above(self.mailbox, path).any(|folder| wants_its_folder(&folder)));
        if conflicts {
            let path = path.clone();
            return Err(Error::Conflict { path });
        }
        self.note_temporary(path);
        self.note_folders(path);
        if self.folders.contains(path) {
            self.files_in_the_way.push(path.clone());
        }
        Ok(())
    }

    /// The renames in their order.
    #[must_use]
    pub fn plan(mut self) -> Vec<Rename> {
        self.order();
        self.plan
    }

    fn note_folders(&mut self, path: &RelPath) {
        for folder in above(self.mailbox, path) {
            if self.targets.contains(&folder) {
                self.folders_in_the_way.insert(folder);
            }
        }
    }

    fn note_temporary(&mut self, path: &RelPath) {
        let top = above(self.mailbox, path)
            .last()
            .unwrap_or_else(|| path.clone());
        if top.name().starts_with(TEMPORARY) {
            self.taken.insert(top);
        }
    }

    /// Carries out what nothing stands in the way of, until all is done. Where each waits for
    /// another, the first that is left steps aside.
    fn order(&mut self) {
        for path in std::mem::take(&mut self.files_in_the_way) {
            self.set_aside(path);
        }
        let mut waiting = Waiting::of(self);
        let mut ready = waiting.ready();
        let mut next = 0;
        while waiting.left > 0 {
            while let Some(number) = ready.pop_front() {
                self.carry_out(number);
                waiting.left -= 1;
                waiting.release(number, &mut ready);
            }
            if let Some(number) = waiting.first_left(&mut next) {
                self.moves[number].from = self.set_aside(self.moves[number].from.clone());
                waiting.release(number, &mut ready);
            }
        }
    }

    fn carry_out(&mut self, number: usize) {
        let rename = self.moves[number].clone();
        if self.folders_in_the_way.remove(&rename.to) {
            self.set_aside(rename.to.clone());
        }
        self.plan.push(rename);
    }

    /// Renames `from` to a temporary name, which it returns.
    fn set_aside(&mut self, from: RelPath) -> RelPath {
        let to = self.temporary();
        self.plan.push(Rename {
            from,
            to: to.clone(),
        });
        to
    }

    fn temporary(&mut self) -> RelPath {
        loop {
            self.temporaries += 1;
            let name = [TEMPORARY, self.temporaries.to_string().as_bytes()].concat();
            let path = self.mailbox.child(&name);
            let path = path.expect("letters and digits are one safe component");
            if !self.taken.contains(&path) {
                return path;
            }
        }
    }

    /// The moves that must leave their places before the move `number` can have its own, itself
    /// perhaps among them.
    fn blockers(&self, number: usize) -> Vec<usize> {
        let target = &self.moves[number].to;
        let mut blockers: Vec<usize> = above(self.mailbox, target)
            .chain([target.clone()])
            .filter_map(|path| self.sources.get(&path).copied())
            .collect();
        let behind = (Bound::Excluded(target.clone()), Bound::Unbounded);
        let below = self.sources.range(behind);
        let below = below.take_while(|(path, _)| path.is_within(target));
        blockers.extend(below.map(|(_, number)| *number));
        blockers
    }
}

/// Which moves wait for which.
struct Waiting {
    /// How many moves each waits for; `None` once it is carried out or ready.
    blockers: Vec<Option<usize>>,
    /// The moves that wait for each; taken when it has left its place.
    dependents: Vec<Vec<usize>>,
    /// Moves that are not carried out.
    left: usize,
}

impl Waiting {
    fn of(planner: &RenamePlanner<'_>) -> Self {
        let count = planner.moves.len();
        let mut waiting = Self {
            blockers: vec![Some(0); count],
            dependents: vec![Vec::new(); count],
            left: count,
        };
        for number in 0..count {
            let blockers = planner.blockers(number);
            waiting.blockers[number] = Some(blockers.len());
            for blocker in blockers {
                waiting.dependents[blocker].push(number);
            }
        }
        waiting
    }

    /// Those that wait for none.
    fn ready(&mut self) -> VecDeque<usize> {
        let mut ready = VecDeque::new();
        for (number, blockers) in self.blockers.iter_mut().enumerate() {
            if *blockers == Some(0) {
                *blockers = None;
                ready.push_back(number);
            }
        }
        ready
    }

    /// The move `number` has left its place.
    fn release(&mut self, number: usize, ready: &mut VecDeque<usize>) {
        for dependent in std::mem::take(&mut self.dependents[number]) {
            let Some(blockers) = &mut self.blockers[dependent] else {
                continue;
            };
            *blockers -= 1;
            if *blockers == 0 {
                self.blockers[dependent] = None;
                ready.push_back(dependent);
            }
        }
    }

    /// The first move at or behind `next` that waits, and that others wait for.
    fn first_left(&self, next: &mut usize) -> Option<usize> {
        while *next < self.blockers.len() {
            let number = *next;
            *next += 1;
            if self.blockers[number].is_some() && !self.dependents[number].is_empty() {
                return Some(number);
            }
        }
        None
    }
}

fn within(mailbox: &RelPath, path: &RelPath) -> Result<(), Error> {
    if path.is_within(mailbox) && path != mailbox {
        return Ok(());
    }
    Err(Error::Outside {
        path: path.clone(),
        mailbox: mailbox.clone(),
    })
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make the tree that tar renames in"
)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::super::record::Dumpdir;
    use super::super::testing::{Member, list, path, plan, some_members};
    use super::*;
    use crate::archive::pax::DUMPDIR;
    use proptest::prelude::*;

    fn rename(from: &str, to: &str) -> Rename {
        Rename {
            from: path(from),
            to: path(to),
        }
    }

    fn members(texts: &[(&str, &str)]) -> Vec<Member> {
        texts
            .iter()
            .map(|(from, to)| (path(from), (!to.is_empty()).then(|| path(to))))
            .collect()
    }

    /// What stock tar makes of the stored files and the dumpdirs of the present ones.
    fn by_tar(members: &[Member]) -> BTreeMap<RelPath, Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        for (stored, _) in members {
            let file = root.join(stored.as_path());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, stored.as_bytes()).unwrap();
        }
        fs::create_dir_all(root.join("m")).unwrap();
        let archive = dir.path().join("0000.tar");
        fs::write(&archive, control(members)).unwrap();
        let tar = Command::new("tar")
            .args(["--incremental", "-xpf"])
            .arg(&archive)
            .current_dir(&root)
            .output()
            .unwrap();
        assert!(tar.status.success() && tar.stderr.is_empty(), "{tar:?}");
        files(&root)
    }

    fn control(members: &[Member]) -> Vec<u8> {
        let mut dumpdirs = BTreeMap::from([(path("m"), Dumpdir::default())]);
        for present in members.iter().filter_map(|(_, present)| present.as_ref()) {
            list(&mut dumpdirs, present);
        }
        let mut first = dumpdirs[&path("m")].clone();
        first.renames = plan(members).unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        for (directory, dumpdir) in [(path("m"), first)].into_iter().chain(dumpdirs) {
            let record = dumpdir.to_bytes();
            let parsed = Dumpdir::parse(&record, &directory, &path("m"));
            assert_eq!(parsed.unwrap(), dumpdir);
            builder
                .append_pax_extensions([(DUMPDIR, &record[..])])
                .unwrap();
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_path(format!("{directory}/")).unwrap();
            header.set_mode(0o755);
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, std::io::empty()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn files(root: &Path) -> BTreeMap<RelPath, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![RelPath::root()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(root.join(directory.as_path())).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_encoded_bytes();
                let path = directory.child(&name).unwrap();
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(path);
                } else {
                    found.insert(path, fs::read(entry.path()).unwrap());
                }
            }
        }
        found
    }

    #[track_caller]
    fn check(members: &[Member]) {
        let mut expected = BTreeMap::new();
        for (stored, present) in members {
            if let Some(present) = present {
                expected.insert(present.clone(), stored.as_bytes().to_vec());
            }
        }
        assert_eq!(by_tar(members), expected, "{members:?}");
    }

    #[test]
    fn stock_tar_comes_to_the_present_names() {
        for case in [
            // A move into a folder that is not there, a chain, a swap, a circle of three.
            &[("m/cur/1", "m/.Sent/cur/1:2,S"), ("m/cur/2", "")][..],
            &[("m/a", "m/b"), ("m/b", "m/c"), ("m/c", "m/d"), ("m/d", "")],
            &[("m/a", "m/b"), ("m/b", "m/a")],
            &[
                ("m/a", "m/b"),
                ("m/b", "m/c"),
                ("m/c", "m/a"),
                ("m/x", "m/x"),
            ],
            // A later segment has a member of the name of one that is dead.
            &[("m/a", ""), ("m/a", "m/b")],
            // Folders that change places.
            &[("m/A/cur/1", "m/B/cur/1"), ("m/B/cur/1", "m/A/cur/1")],
            // A file takes the name of a folder, alive or dead, its own too; and back.
            &[("m/a/1", "m/b"), ("m/b/1", "m/a")],
            &[("m/a/1", ""), ("m/b", "m/a")],
            &[("m/a/1", "m/a")],
            &[("m/a", "m/a/1")],
            &[("m/a", ""), ("m/b", "m/a/1")],
            &[
                ("m/a/1", "m/.renamed-1/1"),
                ("m/.renamed-2", "m/a/1"),
                ("m/b", "m/.renamed-2"),
            ],
            &[
                ("m/a", "m/b"),
                ("m/b", "m/a"),
                ("m/.renamed-1", "m/.renamed-1"),
            ],
        ] {
            check(&members(case));
        }
    }

    #[test]
    fn names_are_any_bytes() {
        let name = |name: &[u8]| RelPath::new([b"m/cur/", name].concat()).unwrap();
        check(&[
            (name(b"a\nb"), Some(name(b"a\"b"))),
            (name(b"a\"b"), Some(name(b"\xff\xfe"))),
            (name(b"\xff\xfe"), Some(name(b"a\nb"))),
            (name(b"-rf"), Some(name(b"--"))),
            (name(b"a\\nb"), Some(name(&b"x".repeat(200)))),
        ]);
    }

    #[test]
    fn what_excludes_itself_has_no_plan() {
        let conflict = |case| assert!(plan(&members(case)).is_err(), "{case:?}");
        conflict(&[("m/a", "m/c"), ("m/b", "m/c")]);
        conflict(&[("m/a", "m/c"), ("m/b", "m/c/1")]);
        conflict(&[("m/a", "m/b"), ("m/b", "m/b")]);
        conflict(&[("m/a", "m/b"), ("m/b/1", "m/b/1")]);
        conflict(&[("m/a", "m/b/1"), ("m/b", "m/b")]);
        conflict(&[("m/a", "m/b"), ("m/a", "m/a")]);
        conflict(&[("m/a", "n/a")]);
        conflict(&[("m", "m/a")]);
        let unmoved = plan_renames(&path("m"), &[rename("m/a", "m/a")], []);
        assert_eq!(unmoved.unwrap(), []);
    }

    #[test]
    fn a_long_chain_and_a_large_circle_cost_one_rename_more() {
        let name = |number: usize| format!("m/cur/{number}");
        let count = 10_000;
        let mut moves: Vec<Rename> = (0..count)
            .map(|number| rename(&name(number), &name(number + 1)))
            .collect();
        moves.extend((0..count).map(|number| {
            let to = format!("m/new/{}", (number + 1) % count);
            rename(&format!("m/new/{number}"), &to)
        }));
        let plan = plan_renames(&path("m"), &moves, []).unwrap();
        assert_eq!(plan.len(), moves.len() + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn stock_tar_comes_from_any_names_to_any_others(members in some_members()) {
            check(&members);
        }
    }
}
