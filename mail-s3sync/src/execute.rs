//! The run: what the plan says, in its order, with what came of it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use jiff::{Timestamp, ZonedDateTime};
use mail_common::clearance::refusals;
use mail_common::exit::Exit;
use mail_common::jsonl;
use mail_common::report;
use mail_common::tool::{Session, Totals};
use mail_common::upstream::Upstream;

use crate::plan::{Plan, Verdicts, What, Which, Work};
use crate::pull::{self, Pull};
use crate::push::{self, LocalSet, Push};
use crate::remote::{self, RemoteSet, SetName, names};
use crate::store::StoreError;
use crate::verify::{self, Verify};
use crate::{list, usage};

/// Why a run ended before its work was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Push(#[from] push::Error),
    #[error(transparent)]
    Pull(#[from] pull::Error),
    #[error(transparent)]
    Verify(#[from] verify::Error),
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error(transparent)]
    Upstream(#[from] jsonl::Error),
    #[error("the records name no set; the tool before this one has made none")]
    NoSet,
    #[error(
        "{refused} files are not known to be clean; nothing was pushed: scan the set, or leave out --require-clean"
    )]
    NotClean { refused: usize },
    #[error("{url} holds no complete set; see `mail-s3sync list`")]
    NoCompleteSet { url: String },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Remote(error.into())
    }
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Push(error) => error.exit(),
            Self::Pull(error) => error.exit(),
            Self::Verify(error) => error.exit(),
            Self::Remote(error) => error.exit(),
            Self::Upstream(_) | Self::NoSet => Exit::Unfinished,
            Self::NotClean { .. } | Self::NoCompleteSet { .. } => Exit::Bad,
        }
    }
}

/// Does what the plan says.
pub(crate) fn execute(plan: &Plan, session: &Session, now: &ZonedDateTime) -> (Exit, Totals) {
    let mut totals = Totals::default();
    let result = match &plan.work {
        Work::Push { what, .. } => push(plan, session, what, now.timestamp(), &mut totals),
        Work::Pull { which, .. } => pull(plan, session, *which, &mut totals),
        Work::Verify { which, depth } => verify(plan, session, *which, *depth, &mut totals),
        Work::List => list::list(
            &*plan.store,
            plan.jobs,
            now.timestamp(),
            session,
            &mut totals,
        )
        .map_err(Error::from),
        Work::Usage(prices) => {
            usage::usage(&*plan.store, &plan.location, prices, session, &mut totals)
                .map_err(Error::from)
        }
    };
    let exit = result.unwrap_or_else(|error| {
        session.fail(None, None, &error);
        error.exit()
    });
    totals.add("errors", session.report.errors());
    totals.add("warnings", session.report.warnings());
    (exit, totals)
}

fn push(
    plan: &Plan,
    session: &Session,
    what: &What,
    now: Timestamp,
    totals: &mut Totals,
) -> Result<Exit, Error> {
    let sets = match what {
        What::Set(directory) => vec![open(session, directory.clone())?],
        What::Records(verdicts) => from_records(session, *verdicts)?,
    };
    let mut exit = Exit::Done;
    for set in &sets {
        let mut of_set = Totals::default();
        let pushed = push_set(plan, session, set, now, &mut of_set);
        totals.merge(&of_set);
        exit = exit.max(pushed?);
    }
    Ok(exit)
}

/// The sets that standard input names, held against replacement; all are proven clean where they
/// have to be.
fn from_records(session: &Session, verdicts: Verdicts) -> Result<Vec<LocalSet>, Error> {
    let mut upstream = Upstream::default();
    session.pass_all(io::stdin().lock(), |record| upstream.add(record))?;
    let sets = directories(&upstream)
        .into_iter()
        .map(|directory| open(session, directory))
        .collect::<Result<Vec<_>, _>>()?;
    if sets.is_empty() {
        return Err(Error::NoSet);
    }
    if verdicts == Verdicts::Required {
        require_clean(&sets, &upstream, session)?;
    }
    Ok(sets)
}

