//! Every set below a prefix: what is there, and how much of it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use mail_common::checksum::Sha256;
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
    /// Of these, what no other set uses.
    pub(crate) own_bytes: u64,
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

/// All sets below a prefix.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) sets: Vec<Surveyed>,
    /// What they use, each object once.
    pub(crate) bytes: u64,
}

/// Who uses the objects of the pool.
#[derive(Debug, Default)]
struct Users(HashMap<Sha256, User>);

/// The first set that was met, and whether others use the object too.
#[derive(Clone, Copy, Debug)]
struct User {
    set: SetName,
    is_alone: bool,
    bytes: u64,
}

impl Users {
    fn add(&mut self, set: &RemoteSet) {
        for (sha256, object) in set.pooled() {
            let user = self.0.entry(sha256).or_insert(User {
                set: set.name,
                is_alone: true,
                bytes: object.bytes,
            });
            user.is_alone &= user.set == set.name;
        }
    }

    fn bytes(&self) -> u64 {
        self.0.values().map(|user| user.bytes).sum()
    }

    /// What each set uses alone.
    fn alone(&self) -> HashMap<SetName, u64> {
        let mut alone = HashMap::new();
        for user in self.0.values().filter(|user| user.is_alone) {
            *alone.entry(user.set).or_default() += user.bytes;
        }
        alone
    }
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
    // A store that lists in no order may name one on each of two pages.
    names.sort_unstable();
    names.dedup();
    names.sort_by_key(|name| {
        std::cmp::Reverse((name.id().start(), name.id(), !name.is_incomplete()))
    });
    Ok(names)
}

/// All sets, by name. Each costs a listing of its objects and a reading of its checksums.
pub(crate) fn survey(store: &dyn ObjectStore, jobs: NonZeroUsize) -> Result<Survey, Error> {
    let mut names = names(store)?;
    names.sort();
    let (of_all, users) = (Pool::new(store), Mutex::new(Users::default()));
    let look = |(): &mut (), name: &SetName| {
        let set = RemoteSet::read(&of_all, *name)?;
        users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(&set);
        Ok::<_, Error>(Surveyed::from(set))
    };
    let mut sets = pool::for_each(jobs, &names, || (), look)?;
    let users = users.into_inner().unwrap_or_else(PoisonError::into_inner);
    let alone = users.alone();
    let mut bytes = users.bytes();
    for set in &mut sets {
        bytes += set.own_bytes;
        set.own_bytes += alone.get(&set.name).copied().unwrap_or_default();
    }
    Ok(Survey { sets, bytes })
}

impl From<RemoteSet> for Surveyed {
    fn from(set: RemoteSet) -> Self {
        let contents = set.contents.as_ref();
        Self {
            name: set.name,
            objects: set.objects().count() as u64,
            bytes: set.objects().map(|object| object.bytes).sum(),
            own_bytes: set.listed.values().map(|object| object.bytes).sum(),
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
