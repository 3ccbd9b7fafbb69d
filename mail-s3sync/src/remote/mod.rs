//! Sets as a store holds them.
//!
//! The keys are those that `aws s3 sync` would give: the name of the set and the path in it. A set is there once its
//! checksums are, which come last; and it is complete while every file that they list is there.

mod entries; // what the checksums of a set list, and the digests before encryption
mod name; // daily/2026-11-23, daily/2026-11-23.incomplete
mod survey; // every set below a prefix

pub(crate) use entries::{AGE, Encrypted, Entry, path_of, plain_path};
pub(crate) use name::SetName;
pub(crate) use survey::{Surveyed, names, survey};

use std::collections::HashMap;
use std::io::Read;

use jiff::Timestamp;
use mail_common::checksum::{self, ChecksumFile, Sha256};
use mail_common::relpath::RelPath;
use mail_common::set::{CHECKSUMS, MANIFEST};

use crate::store::{Download, Listed, ObjectStore, StoreError};

/// More is no list of digests: 10 million files of a set of the old scripts have less.
const LIST_MAX_BYTES: u64 = 1 << 30;

/// A set in a store.
#[derive(Debug)]
pub(crate) struct RemoteSet {
    pub(crate) name: SetName,
    /// Its objects, by path in the set.
    pub(crate) listed: HashMap<String, Listed>,
    /// What it says of itself; `None` while it is being pushed.
    pub(crate) contents: Option<Contents>,
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
}

/// What a store holds is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("read {url}")]
    Read { url: String, source: std::io::Error },
    #[error("read {url}: it is not what it should be; push the set again")]
    Checksums { url: String, source: checksum::ParseError },
    #[error("{url} is not what {CHECKSUMS} says; push the set again")]
    Digest { url: String },
    #[error("read {url}: {reason}; push the set again")]
    Manifest { url: String, reason: String },
}

impl Error {
    /// Whether what is stored is wrong, and not the way to it.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Store(_) | Self::Read { .. } => false,
            Self::Checksums { .. } | Self::Digest { .. } | Self::Manifest { .. } => true,
        }
    }
}

impl RemoteSet {
    /// What is in the store under `name`: one listing, and the checksums where there are any.
    pub(crate) fn read(store: &dyn ObjectStore, name: SetName) -> Result<Self, Error> {
        let listed = list(store, name)?;
        let contents = match listed.contains_key(CHECKSUMS) {
            true => Contents::read(store, name)?,
            false => None,
        };
        Ok(Self { name, listed, contents })
    }

    /// The object of an entry, when the push that closed the set has confirmed it and it was not written since.
    pub(crate) fn confirmed(&self, entry: &Entry) -> Option<&Listed> {
        let closed = self.listed.get(CHECKSUMS)?.modified;
        let listed = self.listed.get(entry.path.as_text()?)?;
        let is_confirmed = self.contents.as_ref().is_some_and(|contents| contents.is_confirmed);
        (is_confirmed && listed.modified <= closed).then_some(listed)
    }

    /// The files that the checksums list and that are not there.
    pub(crate) fn missing(&self) -> Vec<&RelPath> {
        let entries = self.contents.iter().flat_map(|contents| &contents.entries).map(|entry| &entry.path);
        entries.filter(|path| path.as_text().is_none_or(|path| !self.listed.contains_key(path))).collect()
    }

    /// Whether it can be restored as a whole.
    pub(crate) fn is_complete(&self) -> bool {
        !self.name.is_incomplete() && self.contents.is_some() && self.missing().is_empty()
    }
}

impl Contents {
    /// Reads the checksums of a set, and of an encrypted one the manifest; `None` when there are none, or a push is
    /// under way.
    pub(crate) fn read(store: &dyn ObjectStore, name: SetName) -> Result<Option<Self>, Error> {
        let key = format!("{name}/{CHECKSUMS}");
        let Some(download) = store.get(&key, 0)? else { return Ok(None) };
        let found = download.found.clone();
        let checksums = read_whole(&key, download)?;
        let sha256 = Sha256::of(&checksums);
        let parsed = ChecksumFile::parse(&checksums).map_err(|source| Error::Checksums { url: key, source })?;
        if parsed.entries().is_empty() {
            return Ok(None);
        }
        let mut entries: Vec<Entry> = parsed.entries().iter().map(Entry::plain).collect();
        let encrypted = match entries.iter().any(|entry| entry.path.as_bytes() == OWN_MANIFEST.as_bytes()) {
            true => Some(read_encrypted(store, name, &mut entries)?),
            false => None,
        };
        Ok(Some(Self {
            checksums,
            sha256,
            entries,
            encrypted,
            is_confirmed: !store.keeps_marks() || found.marks.sha256 == Some(sha256),
            locked_until: found.marks.locked_until,
            checksums_locked_until: found.locked_until,
        }))
    }
}

/// The manifest of an encrypted set as the set has it, encrypted; beside it is one that can be read.
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
pub(crate) fn list(store: &dyn ObjectStore, name: SetName) -> Result<HashMap<String, Listed>, StoreError> {
    let prefix = name.prefix();
    let mut listed = HashMap::new();
    store.list(&prefix, &mut |object| {
        if let Some(path) = object.key.strip_prefix(&prefix) {
            listed.insert(path.to_owned(), object);
        }
    })?;
    Ok(listed)
}

/// All of a small object.
pub(crate) fn read_whole(key: &str, download: Download) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { url: key.to_owned(), source };
    let mut content = Vec::new();
    download.reader.take(LIST_MAX_BYTES).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 != download.found.bytes {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(content)
}

fn read_encrypted(store: &dyn ObjectStore, name: SetName, entries: &mut [Entry]) -> Result<Encrypted, Error> {
    let key = format!("{name}/{MANIFEST}");
    let missing = || Error::Digest { url: key.clone() };
    let manifest = read_whole(&key, store.get(&key, 0)?.ok_or_else(missing)?)?;
    let expected = entries.iter().find(|entry| entry.path.as_bytes() == MANIFEST.as_bytes());
    if expected.is_none_or(|entry| entry.stored != Sha256::of(&manifest)) {
        return Err(missing());
    }
    entries::read_encrypted(&manifest, entries).map_err(|reason| Error::Manifest { url: key, reason })
}
