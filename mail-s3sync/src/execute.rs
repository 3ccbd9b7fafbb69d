//! The run: what the plan says, in its order, with what came of it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jiff::{Timestamp, ZonedDateTime};
use mail_common::clearance::refusals;
use mail_common::exit::Exit;
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupt;
use mail_common::report;
use mail_common::set;
use mail_common::tool::{Session, Totals};
use mail_common::upstream::Upstream;

use crate::error::Error;
use crate::hold::{LastGood, last_good};
use crate::list::list;
use crate::open::open;
use crate::plan::{Locking, Plan, PruneWork, PullWork, PushWork, Verdicts, What, Which, Work};
use crate::planned::Rehearsal;
use crate::prune::{Mode, Prune};
use crate::pull::Pull;
use crate::push::{self, Intent, LocalSet, Push};
use crate::remote::{self, Pool, RemoteSet, SetName, names};
use crate::store::ObjectStore;
use crate::usage::usage;
use crate::verify::{Depth, Verify};

/// Does what the plan says.
pub(crate) fn execute(plan: &Plan, session: &Session, now: &ZonedDateTime) -> (Exit, Totals) {
    let mut totals = Totals::default();
    let run = Run::new(plan, session, now.timestamp());
    let result = run.and_then(|run| run.work(&mut totals));
    let exit = result.unwrap_or_else(|error| {
        session.fail(None, None, &error);
        error.kind().exit()
    });
    totals.add("errors", session.report.errors());
    totals.add("warnings", session.report.warnings());
    (exit, totals)
}

