//! What earlier sets in the store already hold, so that the store can copy it by itself.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use jiff::civil::Date;
use mail_common::checksum::Sha256;
use mail_common::pool;
use mail_common::set::SetKind;

use super::recipients::is_for;
use crate::remote::{Contents, Error, RemoteSet, SetName, list, names};
use crate::store::{Listed, ObjectStore};

/// Objects by the digest of the file in the set, with the digest of what is stored.
pub(super) type Sources = HashMap<Sha256, Source>;

/// An object that holds what is needed.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) object: Listed,
    pub(super) stored: Sha256,
    /// Whether that is what the push which closed its set has confirmed; else the store has to be
    /// asked.
    pub(super) is_confirmed: bool,
}

/// Of how many parts of what it links a daily set reads one, so that all of it is read within as
/// many days. The number is no multiple of seven: whoever saves on some days of the week alone reads
/// all of it, too.
const PARTS_TO_READ: i64 = 8;

/// Where the `needed` digests are in the store: in `target` as it is, else in the newest sets that
/// have them. Only sets that a push has closed count, and only what is encrypted to the same
/// `recipients`.
pub(super) fn find(
    store: &dyn ObjectStore,
    jobs: NonZeroUsize,
    target: &RemoteSet,
    needed: &HashSet<Sha256>,
    recipients: Option<&str>,
) -> Result<Sources, Error> {
    let mut sources = Sources::new();
    add(&mut sources, target, needed, recipients);
    let mut others: Vec<SetName> = names(store)?;
    others.retain(|name| *name != target.name && may_share(store, *name, target.name));
    // The newest has nearly everything, as a rule; then the rest is asked at once.
    let (newest, older) = others.split_at(others.len().min(1));
    for group in [newest, older] {
        if sources.len() == needed.len() {
            break;
        }
        let still_needed: HashSet<Sha256> = needed
            .iter()
            .filter(|sha256| !sources.contains_key(*sha256))
            .copied()
            .collect();
        let found = pool::for_each(
            jobs,
            group,
            || (),
            |(), name| read(store, *name, &still_needed, recipients),
        )?;
        for set in found.iter().flatten() {
            add(&mut sources, set, needed, recipients);
        }
    }
    if store.copies_share_storage() {
        for source in sources.values_mut() {
            source.is_confirmed &= !is_to_be_read(&source.stored, target.name);
        }
    }
    Ok(sources)
}

/// Where a copy is a second name of one file, weekly sets are the second copy of all that the others
/// hold, and share with each other alone.
fn may_share(store: &dyn ObjectStore, one: SetName, other: SetName) -> bool {
    let is_weekly = |name: SetName| name.id().kind() == SetKind::Weekly;
    !store.copies_share_storage() || is_weekly(one) == is_weekly(other)
}

/// Whether a file is read before a set gets it under a second name: damage that times and sizes do
/// not show would be in that set, too. For a weekly set everything is read, for another one a part
/// of it by turns.
fn is_to_be_read(stored: &Sha256, name: SetName) -> bool {
    let id = name.id();
    let day = i64::from(
        id.date()
            .since(Date::ZERO)
            .map_or(0, |span| span.get_days()),
    );
    let part = i64::from(stored.as_bytes()[0]);
    id.kind() == SetKind::Weekly || (day - part).rem_euclid(PARTS_TO_READ) == 0
}

/// A set that has some of what is needed. One whose checksums are damaged is of no use, and no
/// obstacle.
fn read(
    store: &dyn ObjectStore,
    name: SetName,
    needed: &HashSet<Sha256>,
    recipients: Option<&str>,
) -> Result<Option<RemoteSet>, Error> {
    let contents = match Contents::read(store, name) {
        Err(error) if error.is_damage() => None,
        contents => contents?,
    };
    let is_useful = |contents: &Contents| {
        is_for(contents, recipients)
            && contents
                .entries
                .iter()
                .any(|entry| needed.contains(&entry.plain))
    };
    match contents.filter(is_useful) {
        Some(contents) => Ok(Some(RemoteSet::new(
            name,
            list(store, name)?,
            Some(contents),
            None,
        ))),
        None => Ok(None),
    }
}

fn add(sources: &mut Sources, set: &RemoteSet, needed: &HashSet<Sha256>, recipients: Option<&str>) {
    let Some(contents) = &set.contents else {
        return;
    };
    if !contents.is_confirmed || !is_for(contents, recipients) {
        return;
    }
    for entry in &contents.entries {
        if needed.contains(&entry.plain)
            && recipients.is_some() == entry.is_encrypted()
            && let Some(object) = set.object(entry)
        {
            let is_confirmed = set.confirmed(entry).is_some();
            let source = || Source {
                object: object.clone(),
                stored: entry.stored,
                is_confirmed,
            };
            sources.entry(entry.plain).or_insert_with(source);
        }
    }
}
