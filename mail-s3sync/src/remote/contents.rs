//! What a set in a store says of itself.

use jiff::Timestamp;
use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::set::{CHECKSUMS, MANIFEST};

use super::entries::{self, Encrypted, Entry};
use super::error::Error;
use super::name::SetName;
use super::small::{Small, read_small};
use crate::layout::{Layout, RESTORE};
use crate::store::{Marks, ObjectStore};

/// The manifest of an encrypted set as the set has it, encrypted; beside it is one that can be
/// read.
const OWN_MANIFEST: &str = "manifest.jsonl.age";

/// What a set says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// The checksums as they are stored.
    pub(crate) checksums: Vec<u8>,
    /// Their digest.
    pub(crate) sha256: Sha256,
    /// Where these files lie.
    pub(crate) layout: Layout,
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
        let is_own_manifest = |entry: &Entry| entry.path.as_bytes() == OWN_MANIFEST.as_bytes();
        let encrypted = if entries.iter().any(is_own_manifest) {
            Some(read_encrypted(store, name, &mut entries)?)
        } else {
            None
        };
        Ok(Some(Self {
            checksums: content,
            sha256,
            layout: layout(store, name, &found.marks)?,
            entries,
            encrypted,
            is_confirmed: !store.keeps_marks() || found.marks.sha256.is_some(),
            locked_until: found.marks.locked_until,
            checksums_locked_until: found.locked_until(),
            seal: found.marks.seal,
        }))
    }

    /// The key of a file of the set, which is called `name`.
    pub(crate) fn key(&self, name: SetName, entry: &Entry) -> String {
        self.layout.key(name, &entry.path, entry.stored)
    }

    /// The file called `name`, as it is stored.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.path.as_bytes() == name.as_bytes())
    }
}

/// Where the files of a set lie: as the push that closed it has noted. Copies that other programs
/// have made of the store may have lost the note: then the file that a push to the pool puts beside
/// the checksums tells.
fn layout(store: &dyn ObjectStore, name: SetName, marks: &Marks) -> Result<Layout, Error> {
    if marks.sha256.is_some() {
        return Ok(marks.layout.unwrap_or_default());
    }
    Ok(match store.look(&format!("{name}/{RESTORE}"))? {
        Some(_) => Layout::Pool,
        None => Layout::Plain,
    })
}

fn read_encrypted(
    store: &dyn ObjectStore,
    name: SetName,
    entries: &mut [Entry],
) -> Result<Encrypted, Error> {
    let key = format!("{name}/{MANIFEST}");
    let failed = |reason| Error::Encrypted {
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
