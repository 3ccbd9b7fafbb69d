//! The run: what the plan says, in its order, with what came of it.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, ZonedDateTime};
use mail_common::exit::Exit;
use mail_common::jsonl;
use mail_common::report;
use mail_common::set::SetKind;
use mail_common::tool::{Session, human_size};

use crate::plan::{Plan, Verdicts, What, Which, Work};
use crate::pull::{self, Pull};
use crate::push::{self, LocalSet, Push, Totals};
use crate::remote::{self, RemoteSet, SetName, names};
use crate::store::StoreError;
use crate::upstream::Upstream;
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
    Store(#[from] StoreError),
    #[error(transparent)]
    Upstream(#[from] jsonl::Error),
    #[error("the records name no set; the tool before this one has made none")]
    NoSet,
    #[error("{url} holds no complete set; see `mail-s3sync list`")]
    NoCompleteSet { url: String },
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Push(error) => error.exit(),
            Self::Pull(error) => error.exit(),
            Self::Verify(error) => error.exit(),
            Self::Remote(remote::Error::Store(error)) | Self::Store(error) if error.is_configuration() => Exit::Usage,
            Self::Remote(_) | Self::Store(_) | Self::Upstream(_) | Self::NoSet => Exit::Unfinished,
            Self::NoCompleteSet { .. } => Exit::Bad,
        }
    }
}

/// Does what the plan says.
pub(crate) fn execute(plan: &Plan, session: &Session, now: &ZonedDateTime) -> (Exit, Totals) {
    let mut totals = Totals::new();
    let result = match &plan.work {
        Work::Push { what, .. } => push(plan, session, what, now, &mut totals),
        Work::Pull { which, .. } => pull(plan, session, *which, &mut totals),
        Work::Verify { which, depth } => verify(plan, session, *which, *depth, &mut totals),
        Work::List => list::list(&*plan.store, &plan.location, session, plan.jobs, now.timestamp(), &mut totals)
            .map_err(Error::from),
        Work::Usage(prices) => {
            usage::usage(&*plan.store, &plan.location, session, prices, &mut totals).map_err(Error::from)
        }
    };
    let exit = result.unwrap_or_else(|error| {
        session.fail(None, None, &error);
        error.exit()
    });
    totals.insert("errors".to_owned(), session.report.errors());
    totals.insert("warnings".to_owned(), session.report.warnings());
    (exit, totals)
}

fn push(plan: &Plan, session: &Session, what: &What, now: &ZonedDateTime, totals: &mut Totals) -> Result<Exit, Error> {
    let sets = match what {
        What::Set(directory) => vec![directory.clone()],
        What::Records(verdicts) => match from_records(session, *verdicts)? {
            Some(sets) => sets,
            None => return Ok(Exit::Bad),
        },
    };
    let mut exit = Exit::Done;
    for set in &sets {
        exit = worse(exit, push_set(plan, session, set, totals)?);
    }
    if totals.contains_key("uploaded") {
        clear_stale(plan, session, now);
    }
    Ok(exit)
}

/// The sets that standard input names; `None` when one of them is not proven clean and has to be.
fn from_records(session: &Session, verdicts: Verdicts) -> Result<Option<Vec<PathBuf>>, Error> {
    let upstream = Upstream::read(BufReader::new(std::io::stdin().lock()), session)?;
    if upstream.sets.is_empty() {
        return Err(Error::NoSet);
    }
    let not_clean = if verdicts == Verdicts::Required { upstream.not_clean() } else { Vec::new() };
    not_clean.iter().for_each(|complaint| session.fail(None, None, complaint));
    Ok(not_clean.is_empty().then(|| upstream.sets.into_iter().collect()))
}

fn push_set(plan: &Plan, session: &Session, directory: &Path, totals: &mut Totals) -> Result<Exit, Error> {
    let Work::Push { recipients, lock, .. } = &plan.work else { return Ok(Exit::Done) };
    let push = Push {
        store: &*plan.store,
        location: &plan.location,
        session,
        interrupt: &plan.interrupt,
        jobs: plan.jobs,
        lock: *lock,
        recipients: recipients.as_ref(),
    };
    let local = LocalSet::open(directory, &session.report).map_err(push::Error::Local)?;
    if local.name.is_incomplete() {
        session.report.warning(format!("{}: a part of this set had failed when it was made", local.name));
    }
    let exit = push.push(&local, totals)?;
    let total = |name: &str| totals.get(name).copied().unwrap_or(0);
    session.report.summary(format!(
        "{} {}: {} sent, {} copied there, {} already there",
        if exit == Exit::Done { "pushed" } else { "not complete:" },
        plan.location.url_of(&local.name.to_string()),
        human_size(total("uploaded_bytes")),
        human_size(total("copied_bytes")),
        human_size(total("skipped_bytes")),
    ));
    Ok(exit)
}

/// Drops what uploads of runs that died have left below the sets for a day. It is only tidiness: a store that does not
/// allow it is as good.
fn clear_stale(plan: &Plan, session: &Session, now: &ZonedDateTime) {
    let Ok(before) = now.timestamp().checked_sub(SignedDuration::from_hours(24)) else { return };
    for kind in SetKind::ALL {
        match plan.store.abort_stale(&format!("{kind}/"), before) {
            Ok(0) => {}
            Ok(count) => session.report.info(format!("dropped {count} unfinished {kind} uploads of runs that died")),
            Err(error) => session.report.info(format!("unfinished uploads stay: {}", report::chain(&error))),
        }
    }
}

fn pull(plan: &Plan, session: &Session, which: Which, totals: &mut Totals) -> Result<Exit, Error> {
    let Work::Pull { to, wanted, identities, .. } = &plan.work else { return Ok(Exit::Done) };
    let pull = Pull {
        store: &*plan.store,
        location: &plan.location,
        session,
        interrupt: &plan.interrupt,
        jobs: plan.jobs,
        identities: identities.as_ref(),
    };
    let name = find(plan, session, which)?;
    let exit = pull.pull(name, to, wanted, totals)?;
    let total = |name: &str| totals.get(name).copied().unwrap_or(0);
    session.report.summary(format!(
        "{} {name} in {}: {} fetched, {} already there",
        if exit == Exit::Done { "pulled" } else { "not complete:" },
        to.display(),
        human_size(total("downloaded_bytes")),
        human_size(total("skipped_bytes")),
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
        location: &plan.location,
        session,
        interrupt: &plan.interrupt,
        jobs: plan.jobs,
        depth,
    };
    let exit = verify.verify(name, totals)?;
    let total = |name: &str| totals.get(name).copied().unwrap_or(0);
    session.report.summary(format!("{name}: {} files are as recorded, {} are not", total("verified"), total("failed")));
    Ok(exit)
}

/// The set that is meant. Newer ones that are not complete are named, and not taken.
fn find(plan: &Plan, session: &Session, which: Which) -> Result<SetName, Error> {
    if let Which::Named(name) = which {
        return Ok(name);
    }
    for name in names(&*plan.store)? {
        match RemoteSet::read(&*plan.store, name) {
            Ok(set) if set.is_complete() => return Ok(name),
            Ok(_) => session.report.warning(format!("{name} is newer and not complete")),
            Err(remote::Error::Store(error)) => return Err(error.into()),
            Err(error) => session.report.warning(format!("{name} is newer and damaged: {}", report::chain(&error))),
        }
    }
    Err(Error::NoCompleteSet { url: plan.location.to_string() })
}

/// Of two sets, what the run came to.
fn worse(a: Exit, b: Exit) -> Exit {
    if a == Exit::Done { b } else { a }
}
