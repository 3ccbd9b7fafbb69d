//! The end of a push into the pool: the ledger, then what stands below the set's name, the
//! checksums last.
//!
//! What lies in the pool never changes under its key, so a set of the same name that is replaced
//! stays whole while the pool is written to. Only its own manifest and log are replaced by others:
//! while that goes on it is marked as open.

use jiff::Timestamp;
use mail_common::record::TransferAction;
use mail_common::set::{CHECKSUMS, MANIFEST, SIGNATURE};
use mail_common::tool::Totals;

use super::deliver::{Pooled, attributes};
use super::guide::{Guide, Signed};
use super::ledger::{Ledger, Plain};
use super::plan::PooledPlan;
use crate::encryption::Recipients;
use crate::layout::{Layout, POOL, RESTORE, pool_key};
use crate::push::closing::{closing_files, open_marker};
use crate::push::context::Push;
use crate::push::error::Error;
use crate::push::item::Delivered;
use crate::remote::{PoolListing, seal};
use crate::store::{Attributes, Body, Marks};

impl Push<'_> {
    /// Compares what was written into the pool with what the store lists now. A prune takes what
    /// was old in `before`, and may have looked before that was written again: while one is at
    /// work, nobody can rely on it.
    pub(super) fn confirm_pool(
        &self,
        before: &PoolListing,
        pooled: &[Pooled],
    ) -> Result<PoolListing, Error> {
        let listing = PoolListing::of(self.store).map_err(Error::Store)?;
        let is_rewritten = |pooled: &Pooled| {
            pooled.action != TransferAction::Skipped && before.objects.contains_key(&pooled.stored)
        };
        let pruned_since = listing.newest().and_then(|now| listing.pruned_since(now));
        if let Some(since) = pruned_since
            && pooled.iter().any(is_rewritten)
        {
            let url = self.store.url(POOL);
            return Err(Error::Pruned { url, since });
        }
        for Pooled { stored, known, .. } in pooled {
            let is_as_confirmed = listing.objects.get(stored).is_some_and(|listed| {
                listed.bytes == known.bytes && (known.etag.is_none() || listed.etag == known.etag)
            });
            if !is_as_confirmed {
                return Err(Error::Changed {
                    url: self.store.url(&pool_key(*stored)),
                });
            }
        }
        Ok(listing)
    }

    /// Puts the ledger.
    pub(super) fn put_ledger(&self, ledger: &Ledger) -> Result<(), Error> {
        let body = Body::of_bytes(&Ledger::key(), ledger.to_bytes());
        let attributes = attributes(body.sha256(), None, None);
        self.store.put(&Ledger::key(), body, &attributes)?;
        Ok(())
    }

    /// Makes a set of what is in the pool.
    pub(super) fn close_pooled(
        &self,
        plan: &PooledPlan<'_>,
        mut delivered: Vec<Delivered>,
        totals: &mut Totals,
    ) -> Result<(), Error> {
        self.interrupt.check()?;
        self.mark_pooled_as_open(plan)?;
        let guide = self.guide(plan);
        self.put_own(plan, RESTORE, Body::of_bytes(RESTORE, guide), None, totals)?;
        let mut etags: Vec<(String, Option<String>)> = Vec::new();
        for item in &plan.own {
            let (body, plain) = self.body(item)?;
            let (bytes, stored) = (body.bytes(), body.sha256());
            let etag = self.put_own(plan, &item.stored_path, body, plain, totals)?;
            etags.push((item.stored_path.clone(), etag.clone()));
            delivered.push(Delivered {
                item: item.clone(),
                bytes,
                stored,
                etag,
                action: TransferAction::Uploaded,
            });
        }
        let recipients = plan.recipients.map(Recipients::text);
        let (manifest, checksums) = closing_files(plan.local, recipients, &delivered)?;
        if let Some(manifest) = manifest {
            let etag = self.put_own(plan, MANIFEST, manifest, None, totals)?;
            etags.push((MANIFEST.to_owned(), etag));
        }
        if let Some(signature) = &plan.local.signature {
            let body = Body::of_bytes(SIGNATURE, signature.clone());
            self.put_own(plan, SIGNATURE, body, None, totals)?;
        }
        self.put_checksums(plan, checksums, &etags, totals)
    }

    /// Lets nobody take a set for complete while its own files are replaced by those of another.
    fn mark_pooled_as_open(&self, plan: &PooledPlan<'_>) -> Result<(), Error> {
        let Some(contents) = &plan.remote.contents else {
            return Ok(());
        };
        let is_same = plan.recipients.is_none() && contents.checksums == plan.local.checksums;
        if is_same && contents.layout == Layout::Pool {
            return Ok(());
        }
        let marker = Body::of_bytes(CHECKSUMS, open_marker());
        let key = plan.key(CHECKSUMS);
        self.store.put(&key, marker, &Attributes::default())?;
        Ok(())
    }

    fn guide(&self, plan: &PooledPlan<'_>) -> String {
        let guide = Guide {
            name: plan.local.name,
            location: self.location,
            endpoint: self.endpoint,
            recipients: plan.recipients.map(Recipients::text),
            signed: match plan.local.signature {
                Some(_) => Signed::Yes,
                None => Signed::No,
            },
        };
        guide.text()
    }

    /// Puts a file below the set's name, and gives its ETag.
    fn put_own(
        &self,
        plan: &PooledPlan<'_>,
        name: &str,
        body: Body,
        plain: Option<Plain>,
        totals: &mut Totals,
    ) -> Result<Option<String>, Error> {
        let stored = (body.bytes(), body.sha256());
        let attributes = attributes(stored.1, plain, plan.life.lock);
        let confirmed = self.store.put(&plan.key(name), body, &attributes)?;
        self.report_own(plan, name, stored, totals);
        Ok(confirmed.etag)
    }

    /// Puts the checksums, with the seal of what stands beside them.
    fn put_checksums(
        &self,
        plan: &PooledPlan<'_>,
        checksums: Vec<u8>,
        etags: &[(String, Option<String>)],
        totals: &mut Totals,
    ) -> Result<(), Error> {
        let body = Body::of_bytes(CHECKSUMS, checksums);
        let stored = (body.bytes(), body.sha256());
        let locked_until: Option<Timestamp> = plan.life.lock.map(|lock| lock.until);
        let marks = Marks {
            sha256: Some(stored.1),
            locked_until,
            layout: Some(Layout::Pool),
            seal: seal(
                etags
                    .iter()
                    .map(|(path, etag)| (path.as_str(), etag.as_deref())),
            ),
            ..Marks::default()
        };
        let attributes = Attributes {
            marks,
            lock: plan.life.lock,
        };
        self.store.put(&plan.key(CHECKSUMS), body, &attributes)?;
        self.report_own(plan, CHECKSUMS, stored, totals);
        Ok(())
    }
}
