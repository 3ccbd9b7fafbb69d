//! Removes old sets after a success, and says what it did.

use std::num::NonZeroU32;

use mail_common::failure::Failed;
use mail_common::manifest::Manifest;
use mail_common::report::Report;
use mail_common::set::{
    self, ALWAYS_KEPT_SETS, BackupRoot, Component, FoundSet, MANIFEST, Removal, RootLock, SetId,
    SetKind, SetState, remove_set,
};
use mail_common::suspicion::{HOLD, Hold};

use crate::error::Error;
use crate::plan::Retention;
use crate::retention::{Candidate, RetentionInput, RetentionPlan, Worth, plan_retention};

/// What retention did.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    pub(crate) removed: u64,
    /// Sets that would have gone and that an alarm keeps.
    pub(crate) held: u64,
    pub(crate) failed: Vec<Error>,
}

/// Removes what [`plan`] says, the oldest first. Each set vanishes as a whole; one that is being
/// read stays.
pub(crate) fn prune(
    lock: &RootLock,
    root: &BackupRoot,
    newest: Newest,
    retention: &Retention,
    hold: Option<&Hold>,
    report: &Report,
) -> Pruned {
    let mut pruned = Pruned::default();
    let plan = match plan(root, newest, retention, hold) {
        Ok(Some(plan)) => plan,
        Ok(None) => return pruned,
        Err(error) => {
            pruned.failed.push(error.into());
            return pruned;
        }
    };
    pruned.held = plan.held.len() as u64;
    if let Some(notice) = hold.and_then(|hold| held_notice(hold, &plan.held)) {
        report.warning(notice);
    }
    if let Some(refusal) = plan.refused {
        pruned.failed.push(Error::RetentionRefused(refusal));
    }
    let complete = plan.remove.iter().map(|id| root.set_path(*id));
    let incomplete = plan.remove_incomplete.iter();
    let incomplete = incomplete.map(|id| root.incomplete_path(*id));
    for path in complete.chain(incomplete) {
        match remove_set(lock, &path) {
            Removal::Removed => {
                report.info(format!("removed {}", path.display()));
                pruned.removed += 1;
            }
            Removal::Busy => report.warning(format!(
                "{} is being read; the next run removes it",
                path.display()
            )),
            Removal::Failed(error) => {
                let failed = Failed::at("remove", &path)(error);
                pruned.failed.push(failed.into());
            }
        }
    }
    pruned
}

/// The set from whose date ages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newest {
    /// The one that this run made.
    Made(SetId),
    /// The one with the latest date of a kind.
    Dated(SetKind),
}

impl Newest {
    fn kind(self) -> SetKind {
        match self {
            Self::Made(id) => id.kind(),
            Self::Dated(kind) => kind,
        }
    }
}

/// What retention does to the sets of the kind of `newest`; `None` when there is none. Sets from
/// before an alarm that nobody has accepted stay.
pub(crate) fn plan(
    root: &BackupRoot,
    newest: Newest,
    retention: &Retention,
    hold: Option<&Hold>,
) -> Result<Option<RetentionPlan>, set::Error> {
    let kind = newest.kind();
    let sets = root.sets(kind)?;
    let keep_periods = match kind {
        SetKind::Daily => retention.daily_days,
        SetKind::Weekly => retention.weekly_weeks,
        SetKind::Hourly => retention.hourly_hours,
    };
    let new = match newest {
        Newest::Made(id) => sets.iter().filter(|set| set.id == id).find_map(candidate),
        Newest::Dated(_) => sets.iter().rev().find_map(candidate),
    };
    let Some(new) = new else {
        return Ok(None);
    };
    let incomplete: Vec<SetId> = sets
        .iter()
        .filter(|set| set.state == SetState::Incomplete)
        .map(|set| set.id)
        .collect();
    let plan = plan_retention(&RetentionInput {
        sets: &candidates(&sets, &new, keep_periods),
        incomplete: &incomplete,
        new: &new,
        latest: root.latest()?,
        wanted: &retention.components,
        keep_periods,
        force: retention.force,
    });
    Ok(Some(match hold {
        Some(hold) => plan.hold_back(|id| hold.keeps(id)),
        None => plan,
    }))
}

/// What people are told of sets that an alarm keeps.
pub(crate) fn held_notice(hold: &Hold, held: &[SetId]) -> Option<String> {
    let oldest = held.first()?;
    let since = match hold.first() {
        Some(alarm) => format!("the alarm of {}", alarm.set),
        None => format!("{HOLD}, which cannot be read"),
    };
    Some(format!(
        "{} old sets, the oldest {oldest}, are kept because of {since}; look at it, then run \
         mail-backup --accept",
        held.len()
    ))
}

/// The sets that matter to the decision: the newest, which the new one is compared with and which
/// stay, and those that are too old. Manifests of the hundreds of hourly sets between are not read.
fn candidates(sets: &[FoundSet], new: &Candidate, keep_periods: NonZeroU32) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let mut full_and_alike = 0;
    for set in sets.iter().rev() {
        if full_and_alike > ALWAYS_KEPT_SETS && !set.id.is_expired(new.id, keep_periods.get()) {
            continue;
        }
        if let Some(candidate) = candidate(set) {
            let is_alike = candidate.components == new.components;
            full_and_alike += usize::from(is_alike && candidate.worth == Worth::Full);
            candidates.push(candidate);
        }
    }
    candidates
}

/// A set of which no part failed: ours, or one of the old scripts.
fn candidate(set: &FoundSet) -> Option<Candidate> {
    match set.state {
        SetState::Legacy => Some(Candidate {
            id: set.id,
            stored_bytes: None,
            components: Component::ALL.to_vec(),
            worth: Worth::Full,
        }),
        SetState::Complete => {
            let manifest = Manifest::read(&set.path.join(MANIFEST)).ok()?;
            Some(Candidate {
                id: set.id,
                stored_bytes: Some(manifest.total_bytes()),
                components: manifest.components(),
                worth: if manifest.is_full() {
                    Worth::Full
                } else {
                    Worth::Part
                },
            })
        }
        SetState::Incomplete | SetState::Damaged => None,
    }
}
