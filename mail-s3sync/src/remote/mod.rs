//! Sets as a store holds them.
//!
//! The keys are those that `aws s3 sync` would give: the name of the set and the path in it. A set
//! is there once its checksums are, which come last; and it is complete while every file that they
//! list is there.

mod entries; // what the checksums of a set list, and the digests before encryption
mod error; // what is stored is not what it should be
mod seal; // whether the objects are those that were confirmed
mod name; // daily/2026-11-23, daily/2026-11-23.incomplete
mod small; // checksums and manifests, read whole
mod survey; // every set below a prefix

pub(crate) use entries::{AGE, Encrypted, Entry, path_of};
pub(crate) use error::Error;
pub(crate) use name::SetName;
pub(crate) use seal::{Seal, seal};
pub(crate) use small::{Small, read_small};
pub(crate) use survey::{Surveyed, names, survey};

use std::collections::HashMap;

use jiff::Timestamp;
use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::relpath::RelPath;
use mail_common::set::{CHECKSUMS, MANIFEST};

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

/// What a set says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// The checksums as they are stored.
    pub(crate) checksums: Vec<u8>,
    /// Their digest.
    pub(crate) sha256: Sha256,
    /// The files that they list, in their order.
    pub(crate) entries: Vec<Entry>,
    /// To whom the set is encrypted.
    pub(crate) encrypted: Option<Encrypted>,
    /// Whether the push that wrote them had every file confirmed. Other programs confirm nothing.
    pub(crate) is_confirmed: bool,
    /// Until when the push has locked every object of the set.
    pub(crate) locked_until: Option<Timestamp>,
    /// Until when the store refuses to delete the checksums.
    pub(crate) checksums_locked_until: Option<Timestamp>,
    /// Which objects the push has confirmed.
    pub(crate) seal: Option<Sha256>,
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

impl Contents {
    /// Reads the checksums of a set, and of an encrypted one the manifest; `None` when there are
    /// none, or a push is under way.
    pub(crate) fn read(store: &dyn ObjectStore, name: SetName) -> Result<Option<Self>, Error> {
        let key = format!("{name}/{CHECKSUMS}");
        let Some(Small {
            found,
            content,
            sha256,
        }) = read_small(store, &key, None)?
        else {
            return Ok(None);
        };
        let parsed = ChecksumFile::parse(&content).map_err(|source| Error::Checksums {
            url: store.url(&key),
            source,
        })?;
        if parsed.entries().is_empty() {
            return Ok(None);
        }
        let mut entries: Vec<Entry> = parsed.entries().iter().map(Entry::plain).collect();
        let encrypted = match entries
            .iter()
            .any(|entry| entry.path.as_bytes() == OWN_MANIFEST.as_bytes())
        {
            true => Some(read_encrypted(store, name, &mut entries)?),
            false => None,
        };
        Ok(Some(Self {
            checksums: content,
            sha256,
            entries,
            encrypted,
            is_confirmed: !store.keeps_marks() || found.marks.sha256.is_some(),
            locked_until: found.marks.locked_until,
            checksums_locked_until: found.locked_until,
            seal: found.marks.seal,
        }))
    }

    /// The file called `name`, as it is stored.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.path.as_bytes() == name.as_bytes())
    }
}

/// The manifest of an encrypted set as the set has it, encrypted; beside it is one that can be
/// read.
const OWN_MANIFEST: &str = "manifest.jsonl.age";

/// The text of a path, where it is some.
pub(crate) trait AsText {
    /// `None` when it is not UTF-8.
    fn as_text(&self) -> Option<&str>;
}

impl AsText for RelPath {
    fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
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

fn read_encrypted(
    store: &dyn ObjectStore,
    name: SetName,
    entries: &mut [Entry],
) -> Result<Encrypted, Error> {
    let key = format!("{name}/{MANIFEST}");
    let failed = |reason| Error::Manifest {
        url: store.url(&key),
        reason,
    };
    let expected = entries
        .iter()
        .find(|entry| entry.path.as_bytes() == MANIFEST.as_bytes());
    let expected = expected
        .ok_or_else(|| failed("the checksums do not list it".to_owned()))?
        .stored;
    let missing = || Error::Missing {
        url: store.url(&key),
    };
    let manifest = read_small(store, &key, Some(expected))?.ok_or_else(missing)?;
    entries::read_encrypted(&manifest.content, entries).map_err(failed)
}
