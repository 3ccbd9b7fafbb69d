//! A push into the pool from its first look to its last.

use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::record::TransferAction;
use mail_common::report::{self, Unit};
use mail_common::set::{CHECKSUMS, MANIFEST, SIGNATURE, SetKind};
use mail_common::tool::Totals;

use super::content::Content;
use super::deliver::Pooled;
use super::ledger::Ledger;
use super::plan::PooledPlan;
use crate::layout::{RESTORE, pool_key};
use crate::parallel::each_until_fatal;
use crate::push::context::Push;
use crate::push::error::Error;
use crate::push::item::Delivered;
use crate::push::local::LocalSet;
use crate::remote::{self, AsText, Entry, Pool, PoolListing, RemoteSet};
use crate::totals::add_transfer;

impl<'a> Push<'a> {
    /// Pushes a set into the pool. `Partial` when a file could not be sent: the others were, and
    /// the set is not closed.
    pub(in crate::push) fn push_pooled(
        &self,
        local: &'a LocalSet,
        remote: RemoteSet,
        pool: &Pool<'_>,
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let look_first = |error: remote::Error| Error::LookFirst(error);
        let listing = pool.listing().map_err(|error| look_first(error.into()))?;
        let read = self.read_ledger(&listing).map_err(look_first)?;
        let mut ledger = read.clone();
        let plan = PooledPlan::new(self, local, remote, &listing, &mut ledger)?;
        self.warn_of_unaccounted(local.name, &unaccounted(&plan));
        if plan.is_unchanged(&listing, &ledger) {
            self.report_kept(&plan, &listing, totals);
            return Ok(Exit::Done);
        }
        if self.has_to_ask_for_protection(&plan) {
            self.check_protection()?;
        }
        let kind = local.name.id().kind();
        if self.has_to_ask_for_rules(&plan) {
            self.check_rules(kind)?;
        }
        let Some(pooled) = self.deliver_all(&plan, totals)? else {
            return Ok(Exit::Partial);
        };
        let is_new = |pooled: &Pooled| pooled.action != TransferAction::Skipped;
        if pooled.iter().any(is_new) {
            ledger.retain_listed(&self.confirm_pool(&listing, &pooled)?);
        }
        for Pooled { stored, known, .. } in &pooled {
            ledger.insert(*stored, known.clone());
        }
        if ledger != read {
            self.put_ledger(&ledger)?;
        }
        self.close_pooled(&plan, delivered(&plan.contents, &pooled), totals)?;
        if pooled.iter().any(is_new) {
            self.drop_stale_uploads(kind);
        }
        Ok(Exit::Done)
    }

    /// A ledger that is damaged is none: the store is asked again for everything.
    fn read_ledger(&self, listing: &PoolListing) -> Result<Ledger, remote::Error> {
        match Ledger::read(self.store, listing) {
            Err(error) if error.is_damage() => {
                let damage = report::chain(&error);
                let report = &self.session.report;
                report.warning(format!("{damage}; the store is asked for every object"));
                Ok(Ledger::default())
            }
            read => read,
        }
    }

    /// A lock that is known proves that the bucket can lock.
    fn has_to_ask_for_protection(&self, plan: &PooledPlan<'_>) -> bool {
        let mut stored = plan.contents.iter().map(|content| content.stored.as_ref());
        let is_locked = |content: &Content| {
            let stored = content.stored.as_ref();
            stored.is_some_and(|stored| stored.known.locked_until.is_some())
        };
        let lacks_proof = self.lock.is_some() && !plan.contents.iter().any(is_locked);
        lacks_proof || stored.any(|stored| stored.is_none())
    }

    /// Nearly every day something is new. A weekly set has what the daily one before it has sent.
    fn has_to_ask_for_rules(&self, plan: &PooledPlan<'_>) -> bool {
        let is_daily = plan.local.name.id().kind() == SetKind::Daily;
        !is_daily || self.has_to_ask_for_protection(plan)
    }