/// A run with its store open.
struct Run<'a> {
    plan: &'a Plan,
    session: &'a Session,
    store: Arc<dyn ObjectStore>,
    /// Where nothing is to be done: then the store is that of the rehearsal.
    rehearsal: Option<Rehearsal<'a>>,
    interrupt: Interrupt,
    now: Timestamp,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, session: &'a Session, now: Timestamp) -> Result<Self, Error> {
        let interrupt = Interrupt::on_signals();
        let store: Arc<dyn ObjectStore> = open(&plan.store, &interrupt)?.into();
        let mut run = Self {
            plan,
            session,
            store,
            rehearsal: None,
            interrupt,
            now,
        };
        if let Work::Push(work) = &plan.work
            && work.intent == Intent::Rehearse
        {
            let inner = Arc::clone(&run.store);
            let rehearsal = Rehearsal::new(inner, &plan.store, &work.terms.prices, now);
            let rehearsal = rehearsal.map_err(remote::Error::from)?;
            run.store = rehearsal.store();
            run.rehearsal = Some(rehearsal);
        }
        Ok(run)
    }

    fn work(&self, totals: &mut Totals) -> Result<Exit, Error> {
        let (store, session, jobs) = (&*self.store, self.session, self.plan.jobs);
        match &self.plan.work {
            Work::Push(push) => self.push(push, totals),
            Work::Pull(pull) => self.pull(pull, totals),
            Work::Verify { which, depth } => self.verify(*which, *depth, totals),
            Work::List => Ok(list(store, jobs, self.now, session, totals)?),
            Work::Usage(work) => Ok(usage(store, &self.plan.location, work, session, totals)?),
            Work::Prune(prune) => self.prune(prune, totals),
        }
    }

    fn push(&self, work: &PushWork, totals: &mut Totals) -> Result<Exit, Error> {
        let (pushed, exit) = match &work.what {
            What::Sets(directories, not_found) => {
                let report = &self.session.report;
                let sets = directories.iter().map(|set| LocalSet::open(set, report));
                let exit = self.push_each(work, sets, totals)?;
                (
                    directories.first().cloned(),
                    exit.max(self.name_all(not_found)),
                )
            }
            What::Records(verdicts) => {
                let sets = sets_of_upstream(self.session, *verdicts)?;
                let first = sets.iter().flatten().next();
                let first = first.map(|set| set.directory.clone());
                (first, self.push_each(work, sets.into_iter(), totals)?)
            }
        };
        match pushed {
            Some(set) => Ok(exit.max(self.settle(self.keep_last_good(work, &set, totals))?)),
            None => Ok(exit),
        }
    }

    /// Names the kinds whose sets cannot be looked for. The other sets were pushed.
    fn name_all(&self, not_found: &[set::Error]) -> Exit {
        for error in not_found {
            self.session.fail(None, None, error);
        }
        if not_found.is_empty() {
            Exit::Done
        } else {
            Exit::Partial
        }
    }

    /// Pushes one set after the other. Each is opened when its turn comes: what is wrong with one
    /// keeps none of the others from the store.
    fn push_each(
        &self,
        work: &PushWork,
        sets: impl Iterator<Item = Result<LocalSet, push::Error>>,
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let mut exit = Exit::Done;
        for set in sets {
            let pushed = set
                .map_err(Error::from)
                .and_then(|set| self.push_set(work, &set, totals));
            exit = exit.max(self.settle(pushed)?);
        }
        Ok(exit)
    }

    /// Reports what stopped the push of a set, and gives its exit. Only an interruption ends the
    /// run.
    fn settle(&self, pushed: Result<Exit, Error>) -> Result<Exit, Error> {
        match pushed {
            Err(error) if error.kind() != FailureKind::Interrupted => {
                self.session.fail(None, None, &error);
                Ok(error.kind().exit())
            }
            pushed => pushed,
        }
    }

    /// While an alarm is open, the last set from before it is locked for as long as a new one.
    fn keep_last_good(
        &self,
        work: &PushWork,
        pushed: &Path,
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let report = &self.session.report;
        let alarm = "an alarm is open (HOLD in the backup root)";
        match last_good(pushed, &*self.store)? {
            LastGood::NoAlarm => {}
            LastGood::Unknown(error) => return Ok(self.name_all(&[error])),
            LastGood::NotThere => report.warning(format!(
                "{alarm}, and no set in {} is known to be from before it",
                self.plan.location
            )),
            LastGood::OnlyThere(name) => report.warning(format!(
                "{alarm}: {name} is the last set from before it, and no longer in the backup root; \
                 its locks are not extended: see to it that no rule of the bucket removes it"
            )),
            LastGood::Here(directory) => {
                let locks = match work.locking {
                    Locking::No => {
                        ", and nothing locks it; push with --lock-days, or set S3_LOCK_MODE"
                    }
                    Locking::Days(..) | Locking::Kept(_) => "; its locks are extended",
                };
                report.warning(format!(
                    "{alarm}: {} is the last set from before it{locks}",
                    directory.display()
                ));
                // In a pool its term begins again, also without locks.
                let set = LocalSet::open(&directory, report)?;
                return self.push_set(work, &set, totals);
            }
        }
        Ok(Exit::Done)
    }

    fn push_set(
        &self,
        work: &PushWork,
        local: &LocalSet,
        totals: &mut Totals,
    ) -> Result<Exit, Error> {
        let push = Push {
            store: &*self.store,
            location: &self.plan.location,
            endpoint: self.plan.store.endpoint(),
            session: self.session,
            interrupt: &self.interrupt,
            jobs: self.plan.jobs,
            now: self.now,
            lock: work.lock(local.name.id().kind(), &self.plan.store.place, self.now),
            layout: work.layout,
            keep: work.keep,
            recipients: work.recipients.as_ref(),
            storage_class: self.plan.store.storage_class(),
            terms: &work.terms,
            intent: work.intent,
            not_copied: AtomicU64::new(0),
        };
        let report = &self.session.report;
        if local.name.is_incomplete() {
            report.warning(format!(
                "{}: a part of this set had failed when it was made",
                local.name
            ));
        }
        let mut of_set = Totals::default();
        let pushed = push.push(local, &mut of_set);
        if let Some(rehearsal) = &self.rehearsal {
            let exit = pushed?;
            rehearsal.conclude(local.name, &of_set, self.session, totals);
            return Ok(exit);
        }
        totals.merge(&of_set);
        let exit = pushed?;
        self.session.sum_up(format!(
            "{} {}: {} sent, {} copied there, {} already there",
            done_or_not("pushed", exit),
            self.store.url(&local.name.to_string()),
            of_set.size("uploaded_bytes"),
            of_set.size("copied_bytes"),
            of_set.size("skipped_bytes"),
        ));
        Ok(exit)
    }

    fn pull(&self, work: &PullWork, totals: &mut Totals) -> Result<Exit, Error> {
        let pull = Pull {
            store: &*self.store,
            session: self.session,
            interrupt: &self.interrupt,
            jobs: self.plan.jobs,
            identities: work.identities.as_ref(),
            signers: self.plan.signers.as_ref(),
        };
        let name = self.find(work.which)?;
        let exit = pull.pull(name, &work.to, &work.wanted, totals)?;
        self.session.sum_up(format!(
            "{} {name} in {}: {} fetched, {} already there",
            done_or_not("pulled", exit),
            work.to.display(),
            totals.size("downloaded_bytes"),
            totals.size("skipped_bytes"),
        ));
        Ok(exit)
    }

    fn verify(&self, which: Which, depth: Depth, totals: &mut Totals) -> Result<Exit, Error> {
        let name = self.find(which)?;
        let verify = Verify {
            store: &*self.store,
            session: self.session,
            interrupt: &self.interrupt,
            jobs: self.plan.jobs,
            depth,
            signers: self.plan.signers.as_ref(),
        };
        let exit = verify.verify(name, totals)?;
        let (good, bad) = (totals.get("verified"), totals.get("failed"));
        self.session.report.summary(format!(
            "{name}: {good} files are as recorded, {bad} are not"
        ));
        Ok(exit)
    }

    fn prune(&self, work: &PruneWork, totals: &mut Totals) -> Result<Exit, Error> {
        let prune = Prune {
            store: &*self.store,
            session: self.session,
            interrupt: &self.interrupt,
            jobs: self.plan.jobs,
            now: self.now,
            keep: work.keep,
            hold: work.hold.as_ref(),
            mode: work.mode,
        };
        let exit = prune.prune(totals)?;
        let (word, advice) = match work.mode {
            Mode::List => ("due", "; --yes removes it"),
            Mode::Remove => ("removed", ""),
        };
        let of = |what: &str| totals.get(&format!("{word}_{what}"));
        self.session.report.summary(format!(
            "{word} in {}: {} sets, {} objects of the pool, {}{advice}",
            self.plan.location,
            of("sets"),
            of("pool_objects"),
            totals.size(&format!("{word}_bytes")),
        ));
        Ok(exit)
    }

    /// The set that is meant. Newer ones that are not complete are named, and not taken.
    fn find(&self, which: Which) -> Result<SetName, Error> {
        if let Which::Named(name) = which {
            return Ok(name);
        }
        let report = &self.session.report;
        let pool = Pool::new(&*self.store);
        for name in names(&*self.store).map_err(remote::Error::from)? {
            let set = RemoteSet::read(&pool, name)?;
            match set.damage {
                None if set.is_complete() => return Ok(name),
                None => report.warning(format!("{name} is newer and not complete")),
                Some(damage) => report.warning(format!(
                    "{name} is newer and damaged: {}",
                    report::chain(&damage)
                )),
            }
        }
        Err(Error::NoCompleteSet {
            url: self.plan.location.to_string(),
        })
    }
}

