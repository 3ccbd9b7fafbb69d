//! What is to be done with a set: decided from the set itself and what the store has of it.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;
use mail_common::set::{CHECKSUMS, MANIFEST, SIGNATURE};

use super::context::Push;
use super::disposition::{Askable, Disposition, decide};
use super::encrypted;
use super::error::Error;
use super::item::Item;
use super::local::{LocalFile, LocalSet};
use crate::encryption::Recipients;
use crate::remote::{AsText, RemoteSet};
use crate::signature;
use crate::store::{Cause, StoreError};

/// A set, what the store has of it, and what is to be done.
pub(super) struct PushPlan<'a> {
    pub(super) local: &'a LocalSet,
    pub(super) remote: RemoteSet,
    pub(super) files: Vec<(Arc<Item>, Disposition)>,
    pub(super) recipients: Option<&'a Recipients>,
    /// Until when every object of the set will be locked.
    pub(super) locked_until: Option<Timestamp>,
    /// Whether the store has the signature of the set, where it is signed.
    pub(super) has_signature: bool,
}

impl<'a> PushPlan<'a> {
    pub(super) fn new(
        push: &Push<'a>,
        local: &'a LocalSet,
        remote: RemoteSet,
    ) -> Result<Self, Error> {
        let mut items = items(push, local)?;
        // The largest first: the small ones fill up the time that the last large one takes.
        items.sort_by_key(|item| std::cmp::Reverse(item.bytes));
        let askable = if push.store.keeps_marks() {
            Askable::All
        } else {
            Askable::PlainOnly
        };
        let recipients = push.recipients.map(Recipients::text);
        Ok(Self {
            local,
            files: decide(items, &remote, recipients, askable),
            has_signature: has_signature(push, local, &remote)?,
            remote,
            recipients: push.recipients,
            locked_until: push.lock.map(|lock| lock.until),
        })
    }

    /// The key of what has the name `path` in the set.
    pub(super) fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.local.name)
    }

    /// The keys that the set is encrypted to, as text.
    pub(super) fn recipients_text(&self) -> Option<&'a str> {
        self.recipients.map(Recipients::text)
    }

    /// When the set in the store was closed.
    pub(super) fn closed(&self) -> Option<Timestamp> {
        let checksums = self.remote.listed.get(CHECKSUMS);
        checksums.map(|listed| listed.modified)
    }

    /// Until when the push that closed the set has locked all of it.
    pub(super) fn already_locked(&self) -> Option<Timestamp> {
        let contents = self.remote.contents.as_ref();
        contents.and_then(|contents| contents.locked_until)
    }

    /// Whether the store has this very set, closed.
    pub(super) fn is_unchanged(&self) -> bool {
        let Some(contents) = &self.remote.contents else {
            return false;
        };
        let same_list = match self.recipients {
            // What is encrypted differs each time; that each file is there under its own digest is
            // the same.
            Some(_) => contents.entries.len() == self.files.len() + 1,
            None => contents.checksums == self.local.checksums,
        };
        let is_kept = |(_, disposition): &(Arc<Item>, Disposition)| {
            matches!(disposition, Disposition::Keep(_))
        };
        contents.is_confirmed
            && same_list
            && self.has_same_manifest()
            && self.has_signature
            && self.files.iter().all(is_kept)
    }

    /// The manifest is not among the items: that it is there, and of the right size, is checked
    /// here.
    fn has_same_manifest(&self) -> bool {
        let contents = self.remote.contents.as_ref();
        let Some(entry) = contents.and_then(|contents| contents.entry(MANIFEST)) else {
            return true;
        };
        let Some(listed) = self.remote.confirmed(entry) else {
            return false;
        };
        let own = self.local.manifest().filter(|_| self.recipients.is_none());
        own.is_none_or(|own| own.bytes == listed.bytes)
    }

    /// The digests of files that have to be sent or copied, or may have to be.
    pub(super) fn needed(&self) -> HashSet<Sha256> {
        let is_needed = |(item, disposition): &(Arc<Item>, Disposition)| match disposition {
            Disposition::Keep(_) => None,
            Disposition::Ask | Disposition::Send => Some(item.sha256),
        };
        self.files.iter().filter_map(is_needed).collect()
    }

    /// What the store has below the set's name that is not part of it, in order: objects of an
    /// earlier set of that name.
    pub(super) fn unaccounted(&self) -> Vec<&str> {
        let stored = self.files.iter().map(|(item, _)| item.stored_path.as_str());
        let signature = self.local.signature.is_some().then_some(SIGNATURE);
        let closing = [CHECKSUMS, MANIFEST].into_iter().chain(signature);
        let ours: HashSet<&str> = stored.chain(closing).collect();
        let listed = self.remote.listed.keys().map(String::as_str);
        let mut unaccounted: Vec<&str> = listed.filter(|path| !ours.contains(path)).collect();
        unaccounted.sort_unstable();
        unaccounted
    }
}

/// Whether the store has the signature of `local`, or none is needed. A set may be signed after it
/// was pushed.
pub(super) fn has_signature(
    push: &Push<'_>,
    local: &LocalSet,
    remote: &RemoteSet,
) -> Result<bool, Error> {
    if local.signature.is_none() || !remote.listed.contains_key(SIGNATURE) {
        return Ok(local.signature.is_none());
    }
    match signature::of_stored(push.store, local.name) {
        Err(error) if error.is_damage() => Ok(false),
        stored => Ok(stored.map_err(Error::LookFirst)? == local.signature),
    }
}

/// What is sent before the set is closed. An encrypted set has other files to close it: its own
/// manifest and checksums are sent like any other.
pub(super) fn items(push: &Push<'_>, local: &LocalSet) -> Result<Vec<Item>, Error> {
    let mut items = Vec::new();
    for file in &local.files {
        if push.recipients.is_some() || file.path.as_bytes() != MANIFEST.as_bytes() {
            items.push(item(push, file)?);
        }
    }
    if push.recipients.is_some() {
        if local.manifest().is_none() {
            return Err(Error::NoManifest {
                set: local.directory.clone(),
            });
        }
        items.push(item(push, &own_checksums(local))?);
    }
    Ok(items)
}

fn item(push: &Push<'_>, file: &LocalFile) -> Result<Item, Error> {
    let stored_path = match push.recipients {
        Some(_) => encrypted::path_after(&file.path),
        None => file.path.clone(),
    };
    let Some(text) = stored_path.as_text() else {
        let url = push.store.url(&file.path.to_string_lossy());
        return Err(Error::Key(StoreError::new("write", url, Cause::KeyNotText)));
    };
    Ok(Item {
        path: file.path.clone(),
        stored_path: text.to_owned(),
        bytes: file.bytes,
        sha256: file.sha256,
        file: file.clone(),
    })
}

/// The checksums as a file of the set, which no checksums list.
fn own_checksums(local: &LocalSet) -> LocalFile {
    LocalFile {
        path: RelPath::new(CHECKSUMS).expect("the name of a file is a safe path"),
        set: local.directory.as_path().into(),
        sha256: Sha256::of(&local.checksums),
        bytes: local.checksums.len() as u64,
        component: None,
    }
}
