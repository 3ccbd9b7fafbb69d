//! Every set below a prefix: what is there, and how much of it.

use std::collections::BTreeMap;
use std::collections::HashSet;

use jiff::Timestamp;
use mail_common::set::{CHECKSUMS, SetKind};

use super::{AsText, Contents, Error, SetName};
use crate::parallel::each_in_parallel;
use crate::store::{ObjectStore, StoreError};

/// What is known of a set without its content.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) name: SetName,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// When its newest object was stored.
    pub(crate) modified: Timestamp,
    pub(crate) contents: Option<Contents>,
    /// Files that its checksums list and that are not there.
    pub(crate) missing: u64,
    /// Its checksums cannot be read.
    pub(crate) damage: Option<Error>,
}

impl Surveyed {
    /// Whether it can be restored as a whole.
    pub(crate) fn is_complete(&self) -> bool {
        !self.name.is_incomplete() && self.contents.is_some() && self.missing == 0
    }
}

/// The names of the sets in the store, the newest first; complete or not.
pub(crate) fn names(store: &dyn ObjectStore) -> Result<Vec<SetName>, StoreError> {
    let mut names: Vec<SetName> = Vec::new();
    for kind in SetKind::ALL {
        let found = store.directories(&format!("{kind}/"))?;
        names.extend(found.iter().filter_map(|name| format!("{kind}/{name}").parse::<SetName>().ok()));
    }
    names.sort_by_key(|name| std::cmp::Reverse((name.id().date(), name.id(), !name.is_incomplete())));
    Ok(names)
}

/// All sets, by name. Each costs a listing of its objects and a reading of its checksums.
pub(crate) fn survey(store: &dyn ObjectStore, jobs: usize) -> Result<Vec<Surveyed>, Error> {
    let names: Vec<SetName> = names(store)?;
    let surveyed = each_in_parallel(jobs, &names, |name| survey_one(store, *name));
    let surveyed: Result<BTreeMap<SetName, Surveyed>, Error> =
        surveyed.into_iter().map(|set| set.map(|set| (set.name, set))).collect();
    Ok(surveyed?.into_values().collect())
}

fn survey_one(store: &dyn ObjectStore, name: SetName) -> Result<Surveyed, Error> {
    let prefix = name.prefix();
    let mut set =
        Surveyed { name, objects: 0, bytes: 0, modified: Timestamp::MIN, contents: None, missing: 0, damage: None };
    let mut there = HashSet::new();
    store.list(&prefix, &mut |object| {
        set.objects += 1;
        set.bytes += object.bytes;
        set.modified = set.modified.max(object.modified);
        there.extend(object.key.strip_prefix(&prefix).map(str::to_owned));
    })?;
    if !there.contains(CHECKSUMS) {
        return Ok(set);
    }
    match Contents::read(store, name) {
        Ok(contents) => set.contents = contents,
        Err(Error::Store(error)) => return Err(error.into()),
        Err(error) => set.damage = Some(error),
    }
    let listed = set.contents.iter().flat_map(|contents| &contents.entries);
    let is_missing = |path: Option<&str>| path.is_none_or(|path| !there.contains(path));
    set.missing = listed.filter(|entry| is_missing(entry.path.as_text())).count() as u64;
    Ok(set)
}
