//! A push from its first look at the store to its last.

use std::sync::Arc;

use mail_common::exit::Exit;
use mail_common::report::{self, Progress, Unit};
use mail_common::tool::{Totals, human_count};

use super::context::Push;
use super::disposition::Disposition;
use super::error::Error;
use super::item::{Delivered, Item};
use super::local::LocalSet;
use super::plan::PushPlan;
use super::sources::{self, Sources};
use crate::cost::Where;
use crate::layout::Layout;
use crate::parallel::each_until_fatal;
use crate::remote::{self, Pool, RemoteSet, SetName};
use crate::totals::add_transfer;

impl<'a> Push<'a> {
    /// Pushes a set. `Partial` when a file could not be sent: the others were, and the set is not
    /// closed.
    pub(crate) fn push(&self, local: &'a LocalSet, totals: &mut Totals) -> Result<Exit, Error> {
        let pushed = self.push_set(local, totals);
        self.warn_of_copies();
        pushed
    }

    fn push_set(&self, local: &'a LocalSet, totals: &mut Totals) -> Result<Exit, Error> {
        let pool = Pool::new(self.store);
        let remote = self.look_at(&pool, local.name).map_err(Error::LookFirst)?;
        let layout = self.layout_of(&remote, &pool).map_err(Error::LookFirst)?;
        let place = match layout {
            Layout::Pool => Where::Pool,
            Layout::Plain => Where::Sets(local.name.id().kind()),
        };
        self.terms
            .warn_once(self.session, self.storage_class, place);
        if layout == Layout::Pool {
            return self.push_pooled(local, remote, &pool, totals);
        }
        let plan = PushPlan::new(self, local, remote)?;
        self.warn_of_unaccounted(local.name, &plan.unaccounted());
        if plan.is_unchanged() {
            self.keep(plan, totals)?;
            return Ok(Exit::Done);
        }
        let exit = self.send(&plan, totals)?;
        self.drop_stale_uploads(local.name.id().kind());
        Ok(exit)
    }

    /// What is there. A set whose checksums are damaged says nothing of itself: all of it is looked
    /// at again.
    fn look_at(&self, pool: &Pool<'_>, name: SetName) -> Result<RemoteSet, remote::Error> {
        let remote = RemoteSet::read(pool, name)?;
        if let Some(damage) = &remote.damage {
            let damage = report::chain(damage);
            let report = &self.session.report;
            report.warning(format!("{damage}; it is pushed again"));
        }
        Ok(remote)
    }

    /// We may not delete them.
    pub(super) fn warn_of_unaccounted(&self, name: SetName, unaccounted: &[&str]) {
        let Some(example) = unaccounted.first() else {
            return;
        };
        self.session.report.warning(format!(
            "{} holds {} objects that are not part of the set, such as {example}; \
             `pull` leaves them out, and they can be deleted",
            self.store.url(&name.to_string()),
            unaccounted.len(),
        ));
    }

    /// Reports that everything is there, and locks it for longer where that is asked for.
    fn keep(&self, mut plan: PushPlan<'_>, totals: &mut Totals) -> Result<(), Error> {
        let locked = plan.already_locked();
        plan.locked_until = plan.locked_until.max(locked);
        if let Some(lock) = self.lock
            && locked.is_none_or(|until| until < lock.until)
        {
            self.lock_longer(&plan, lock)?;
        }
        for (item, disposition) in &plan.files {
            if let Some(file) = disposition.delivered(item) {
                self.report_file(&plan, &file, totals);
            }
        }
        self.report_kept_closing_files(&plan, totals);
        if self.may_have_stale_uploads(&plan) {
            self.drop_stale_uploads(plan.local.name.id().kind());
        }
        Ok(())
    }

    /// Sends what is not there, and closes the set when all of it is.
    fn send(&self, plan: &PushPlan<'_>, totals: &mut Totals) -> Result<Exit, Error> {
        self.check_protection()?;
        let sources = self.sources(plan).map_err(Error::LookFirst)?;
        self.mark_as_open(plan)?;
        let delivered = self.transfer_all(plan, &sources, totals)?;
        self.say_what_is_not_linked();
        if delivered.len() < plan.files.len() {
            return Ok(Exit::Partial);
        }
        self.confirm(plan, &delivered)?;
        self.close(plan, &delivered, totals)?;
        Ok(Exit::Done)
    }

    fn say_what_is_not_linked(&self) {
        let unlinked = self.store.unlinked_to_say();
        if unlinked > 0 {
            self.session.report.warning(format!(
                "{}: {} that an earlier set has could not be linked (no hard links there, too \
                 many of one file, or not permitted), and took room again",
                self.location,
                human_count(unlinked, "file", "files")
            ));
        }
    }

    /// Earlier objects that the store can copy.
    fn sources(&self, plan: &PushPlan<'_>) -> Result<Sources, remote::Error> {
        let needed = plan.needed();
        if needed.is_empty() {
            return Ok(Sources::new());
        }
        let recipients = plan.recipients_text();
        sources::find(self.store, self.jobs, &plan.remote, &needed, recipients)
    }

    /// Sends what is not there. The files that arrived are given back; what failed is reported.
    fn transfer_all(
        &self,
        plan: &PushPlan<'_>,
        sources: &Sources,
        totals: &mut Totals,
    ) -> Result<Vec<Delivered>, Error> {
        let total = plan.files.iter().map(|(item, _)| item.bytes).sum();
        let progress = self
            .session
            .report
            .progress("push", Unit::Bytes, Some(total));
        let results = each_until_fatal(self.jobs, &plan.files, Error::is_fatal, |file| {
            self.transfer_one(plan, sources, file, &progress)
        });
        let mut delivered = Vec::new();
        let mut fatal = None;
        for ((item, _), result) in plan.files.iter().zip(results) {
            match result {
                None => {}
                Some(Ok(file)) => {
                    add_transfer(totals, file.action, file.bytes);
                    delivered.push(file);
                }
                Some(Err(error)) if error.is_fatal() => fatal = Some(error),
                Some(Err(error)) => {
                    let component = item.file.component;
                    self.session.fail(component, Some(&item.path), &error);
                }
            }
        }
        fatal.map_or(Ok(delivered), Err)
    }

    fn transfer_one(
        &self,
        plan: &PushPlan<'_>,
        sources: &Sources,
        (item, disposition): &(Arc<Item>, Disposition),
        progress: &Progress,
    ) -> Result<Delivered, Error> {
        self.interrupt.check()?;
        progress.message(&item.stored_path);
        let key = plan.key(&item.stored_path);
        let file = self.transfer(item, disposition, &key, sources.get(&item.sha256))?;
        progress.advance(item.bytes);
        self.emit(&self.record(plan, &file));
        Ok(file)
    }
}
