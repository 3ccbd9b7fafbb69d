//! Follows the plan: takes the locks, verifies everything, builds what is new, and puts it in
//! place, or takes all of it back.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::atomic;
use mail_common::exit::Exit;
use mail_common::interrupt::{Interrupt, Interrupted};
use mail_common::relpath::RelPath;
use mail_common::report::Unit;
use mail_common::set::{BackupRoot, LockError, RootLock, SetFile, SetState};
use mail_common::tool::{Session, Totals};
use mail_common::upstream::Upstream;

use crate::place;
use crate::plan::{Clearance, Destination, Plan, Work};
use crate::show;
use crate::single;
use crate::swap::{Cleared, Turn, TurnError, clear_leftovers};
use mail_common::clearance::refusals;
use mail_common::set::verify::verify;

/// Why a run could not finish. What was there is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Turn(#[from] TurnError),
    #[error("clear what a killed restore left beside {}", target.display())]
    Leftovers { target: PathBuf, source: io::Error },
    #[error(
        "{damaged} files of the set are damaged; nothing was touched: use another set, or --component for what is whole"
    )]
    Damaged { damaged: u64 },
    #[error(
        "{refused} files are not known to be clean; nothing was touched: scan the set, or leave out --require-scan"
    )]
    NotClean { refused: u64 },
    #[error("make {}", directory.display())]
    MakeDirectory {
        directory: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Place(#[from] place::Error),
    #[error(transparent)]
    Single(#[from] single::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Single(error) => error.exit(),
            Self::Lock(LockError::Held { .. }) | Self::Turn(TurnError::Taken { .. }) => {
                Exit::Locked
            }
            _ => Exit::Unfinished,
        }
    }
}

/// Everything that keeps others away while this run is at work.
#[derive(Debug)]
struct Locks {
    _root: Option<RootLock>,
    _turns: Vec<Turn>,
}

/// Does what the plan says. What fails is in the records; the exit says what it came to.
pub(crate) fn execute(
    plan: &Plan,
    upstream: &Upstream,
    session: &Session,
    now: &ZonedDateTime,
) -> (Exit, Totals) {
    let done = run(plan, upstream, session, now);
    let (exit, mut totals) = done.unwrap_or_else(|error| {
        session.fail(None, None, &error);
        (error.exit(), Totals::default())
    });
    totals.add("errors", session.report.errors());
    totals.add("warnings", session.report.warnings());
    (exit, totals)
}

fn run(
    plan: &Plan,
    upstream: &Upstream,
    session: &Session,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let interrupt = Interrupt::on_signals();
    say_what_is_odd(plan, session);
    if let Some(query) = &plan.query {
        return Ok(single::restore(
            plan, query, upstream, session, &interrupt, now,
        )?);
    }
    match plan.work {
        Work::Show => return Ok(show::show(plan, upstream, session, &interrupt)?),
        Work::Verify => return Ok(show::verify(plan, upstream, session, &interrupt)?),
        Work::Restore => {}
    }
    if let Destination::Directory(directory) = &plan.destination {
        let made = atomic::create_dir_all(directory);
        made.map_err(|source| Error::MakeDirectory {
            directory: directory.clone(),
            source,
        })?;
    }
    let _locks = lock(plan, session, now)?;
    let refused = check_clean(plan, upstream, session);
    if refused > 0 {
        return Err(Error::NotClean { refused });
    }
    let damaged = check_digests(plan, session, &interrupt)?;
    if damaged > 0 {
        return Err(Error::Damaged { damaged });
    }
    Ok((Exit::Done, place::place(plan, session, &interrupt, now)?))
}