/// The sets of the stream, each once: those that were saved, and where nothing was saved those that
/// were scanned.
fn directories(upstream: &Upstream) -> BTreeSet<PathBuf> {
    let mut named = upstream.saved_sets();
    if named.is_empty() {
        named = upstream.named_sets();
    }
    let directories = named.into_iter().map(|name| name.directory());
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
            session.record_failure(None, Some(refusal.path()), &refusal);
            refused += 1;
        }
    }
    if refused > 0 {
        return Err(Error::NotClean { refused });
    }
    Ok(())
}

fn open(session: &Session, directory: PathBuf) -> Result<LocalSet, Error> {
    Ok(LocalSet::open(&directory, &session.report).map_err(push::Error::Local)?)
}

fn push_set(
    plan: &Plan,
    session: &Session,
    local: &LocalSet,
    now: Timestamp,
    totals: &mut Totals,
) -> Result<Exit, Error> {
    let Work::Push {
        recipients, lock, ..
    } = &plan.work
    else {
        return Ok(Exit::Done);
    };
    let push = Push {
        store: &*plan.store,
        location: &plan.location,
        session,
        interrupt: &plan.interrupt,
        jobs: plan.jobs,
        now,
        lock: *lock,
        recipients: recipients.as_ref(),
    };
    if local.name.is_incomplete() {
        session.report.warning(format!(
            "{}: a part of this set had failed when it was made",
            local.name
        ));
    }
    let exit = push.push(local, totals)?;
    session.report.summary(format!(
        "{} {}: {} sent, {} copied there, {} already there",
        if exit == Exit::Done {
            "pushed"
        } else {
            "not complete:"
        },
        plan.store.url(&local.name.to_string()),
        totals.size("uploaded_bytes"),
        totals.size("copied_bytes"),
        totals.size("skipped_bytes"),
    ));
    Ok(exit)
}

fn pull(plan: &Plan, session: &Session, which: Which, totals: &mut Totals) -> Result<Exit, Error> {
    let Work::Pull {
        to,
        wanted,
        identities,
        ..
    } = &plan.work
    else {
        return Ok(Exit::Done);
    };
    let pull = Pull {
        store: &*plan.store,
        session,
        interrupt: &plan.interrupt,
        jobs: plan.jobs,
        identities: identities.as_ref(),
    };
    let name = find(plan, session, which)?;
    let exit = pull.pull(name, to, wanted, totals)?;
    session.report.summary(format!(
        "{} {name} in {}: {} fetched, {} already there",
        if exit == Exit::Done {
            "pulled"
        } else {
            "not complete:"
        },
        to.display(),
        totals.size("downloaded_bytes"),
        totals.size("skipped_bytes"),
    ));
    Ok(exit)
}

fn verify(
    plan: &Plan,
    session: &Session,
    which: Which,
    depth: verify::Depth,
    totals: &mut Totals,
) -> Result<Exit, Error> {
    let name = find(plan, session, which)?;
    let verify = Verify {
        store: &*plan.store,
        session,
        interrupt: &plan.interrupt,
        jobs: plan.jobs,
        depth,
    };
    let exit = verify.verify(name, totals)?;
    let (good, bad) = (totals.get("verified"), totals.get("failed"));
    session.report.summary(format!(
        "{name}: {good} files are as recorded, {bad} are not"
    ));
    Ok(exit)
}

/// The set that is meant. Newer ones that are not complete are named, and not taken.
fn find(plan: &Plan, session: &Session, which: Which) -> Result<SetName, Error> {
    if let Which::Named(name) = which {
        return Ok(name);
    }
    for name in names(&*plan.store)? {
        let set = RemoteSet::read(&*plan.store, name)?;
        match set.damage {
            None if set.is_complete() => return Ok(name),
            None => session
                .report
                .warning(format!("{name} is newer and not complete")),
            Some(damage) => session.report.warning(format!(
                "{name} is newer and damaged: {}",
                report::chain(&damage)
            )),
        }
    }
    Err(Error::NoCompleteSet {
        url: plan.location.to_string(),
    })
}
