//! The run: records of the upstream, the clamds and their proof, the cache, then readers and
//! workers side by side.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use jiff::{Timestamp, ZonedDateTime};
use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::record::timestamp;
use mail_common::report::{Unit, chain};
use mail_common::tool::{Session, Totals, human_size};
use mail_common::upstream::Upstream;

use crate::args::Scanner;
use crate::budget::Budget;
use crate::cache::{Cache, Found, aside};
use crate::checks;
use crate::clamd::{Patience, Pool, PoolError, SpawnError, Spawned, Worker};
use crate::content::Content;
use crate::examine::examine;
use crate::file;
use crate::item::Item;
use crate::outcome::Outcome;
use crate::packing::Packing;
use crate::plan::{Operand, Plan, addresses};
use crate::quarantine::{Quarantine, QuarantineError};
use crate::run::Run;
use crate::seen::Seen;
use crate::source::{Listed, Outlet, feed_artifacts, feed_changed, feed_path, feed_set};
use crate::totals::{Counters, get};
use crate::unpack::unpack;
use crate::work::{Job, Piece};

/// Content that is in memory at a time, waiting to be scanned or being scanned.
const MEMORY_BYTES: u64 = 64 << 20;

/// However many threads the clamds have.
const JOBS_MAX: usize = 512;

/// So often a tree that changes is looked through again; each time there is less to be found.
const ROUNDS_MAX: usize = 20;

/// So many jobs wait at most.
const QUEUE: usize = 64;

/// A clamd that is started for the run is this many times as wide as the machine: it waits for its
/// own files too.
const SPAWNED_THREADS_A_CORE: usize = 2;

/// Why a run could not begin its work.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("start a private clamd")]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
}

/// Does what the plan says.
pub(crate) fn execute(plan: &Plan, session: &Session, now: &ZonedDateTime) -> (Exit, Totals) {
    // First of all, and whatever happens then: who comes after this tool waits for them.
    let mut upstream = Upstream::default();
    let mut outcome = Outcome::new();
    if plan.operands.contains(&Operand::Records) {
        let passed = session.pass_all(io::stdin().lock(), |record| upstream.add(record));
        outcome.add_upstream(&upstream, passed, session);
    }
    let counters = match scan_all(plan, session, now, &upstream, &mut outcome) {
        Ok(totals) => totals,
        Err(error) => {
            session.fail(None, None, &error);
            outcome.could_not_finish();
            Counters::default()
        }
    };
    let exit = outcome.exit(&counters, session);
    let mut totals = counters.totals();
    totals.add("errors", session.errors().len() as u64);
    totals.add("warnings", session.report.warnings());
    say(session, &counters, exit);
    (exit, totals)
}

fn scan_all(
    plan: &Plan,
    session: &Session,
    now: &ZonedDateTime,
    upstream: &Upstream,
    outcome: &mut Outcome,
) -> Result<Counters, Error> {
    let interrupt = Interrupt::on_signals();
    let quarantine = plan
        .quarantine
        .as_deref()
        .map(|dir| Quarantine::open(dir, timestamp(now)))
        .transpose()?;
    // Kept to the end: dropping it stops the clamd that was started.
    let (_spawned, pool) = reach_clamds(plan, session, &interrupt)?;
    for (address, introduction) in pool.introductions() {
        checks::tell(session, address, &introduction, now.timestamp());
    }
    let cache = open_cache(plan, session, &pool, now.timestamp());
    let run = Run {
        session,
        pool: &pool,
        cache: cache.as_ref(),
        identities: pool.identities(),
        quarantine: quarantine.as_ref(),
        budget: Budget::new(MEMORY_BYTES),
        unpacking: Mutex::default(),
        max_bytes: plan.max_bytes,
        seen: Seen::default(),
        listed: Listed::default(),
        interrupt,
        totals: Counters::default(),
        progress: session.report.progress("scan", Unit::Bytes, None),
        printed: AtomicU64::new(0),
        window_bytes: OnceLock::new(),
    };
    session.report.info(format!(
        "{} workers show contents to clamd",
        jobs(plan, &pool)
    ));
    work(plan, &run, |outlet| {
        feed(plan, &run, upstream, outlet, outcome)
    });
    follow_moves(plan, &run);
    let is_believed = end(&run, outcome);
    let totals = run.totals;
    let written = cache.map(|cache| {
        if is_believed {
            cache.finish()
        } else {
            cache.forget()
        }
    });
    if let Some(Err(error)) = written {
        session
            .report
            .warning(format!("the cache was not written: {error}"));
    }
    Ok(totals)
}