/// Takes the locks, and clears what killed runs left.
fn lock(plan: &Plan, session: &Session, now: &ZonedDateTime) -> Result<Locks, Error> {
    let root = match plan.destination {
        Destination::Live => lock_root(&plan.root, now)?,
        Destination::Directory(_) => None,
    };
    let targets = plan.targets();
    let parents: BTreeSet<&Path> = targets
        .iter()
        .filter_map(|(target, _)| target.parent())
        .collect();
    let turns = parents
        .into_iter()
        .map(Turn::take)
        .collect::<Result<_, _>>()?;
    for (target, _) in targets {
        let cleared = clear_leftovers(target);
        for cleared in cleared.map_err(|source| Error::Leftovers {
            target: target.to_owned(),
            source,
        })? {
            session.report.warning(leftover_text(&cleared));
        }
    }
    Ok(Locks {
        _root: root,
        _turns: turns,
    })
}

/// No backup may save what is half restored. Where there is no root, or it cannot be written, no
/// backup can be at work.
fn lock_root(root: &Path, now: &ZonedDateTime) -> Result<Option<RootLock>, Error> {
    let Ok(root) = BackupRoot::open(root) else {
        return Ok(None);
    };
    match RootLock::acquire(&root, now) {
        Err(LockError::Failed(failed))
            if failed.source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
        {
            Ok(None)
        }
        lock => Ok(Some(lock?)),
    }
}

fn leftover_text(cleared: &Cleared) -> String {
    match cleared {
        Cleared::Removed(path) => format!(
            "removed {}, left by a restore that was killed",
            path.display()
        ),
        Cleared::Kept(path) => {
            format!(
                "a restore was killed after it was done; what was there before is {}",
                path.display()
            )
        }
        Cleared::PutBack(path) => {
            format!(
                "{} is back, which a restore that was killed had moved aside",
                path.display()
            )
        }
    }
}

fn say_what_is_odd(plan: &Plan, session: &Session) {
    let set = plan.inventory.set.display();
    match plan.inventory.state {
        SetState::Complete | SetState::Damaged => {}
        SetState::Legacy => session
            .report
            .info(format!("{set} has no manifest: a set of the old scripts")),
        SetState::Incomplete => session
            .report
            .warning(format!("{set} is incomplete: a part of that backup failed")),
    }
    // A link has no content that a checksum could tell of.
    let is_link = |path: &&RelPath| plan.inventory.set.join(path.as_path()).is_symlink();
    for path in plan.inventory.unlisted.iter().filter(|path| !is_link(path)) {
        session.report.warning(format!(
            "{path} is not in checksums.sha256 and is not restored"
        ));
    }
    for path in &plan.jobs.homeless {
        session
            .report
            .warning(format!("{path} is not restored: no place is known for it"));
    }
}

/// How many files may not be used because no scanner found them clean; each is said.
pub(crate) fn check_clean(plan: &Plan, upstream: &Upstream, session: &Session) -> u64 {
    if plan.clearance == Clearance::Digest {
        return 0;
    }
    let refused = refusals(upstream, &plan.inventory.set, plan.used());
    for refusal in &refused {
        session.record_failure(None, Some(refusal.path()), refusal);
    }
    refused.len() as u64
}

/// How many files are not what the checksums say; each is said.
pub(crate) fn check_digests(
    plan: &Plan,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<u64, Interrupted> {
    let files = plan.used();
    let set = &plan.inventory.set;
    let progress = session
        .report
        .progress("verify", Unit::Bytes, Some(total_bytes(set, &files)));
    let damaged = verify(set, &files, plan.threads, interrupt, &|bytes| {
        progress.advance(bytes)
    })?;
    for damage in &damaged {
        let component = plan
            .inventory
            .file(damage.path())
            .and_then(|file| file.component);
        session.fail(component, Some(damage.path()), damage);
    }
    Ok(damaged.len() as u64)
}

/// The size of files of a set.
pub(crate) fn total_bytes(set: &Path, files: &[&SetFile]) -> u64 {
    files
        .iter()
        .map(|file| {
            fs::metadata(set.join(file.path.as_path())).map_or(0, |metadata| metadata.len())
        })
        .sum()
}
