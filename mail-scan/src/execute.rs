//! The run: records of the upstream, the clamds and their proof, the cache, then readers and
//! workers side by side.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use jiff::{Timestamp, ZonedDateTime};
use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::record::timestamp;
use mail_common::report::chain;
use mail_common::tool::{Session, Totals, human_size};
use mail_common::upstream::Upstream;

use crate::args::{EncryptedMail, Scanner};
use crate::artifact::Part;
use crate::budget::Budget;
use crate::cache::{Cache, Found};
use crate::checks;
use crate::clamd::{Patience, Pool, Spawned, Worker};
use crate::content::Content;
use crate::error::Error;
use crate::examine::{Sample, examine};
use crate::file;
use crate::inside::Role;
use crate::item::Item;
use crate::job::{Job, Piece};
use crate::maildir;
use crate::outcome::Outcome;
use crate::packing::Packing;
use crate::plan::{Operand, Plan, addresses};
use crate::quarantine::Quarantine;
use crate::run::Run;
use crate::scope::Scope;
use crate::source::{Outlet, SetFailed, feed_artifacts, feed_changed, feed_path, feed_set};
use crate::tally::{Extent, Tally};
use crate::totals::{Counters, add, get};
use crate::unpack::unpack;

/// Content that is in memory at a time, waiting to be scanned or being scanned.
const MEMORY_BYTES: u64 = 64 << 20;

/// However many threads the clamds have.
const JOBS_MAX: usize = 512;

/// How often a tree that changes is looked through again; each time there is less to find.
const ROUNDS_MAX: usize = 20;

/// Jobs that wait, at most.
const QUEUE: usize = 64;

/// A clamd that is started for the run is this many times as wide as the machine: it waits for its
/// own files too.
const SPAWNED_THREADS_A_CORE: usize = 2;

/// Does what the plan says.
pub(crate) fn execute(plan: &Plan, session: &Session, now: &ZonedDateTime) -> (Exit, Totals) {
    // First of all, and whatever happens then: who comes after this tool waits for them.
    let mut upstream = Upstream::default();
    let mut outcome = Outcome::new();
    if plan.operands.contains(&Operand::Records) {
        let passed = session.pass_all(io::stdin().lock(), |record| upstream.add(record));
        outcome.add_upstream(&upstream, passed, session);
    }
    let scanned = scan_all(plan, session, now, &upstream, &mut outcome);
    let counters = scanned.unwrap_or_else(|error| {
        session.fail(None, None, &error);
        outcome.could_not_finish();
        Counters::default()
    });
    let exit = outcome.exit(&counters, session);
    let mut totals = counters.totals();
    totals.add("errors", session.error_count());
    totals.add("warnings", session.report.warnings());
    print_summary(plan, session, &counters, exit);
    if let (Some(quarantine), moved @ 1..) = (&plan.quarantine, get(&counters.quarantined)) {
        session.has_done(format!(
            "{moved} messages moved to {}",
            quarantine.display()
        ));
    }
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
    let quarantine = match &plan.quarantine {
        Some(dir) => Some(Quarantine::open(dir, timestamp(now))?),
        None => None,
    };
    // Kept to the end: dropping it stops the clamd that was started.
    let (_spawned, pool) = reach_clamds(plan, session, &interrupt)?;
    for (address, introduction) in pool.introductions() {
        checks::report(session, address, &introduction, now.timestamp());
    }
    let cache = open_cache(plan, session, &pool, now.timestamp());
    let mut scope = Scope::new(session, interrupt, &pool, Budget::new(MEMORY_BYTES));
    scope.cache = cache.as_ref();
    scope.quarantine = quarantine.as_ref();
    scope.max_bytes = plan.max_bytes;
    scope.encrypted_mail = plan.encrypted_mail;
    scope.accepted = Some(&plan.accepted);
    let tally = Tally::new(session, extent_of(plan));
    let run = Run { scope, tally };
    let jobs = jobs(plan, &pool);
    let report = &session.report;
    report.info(format!("{jobs} workers show contents to clamd"));
    work(plan, &run, |outlet| {
        feed(plan, &run, upstream, outlet, outcome);
    });
    follow_moves(plan, &run);
    add(&run.tally.counters.vanished, run.tally.listed.lost());
    let trust = end(&run, outcome);
    let counters = run.tally.counters;
    let written = match (cache, trust) {
        (None, _) => Ok(()),
        (Some(cache), Trust::Kept) => cache.finish(),
        (Some(cache), Trust::Revoked) => cache.forget(),
    };
    if let Err(error) = written {
        report.warning(format!("the cache was not written: {error}"));
    }
    Ok(counters)
}