/// How the work ended. False where the clamds cannot be believed any more, and nobody knows since
/// when.
fn end(run: &Run<'_>, outcome: &mut Outcome) -> bool {
    if run.interrupt.check().is_err() {
        outcome.interrupted(run.session);
        return true;
    }
    if run.pool.is_lost() {
        outcome.lost_clamd(run.session);
        return true;
    }
    match run.pool.prove_to_the_end() {
        Ok(()) => true,
        Err(error) => {
            outcome.disbelieved(run.session, error);
            false
        }
    }
}

/// The clamds of the run, introduced and proved; one of them is started for it where that is asked
/// for.
fn reach_clamds(
    plan: &Plan,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<(Option<Spawned>, Pool), Error> {
    let wants_spawn = plan.scanners.contains(&Scanner::Spawn);
    let threads = plan.jobs.unwrap_or(SPAWNED_THREADS_A_CORE * plan.cores) + 2;
    let spawned = wants_spawn
        .then(|| Spawned::start(plan.signatures.as_deref(), threads, interrupt))
        .transpose()?;
    let mut at = addresses(&plan.scanners);
    at.extend(spawned.iter().map(Spawned::address));
    let (connect, reply) = (plan.connect_patience, plan.reply_patience);
    let (pool, unreachable) = Pool::open(
        &at,
        &Patience {
            connect,
            reply,
            interrupt: interrupt.clone(),
        },
    )?;
    for error in unreachable {
        session
            .report
            .warning(format!("{}; the others do its work", chain(&error)));
    }
    Ok((spawned, pool))
}

/// The cache, where it can be used; without one everything is scanned, which is only slower.
fn open_cache(plan: &Plan, session: &Session, pool: &Pool, now: Timestamp) -> Option<Cache> {
    let path = plan.cache.as_deref()?;
    let tells_version = pool
        .introductions()
        .all(|(_, shown)| shown.version.signatures.is_some());
    if !tells_version {
        session
            .report
            .info("nothing is cached: clamd does not say which signatures it has, so that a change would not be seen");
        return None;
    }
    match Cache::open(path, &pool.identities(), now.as_second()) {
        Ok((cache, Found::Usable)) => Some(cache),
        Ok((cache, Found::Rebuilt)) => {
            session.report.warning(format!(
                "the cache {} was damaged, and is begun anew",
                path.display()
            ));
            Some(cache)
        }
        Ok((cache, Found::SetAside)) => {
            let (path, aside) = (path.display(), aside(path));
            session.report.warning(format!(
                "{path} is no cache: it is {} now, and a cache is begun",
                aside.display()
            ));
            Some(cache)
        }
        Err(error) => {
            session.report.warning(chain(&error));
            None
        }
    }
}

/// Scans what was moved in a live tree while it was scanned, until nothing was.
fn follow_moves(plan: &Plan, run: &Run<'_>) {
    for _ in 0..ROUNDS_MAX {
        let changed = run.listed.changed();
        if changed.is_empty() || run.interrupt.check().is_err() || run.pool.is_lost() {
            return;
        }
        // A run that is ending says so by itself.
        work(plan, run, |mut outlet| {
            drop(feed_changed(run, &changed, &mut outlet))
        });
    }
    run.session
        .report
        .warning("mail is moved on and on: what was moved at last may not have been scanned");
}

fn jobs(plan: &Plan, pool: &Pool) -> usize {
    plan.jobs
        .unwrap_or_else(|| pool.jobs(plan.cores))
        .min(JOBS_MAX)
}

/// Readers unpack, workers scan, and `feed` finds, on the caller's thread, what there is to be
/// scanned.
fn work(plan: &Plan, run: &Run<'_>, feed: impl FnOnce(Outlet)) {
    let jobs = jobs(plan, run.pool);
    let (work, work_to_do) = bounded::<Job>(QUEUE);
    let (packed, packed_to_read) = bounded::<(Item, Packing)>(QUEUE);
    thread::scope(|scope| {
        for number in 0..jobs {
            let work_to_do = work_to_do.clone();
            scope.spawn(move || scan_all_of(plan, run, number, work_to_do));
        }
        for _ in 0..plan.cores.min(jobs) {
            let (packed, pieces) = (packed_to_read.clone(), work.clone());
            scope.spawn(move || {
                packed
                    .into_iter()
                    .for_each(|(item, packing)| unpack(run, item, packing, &pieces))
            });
        }
        // Who still holds these would be waited for in vain.
        drop((work_to_do, packed_to_read));
        feed(Outlet::new(work, packed));
    });
}

fn feed(
    plan: &Plan,
    run: &Run<'_>,
    upstream: &Upstream,
    mut outlet: Outlet,
    outcome: &mut Outcome,
) {
    for operand in &plan.operands {
        let ended = match operand {
            Operand::Path(path) => feed_path(run, path, &mut outlet).is_err(),
            Operand::Records => feed_artifacts(run, &upstream.artifacts, &mut outlet).is_err(),
            Operand::Set(set) => match feed_set(run, set, &mut outlet) {
                Ok(()) => false,
                Err(crate::source::SetError::Closed(_)) => true,
                Err(error) => {
                    run.session.fail(None, None, &error);
                    outcome.could_not_finish();
                    false
                }
            },
        };
        if ended {
            return;
        }
    }
    // Whoever would take it has gone only when the run is ending.
    let _ = outlet.flush();
}

/// One worker, until there is no more work.
fn scan_all_of(plan: &Plan, run: &Run<'_>, number: usize, work: Receiver<Job>) {
    let mut worker = run.pool.worker(number, plan.cores);
    for job in work {
        match job {
            Job::Files(items) => file::scan_all(run, &mut worker, items),
            Job::Pieces(pieces) => scan_pieces(run, &mut worker, pieces),
        }
    }
}

fn scan_pieces(run: &Run<'_>, worker: &mut Worker<'_>, pieces: Vec<Piece>) {
    let (mut origins, mut contents) = (Vec::new(), Vec::new());
    for Piece {
        artifact,
        part,
        content,
        taken,
    } in pieces
    {
        origins.push((artifact, part, taken));
        let sha256 = Sha256::of(&content);
        contents.push((Content::Memory(content), sha256));
    }
    let findings = examine(run, worker, &contents);
    drop(contents);
    for ((artifact, part, taken), finding) in origins.into_iter().zip(findings) {
        drop(taken);
        artifact.settle(run, &part, finding);
    }
}

fn say(session: &Session, totals: &Counters, exit: Exit) {
    let verdict = match exit {
        Exit::Done if get(&totals.files) == 0 => "there was nothing to be scanned",
        Exit::Done => "everything was scanned and is clean",
        Exit::Bad => "INFECTED",
        _ => "not everything was scanned",
    };
    session.report.summary(format!(
        "{verdict}: {} files and {} members, {}; {} infected, {} not scanned, {} known from earlier runs",
        get(&totals.files),
        get(&totals.members),
        human_size(get(&totals.bytes)),
        get(&totals.infected) + get(&totals.infected_members),
        get(&totals.unscanned) + get(&totals.unscanned_members),
        get(&totals.cached),
    ));
}
