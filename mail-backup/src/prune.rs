//! Removes old sets after a success, and says what it did.

use std::collections::BTreeMap;
use std::io;

use mail_common::manifest::Manifest;
use mail_common::report::Report;
use mail_common::set::{
    BackupRoot, Candidate, Component, FoundSet, MANIFEST, Outcome, Refusal, RetentionInput, RootLock, SetId, SetKind,
    SetState, apply_retention, plan_retention,
};

use crate::plan::Retention;

/// What retention did.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    pub(crate) removed: u64,
    pub(crate) failed: Vec<Error>,
}

/// Why a set that should be gone is still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Sets(#[from] mail_common::set::Error),
    #[error("old sets were not removed: {0}")]
    Refused(RefusalText),
    #[error("remove {path}")]
    Remove { path: std::path::PathBuf, source: io::Error },
}

/// A refusal with the way out of it.
#[derive(Debug)]
pub(crate) struct RefusalText(Refusal);

impl std::fmt::Display for RefusalText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Refusal::ClockSetBack { latest, new } => write!(
                f,
                "there is a set of a later date ({latest}) than the new one ({new}); set the clock, or remove that set by hand"
            ),
            Refusal::SuspiciouslySmall { stored_bytes, median_bytes } => write!(
                f,
                "the new set has {stored_bytes} bytes, under half of the usual {median_bytes}; look at it, and if it is \
                 right run mail-backup --prune-only --force"
            ),
        }
    }
}

/// Applies retention to the sets of `kind`, as the newest full set of that kind sees them.
pub(crate) fn prune(
    lock: &RootLock,
    root: &BackupRoot,
    kind: SetKind,
    retention: &Retention,
    report: &Report,
) -> Pruned {
    let mut pruned = Pruned::default();
    let sets = match root.sets(kind) {
        Ok(sets) => sets,
        Err(error) => {
            pruned.failed.push(error.into());
            return pruned;
        }
    };
    let complete = full_sets(&sets);
    let Some(new) = newest(&complete) else { return pruned };
    let incomplete: Vec<SetId> =
        sets.iter().filter(|set| set.state == SetState::Incomplete).map(|set| set.id).collect();
    let plan = plan_retention(&RetentionInput {
        complete: &complete.values().map(|full| full.candidate).collect::<Vec<_>>(),
        incomplete: &incomplete,
        new,
        keep_periods: match kind {
            SetKind::Daily => retention.daily_days,
            SetKind::Weekly => retention.weekly_weeks,
        },
        force: retention.force,
    });
    if let Some(refusal) = plan.refused {
        pruned.failed.push(Error::Refused(RefusalText(refusal)));
    }
    for removal in apply_retention(lock, root, &plan) {
        let path = removal.path;
        match removal.outcome {
            Outcome::Removed => {
                report.info(format!("removed {}", path.display()));
                pruned.removed += 1;
            }
            Outcome::Busy => report.warning(format!("{} is being read: it is removed the next time", path.display())),
            Outcome::Failed(source) => pruned.failed.push(Error::Remove { path, source }),
        }
    }
    pruned
}

struct FullSet {
    candidate: Candidate,
    begun: Option<jiff::Timestamp>,
}

/// The set that was made last, by the time in its manifest, not by its name: a clock that was set back shows.
fn newest(sets: &BTreeMap<SetId, FullSet>) -> Option<Candidate> {
    sets.values().max_by_key(|set| (set.begun, set.candidate.id)).map(|set| set.candidate)
}

/// Sets that hold every component: ours, and those of the old scripts.
fn full_sets(sets: &[FoundSet]) -> BTreeMap<SetId, FullSet> {
    sets.iter().filter_map(|set| Some((set.id, full_set(set)?))).collect()
}

fn full_set(set: &FoundSet) -> Option<FullSet> {
    match set.state {
        SetState::Legacy => Some(FullSet { candidate: Candidate { id: set.id, stored_bytes: None }, begun: None }),
        SetState::Complete => {
            let manifest = Manifest::read(&set.path.join(MANIFEST)).ok()?;
            let is_full = is_full(&manifest);
            let candidate = Candidate { id: set.id, stored_bytes: Some(manifest.total_bytes()) };
            is_full.then(|| FullSet { candidate, begun: manifest.begin.time.parse().ok() })
        }
        SetState::Incomplete | SetState::Damaged => None,
    }
}

/// Whether a set holds all five components.
pub(crate) fn is_full(manifest: &Manifest) -> bool {
    manifest.components().len() == Component::ALL.len()
}
