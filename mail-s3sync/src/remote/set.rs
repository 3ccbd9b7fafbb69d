//! A set in a store: its objects, and what it says of itself.

use std::collections::HashMap;

use mail_common::set::CHECKSUMS;

use super::contents::Contents;
use super::entries::{AsText, Entry};
use super::error::Error;
use super::name::SetName;
use super::seal::Seal;
use crate::store::{Listed, ObjectStore, StoreError};

/// A set in a store.
#[derive(Debug)]
pub(crate) struct RemoteSet {
    pub(crate) name: SetName,
    /// Its objects, by path in the set.
    pub(crate) listed: HashMap<String, Listed>,
    /// What it says of itself; `None` while it is being pushed, and when that is damaged.
    pub(crate) contents: Option<Contents>,
    /// Why what it says of itself cannot be used.
    pub(crate) damage: Option<Error>,
    seal: Seal,
}

impl RemoteSet {
    /// What is in the store under `name`: one listing, and the checksums where there are any.
    pub(crate) fn read(store: &dyn ObjectStore, name: SetName) -> Result<Self, Error> {
        let listed = list(store, name)?;
        let (contents, damage) = match listed
            .contains_key(CHECKSUMS)
            .then(|| Contents::read(store, name))
        {
            None => (None, None),
            Some(Err(error)) if error.is_damage() => (None, Some(error)),
            Some(contents) => (contents?, None),
        };
        Ok(Self::new(name, listed, contents, damage))
    }

    /// What was read of a set.
    pub(crate) fn new(
        name: SetName,
        listed: HashMap<String, Listed>,
        contents: Option<Contents>,
        damage: Option<Error>,
    ) -> Self {
        let entries = contents.iter().flat_map(|contents| &contents.entries);
        let paths = entries.map(|entry| entry.path.as_text().unwrap_or_default());
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
            seal,
        }
    }

    /// The object of an entry, when it is the one that the push which closed the set has confirmed.
    pub(crate) fn confirmed(&self, entry: &Entry) -> Option<&Listed> {
        let closed = self.listed.get(CHECKSUMS)?.modified;
        let listed = self.object(entry)?;
        let is_old = match self.seal {
            Seal::Absent => listed.modified <= closed,
            Seal::Whole => true,
            Seal::Broken => false,
        };
        (self.contents.as_ref()?.is_confirmed && is_old).then_some(listed)
    }

    /// What has the name of an entry, whatever it is.
    pub(crate) fn object(&self, entry: &Entry) -> Option<&Listed> {
        self.listed.get(entry.path.as_text()?)
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

/// The objects of a set, by path in the set.
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
