//! Follows the plan: takes the locks, verifies everything, builds what is new, and puts it in
//! place, or takes all of it back.

use jiff::ZonedDateTime;
use mail_common::atomic;
use mail_common::exit::Exit;
use mail_common::failure::{Failed, Failure};
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::set::SetState;
use mail_common::tool::{Session, Totals, human_count};
use mail_common::upstream::Upstream;

use crate::error::{Error, exit_of};
use crate::locks::{self, Locks};
use crate::messages::{Known, Query};
use crate::place::place;
use crate::plan::Plan;
use crate::setup::{Destination, Work};
use crate::show::show;
use crate::single::{self, Job};
use crate::verify::{Cleared, check_clean, check_digests, verify_used};

/// Does what the plan says. What fails is in the records, and the exit says how bad it was.
pub(crate) fn execute(
    plan: &Plan,
    upstream: &Upstream,
    session: &Session,
    now: &ZonedDateTime,
) -> (Exit, Totals) {
    let done = run(plan, upstream, session, now);
    let (exit, mut totals) = done.unwrap_or_else(|error| {
        session.fail(None, None, &error);
        (exit_of(error.kind()), Totals::default())
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
    warn_of_the_set(plan, session);
    if plan.work == Work::Restore
        && let Destination::Directory(directory) = &plan.destination
    {
        atomic::create_dir_all(directory).map_err(Failed::at("make", directory))?;
    }
    if let Some(query) = &plan.query {
        return messages(plan, query, upstream, session, &interrupt, now);
    }
    match plan.work {
        Work::Show => Ok(show(plan, upstream, session, &interrupt)?),
        Work::Verify => Ok(verify_used(plan, upstream, session, &interrupt)?),
        Work::Restore => restore(plan, upstream, session, &interrupt, now),
    }
}

fn restore(
    plan: &Plan,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let _locks = Locks::take(plan, session, now)?;
    let Cleared { refused, left_out } = check_clean(plan, upstream, session);
    if refused > 0 {
        return Err(Error::NotClean { refused });
    }
    let damaged = check_digests(plan, session, interrupt)?;
    if damaged > 0 {
        return Err(Error::Damaged { damaged });
    }
    let totals = place(plan, &left_out, session, interrupt, now)?;
    // Stored code that could not be made is named; all else is in place.
    let exit = match session.report.errors() {
        0 => Exit::Done,
        _ if left_out.is_empty() => Exit::Bad,
        _ => Exit::Partial,
    };
    Ok((exit, totals))
}

/// Single messages are added without an exchange, and need no lock on their target.
fn messages(
    plan: &Plan,
    query: &Query,
    upstream: &Upstream,
    session: &Session,
    interrupt: &Interrupt,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    if plan.work == Work::Restore
        && let Destination::Directory(directory) = &plan.destination
    {
        locks::clear_directory(directory, plan, session)?;
    }
    let (job, mut known) = (Job::of(plan), Known::default());
    let ended = single::restore(&job, query, upstream, session, interrupt, now, &mut known)?;
    Ok((ended.exit, ended.totals))
}

/// Says what somebody should know of the set before it is used.
fn warn_of_the_set(plan: &Plan, session: &Session) {
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
    for (path, reason) in &plan.jobs.unplaced {
        session
            .report
            .warning(format!("{path} is not restored: {reason}"));
    }
    for file in plan.used() {
        let excluded = file.recorded.map_or(0, |recorded| recorded.excluded);
        if excluded > 0 {
            session.report.warning(format!(
                "{} was saved without {} that EXCLUDE named: what is restored does not have them",
                file.path,
                human_count(excluded, "entry", "entries")
            ));
        }
    }
}
