//! What is to be done with each file, from one listing and the checksums in the store. Pure: it asks nobody.

use std::collections::HashMap;

use mail_common::checksum::Sha256;
use mail_common::record::TransferAction;

use super::sources::is_for;
use super::{Done, Item};
use crate::remote::{AsText, Entry, RemoteSet};
use crate::store::Listed;

/// What is to be done with a file.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// Nothing: the store has confirmed it, under this digest.
    There(Stored),
    /// Something of that name and size is there, and only the store can say whether it is the file.
    Ask,
    /// It has to be copied or sent.
    Send,
}

/// How a file is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) object: Listed,
    pub(super) sha256: Sha256,
}

impl Fate {
    /// The file, when there is nothing to do.
    pub(super) fn done(&self, item: &Item) -> Option<Done> {
        let Self::There(stored) = self else { return None };
        Some(Done {
            item: item.clone(),
            bytes: stored.object.bytes,
            stored: stored.sha256,
            etag: stored.object.etag.clone(),
            action: TransferAction::Skipped,
        })
    }
}

/// Decides for each item. `keeps_marks` tells whether the store can say more of an object than its size.
pub(super) fn decide(
    items: Vec<Item>,
    remote: &RemoteSet,
    recipients: Option<&str>,
    keeps_marks: bool,
) -> Vec<(Item, Fate)> {
    let contents = remote.contents.iter().filter(|contents| is_for(contents, recipients));
    let entries: HashMap<&str, &Entry> = contents
        .flat_map(|contents| &contents.entries)
        .filter_map(|entry| Some((entry.path.as_text()?, entry)))
        .collect();
    let decide_one = |item: &Item| {
        let Some(listed) = remote.listed.get(&item.stored_path) else { return Fate::Send };
        let is_encrypted = recipients.is_some();
        if !is_encrypted && listed.bytes != item.bytes {
            return Fate::Send;
        }
        let entry = entries.get(item.stored_path.as_str()).filter(|entry| entry.plain == item.sha256);
        match entry.and_then(|entry| Some((entry, remote.confirmed(entry)?))) {
            Some((entry, object)) => Fate::There(Stored { object: object.clone(), sha256: entry.stored }),
            // Of an encrypted file the size says nothing, and a directory has no marks to ask for.
            None if is_encrypted && !keeps_marks => Fate::Send,
            None => Fate::Ask,
        }
    };
    items.into_iter().map(|item| (item.clone(), decide_one(&item))).collect()
}
