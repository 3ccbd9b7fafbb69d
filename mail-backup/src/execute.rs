//! Follows the plan: takes the lock, saves the components, commits the set, and removes old ones.

use std::path::Path;
use std::time::Duration;

use jiff::ZonedDateTime;
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupt;
use mail_common::manifest::{DayRecords, Manifest};
use mail_common::record::{CanaryState, ErrorRecord, Record};
use mail_common::report::Report;
use mail_common::set::{
    CommitAs, Component, MANIFEST, RootLock, SetId, SetKind, SetState, Staging,
};
use mail_common::signature;
use mail_common::suspicion::{DayRun, Hold, raise, runs};
use mail_common::tool::{Session, Totals};

use crate::accept::{accept, show_accept};
use crate::canary::{Tended, tend};
use crate::carry_over::{self, Base, CarriedOver};
use crate::components::{FoundDamage, Run, SavedComponents, save_components};
use crate::error::Error;
use crate::judgement::judge_day;
use crate::plan::{Dated, Plan, Scope, Wanted, Work};
use crate::previous::{KnownSet, PreviousSets, known_sets, set_before};
use crate::prune::{Newest, prune};
use crate::saved::SavedFile;
use crate::seal::{Closing, Sealed, count_files, seal};
use crate::show::{show, show_prune};

/// How long a commit waits for the readers of the set that it replaces.
const READER_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Does what the plan says. Parts that fail are in the records; the exit sums them up.
///
/// # Errors
/// When the run could not finish. The sets that were there are untouched.
pub(crate) fn execute(
    plan: &Plan,
    session: &Session,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    match plan.work {
        Work::Show => Ok(show(plan, session)),
        Work::ShowPrune => show_prune(plan, session),
        Work::Prune => prune_only(plan, session, now),
        Work::Accept => accept(plan, session, now),
        Work::ShowAccept => show_accept(plan, session),
        Work::Save => save(plan, session, now),
    }
}

fn prune_only(
    plan: &Plan,
    session: &Session,
    now: &ZonedDateTime,
) -> Result<(Exit, Totals), Error> {
    let lock = RootLock::acquire(&plan.root, now)?;
    let mut totals = Totals::default();
    let newest = Newest::Dated(plan.id.kind());
    let hold = raise(&lock, &plan.root)?;
    let exit = remove_old(plan, &lock, session, newest, hold.as_ref(), &mut totals);
    Ok((exit, totals))
}

/// Removes old sets. One that is still there makes the run bad, not the set that it made.
fn remove_old(
    plan: &Plan,
    lock: &RootLock,
    session: &Session,
    newest: Newest,
    hold: Option<&Hold>,
    totals: &mut Totals,
) -> Exit {
    let report = &session.report;
    let pruned = prune(lock, &plan.root, newest, &plan.retention, hold, report);
    for error in &pruned.failed {
        session.fail(None, None, error);
    }
    if pruned.removed > 0 {
        session.has_done(format!("removed {} old sets", pruned.removed));
    }
    totals.add("removed_sets", pruned.removed);
    totals.add("held_sets", pruned.held);
    if pruned.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Bad
    }
}

