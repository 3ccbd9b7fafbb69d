//! Every set below a prefix: what is there, and how much of it.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use mail_common::pool;
use mail_common::set::SetKind;

use super::error::Error;
use super::name::SetName;
use super::pool::Pool;
use super::set::RemoteSet;
use crate::store::{ObjectStore, StoreError};

/// What is known of a set without its files.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) name: SetName,
    /// What it uses; others may use it too.
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// When the newest object below its name was stored.
    pub(crate) modified: Timestamp,
    /// Whether it can be restored as a whole.
    pub(crate) is_complete: bool,
    /// Files that its checksums list and that are not there.
    pub(crate) missing: u64,
    pub(crate) is_encrypted: bool,
    /// Until when the store refuses to delete its checksums.
    pub(crate) locked_until: Option<Timestamp>,
    /// Its checksums cannot be used.
    pub(crate) damage: Option<Error>,
}

/// The names of the sets in the store, the newest first; complete or not.
pub(crate) fn names(store: &dyn ObjectStore) -> Result<Vec<SetName>, StoreError> {
    let mut names: Vec<SetName> = Vec::new();
    for kind in SetKind::ALL {
        let found = store.directories(&format!("{kind}/"))?;
        let named = found
            .iter()
            .map(|name| format!("{kind}/{name}").parse::<SetName>());
        names.extend(named.filter_map(Result::ok));
    }
    names.sort_by_key(|name| {
        std::cmp::Reverse((name.id().start(), name.id(), !name.is_incomplete()))
    });
    Ok(names)
}

/// All sets, by name. Each costs a listing of its objects and a reading of its checksums.
pub(crate) fn survey(store: &dyn ObjectStore, jobs: NonZeroUsize) -> Result<Vec<Surveyed>, Error> {
    let mut names = names(store)?;
    names.sort();
    let of_all = Pool::new(store);
    pool::for_each(
        jobs,
        &names,
        || (),
        |(), name| RemoteSet::read(&of_all, *name).map(Surveyed::from),
    )
}

impl From<RemoteSet> for Surveyed {
    fn from(set: RemoteSet) -> Self {
        let contents = set.contents.as_ref();
        Self {
            name: set.name,
            objects: set.objects().count() as u64,
            bytes: set.objects().map(|object| object.bytes).sum(),
            modified: set
                .listed
                .values()
                .map(|object| object.modified)
                .max()
                .unwrap_or(Timestamp::MIN),
            is_complete: set.is_complete(),
            missing: set.missing() as u64,
            is_encrypted: contents.is_some_and(|contents| contents.encrypted.is_some()),
            locked_until: contents.and_then(|contents| contents.checksums_locked_until),
            damage: set.damage,
        }
    }
}