fn extent_of(plan: &Plan) -> Extent {
    let is_tree = |operand: &Operand| matches!(operand, Operand::Path(_));
    if plan.operands.iter().any(is_tree) {
        Extent::Unknown
    } else {
        Extent::Known
    }
}

/// Whether the verdicts of the run can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Kept,
    /// One of them cannot be believed any more, and nobody knows since when.
    Revoked,
}

/// How the work ended.
fn end(run: &Run<'_>, outcome: &mut Outcome) -> Trust {
    let Scope { session, pool, .. } = run.scope;
    if run.scope.interrupt.check().is_err() {
        outcome.interrupted(session);
    } else if pool.is_lost() {
        outcome.lost_clamd(session);
    } else if let Err(error) = pool.prove_to_the_end() {
        outcome.revoke_trust(session, error);
        return Trust::Revoked;
    }
    Trust::Kept
}

/// The clamds of the run, introduced and proved; one of them is started for it where that is asked
/// for.
fn reach_clamds(
    plan: &Plan,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<(Option<Spawned>, Pool), Error> {
    let mut at = addresses(&plan.scanners);
    let mut spawned = None;
    if plan.scanners.contains(&Scanner::Spawn) {
        let threads = plan.jobs.unwrap_or(SPAWNED_THREADS_A_CORE * plan.cores) + 2;
        let clamd = Spawned::start(plan.signatures.as_deref(), threads, interrupt)?;
        at.push(clamd.address());
        spawned = Some(clamd);
    }
    let patience = Patience {
        connect: plan.connect_patience,
        reply: plan.reply_patience,
        interrupt: interrupt.clone(),
    };
    let (pool, unreachable) = Pool::open(&at, &patience)?;
    for error in unreachable {
        let report = &session.report;
        report.warning(format!("{}; the others do its work", chain(&error)));
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
        session.report.info(
            "nothing is cached: clamd does not say which signatures it has, so that a change would \
             not be seen",
        );
        return None;
    }
    let report = &session.report;
    let (cache, found) = match Cache::open(path, &pool.identities(), now.as_second()) {
        Ok(opened) => opened,
        Err(error) => {
            report.warning(chain(&error));
            return None;
        }
    };
    let path = path.display();
    match found {
        Found::Usable => {}
        Found::Distrusted(reason) => report.warning(format!(
            "the cache {path} is not believed, and starts empty: {reason}"
        )),
        Found::Rebuilt => report.warning(format!("the cache {path} was damaged, and starts empty")),
        Found::SetAside(aside) => report.warning(format!(
            "{path} is not a cache: it is {} now, and a cache is begun",
            aside.display()
        )),
    }
    Some(cache)
}

/// Scans what was moved in a live tree while it was scanned, until nothing was.
fn follow_moves(plan: &Plan, run: &Run<'_>) {
    for _ in 0..ROUNDS_MAX {
        let changed = run.tally.listed.changed();
        if changed.is_empty() || run.scope.interrupt.check().is_err() || run.scope.pool.is_lost() {
            return;
        }
        // A run that is ending reports that itself.
        work(plan, run, |mut outlet| {
            drop(feed_changed(run, &changed, &mut outlet));
        });
    }
    let report = &run.scope.session.report;
    report.warning("mail is still being moved: what was moved last may not have been scanned");
}

fn jobs(plan: &Plan, pool: &Pool) -> usize {
    plan.jobs
        .unwrap_or_else(|| pool.jobs(plan.cores))
        .min(JOBS_MAX)
}

/// Readers unpack, workers scan, and `feed` finds, on the caller's thread, what there is to be
/// scanned.
fn work(plan: &Plan, run: &Run<'_>, feed: impl FnOnce(Outlet)) {
    let jobs = jobs(plan, run.scope.pool);
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
                for (item, packing) in packed {
                    unpack(run, item, packing, &pieces);
                }
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
                Err(SetFailed::Closed) => true,
                Err(SetFailed::Unreadable(error)) => {
                    run.scope.session.fail(None, None, &error);
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
    let mut worker = run.scope.pool.worker(number, plan.cores);
    for job in work {
        match job {
            Job::Files(items) => file::scan_all(run, &mut worker, items),
            Job::Pieces(pieces) => scan_pieces(run, &mut worker, pieces),
        }
    }
}

fn scan_pieces(run: &Run<'_>, worker: &mut Worker<'_>, pieces: Vec<Piece>) {
    let (mut origins, mut samples) = (Vec::new(), Vec::new());
    for Piece {
        artifact,
        part,
        content,
        taken,
    } in pieces
    {
        let sha256 = Sha256::of(&content);
        let content = Content::Memory(content);
        let role = role_of(&artifact.item, &part);
        let standing = part.standing;
        origins.push((artifact, part, taken));
        samples.push(Sample {
            content,
            sha256,
            role,
            standing,
        });
    }
    let findings = examine(run, worker, &samples);
    drop(samples);
    for ((artifact, part, taken), finding) in origins.into_iter().zip(findings) {
        drop(taken);
        artifact.settle(run, &part, finding);
    }
}

/// A member of an archive of mailboxes lies where it lay in its mailbox; what was gone from there,
/// and has lost its name, was a message.
fn role_of(item: &Item, part: &Part) -> Role {
    let Some(member) = &part.member else {
        return Role::File;
    };
    let by_name = || maildir::role_of(Path::new(OsStr::from_bytes(member)));
    match &item.segment {
        Some(segment) if segment.has_lost_name(member) => Role::Message,
        Some(segment) if segment.has_messages() => by_name(),
        _ if part.window.is_none() => by_name(),
        _ => Role::File,
    }
}

fn print_summary(plan: &Plan, session: &Session, totals: &Counters, exit: Exit) {
    let verdict = match exit {
        Exit::Done if get(&totals.files) == 0 => "there was nothing to scan",
        Exit::Done => "everything was scanned and is clean",
        Exit::Bad => "INFECTED",
        _ => "not everything was scanned",
    };
    session.report.summary(format!(
        "{verdict}: {} files and {} members, {}; {} infected, {} not scanned, \
         {} known from earlier runs",
        get(&totals.files),
        get(&totals.members),
        human_size(get(&totals.bytes)),
        once(
            &totals.infected,
            &totals.infected_archives,
            &totals.infected_members
        ),
        once(
            &totals.unscanned,
            &totals.unscanned_archives,
            &totals.unscanned_members
        ),
        get(&totals.cached),
    ));
    print_encrypted(plan, session, get(&totals.encrypted));
    print_accepted(session, totals);
}

fn print_accepted(session: &Session, totals: &Counters) {
    match get(&totals.accepted) {
        0 if get(&totals.unscanned) > 0 => session.report.info(
            "what is known and cannot be scanned passes from now on by mail-scan --accept SHA256 \
             REASON, with the digest of its record",
        ),
        0 => {}
        accepted => session.report.summary(format!(
            "{accepted} contents were not scanned and let pass, because they are on the list of \
             --accept"
        )),
    }
}

/// Each thing once: an archive is what its members are.
fn once(files: &AtomicU64, archives: &AtomicU64, members: &AtomicU64) -> u64 {
    get(files) - get(archives) + get(members)
}

fn print_encrypted(plan: &Plan, session: &Session, encrypted: u64) {
    if encrypted == 0 {
        return;
    }
    let policy = match plan.encrypted_mail {
        EncryptedMail::Unscanned => {
            "they count as not scanned, which is the default; --encrypted-mail note lets them pass"
        }
        EncryptedMail::Note => "they were let pass, as --encrypted-mail note says",
    };
    session.report.summary(format!(
        "{encrypted} encrypted messages or files, which no scanner can look into: {policy}"
    ));
}