fn save(plan: &Plan, session: &Session, now: &ZonedDateTime) -> Result<(Exit, Totals), Error> {
    session.keep_errors();
    let interrupt = Interrupt::on_signals();
    let lock = RootLock::acquire(&plan.root, now)?;
    clear_leftovers(plan, &lock, &session.report)?;
    let known = known_sets(&plan.root)?;
    check_clock(plan, &known, now, &session.report)?;
    let previous = PreviousSets::new(known, plan.reuse, plan.signers.as_ref(), &session.report);
    let base = find_base(plan)?;
    let staging = Staging::create(&lock, &plan.root, plan.id)?.watching(&interrupt);
    let earlier = runs(&plan.root, &SetKind::ALL);
    let mut tended = tend_canary(plan, session, &earlier, now)?;
    let untended = tended.failure.take();
    let saved = save_components(&Run {
        plan,
        session,
        staging: &staging,
        previous: &previous,
        interrupt: &interrupt,
        now_seconds: age_from(plan, now),
    })?;
    let carried = match base {
        Some(base) => base.carry_over(&plan.components, &plan.wanted, &staging)?,
        None => CarriedOver::default(),
    };
    if saved.files.is_empty() {
        return Err(Error::NothingSaved);
    }
    if let Some(lack) = carried.lack(plan.id) {
        session.fail(None, None, &lack);
    }
    let mut saved = saved;
    saved.notices.extend(tended.notice.clone());
    let mut day = judge_day(plan, session, &mut saved, tended, &earlier, now)?;
    day.add(carried.day.clone());
    let commit_as = day.commit_as(plan, session);
    let new_set = NewSet::of(saved, carried, day.records, commit_as, session);
    let new_set = NewSet {
        untended,
        ..new_set
    };
    new_set.commit(plan, &lock, session, staging)
}

/// Before the mailboxes are saved, so that the set has the canary that this run makes.
fn tend_canary(
    plan: &Plan,
    session: &Session,
    earlier: &[DayRun],
    now: &ZonedDateTime,
) -> Result<Tended, Error> {
    let Some(canary) = &plan.canary else {
        return Ok(Tended::default());
    };
    let tended = tend(canary, &plan.root, earlier, now.timestamp())?;
    let report = &session.report;
    if let Some(notice) = &tended.notice {
        report.warning(notice);
    }
    if let Some(made) = tended
        .record
        .as_ref()
        .filter(|it| it.state == CanaryState::Made)
    {
        let path = canary.mail_dir.join(&made.path);
        report.summary(format!("made the canary {}", path.display()));
    }
    Ok(tended)
}

fn clear_leftovers(plan: &Plan, lock: &RootLock, report: &Report) -> Result<(), Error> {
    for path in plan.root.clear_leftovers(lock)? {
        report.info(format!(
            "removed {}, left by a run that was killed",
            path.display()
        ));
    }
    Ok(())
}

/// The moment from which the age of mail is counted, in seconds since 1970: now, or the end of the
/// day that was given.
fn age_from(plan: &Plan, now: &ZonedDateTime) -> i64 {
    let end_of_day = || {
        let midnight = plan.id.date().tomorrow()?;
        midnight.to_zoned_datetime(now.time_zone().clone())
    };
    match plan.dated {
        Dated::ByClock => now.timestamp().as_second(),
        Dated::ByFlag => end_of_day()
            .map_or_else(|_| now.timestamp(), |end| end.timestamp())
            .as_second(),
    }
}

/// The day's set, of which only parts may be saved again.
fn find_base(plan: &Plan) -> Result<Option<Base>, Error> {
    let signers = plan.signers.as_ref();
    match plan.scope {
        Scope::Whole => carry_over::find_complete(&plan.root, plan.id, signers),
        Scope::Parts => carry_over::find(&plan.root, plan.id, signers),
    }
}

/// A clock that was set back must not replace a newer set by an older date.
fn check_clock(
    plan: &Plan,
    known: &[KnownSet],
    now: &ZonedDateTime,
    report: &Report,
) -> Result<(), Error> {
    for set in known {
        let (Some(begun), Some(begin)) = (set.begun(), &set.begin) else {
            continue;
        };
        if begun <= now.timestamp() {
            continue;
        }
        let begun = &begin.time;
        if plan.dated == Dated::ByClock && set.directory == plan.root.set_path(plan.id) {
            return Err(Error::ClockBehind {
                now: now.datetime().to_string(),
                set: set.directory.clone(),
                begun: begun.clone(),
            });
        }
        report.warning(format!(
            "{} was begun at {begun}, which is in the future: was the clock set back?",
            set.directory.display()
        ));
    }
    Ok(())
}

