//! What the set holds, each content once, and what the pool has of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::pool;

use super::ledger::{Known, Ledger};
use crate::encryption::Recipients;
use crate::push::context::Push;
use crate::push::item::Item;
use crate::remote::{Error, PoolListing};
use crate::store::Listed;

/// A content, which one or more files of the set have.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// The first is the one that is sent.
    pub(super) items: Vec<Arc<Item>>,
    /// What the pool has of it, confirmed.
    pub(super) stored: Option<Stored>,
}

/// An object of the pool that is what its key says.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) sha256: Sha256,
    pub(super) object: Listed,
    pub(super) known: Known,
}

impl Push<'_> {
    /// What the pool has of these files. The store is asked for what the ledger does not know.
    pub(super) fn find_in_pool(
        &self,
        items: &[Arc<Item>],
        listing: &PoolListing,
        ledger: &mut Ledger,
    ) -> Result<Vec<Content>, Error> {
        self.ask_for_unknown(items, listing, ledger)?;
        let mut stored = self.by_plain_digest(listing, ledger);
        let mut contents: BTreeMap<Sha256, Content> = BTreeMap::new();
        for item in items {
            let content = contents.entry(item.sha256).or_insert_with(|| Content {
                items: Vec::new(),
                stored: stored.remove(&item.sha256),
            });
            content.items.push(Arc::clone(item));
        }
        let mut contents: Vec<Content> = contents.into_values().collect();
        // The largest first: the small ones fill up the time that the last large one takes.
        contents.sort_by_key(|content| std::cmp::Reverse(content.items[0].bytes));
        Ok(contents)
    }

    /// Completes the ledger by what pushes have left that were killed, or that ran at the same
    /// time, as far as it can matter. Whatever others have put there stays unknown.
    fn ask_for_unknown(
        &self,
        items: &[Arc<Item>],
        listing: &PoolListing,
        ledger: &mut Ledger,
    ) -> Result<(), Error> {
        let needed: HashSet<Sha256> = items.iter().map(|item| item.sha256).collect();
        let known = self.by_plain_digest(listing, ledger);
        if needed.iter().all(|sha256| known.contains_key(sha256)) {
            return Ok(());
        }
        // The key of what is encrypted does not tell what it was: then it may be any of them.
        let may_be_needed = |sha256: &Sha256| self.recipients.is_some() || needed.contains(sha256);
        let is_unknown = |sha256: &Sha256, listed| ledger.confirms(sha256, listed).is_none();
        let unknown: Vec<(&Sha256, &Listed)> = listing
            .objects
            .iter()
            .filter(|(sha256, listed)| may_be_needed(sha256) && is_unknown(sha256, listed))
            .collect();
        let found = pool::for_each(
            self.jobs,
            &unknown,
            || (),
            |(), (sha256, listed)| {
                self.interrupt.check()?;
                let found = self.store.look(&listed.key)?;
                Ok::<_, Error>(found.and_then(|found| Known::of(&found, **sha256)))
            },
        )?;
        for ((sha256, _), known) in unknown.into_iter().zip(found) {
            if let Some(known) = known {
                ledger.insert(*sha256, known);
            }
        }
        Ok(())
    }

    /// What is confirmed in the pool and can be read by whom this push is for, by the digest of the
    /// file in a set.
    fn by_plain_digest(&self, listing: &PoolListing, ledger: &Ledger) -> HashMap<Sha256, Stored> {
        let recipients = self.recipients.map(Recipients::text);
        let mut found = HashMap::new();
        for (sha256, known) in ledger.iter() {
            let plain = known.plain.as_ref();
            if plain.map(|plain| plain.recipients.as_str()) != recipients {
                continue;
            }
            let Some(object) = listing.objects.get(sha256) else {
                continue;
            };
            if ledger.confirms(sha256, object).is_some() {
                let stored = Stored {
                    sha256: *sha256,
                    object: object.clone(),
                    known: known.clone(),
                };
                found.insert(plain.map_or(*sha256, |plain| plain.sha256), stored);
            }
        }
        found
    }
}
