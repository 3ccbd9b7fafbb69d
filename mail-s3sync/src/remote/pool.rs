//! The pool as the store lists it: once a run, and only where a set lies in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use mail_common::checksum::Sha256;

use crate::layout::POOL;
use crate::store::{Listed, ObjectStore, StoreError};

/// What is listed in the pool.
#[derive(Debug, Default)]
pub(crate) struct PoolListing {
    /// What is named for its digest.
    pub(crate) objects: HashMap<Sha256, Listed>,
    /// What is not, by its name in the pool: notes of pushes, and what others have put there.
    pub(crate) others: HashMap<String, Listed>,
}

/// A store whose pool is listed when it is asked for, and then remembered.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    listing: Mutex<Option<Arc<PoolListing>>>,
}

/// Says that a `prune` is at work. What it removes is old, so a push may write again what is about
/// to go: it looks for this before it closes a set of such objects.
pub(crate) const PRUNE_MARK: &str = "prune-under-way";
/// A mark that is older was left by a prune that was killed, and an empty one by one that ended
/// where nothing can be deleted.
const PRUNE_LASTS: SignedDuration = SignedDuration::from_hours(24);

impl<'a> Pool<'a> {
    pub(crate) fn new(store: &'a dyn ObjectStore) -> Self {
        Self {
            store,
            listing: Mutex::default(),
        }
    }

    /// What is in the pool. A listing that fails is an error each time: it is never an empty pool.
    pub(crate) fn listing(&self) -> Result<Arc<PoolListing>, StoreError> {
        // Threads that ask at the same time wait for the one listing.
        let mut listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = &*listing {
            return Ok(Arc::clone(listing));
        }
        let listed = Arc::new(PoolListing::of(self.store)?);
        *listing = Some(Arc::clone(&listed));
        Ok(listed)
    }
}

impl PoolListing {
    /// Lists the pool.
    pub(crate) fn of(store: &dyn ObjectStore) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        store.list(POOL, &mut |object| {
            let Some(name) = object.key.strip_prefix(POOL) else {
                return;
            };
            match digest(name) {
                Some(sha256) => {
                    listing.objects.insert(sha256, object);
                }
                None => {
                    listing.others.insert(name.to_owned(), object);
                }
            }
        })?;
        Ok(listing)
    }

    /// Since when a prune is at work.
    pub(crate) fn pruned_since(&self, now: Timestamp) -> Option<Timestamp> {
        since(self.others.get(PRUNE_MARK)?, now)
    }

    /// When the newest object was written, by the clock of the store.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        let all = self.objects.values().chain(self.others.values());
        all.map(|object| object.modified).max()
    }
}

/// Since when the prune is at work that has put this mark; `None` when it has ended.
pub(crate) fn since(mark: &Listed, now: Timestamp) -> Option<Timestamp> {
    let is_fresh = now.duration_since(mark.modified) < PRUNE_LASTS;
    (mark.bytes > 0 && is_fresh).then_some(mark.modified)
}

/// The digest that an object is named for. `ABCD...` is not the object `abcd...`.
fn digest(name: &str) -> Option<Sha256> {
    let sha256: Sha256 = name.parse().ok()?;
    (sha256.to_string() == name).then_some(sha256)
}