/// All that a set holds, before it is visible.
struct NewSet {
    files: Vec<SavedFile>,
    notices: Vec<String>,
    remarks: Vec<String>,
    day: DayRecords,
    errors: Vec<ErrorRecord>,
    totals: Totals,
    /// What the set does not suffer from.
    damage: Vec<FoundDamage>,
    /// Nor of this: why nobody could look after the canary.
    untended: Option<Error>,
    commit_as: CommitAs,
}

impl NewSet {
    fn of(
        saved: SavedComponents,
        carried: CarriedOver,
        day: DayRecords,
        commit_as: CommitAs,
        session: &Session,
    ) -> Self {
        let commit_as = if saved.failed.is_empty() && carried.errors.is_empty() {
            commit_as
        } else {
            CommitAs::Incomplete
        };
        let mut files = saved.files;
        files.extend(carried.files);
        files.sort_by(|a, b| (a.component, &a.path).cmp(&(b.component, &b.path)));
        let mut errors = session.errors();
        errors.extend(carried.errors);
        let mut totals = saved.totals;
        count_files(&mut totals, &files);
        totals.add("errors", session.report.errors());
        totals.add("warnings", session.report.warnings());
        Self {
            files,
            notices: saved.notices,
            remarks: saved.remarks,
            damage: saved.damage,
            untended: None,
            day,
            errors,
            totals,
            commit_as,
        }
    }

    fn exit(&self) -> Exit {
        match self.commit_as {
            CommitAs::Complete => Exit::Done,
            CommitAs::Incomplete => Exit::Partial,
        }
    }

    fn name(&self, plan: &Plan) -> String {
        match self.commit_as {
            CommitAs::Complete => plan.id.to_string(),
            CommitAs::Incomplete => format!("{}.incomplete", plan.id),
        }
    }

    /// Closes the set and makes it visible. Then, and only then, `latest` may lead to it, its
    /// records are written, and old sets may go.
    fn commit(
        self,
        plan: &Plan,
        lock: &RootLock,
        session: &Session,
        staging: Staging<'_>,
    ) -> Result<(Exit, Totals), Error> {
        let Sealed { manifest, unsigned } = self.seal(plan, session, &staging)?;
        let exit = self.exit();
        let (damage, untended) = (self.damage, self.untended);
        let (mut totals, commit_as) = (self.totals, self.commit_as);
        let committed = staging.commit(commit_as, READER_PATIENCE)?;
        for left in committed.not_removed {
            session.report.warning(format!(
                "{} is still there: {}",
                left.path.display(),
                left.reason
            ));
        }
        if commit_as == CommitAs::Complete {
            point_latest(plan, &manifest, lock, session)?;
        }
        print_summary(session, &committed.path, &totals, commit_as);
        for record in manifest.day.records() {
            session.emit(&record);
        }
        for artifact in manifest.artifacts {
            session.emit(&Record::Artifact(artifact));
        }
        let exit = exit.max(report_damage(&damage, session));
        let exit = exit.max(report_unsigned(unsigned, session));
        totals.add("errors", damage.len() as u64);
        let exit = exit.max(report_untended(untended.as_ref(), session));
        totals.add("errors", u64::from(untended.is_some()));
        let hold = raise(lock, &plan.root)?;
        if commit_as == CommitAs::Incomplete || plan.retention.wanted == Wanted::No {
            return Ok((exit, totals));
        }
        // A set that was given an older date is not the one to count ages from.
        let newest = match plan.dated {
            Dated::ByClock => Newest::Made(plan.id),
            Dated::ByFlag => Newest::Dated(plan.id.kind()),
        };
        let removed = remove_old(plan, lock, session, newest, hold.as_ref(), &mut totals);
        let exit = exit.max(removed);
        Ok((exit, totals))
    }

