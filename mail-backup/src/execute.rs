//! Follows the plan: takes the lock, saves the components, commits the set, and removes old ones.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};
use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::manifest::Manifest;
use mail_common::record::{ErrorRecord, Record};
use mail_common::set::{
    self, CHECKSUMS, CommitAs, Component, LockError, MANIFEST, RootLock, SetKind, SetState, Staging,
};
use mail_common::tool::{Session, Totals};

use crate::carry_over::{self, Base, CarriedOver};
use crate::components::{self, Run, RunResult};
use crate::mailboxes::INDEX_NAME;
use crate::plan::{Dated, Plan, Reading, Wanted, Work};
use crate::previous::PreviousSets;
use crate::prune::{Newest, is_full, prune};
use crate::saved::{Origin, SavedFile};
use crate::seal::{Closing, seal};
use crate::show::{show, show_prune};

/// How long a commit waits for the readers of the set that it replaces.
const READER_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Why a run could not finish. The sets that were there are untouched.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error(
        "the clock says {now}, and {set} was begun later, at {begun}; set the clock, or pass --date to replace that set"
    )]
    ClockBehind {
        now: String,
        set: String,
        begun: String,
    },
    #[error(transparent)]
    Components(#[from] components::Error),
    #[error(transparent)]
    CarryOver(#[from] carry_over::Error),
    #[error("close the set")]
    Seal(#[source] io::Error),
    #[error("nothing could be saved; the sets that were there are untouched")]
    NothingSaved,
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Lock(LockError::Held { .. } | LockError::Busy { .. })
            | Self::Set(set::Error::Busy { .. }) => Exit::Locked,
            Self::ClockBehind { .. } | Self::CarryOver(carry_over::Error::NotOurs { .. }) => {
                Exit::Usage
            }
            _ => Exit::Unfinished,
        }
    }
}

/// Does what the plan says. What fails is in the records; the exit says what it came to.
pub(crate) fn execute(plan: &Plan, session: &Session, now: &ZonedDateTime) -> (Exit, Totals) {
    let done = match plan.work {
        Work::Show => Ok(show(plan, session)),
        Work::ShowPrune => Ok(show_prune(plan, session)),
        Work::Prune => prune_only(plan, session, now),
        Work::Save => save(plan, session, now),
    };
    done.unwrap_or_else(|error| {
        session.fail(None, None, &error);
        (error.exit(), Totals::default())
    })
}

fn prune_only(
    plan: &Plan,
    session: &Session,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let lock = RootLock::acquire(&plan.root, now)?;
    let mut totals = Totals::default();
    let exit = retire(
        plan,
        &lock,
        session,
        Newest::Dated(plan.id.kind()),
        &mut totals,
    );
    Ok((exit, totals))
}

/// Removes old sets.
fn retire(
    plan: &Plan,
    lock: &RootLock,
    session: &Session,
    newest: Newest,
    totals: &mut Totals,
) -> Exit {
    let pruned = prune(lock, &plan.root, newest, &plan.retention, &session.report);
    for error in &pruned.failed {
        session.fail(None, None, error);
    }
    totals.add("removed_sets", pruned.removed);
    if pruned.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Bad
    }
}

fn save(plan: &Plan, session: &Session, now: &ZonedDateTime) -> Result<(Exit, Totals), Error> {
    let interrupt = Interrupt::on_signals();
    let lock = RootLock::acquire(&plan.root, now)?;
    for path in plan.root.clear_leftovers(&lock)? {
        session.report.info(format!(
            "cleared {}, left by a run that was killed",
            path.display()
        ));
    }
    let known = known_sets(plan, session)?;
    check_clock(plan, &known, now, session)?;
    let previous = match plan.reading {
        Reading::Changes => PreviousSets::new(known),
        Reading::Everything => PreviousSets::default(),
    };
    let base = base(plan)?;
    let staging = Staging::create(&lock, &plan.root, plan.id)?.watching(&interrupt);
    let mut run = Run {
        plan,
        session,
        staging: &staging,
        previous: &previous,
        interrupt: &interrupt,
        result: RunResult::default(),
    };
    run.save_components(age_from(plan, now))?;
    let carried = match base {
        Some(base) => base.carry_over(&plan.components, &staging)?,
        None => CarriedOver::default(),
    };
    let RunResult {
        files,
        notices,
        totals,
        failed,
    } = run.result;
    if files.is_empty() {
        return Err(Error::NothingSaved);
    }
    let commit_as = match failed.is_empty() && carried.errors.is_empty() {
        true => CommitAs::Complete,
        false => CommitAs::Incomplete,
    };
    commit(
        plan,
        &lock,
        session,
        staging,
        Saved {
            files,
            notices,
            totals,
            carried,
            commit_as,
        },
    )
}

