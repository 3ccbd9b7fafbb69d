//! A set that is searched.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Inventory, Listing, ReadLock, SetId, saved_mailboxes};
use mail_common::signature::AllowedSigners;

use super::error::Error;
use crate::messages;

/// A set that is open: nobody replaces or removes it.
#[derive(Debug)]
pub(crate) struct SearchedSet {
    /// Relative to the root where it lies in one.
    pub(crate) name: String,
    /// The directory that holds the sets; `None` for a set elsewhere.
    pub(crate) root: Option<String>,
    pub(crate) inventory: Inventory,
    _reader: ReadLock,
    /// When it was made.
    made: Timestamp,
}

impl SearchedSet {
    /// Opens the set in the directory `path`, which may lie in `root`.
    ///
    /// # Errors
    /// When it cannot be read, or is not signed by one of `signers`.
    pub(crate) fn open(
        root: &Path,
        path: &Path,
        signers: Option<&AllowedSigners>,
    ) -> Result<Self, Error> {
        let reader = ReadLock::acquire(path).map_err(|source| Error::Unlocked {
            set: path.to_owned(),
            source: Box::new(source),
        })?;
        let inventory = Inventory::read(path).map_err(|source| Error::Unreadable {
            set: path.to_owned(),
            source: Box::new(source),
        })?;
        if let Some(signers) = signers {
            let _signer = signers
                .check(&inventory)
                .map_err(|source| Error::Signature {
                    set: path.to_owned(),
                    source: Box::new(source),
                })?;
        }
        let root = root.canonicalize().ok();
        let below = root
            .as_ref()
            .and_then(|root| path.strip_prefix(root).ok().map(Path::to_owned));
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(Self {
            name: text(below.as_deref().unwrap_or(path)),
            root: below.and(root.as_deref().map(text)),
            made: made(&inventory),
            inventory,
            _reader: reader,
        })
    }

    /// The newer of two sets is the greater.
    pub(crate) fn age_order(&self) -> (Timestamp, &str) {
        (self.made, &self.name)
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.inventory.set
    }

    /// The mailboxes of which no file says what is in their archives.
    pub(crate) fn lost_mailboxes(&self) -> impl Iterator<Item = RelPath> {
        let saved = saved_mailboxes(self.inventory.of_component(Component::Mailboxes));
        let lost = saved.into_iter().flatten();
        let lost = lost.filter(|mailbox| mailbox.listing == Listing::Lost);
        lost.map(|mailbox| mailbox.path())
    }
}

/// What failed in a set.
pub(crate) fn in_set(set: &SearchedSet, source: messages::Error) -> Error {
    Error::InSet {
        set: set.name.clone(),
        source: Box::new(source),
    }
}

/// When the set was made: as its manifest says, or by its name, as the old scripts gave it.
fn made(inventory: &Inventory) -> Timestamp {
    let begin = inventory.begin.as_ref();
    let recorded = begin.and_then(|begin| begin.time.parse().ok());
    let named = || {
        let mut parts = inventory.set.components().rev();
        let (name, kind) = (parts.next()?, parts.next()?);
        let text = format!(
            "{}/{}",
            kind.as_os_str().to_string_lossy(),
            name.as_os_str().to_string_lossy()
        );
        let id: SetId = text.trim_end_matches(".incomplete").parse().ok()?;
        let start = id.start().to_zoned_datetime(TimeZone::system()).ok()?;
        Some(start.timestamp())
    };
    recorded.or_else(named).unwrap_or(Timestamp::MIN)
}