    fn seal(&self, plan: &Plan, session: &Session, staging: &Staging<'_>) -> Result<Sealed, Error> {
        let mut begin = session.begin().clone();
        begin.set = Some(self.name(plan));
        begin.wanted = Some(plan.wanted.clone());
        begin.previous = set_before(&plan.root, plan.id);
        let closing = Closing {
            begin,
            end: session.end(self.exit(), self.totals.clone()),
            day: self.day.clone(),
            errors: self.errors.clone(),
            notices: &self.notices,
            remarks: &self.remarks,
            files: &self.files,
            signing_key: plan.signing_key.as_ref(),
        };
        seal(staging, closing)
    }
}

/// A set that is not signed is refused where signatures are asked for: somebody must know.
fn report_unsigned(unsigned: Option<signature::Error>, session: &Session) -> Exit {
    let Some(error) = unsigned else {
        return Exit::Done;
    };
    session.fail(None, None, &Error::NotSigned(error));
    Exit::Bad
}

/// Names what changed by itself on a disk. That makes the run bad, not the set that it made.
fn report_damage(damage: &[FoundDamage], session: &Session) -> Exit {
    for found in damage {
        session.fail(Some(found.component), found.path.as_ref(), &found.error);
    }
    if damage.is_empty() {
        Exit::Done
    } else {
        Exit::Bad
    }
}

/// Says that nobody could look after the canary: who asked for one believes that it watches.
fn report_untended(untended: Option<&Error>, session: &Session) -> Exit {
    let Some(error) = untended else {
        return Exit::Done;
    };
    session.fail(Some(Component::Mailboxes), None, error);
    Exit::Bad
}

/// `latest` leads to the full set that was made last. One of some components takes its place only
/// while there is no full one, and a set that was given an older date does not.
fn point_latest(
    plan: &Plan,
    manifest: &Manifest,
    lock: &RootLock,
    session: &Session,
) -> Result<(), Error> {
    let report = &session.report;
    let latest = plan.root.latest()?.filter(|latest| *latest != plan.id);
    if !manifest.is_full() {
        let full = latest.filter(|latest| is_full(plan, *latest));
        report.summary(of_some_components(plan.id, manifest, full));
        if full.is_some() {
            return Ok(());
        }
    }
    if plan.dated == Dated::ByFlag
        && let Some(latest) = latest
        && latest.date() > plan.id.date()
    {
        report.info(format!(
            "latest still leads to {latest}, which is newer than {}",
            plan.id
        ));
        return Ok(());
    }
    Ok(plan.root.set_latest(lock, plan.id)?)
}

/// Whether a set holds every component that was wanted when it was made.
fn is_full(plan: &Plan, id: SetId) -> bool {
    let directory = plan.root.set_path(id);
    match SetState::of(&directory) {
        SetState::Legacy => true,
        SetState::Complete => {
            let manifest = Manifest::read(&directory.join(MANIFEST));
            manifest.is_ok_and(|manifest| manifest.is_full())
        }
        SetState::Incomplete | SetState::Damaged => false,
    }
}

/// What a set of some components means for `latest`, which may lead to a `full` one.
fn of_some_components(id: SetId, manifest: &Manifest, full: Option<SetId>) -> String {
    let held = manifest.components();
    let names: Vec<&str> = held.iter().map(|component| component.name()).collect();
    match full {
        Some(latest) => {
            format!("{id} is not a complete set: latest still leads to {latest}")
        }
        None => format!(
            "{id} is not a complete set; if the server has no more than this, say so: \
             BACKUP_COMPONENTS={}",
            names.join(",")
        ),
    }
}

fn print_summary(session: &Session, path: &Path, totals: &Totals, commit_as: CommitAs) {
    let made = match commit_as {
        CommitAs::Complete => "made",
        CommitAs::Incomplete => "some parts failed; what could be saved is in",
    };
    session.sum_up(format!(
        "{made} {}: {} in {} files, {} of them linked from earlier sets",
        path.display(),
        totals.size("bytes"),
        totals.get("files"),
        totals.size("reused_bytes"),
    ));
}
