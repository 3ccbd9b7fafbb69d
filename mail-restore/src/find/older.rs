//! Where older sets have what cannot be read in a newer one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use mail_common::beneath::Beneath;
use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;
use mail_common::tool::human_count;

use super::conditions::Conditions;
use super::found::{Message, Unread};
use super::mailbox::{self, InSets};
use super::sets::SearchedSet;
use super::share::{Key, Share};
use crate::messages::{Work, mailbox_of, units};

/// The next older copy of each of `unread`, which the set of this number cannot give, by its path
/// in that set. A set whose file is the same one, by a hard link, has no other copy.
pub(crate) fn older_copies(
    sets: &[SearchedSet],
    set: usize,
    unread: &[Unread],
    work: &Work<'_>,
) -> Result<BTreeMap<RelPath, Message>, Interrupted> {
    let mut by_file: BTreeMap<Option<&RelPath>, BTreeMap<&RelPath, Sha256>> = BTreeMap::new();
    for one in unread {
        let of_file = by_file.entry(one.file.as_ref()).or_default();
        of_file.insert(&one.path, one.sha256);
    }
    let mut copies = BTreeMap::new();
    for (file, wanted) in by_file {
        let known = file.and_then(|file| id_of(&sets[set], file));
        let has_other = |older: &SearchedSet| {
            known.is_none() || file.and_then(|file| id_of(older, file)) != known
        };
        let numbered = sets.iter().enumerate().skip(set + 1);
        let others: Vec<usize> = numbered
            .filter(|(_, older)| has_other(older))
            .map(|(number, _)| number)
            .collect();
        copies.append(&mut copies_in(sets, &others, &wanted, work)?);
    }
    Ok(copies)
}

/// Device and inode of a file of a set; `None` where it is not there.
fn id_of(set: &SearchedSet, file: &RelPath) -> Option<(u64, u64)> {
    let set = Beneath::open(set.directory()).ok()?;
    let metadata = set.regular_file(file).ok()?.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Of each of `wanted` the copy that the first of these sets has. What is wrong with a set, the
/// search has named.
fn copies_in(
    sets: &[SearchedSet],
    numbers: &[usize],
    wanted: &BTreeMap<&RelPath, Sha256>,
    work: &Work<'_>,
) -> Result<BTreeMap<RelPath, Message>, Interrupted> {
    let mut mailboxes: BTreeMap<Arc<RelPath>, InSets<'_>> = BTreeMap::new();
    for number in numbers {
        for unit in units(&sets[*number].inventory).unwrap_or_default() {
            let path = Arc::new(unit.path.clone());
            mailboxes.entry(path).or_default().push((*number, unit));
        }
    }
    let mut copies: BTreeMap<RelPath, Message> = BTreeMap::new();
    for (unit, in_sets) in &mailboxes {
        let of_unit = wanted.iter().filter(|(path, _)| path.is_within(unit));
        let paths: HashMap<Key, &RelPath> = of_unit
            .map(|(path, sha256)| (Key::of(unit, &mailbox_of(unit, path), *sha256), *path))
            .collect();
        if paths.is_empty() {
            continue;
        }
        let lot = paths.keys().map(|key| (*key, 0)).collect();
        let share = Share::Lot(&lot, 0);
        let all = Conditions::default();
        let searched = mailbox::search(sets, &all, work, share, (unit, in_sets))?;
        for message in searched.messages {
            let key = Key::of(unit, &message.mailbox, message.sha256);
            let Some(path) = paths.get(&key) else {
                continue;
            };
            let is_nearer = |known: &Message| message.newest_set() < known.newest_set();
            if copies.get(*path).is_none_or(is_nearer) {
                copies.insert(RelPath::clone(path), message);
            }
        }
    }
    Ok(copies)
}

/// Messages that are taken from an older set than the newest that has them: from which to which.
#[derive(Debug, Default)]
pub(crate) struct Turned(BTreeMap<(usize, usize), BTreeSet<RelPath>>);

impl Turned {
    /// Notes that the message at `path` of the set `from` is taken from `to`.
    pub(crate) fn note(&mut self, from: usize, to: usize, path: RelPath) {
        self.0.entry((from, to)).or_default().insert(path);
    }

    /// A sentence for each pair of sets.
    pub(crate) fn sentences(&self, sets: &[SearchedSet]) -> Vec<String> {
        let sentence = |((from, to), paths): (&(usize, usize), &BTreeSet<RelPath>)| {
            let count = human_count(paths.len() as u64, "message", "messages");
            let what = match paths.first() {
                Some(path) if paths.len() == 1 => path.to_string(),
                _ => count,
            };
            format!(
                "{what} cannot be read in {}; the copy in {} is used",
                sets[*from].name, sets[*to].name
            )
        };
        self.0.iter().map(sentence).collect()
    }
}