/// The sets that standard input names, held against replacement. Where they have to be clean, all
/// of them are whole and proven so.
fn sets_of_upstream(
    session: &Session,
    verdicts: Verdicts,
) -> Result<Vec<Result<LocalSet, push::Error>>, Error> {
    let mut upstream = Upstream::default();
    session.pass_all(io::stdin().lock(), |record| upstream.add(record))?;
    let directories = directories(&upstream);
    if directories.is_empty() {
        return Err(Error::NoSet);
    }
    let sets = directories
        .iter()
        .map(|directory| LocalSet::open(directory, &session.report));
    if verdicts == Verdicts::Ignored {
        return Ok(sets.collect());
    }
    let sets = sets.collect::<Result<Vec<_>, _>>()?;
    require_clean(&sets, &upstream, session)?;
    Ok(sets.into_iter().map(Ok).collect())
}

/// The sets of the stream, each once: those that were saved, and where nothing was saved those that
/// were scanned.
fn directories(upstream: &Upstream) -> BTreeSet<PathBuf> {
    let mut named = upstream.saved_sets();
    if named.is_empty() {
        named = upstream.named_sets();
    }
    let directories = named
        .into_iter()
        .map(mail_common::upstream::SetName::directory);
    directories
        .map(|directory| directory.canonicalize().unwrap_or(directory))
        .collect()
}

/// Every file that a set is made of must be clean, whether the stream names it or not: it is pushed
/// in either case.
fn require_clean(sets: &[LocalSet], upstream: &Upstream, session: &Session) -> Result<(), Error> {
    let mut refused = 0;
    for set in sets {
        for refusal in refusals(upstream, &set.directory, &set.contents) {
            session.fail(None, Some(refusal.path()), &refusal);
            refused += 1;
        }
    }
    if refused > 0 {
        return Err(Error::NotClean { refused });
    }
    Ok(())
}

fn done_or_not(done: &'static str, exit: Exit) -> &'static str {
    if exit == Exit::Done {
        done
    } else {
        "not complete:"
    }
}