/// The moment from which the age of mail is counted, in seconds since 1970: now, or the end of the
/// day that was given.
fn age_from(plan: &Plan, now: &ZonedDateTime) -> i64 {
    let end_of_day = || {
        plan.id
            .date()
            .tomorrow()?
            .to_zoned_datetime(now.time_zone().clone())
    };
    match plan.dated {
        Dated::ByClock => now.timestamp().as_second(),
        Dated::ByFlag => end_of_day()
            .map_or_else(|_| now.timestamp(), |end| end.timestamp())
            .as_second(),
    }
}

/// The day's set, when only parts of it are made anew.
fn base(plan: &Plan) -> Result<Option<Base>, Error> {
    match plan.components.len() == Component::ALL.len() {
        true => Ok(None),
        false => Ok(carry_over::find(&plan.root, plan.id)?),
    }
}

/// The complete sets with manifests that can be trusted.
fn known_sets(
    plan: &Plan,
    session: &Session,
) -> Result<Vec<(std::path::PathBuf, Manifest)>, Error> {
    let mut known = Vec::new();
    for kind in SetKind::ALL {
        for set in plan
            .root
            .sets(kind)?
            .into_iter()
            .filter(|set| set.state == SetState::Complete)
        {
            match trusted_manifest(&set.path) {
                Ok(manifest) => known.push((set.path, manifest)),
                Err(error) => session.report.warning(format!(
                    "{} is not used to find what has changed: {}",
                    set.path.display(),
                    mail_common::report::chain(&*error)
                )),
            }
        }
    }
    Ok(known)
}

/// The manifest of a set, when it is what the set's checksums say.
fn trusted_manifest(set: &Path) -> Result<Manifest, Box<dyn StdError>> {
    let checksums = ChecksumFile::parse(&std::fs::read(set.join(CHECKSUMS))?)?;
    let (found, _) = Sha256::of_reader(std::fs::File::open(set.join(MANIFEST))?)?;
    let recorded = checksums
        .entries()
        .iter()
        .find(|(_, path)| path.as_bytes() == MANIFEST.as_bytes());
    if recorded.is_none_or(|(digest, _)| *digest != found) {
        return Err(format!("{MANIFEST} is not what {CHECKSUMS} says").into());
    }
    Ok(Manifest::read(&set.join(MANIFEST))?)
}

/// A clock that was set back must not replace a newer set by an older date.
fn check_clock(
    plan: &Plan,
    known: &[(std::path::PathBuf, Manifest)],
    now: &ZonedDateTime,
    session: &Session,
) -> Result<(), Error> {
    let begun = |manifest: &Manifest| manifest.begin.time.parse::<Timestamp>().ok();
    let later = known
        .iter()
        .filter(|(_, manifest)| begun(manifest).is_some_and(|begun| begun > now.timestamp()));
    for (path, manifest) in later {
        let (set, begun) = (path.display().to_string(), manifest.begin.time.clone());
        if plan.dated == Dated::ByClock && *path == plan.root.set_path(plan.id) {
            return Err(Error::ClockBehind {
                now: now.datetime().to_string(),
                set,
                begun,
            });
        }
        session.report.warning(format!(
            "{set} was begun at {begun}, which is in the future: was the clock set back?"
        ));
    }
    Ok(())
}