    /// Sees to every content; `None` when one failed, which is reported.
    fn deliver_all(
        &self,
        plan: &PooledPlan<'_>,
        totals: &mut Totals,
    ) -> Result<Option<Vec<Pooled>>, Error> {
        let bytes = |content: &Content| content.items[0].bytes;
        let total = plan.contents.iter().map(bytes).sum();
        let report = &self.session.report;
        let progress = report.progress("push", Unit::Bytes, Some(total));
        let results = each_until_fatal(self.jobs, &plan.contents, Error::is_fatal, |content| {
            self.interrupt.check()?;
            progress.message(&content.items[0].stored_path);
            let pooled = self.deliver(content, &plan.life)?;
            progress.advance(bytes(content));
            self.emit_content(plan, content, &pooled);
            Ok(pooled)
        });
        let (mut delivered, mut fatal) = (Vec::new(), None);
        for (content, result) in plan.contents.iter().zip(results) {
            match result {
                None => {}
                Some(Ok(pooled)) => {
                    for (_, action) in actions(content, &pooled) {
                        add_transfer(totals, action, pooled.known.bytes);
                    }
                    delivered.push(pooled);
                }
                Some(Err(error)) if error.is_fatal() => fatal = Some(error),
                Some(Err(error)) => {
                    let item = &content.items[0];
                    let component = item.file.component;
                    self.session.fail(component, Some(&item.path), &error);
                }
            }
        }
        let is_whole = delivered.len() == plan.contents.len();
        fatal.map_or(Ok(is_whole.then_some(delivered)), Err)
    }

    /// Writes a record of every file that has the content.
    fn emit_content(&self, plan: &PooledPlan<'_>, content: &Content, pooled: &Pooled) {
        let key = pool_key(pooled.stored);
        for (path, action) in actions(content, pooled) {
            let stored = (pooled.known.bytes, pooled.stored);
            let until = plan.locked_until();
            let record = self.transfer_record(plan.local.name, path, &key, stored, action, until);
            self.emit(&record);
        }
    }

    /// Writes the record of a file that was put below the set's name, and counts it.
    pub(super) fn report_own(
        &self,
        plan: &PooledPlan<'_>,
        path: &str,
        stored: (u64, Sha256),
        totals: &mut Totals,
    ) {
        let action = TransferAction::Uploaded;
        let (key, until) = (plan.key(path), plan.locked_until());
        let record = self.transfer_record(plan.local.name, path, &key, stored, action, until);
        self.emit(&record);
        add_transfer(totals, action, stored.0);
    }

    /// Reports that everything is there.
    fn report_kept(&self, plan: &PooledPlan<'_>, listing: &PoolListing, totals: &mut Totals) {
        let Some(contents) = &plan.remote.contents else {
            return;
        };
        let (action, until) = (TransferAction::Skipped, plan.already_locked());
        let emit = |path: &str, key: &str, stored: (u64, Sha256)| {
            let record = self.transfer_record(plan.local.name, path, key, stored, action, until);
            self.emit(&record);
            stored.0
        };
        let report = |entry: &Entry| {
            let path = entry.path.as_text().unwrap_or_default();
            let key = contents.key(plan.local.name, entry);
            let object = if contents.layout.is_pooled(&entry.path) {
                listing.objects.get(&entry.stored)
            } else {
                plan.remote.listed.get(path)
            };
            let bytes = object.map_or(0, |object| object.bytes);
            emit(path, &key, (bytes, entry.stored))
        };
        for entry in &contents.entries {
            add_transfer(totals, action, report(entry));
        }
        let checksums = (contents.checksums.len() as u64, contents.sha256);
        let bytes = emit(CHECKSUMS, &plan.key(CHECKSUMS), checksums);
        add_transfer(totals, action, bytes);
    }
}

/// The files that have a content, and what was done for each: it is sent once.
fn actions<'a>(
    content: &'a Content,
    pooled: &Pooled,
) -> impl Iterator<Item = (&'a str, TransferAction)> {
    let first = pooled.action;
    let each = content.items.iter().enumerate();
    each.map(move |(number, item)| {
        let action = if number == 0 {
            first
        } else {
            TransferAction::Skipped
        };
        (item.stored_path.as_str(), action)
    })
}

/// Every file whose content is in the pool.
fn delivered(contents: &[Content], pooled: &[Pooled]) -> Vec<Delivered> {
    let mut delivered = Vec::new();
    for (content, pooled) in contents.iter().zip(pooled) {
        for item in &content.items {
            delivered.push(Delivered {
                item: Arc::clone(item),
                bytes: pooled.known.bytes,
                stored: pooled.stored,
                etag: pooled.known.etag.clone(),
                action: pooled.action,
            });
        }
    }
    delivered
}

/// What the store has below the set's name that is not part of it, in order.
fn unaccounted<'a>(plan: &'a PooledPlan<'_>) -> Vec<&'a str> {
    let is_ours = |path: &str| {
        [CHECKSUMS, MANIFEST, RESTORE].contains(&path)
            || (path == SIGNATURE && plan.local.signature.is_some())
            || plan.own.iter().any(|item| item.stored_path == path)
    };
    let listed = plan.remote.listed.keys().map(String::as_str);
    let mut unaccounted: Vec<&str> = listed.filter(|path| !is_ours(path)).collect();
    unaccounted.sort_unstable();
    unaccounted
}
