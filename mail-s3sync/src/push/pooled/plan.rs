//! What is to be done with a set in the pool layout.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use mail_common::set::CHECKSUMS;

use super::content::Content;
use super::ledger::Ledger;
use super::life::Life;
use crate::encryption::Recipients;
use crate::keep::end_of_day;
use crate::layout::{Layout, RESTORE};
use crate::push::context::Push;
use crate::push::error::Error;
use crate::push::item::Item;
use crate::push::local::LocalSet;
use crate::push::plan::{has_signature, items};
use crate::push::recipients::is_for;
use crate::remote::{AsText, Contents, Entry, PoolListing, RemoteSet};

/// A set, what the store has of it, and what is to be done.
pub(super) struct PooledPlan<'a> {
    pub(super) local: &'a LocalSet,
    pub(super) remote: RemoteSet,
    pub(super) recipients: Option<&'a Recipients>,
    /// What is to be in the pool.
    pub(super) contents: Vec<Content>,
    /// What describes the set and is to be below its name, beside what closes it.
    pub(super) own: Vec<Arc<Item>>,
    pub(super) life: Life,
    /// Whether the store has the signature of the set, where it is signed.
    pub(super) has_signature: bool,
}

impl<'a> PooledPlan<'a> {
    pub(super) fn new(
        push: &Push<'a>,
        local: &'a LocalSet,
        remote: RemoteSet,
        listing: &PoolListing,
        ledger: &mut Ledger,
    ) -> Result<Self, Error> {
        let items = items(push, local)?.into_iter().map(Arc::new);
        let (pooled, own): (Vec<Arc<Item>>, Vec<Arc<Item>>) =
            items.partition(|item| Layout::Pool.is_pooled(&item.path));
        let contents = push
            .find_in_pool(&pooled, listing, ledger)
            .map_err(Error::LookFirst)?;
        Ok(Self {
            local,
            has_signature: has_signature(push, local, &remote)?,
            remote,
            recipients: push.recipients,
            contents,
            own,
            life: Life {
                now: push.now,
                keep_days: push.keep.days(local.name.id().kind()),
                pool_days: push.keep.pool,
                lock: push.lock,
            },
        })
    }

    /// The key of what has the name `path` below the name of the set.
    pub(super) fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.local.name)
    }

    /// Until when what this push puts is locked. A lock of what was there before does not count:
    /// the files of the set are new versions.
    pub(super) fn locked_until(&self) -> Option<Timestamp> {
        self.life.lock.map(|lock| lock.until)
    }

    /// Whether the store has this very set, closed, and its term does not get longer by this push.
    pub(super) fn is_unchanged(&self, listing: &PoolListing, ledger: &Ledger) -> bool {
        let Some(contents) = &self.remote.contents else {
            return false;
        };
        let is_confirmed = |entry: &Entry| match listing.objects.get(&entry.stored) {
            _ if !contents.layout.is_pooled(&entry.path) => self.remote.confirmed(entry).is_some(),
            Some(object) => ledger.confirms(&entry.stored, object).is_some(),
            None => false,
        };
        contents.is_confirmed
            && contents.layout == Layout::Pool
            && self.has_same_files(contents)
            && self.remote.listed.contains_key(RESTORE)
            && self.has_signature
            && contents.entries.iter().all(is_confirmed)
            && !self.gets_longer()
    }

    /// Whether the set in the store lists these files, for the same readers.
    fn has_same_files(&self, contents: &Contents) -> bool {
        let Some(recipients) = self.recipients else {
            return contents.checksums == self.local.checksums;
        };
        let listed: HashMap<&str, &Entry> = contents
            .entries
            .iter()
            .filter_map(|entry| Some((entry.path.as_text()?, entry)))
            .collect();
        let is_same = |item: &Arc<Item>| {
            let entry = listed.get(item.stored_path.as_str());
            entry.is_some_and(|entry| entry.plain == item.sha256)
        };
        let pooled = self.contents.iter().flat_map(|content| &content.items);
        let items: Vec<&Arc<Item>> = pooled.chain(&self.own).collect();
        // Beside them is the manifest that can be read.
        is_for(contents, Some(recipients.text()))
            && contents.entries.len() == items.len() + 1
            && items.into_iter().all(is_same)
    }

    /// Whether the set is to be kept, or locked, for clearly longer than the push that closed it
    /// has seen to.
    fn gets_longer(&self) -> bool {
        let closed = self.remote.listed.get(CHECKSUMS);
        let kept = closed.map(|listed| end_of_day(listed.modified, self.life.keep_days));
        let life = &self.life;
        life.is_clearly_longer(Some(life.kept_until()), kept)
            || life.is_clearly_longer(self.locked_until(), self.already_locked())
    }

    /// Until when the push that closed the set has locked all of it.
    pub(super) fn already_locked(&self) -> Option<Timestamp> {
        let contents = self.remote.contents.as_ref();
        contents.and_then(|contents| contents.locked_until)
    }
}