/// What a run has saved, before it is visible.
struct Saved {
    files: Vec<SavedFile>,
    notices: Vec<String>,
    totals: Totals,
    carried: CarriedOver,
    commit_as: CommitAs,
}

fn commit(
    plan: &Plan,
    lock: &RootLock,
    session: &Session,
    staging: Staging<'_>,
    saved: Saved,
) -> Result<(Exit, Totals), Error> {
    let Saved {
        mut files,
        notices,
        mut totals,
        carried,
        commit_as,
    } = saved;
    files.extend(carried.files);
    files.sort_by(|a, b| (a.component, &a.path).cmp(&(b.component, &b.path)));
    add_sums(&mut totals, &files, session);
    let exit = match commit_as {
        CommitAs::Complete => Exit::Done,
        CommitAs::Incomplete => Exit::Partial,
    };
    let mut begin = session.begin().clone();
    begin.set = Some(match commit_as {
        CommitAs::Complete => plan.id.to_string(),
        CommitAs::Incomplete => format!("{}.incomplete", plan.id),
    });
    let errors: Vec<ErrorRecord> = session.errors().into_iter().chain(carried.errors).collect();
    let end = session.end(exit, totals.clone());
    let closing = Closing {
        begin,
        end,
        errors,
        notices: &notices,
        files: &files,
    };
    let manifest = seal(&staging, closing).map_err(Error::Seal)?;
    let committed = staging.commit(commit_as, READER_PATIENCE)?;
    for left in committed.not_removed {
        session.report.warning(format!(
            "{} is still there: {}",
            left.path.display(),
            left.reason
        ));
    }
    let is_full = is_full(&manifest);
    if commit_as == CommitAs::Complete && is_full {
        point_latest(plan, lock, session)?;
    }
    say(session, &committed.path, &totals, exit);
    manifest
        .artifacts
        .into_iter()
        .for_each(|artifact| session.emit(&Record::Artifact(artifact)));
    if commit_as == CommitAs::Incomplete || !is_full || plan.retention.wanted == Wanted::No {
        return Ok((exit, totals));
    }
    // A set that was given an older date is not the one to count ages from.
    let newest = match plan.dated {
        Dated::ByClock => Newest::Made(plan.id),
        Dated::ByFlag => Newest::Dated(plan.id.kind()),
    };
    let exit = retire(plan, lock, session, newest, &mut totals);
    Ok((exit, totals))
}

fn add_sums(totals: &mut Totals, files: &[SavedFile], session: &Session) {
    for file in files {
        totals.add("files", 1);
        // An index lists what its segments hold already.
        if file.path.name() != INDEX_NAME {
            totals.add("entries", file.entries);
            totals.add("source_bytes", file.source_bytes);
        }
        totals.add("bytes", file.stored_bytes);
        let is_reused = file.origin == Origin::Reused;
        totals.add(
            "reused_bytes",
            if is_reused { file.stored_bytes } else { 0 },
        );
    }
    totals.add("errors", session.report.errors());
    totals.add("warnings", session.report.warnings());
}

/// `latest` leads to the set that was made last; a set that was given an older date does not take
/// its place.
fn point_latest(plan: &Plan, lock: &RootLock, session: &Session) -> Result<(), Error> {
    if plan.dated == Dated::ByFlag
        && let Some(latest) = plan.root.latest()?
        && latest.date() > plan.id.date()
    {
        session.report.info(format!(
            "latest still leads to {latest}, which is younger than {}",
            plan.id
        ));
        return Ok(());
    }
    Ok(plan.root.set_latest(lock, plan.id)?)
}

fn say(session: &Session, path: &Path, totals: &Totals, exit: Exit) {
    let made = match exit {
        Exit::Done => "made",
        _ => "some parts failed; what could be saved is in",
    };
    session.report.summary(format!(
        "{made} {}: {} in {} files, {} of them linked from earlier sets",
        path.display(),
        totals.size("bytes"),
        totals.get("files"),
        totals.size("reused_bytes"),
    ));
}
