//! A set in a store: its objects, and what it says of itself.

use std::collections::HashMap;
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::set::CHECKSUMS;

use super::contents::Contents;
use super::entries::{AsText, Entry};
use super::error::Error;
use super::name::SetName;
use super::pool::{Pool, PoolListing};
use super::seal::Seal;
use crate::layout::Layout;
use crate::store::{Listed, ObjectStore, StoreError};

/// A set in a store.
#[derive(Debug)]
pub(crate) struct RemoteSet {
    pub(crate) name: SetName,
    /// The objects below its name, by path in the set.
    pub(crate) listed: HashMap<String, Listed>,
    /// What it says of itself; `None` while it is being pushed, and when that is damaged.
    pub(crate) contents: Option<Contents>,
    /// Why what it says of itself cannot be used.
    pub(crate) damage: Option<Error>,
    /// Where its other files lie, if it has any there.
    pool: Option<Arc<PoolListing>>,
    seal: Seal,
}

impl RemoteSet {
    /// What is in the store under `name`: one listing, and the checksums where there are any; of a
    /// set in the pool also that is listed, once for all sets.
    pub(crate) fn read(pool: &Pool<'_>, name: SetName) -> Result<Self, Error> {
        let store = pool.store;
        let listed = list(store, name)?;
        let (contents, damage) = match listed
            .contains_key(CHECKSUMS)
            .then(|| Contents::read(store, name))
        {
            None => (None, None),
            Some(Err(error)) if error.is_damage() => (None, Some(error)),
            Some(contents) => (contents?, None),
        };
        let is_pooled = contents
            .as_ref()
            .is_some_and(|contents: &Contents| contents.layout == Layout::Pool);
        let mut set = Self::new(name, listed, contents, damage);
        if is_pooled {
            set.pool = Some(pool.listing()?);
        }
        Ok(set)
    }

    /// What was read of a set.
    pub(crate) fn new(
        name: SetName,
        listed: HashMap<String, Listed>,
        contents: Option<Contents>,
        damage: Option<Error>,
    ) -> Self {
        let layout = contents.as_ref().map(|contents| contents.layout);
        let entries = contents.iter().flat_map(|contents| &contents.entries);
        let own =
            entries.filter(|entry| layout.is_some_and(|layout| !layout.is_pooled(&entry.path)));
        let paths = own.map(|entry| entry.path.as_text().unwrap_or_default());
        let etags = paths.map(|path| {
            (
                path,
                listed.get(path).and_then(|listed| listed.etag.as_deref()),
            )
        });
        let seal = Seal::of(contents.as_ref().and_then(|contents| contents.seal), etags);
        Self {
            name,
            listed,
            contents,
            damage,
            pool: None,
            seal,
        }
    }

    /// The object of an entry below the set's name, when it is the one that the push which closed
    /// the set has confirmed. Of the pool a set does not know that: the ledger does.
    pub(crate) fn confirmed(&self, entry: &Entry) -> Option<&Listed> {
        let closed = self.listed.get(CHECKSUMS)?.modified;
        let listed = self.listed.get(entry.path.as_text()?)?;
        let is_old = match self.seal {
            Seal::Absent => listed.modified <= closed,
            Seal::Whole => true,
            Seal::Broken => false,
        };
        (self.contents.as_ref()?.is_confirmed && is_old).then_some(listed)
    }

    /// What lies where an entry should, whatever it is.
    pub(crate) fn object(&self, entry: &Entry) -> Option<&Listed> {
        if self.is_pooled(entry) {
            return self.pool.as_ref()?.objects.get(&entry.stored);
        }
        self.listed.get(entry.path.as_text()?)
    }

    /// What it uses: the objects below its name, and each of the pool once.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Listed> {
        self.listed.values().chain(self.pooled().into_values())
    }

    /// What it uses of the pool.
    pub(super) fn pooled(&self) -> HashMap<Sha256, &Listed> {
        let entries = self.contents.iter().flat_map(|contents| &contents.entries);
        let pooled = entries.filter(|entry| self.is_pooled(entry));
        pooled
            .filter_map(|entry| Some((entry.stored, self.object(entry)?)))
            .collect()
    }

    /// The digests of what it uses of the pool, whether it is there or not.
    pub(crate) fn uses(&self) -> impl Iterator<Item = Sha256> {
        let entries = self.contents.iter().flat_map(|contents| &contents.entries);
        let pooled = entries.filter(|entry| self.is_pooled(entry));
        pooled.map(|entry| entry.stored)
    }

    fn is_pooled(&self, entry: &Entry) -> bool {
        let contents = self.contents.as_ref();
        contents.is_some_and(|contents| contents.layout.is_pooled(&entry.path))
    }

    /// How many files the checksums list that are not there.
    pub(crate) fn missing(&self) -> usize {
        let entries = self.contents.iter().flat_map(|contents| &contents.entries);
        entries.filter(|entry| self.object(entry).is_none()).count()
    }

    /// Whether it can be restored as a whole.
    pub(crate) fn is_complete(&self) -> bool {
        !self.name.is_incomplete() && self.contents.is_some() && self.missing() == 0
    }
}

/// The objects below the name of a set, by path in the set.
pub(crate) fn list(
    store: &dyn ObjectStore,
    name: SetName,
) -> Result<HashMap<String, Listed>, StoreError> {
    let prefix = name.prefix();
    let mut listed = HashMap::new();
    store.list(&prefix, &mut |object| {
        if let Some(path) = object.key.strip_prefix(&prefix) {
            listed.insert(path.to_owned(), object);
        }
    })?;
    Ok(listed)
}
