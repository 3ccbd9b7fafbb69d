//! A prune from its first look to its last.

use std::collections::HashSet;

use jiff::Timestamp;
use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::record::{PruneOutcome, Pruned, Record};
use mail_common::report;
use mail_common::tool::Totals;

use super::census::{Census, Counted};
use super::context::{Mode, Prune};
use super::error::Error;
use super::fate::{Candidate, Fate, fates};
use super::mark::Mark;
use super::removal::{Left, Sum};
use crate::keep::end_of_day;
use crate::layout::POOL;
use crate::remote::{self, Pool, PoolListing};
use crate::store::Listed;

impl Prune<'_> {
    /// Removes, or lists, what is past its days. `Partial` when something could not be removed.
    pub(crate) fn prune(&self, totals: &mut Totals) -> Result<Exit, Error> {
        if self.mode == Mode::List || !self.store.keeps_marks() {
            return self.prune_all(&Pool::new(self.store), None, totals);
        }
        self.put_mark()?;
        let pruned = self.prune_marked(totals);
        let taken = self.take_mark();
        let exit = pruned?;
        if let Err(error) = taken {
            let report = &self.session.report;
            report.warning(format!(
                "the mark of this prune stays, and pushes may wait for a day: {}",
                report::chain(&error)
            ));
        }
        Ok(exit)
    }

    fn prune_marked(&self, totals: &mut Totals) -> Result<Exit, Error> {
        // Listed after the mark was put: what is written from now on, its push knows of.
        let pool = Pool::new(self.store);
        let listing = pool.listing()?;
        let mark = self.mark(&listing)?;
        self.prune_all(&pool, Some(&mark), totals)
    }

    fn prune_all(
        &self,
        pool: &Pool<'_>,
        mark: Option<&Mark>,
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let now = mark.map_or(self.now, Mark::time);
        let is_past =
            |set: &Candidate| end_of_day(set.written, self.keep.days(set.name.id().kind())) <= now;
        let look_first = |error: remote::Error| Error::LookFirst(error);
        let Census { sets, mut used } =
            Census::take(pool, self.jobs, is_past).map_err(look_first)?;
        let candidates: Vec<Candidate> = sets.iter().map(|set| set.candidate).collect();
        let fates = fates(&candidates, &self.keep, self.hold, now);
        let (mut exit, mut unreadable) = (Exit::Done, None);
        for (set, fate) in sets.into_iter().zip(fates) {
            let (left, of_set) = self.prune_set(&set, self.fate(&set, fate), mark, totals)?;
            exit = exit.max(of_set);
            if left == Left::Set {
                used.extend(&set.uses);
                let name = set.candidate.name.to_string();
                unreadable = unreadable.or(set.damage.map(|damage| (name, damage)));
            }
        }
        if let Some((set, source)) = unreadable {
            let error = Error::Unreadable { set, source };
            self.session.fail(None, None, &error);
            return Ok(exit.max(Exit::Bad));
        }
        let listing = pool.listing()?;
        let unused = self.unused(&listing, &used, now);
        Ok(exit.max(self.prune_pool(&unused, mark, totals)?))
    }

    /// In a directory a set without checksums is one of a push: a prune leaves none. What it has
    /// may be linked, and be older than it.
    fn fate(&self, set: &Counted, fate: Fate) -> Fate {
        let is_open = !set.is_closed && set.damage.is_none();
        if is_open && self.store.copies_share_storage() {
            return Fate::Kept;
        }
        fate
    }

    /// What is old enough, and no set uses.
    fn unused<'a>(
        &self,
        listing: &'a PoolListing,
        used: &HashSet<Sha256>,
        now: Timestamp,
    ) -> Vec<&'a Listed> {
        let is_due = |sha256: &Sha256, object: &Listed| {
            !used.contains(sha256) && end_of_day(object.modified, self.keep.pool) <= now
        };
        let objects = listing.objects.iter();
        let due = objects.filter(|(sha256, object)| is_due(sha256, object));
        due.map(|(_, object)| object).collect()
    }

    fn prune_set(
        &self,
        set: &Counted,
        fate: Fate,
        mark: Option<&Mark>,
        totals: &mut Totals,
    ) -> Result<(Left, Exit), Error> {
        let outcome = match fate {
            Fate::Kept => return Ok((Left::Set, Exit::Done)),
            Fate::Newest => PruneOutcome::Newest,
            Fate::Held => PruneOutcome::Held,
            Fate::Locked(_) => PruneOutcome::Locked,
            Fate::Due => PruneOutcome::Due,
        };
        let (objects, bytes) = (set.objects.len() as u64, set.bytes());
        let until = match fate {
            Fate::Locked(until) => Some(until),
            _ => None,
        };
        if fate != Fate::Due || self.mode == Mode::List {
            self.emit(Some(set), (objects, bytes), outcome, until, totals);
            let left = if fate == Fate::Due {
                Left::Nothing
            } else {
                Left::Set
            };
            return Ok((left, Exit::Done));
        }
        let (left, sum) = self.remove_set(set, mark)?;
        let (outcome, exit) = outcome_of(&sum);
        self.emit(
            Some(set),
            (objects, bytes),
            outcome,
            sum.locked_until,
            totals,
        );
        Ok((left, exit))
    }

    fn prune_pool(
        &self,
        unused: &[&Listed],
        mark: Option<&Mark>,
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let bytes = unused.iter().map(|object| object.bytes).sum();
        if unused.is_empty() {
            return Ok(Exit::Done);
        }
        if self.mode == Mode::List {
            let all = (unused.len() as u64, bytes);
            self.emit(None, all, PruneOutcome::Due, None, totals);
            return Ok(Exit::Done);
        }
        let sum = self.remove_objects(unused, mark)?;
        let removed = (sum.removed, sum.removed_bytes);
        self.emit(None, removed, PruneOutcome::Removed, None, totals);
        if sum.locked > 0 {
            let locked = (sum.locked, sum.locked_bytes);
            self.emit(None, locked, PruneOutcome::Locked, sum.locked_until, totals);
        }
        Ok(if sum.failed > 0 {
            Exit::Partial
        } else {
            Exit::Done
        })
    }

    /// Writes a record of a set, or of the pool, and counts it.
    fn emit(
        &self,
        set: Option<&Counted>,
        (objects, bytes): (u64, u64),
        outcome: PruneOutcome,
        locked_until: Option<Timestamp>,
        totals: &mut Totals,
    ) {
        let name = set.map(|set| set.candidate.name.to_string());
        let word = word(outcome);
        if set.is_some() {
            totals.add(&format!("{word}_sets"), 1);
        } else {
            totals.add(&format!("{word}_pool_objects"), objects);
        }
        totals.add(&format!("{word}_bytes"), bytes);
        self.session.emit(&Record::Pruned(Pruned {
            url: self.store.url(name.as_deref().unwrap_or(POOL)),
            set: name,
            objects,
            bytes,
            outcome,
            locked_until: locked_until.map(|until| until.to_string()),
        }));
    }
}

/// What became of a set. One that was pushed again meanwhile is another.
fn outcome_of(sum: &Sum) -> (PruneOutcome, Exit) {
    if sum.failed > 0 {
        (PruneOutcome::Failed, Exit::Partial)
    } else if sum.locked > 0 {
        (PruneOutcome::Locked, Exit::Done)
    } else if sum.changed > 0 {
        (PruneOutcome::Failed, Exit::Done)
    } else {
        (PruneOutcome::Removed, Exit::Done)
    }
}

/// How the outcome is called in the totals.
const fn word(outcome: PruneOutcome) -> &'static str {
    match outcome {
        PruneOutcome::Due => "due",
        PruneOutcome::Removed => "removed",
        PruneOutcome::Newest => "newest",
        PruneOutcome::Held => "held",
        PruneOutcome::Locked => "locked",
        PruneOutcome::Failed => "failed",
    }
}
