//! Which old sets go: a decision on names and sizes alone, and the function that carries it out.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use jiff::civil::Date;

use super::layout::{Outcome, incomplete_path, remove_set};
use super::{BackupRoot, RootLock, SetId, SetKind};

/// However old, so many of the newest complete sets stay: a clock that jumped, or weeks without a success, must not
/// cost the good ones.
const ALWAYS_KEPT_SETS: usize = 7;
/// The new set is compared with so many before it ...
const COMPARED_SETS: usize = 7;
/// ... and with no fewer than these.
const COMPARED_SETS_AT_LEAST: usize = 3;

/// A complete set, as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, which holds its date.
    pub id: SetId,
    /// Size of its files; `None` for a set of the old scripts, whose size says nothing about ours.
    pub stored_bytes: Option<u64>,
}

/// What the decision rests on. All sets are of the kind of `new`; others are left alone.
#[derive(Clone, Copy, Debug)]
pub struct RetentionInput<'a> {
    /// Complete sets that hold every component, in any order, with or without `new`.
    pub complete: &'a [Candidate],
    /// The sets that are kept as `.incomplete`.
    pub incomplete: &'a [SetId],
    /// The set that was just committed: ages are counted from its date.
    pub new: Candidate,
    /// Age up to which sets stay: days of daily sets, weeks of weekly ones.
    pub keep_periods: NonZeroU32,
    /// Whether a suspiciously small new set holds retention back.
    pub force: Force,
}

/// Whether a suspiciously small new set holds retention back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Remove nothing then.
    Refuse,
    /// Go on: the administrator said that the mail really became less.
    Override,
}

/// Which sets go, the oldest first, and which stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// Complete sets to be removed.
    pub remove: Vec<SetId>,
    /// Incomplete sets to be removed.
    pub remove_incomplete: Vec<SetId>,
    /// Complete sets that stay, `new` among them.
    pub keep: Vec<SetId>,
    /// Why nothing is removed though something may be due; worth a warning.
    pub refused: Option<Refusal>,
}

/// Why retention removes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is a set of a later date than the new one.
    ClockSetBack {
        /// The latest.
        latest: SetId,
        /// The new one.
        new: SetId,
    },
    /// The new set is under half the median of the last seven.
    SuspiciouslySmall {
        /// Size of the new set.
        stored_bytes: u64,
        /// Median size of those before it.
        median_bytes: u64,
    },
}

/// What became of a set that retention was to remove.
#[derive(Debug)]
pub struct Removal {
    /// Its directory.
    pub path: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
}

/// Decides which sets go.
///
/// Those of an age above `keep_periods` do, by the dates in their names, except the newest seven complete sets (or as
/// many as `keep_periods`, if fewer), the new one counted. Incomplete sets of that age go too. Nothing goes when a set
/// has a later date than the new one, or when the new one is suspiciously small.
#[must_use]
pub fn plan_retention(input: &RetentionInput<'_>) -> RetentionPlan {
    let others = others_newest_first(input);
    if let Some(refusal) = refusal(input, &others) {
        return RetentionPlan {
            keep: oldest_first(ids(&others), input.new.id),
            refused: Some(refusal),
            ..Default::default()
        };
    }
    let kept_anyway = ALWAYS_KEPT_SETS.min(input.keep_periods.get() as usize) - 1;
    let (protected, rest) = others.split_at(kept_anyway.min(others.len()));
    let (expired, young): (Vec<_>, Vec<_>) = rest.iter().partition(|set| is_expired(set.id, input));
    RetentionPlan {
        remove: sorted(ids(expired)),
        remove_incomplete: sorted(input.incomplete.iter().copied().filter(|id| is_expired(*id, input))),
        keep: oldest_first(ids(protected).chain(ids(young)), input.new.id),
        refused: None,
    }
}

/// Removes what the plan says, the oldest first. Each set vanishes as a whole; one that is being read stays.
#[must_use]
pub fn apply_retention(lock: &RootLock, root: &BackupRoot, plan: &RetentionPlan) -> Vec<Removal> {
    let complete = plan.remove.iter().map(|id| root.set_path(*id));
    let incomplete = plan.remove_incomplete.iter().map(|id| incomplete_path(root.path(), *id));
    complete
        .chain(incomplete)
        .map(|path| {
            let outcome = remove_set(lock, &path);
            Removal { path, outcome }
        })
        .collect()
}

fn others_newest_first(input: &RetentionInput<'_>) -> Vec<Candidate> {
    let is_other = |set: &&Candidate| set.id.kind() == input.new.id.kind() && set.id != input.new.id;
    let mut others: Vec<Candidate> = input.complete.iter().filter(is_other).copied().collect();
    others.sort_by_key(|set| std::cmp::Reverse(set.id));
    others.dedup_by_key(|set| set.id);
    others
}

fn refusal(input: &RetentionInput<'_>, others: &[Candidate]) -> Option<Refusal> {
    let new = input.new;
    if let Some(latest) = others.first().filter(|set| set.id > new.id) {
        return Some(Refusal::ClockSetBack { latest: latest.id, new: new.id });
    }
    let (stored_bytes, median_bytes) = (new.stored_bytes?, median_before(others)?);
    let is_small = stored_bytes < median_bytes.div_ceil(2);
    (is_small && input.force == Force::Refuse).then_some(Refusal::SuspiciouslySmall { stored_bytes, median_bytes })
}

/// Median size of the newest of `others`; of two in the middle, the smaller. `None` when too few sizes are known.
fn median_before(others: &[Candidate]) -> Option<u64> {
    let mut sizes: Vec<u64> = others.iter().filter_map(|set| set.stored_bytes).take(COMPARED_SETS).collect();
    sizes.sort_unstable();
    (sizes.len() >= COMPARED_SETS_AT_LEAST).then(|| sizes[(sizes.len() - 1) / 2])
}

fn is_expired(id: SetId, input: &RetentionInput<'_>) -> bool {
    let kind = input.new.id.kind();
    let days_per_period = match kind {
        SetKind::Daily => 1,
        SetKind::Weekly => 7,
    };
    id.kind() == kind
        && days_between(id.date(), input.new.id.date()) > i64::from(input.keep_periods.get()) * days_per_period
}

fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

fn ids<'a>(sets: impl IntoIterator<Item = &'a Candidate>) -> impl Iterator<Item = SetId> {
    sets.into_iter().map(|set| set.id)
}

fn sorted(ids: impl Iterator<Item = SetId>) -> Vec<SetId> {
    let mut ids: Vec<SetId> = ids.collect();
    ids.sort_unstable();
    ids
}

fn oldest_first(others: impl Iterator<Item = SetId>, new: SetId) -> Vec<SetId> {
    sorted(others.chain([new]))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockSetBack { latest, new } => {
                write!(f, "{latest} is dated after {new}: the clock may have been set back; no old set was removed")
            }
            Self::SuspiciouslySmall { stored_bytes, median_bytes } => write!(
                f,
                "the new set has {stored_bytes} bytes, under half the median of the last ones ({median_bytes}); no old \
                 set was removed; look why, then pass --force"
            ),
        }
    }
}
