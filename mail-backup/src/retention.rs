//! Which old sets go: a decision on names and sizes alone.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use jiff::SignedDuration;
use mail_common::set::{ALWAYS_KEPT_SETS, Component, SetId, SetKind};

/// With how many sets before it the new one is compared, at most ...
const COMPARED_SETS: usize = 7;
/// ... and at least.
const COMPARED_SETS_AT_LEAST: usize = 3;

/// A set of which no part failed, as retention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its name, which holds its date.
    pub(crate) id: SetId,
    /// Size of its files; `None` for a set of the old scripts, whose size says nothing about ours.
    pub(crate) stored_bytes: Option<u64>,
    /// In the order of [`Component::ALL`].
    pub(crate) components: Vec<Component>,
    pub(crate) worth: Worth,
}

/// Whether a set holds all that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Every component that was wanted when it was made.
    Full,
    /// Those that were asked for.
    Part,
}

/// What the decision rests on. All sets are of the kind of `new`; others are left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetentionInput<'a> {
    /// In any order, with or without `new`.
    pub(crate) sets: &'a [Candidate],
    /// The sets that are kept as `.incomplete`.
    pub(crate) incomplete: &'a [SetId],
    /// The set that was just committed: ages are counted from its date.
    pub(crate) new: &'a Candidate,
    /// Where `latest` leads to.
    pub(crate) latest: Option<SetId>,
    /// What a full set holds now.
    pub(crate) wanted: &'a [Component],
    /// Age up to which sets stay: days of daily sets, weeks of weekly ones, hours of hourly ones.
    pub(crate) keep_periods: NonZeroU32,
    /// Whether a suspiciously small new set holds retention back.
    pub(crate) force: Force,
}

/// Whether a suspiciously small new set holds retention back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// Remove nothing then.
    Refuse,
    /// Go on: the administrator said that the mail really became less.
    Override,
}

/// Which sets go, the oldest first, and which stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetentionPlan {
    /// Sets to be removed.
    pub(crate) remove: Vec<SetId>,
    /// Incomplete sets to be removed.
    pub(crate) remove_incomplete: Vec<SetId>,
    /// Sets that stay, `new` among them.
    pub(crate) keep: Vec<SetId>,
    /// Why nothing is removed though something may be due; worth a warning.
    pub(crate) refused: Option<Refusal>,
    /// Sets that would go, and stay until somebody has looked at an alarm.
    pub(crate) held: Vec<SetId>,
}

impl RetentionPlan {
    /// Removes none of those that an alarm keeps.
    pub(crate) fn hold_back(mut self, is_kept: impl Fn(SetId) -> bool) -> Self {
        let due = std::mem::take(&mut self.remove);
        let (held, remove) = due.into_iter().partition(|id| is_kept(*id));
        self.remove = remove;
        self.held = held;
        let due = std::mem::take(&mut self.remove_incomplete);
        let (held, remove): (Vec<_>, Vec<_>) = due.into_iter().partition(|id| is_kept(*id));
        self.remove_incomplete = remove;
        self.keep.extend(&self.held);
        self.keep.sort_unstable();
        self.held.extend(held);
        self
    }
}

/// Why retention removes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is a set of a later date than the new one.
    ClockSetBack {
        /// The latest.
        latest: SetId,
        /// The new one.
        new: SetId,
    },
    /// The new set is under half the median of the last seven with the same components.
    SuspiciouslySmall {
        /// Size of the new set.
        stored_bytes: u64,
        /// Median size of those before it.
        median_bytes: u64,
    },
}

/// Decides which sets go.
///
/// Those of an age above `keep_periods` do, by the dates in their names, except the newest seven
/// full sets (or as many as `keep_periods`, if fewer), the newest seven of each wanted component,
/// and the one that `latest` leads to. Incomplete sets of that age go too. Nothing goes when a set
/// has a later date than the new one, or when the new one is suspiciously small; of a set of some
/// components that is worth a word only when something is due.
pub(crate) fn plan_retention(input: &RetentionInput<'_>) -> RetentionPlan {
    let others = others_newest_first(input);
    let due = due(input, others.clone());
    let is_idle = due.remove.is_empty() && due.remove_incomplete.is_empty();
    if is_idle && input.new.worth == Worth::Part {
        return due;
    }
    match refusal(input, &others) {
        None => due,
        refused => RetentionPlan {
            keep: oldest_first(ids(others), input.new.id),
            refused,
            ..Default::default()
        },
    }
}

/// What goes by age, if nothing speaks against it.
fn due(input: &RetentionInput<'_>, others: Vec<&Candidate>) -> RetentionPlan {
    let protected = protected(input, &others);
    let goes = |set: &&Candidate| {
        set.id.is_expired(input.new.id, input.keep_periods.get()) && !protected.contains(&set.id)
    };
    let (expired, kept): (Vec<_>, Vec<_>) = others.into_iter().partition(goes);
    RetentionPlan {
        remove: sorted(ids(expired)),
        remove_incomplete: sorted(
            input
                .incomplete
                .iter()
                .copied()
                .filter(|id| id.is_expired(input.new.id, input.keep_periods.get())),
        ),
        keep: oldest_first(ids(kept), input.new.id),
        refused: None,
        held: Vec::new(),
    }
}

fn others_newest_first<'a>(input: &RetentionInput<'a>) -> Vec<&'a Candidate> {
    let is_other =
        |set: &&Candidate| set.id.kind() == input.new.id.kind() && set.id != input.new.id;
    let mut others: Vec<&Candidate> = input.sets.iter().filter(is_other).collect();
    others.sort_by_key(|set| std::cmp::Reverse(set.id));
    others.dedup_by_key(|set| set.id);
    others
}

/// The sets that stay however old they are.
fn protected(input: &RetentionInput<'_>, others: &[&Candidate]) -> BTreeSet<SetId> {
    let kept_anyway = ALWAYS_KEPT_SETS.min(input.keep_periods.get() as usize);
    let newest_first = || [input.new].into_iter().chain(others.iter().copied());
    let full = newest_first().filter(|set| set.worth == Worth::Full);
    let mut protected: BTreeSet<SetId> = ids(full.take(kept_anyway)).collect();
    for component in input.wanted {
        let with_it = newest_first().filter(|set| set.components.contains(component));
        protected.extend(ids(with_it.take(kept_anyway)));
    }
    protected.extend(input.latest);
    protected
}

fn refusal(input: &RetentionInput<'_>, others: &[&Candidate]) -> Option<Refusal> {
    let new = input.new;
    if let Some(latest) = others.first().filter(|set| is_later(set.id, new.id)) {
        return Some(Refusal::ClockSetBack {
            latest: latest.id,
            new: new.id,
        });
    }
    let (stored_bytes, median_bytes) = (new.stored_bytes?, median_before(new, others)?);
    let is_small = stored_bytes < median_bytes.div_ceil(2);
    (is_small && input.force == Force::Refuse).then_some(Refusal::SuspiciouslySmall {
        stored_bytes,
        median_bytes,
    })
}

/// Median size of the newest of `others` that hold the same components as `new`; of two in the
/// middle, the smaller. `None` when too few sizes are known.
fn median_before(new: &Candidate, others: &[&Candidate]) -> Option<u64> {
    let mut sizes: Vec<u64> = others
        .iter()
        .filter(|set| set.components == new.components)
        .filter_map(|set| set.stored_bytes)
        .take(COMPARED_SETS)
        .collect();
    sizes.sort_unstable();
    (sizes.len() >= COMPARED_SETS_AT_LEAST).then(|| sizes[(sizes.len() - 1) / 2])
}

/// Whether `id` is of a later time than `new`. In autumn the clock on the wall is set back by an
/// hour: the sets of that hour are none of the future.
fn is_later(id: SetId, new: SetId) -> bool {
    let tolerance = match new.kind() {
        SetKind::Hourly => SignedDuration::from_hours(1),
        SetKind::Daily | SetKind::Weekly => SignedDuration::ZERO,
    };
    id.start().duration_since(new.start()) > tolerance
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use jiff::civil::{Date, date};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    const NEW: Date = date(2026, 11, 23);

    fn daily(age_days: i64) -> SetId {
        SetId::for_date(SetKind::Daily, NEW.checked_sub(age_days.days()).unwrap())
    }

    fn sets(ages_days: impl IntoIterator<Item = i64>, stored_bytes: u64) -> Vec<Candidate> {
        ages_days
            .into_iter()
            .map(|age| full(daily(age), Some(stored_bytes)))
            .collect()
    }

    fn full(id: SetId, stored_bytes: Option<u64>) -> Candidate {
        Candidate {
            id,
            stored_bytes,
            components: Component::ALL.to_vec(),
            worth: Worth::Full,
        }
    }

    /// Sets with one component that was asked for.
    fn parts(ages_days: impl IntoIterator<Item = i64>, component: Component) -> Vec<Candidate> {
        ages_days
            .into_iter()
            .map(|age| Candidate {
                components: vec![component],
                worth: Worth::Part,
                ..full(daily(age), Some(100))
            })
            .collect()
    }

    static TODAY: LazyLock<Candidate> = LazyLock::new(|| full(daily(0), Some(1000)));

    fn input(sets: &[Candidate], keep_days: u32) -> RetentionInput<'_> {
        RetentionInput {
            sets,
            incomplete: &[],
            new: &TODAY,
            latest: None,
            wanted: &Component::ALL,
            keep_periods: NonZeroU32::new(keep_days).unwrap(),
            force: Force::Refuse,
        }
    }

    fn check(ages_days: impl IntoIterator<Item = i64>, keep_days: u32, removed_ages: &[i64]) {
        let complete = sets(ages_days, 1000);
        let plan = plan_retention(&input(&complete, keep_days));
        let expected: Vec<SetId> = removed_ages.iter().map(|age| daily(*age)).collect();
        assert_eq!((plan.remove, plan.refused), (expected, None));
    }

    #[test]
    fn sets_older_than_the_window_go_the_oldest_first() {
        check(0..=30, 30, &[]);
        check(0..=31, 30, &[31]);
        check(0..=35, 30, &[35, 34, 33, 32, 31]);
        check((1..=35).rev(), 30, &[35, 34, 33, 32, 31]);
        check([], 30, &[]);
    }

    #[test]
    fn the_newest_seven_stay_however_old() {
        check([100, 101, 102, 103, 104, 105], 30, &[]);
        check([100, 101, 102, 103, 104, 105, 106, 107], 30, &[107, 106]);
        check([100, 101, 102], 1, &[102, 101, 100]);
        check([100, 101, 102], 2, &[102, 101]);
    }

    #[test]
    fn sets_of_some_components_go_by_age_and_cost_no_full_one() {
        let new = &parts([0], Component::Mailboxes)[0];
        let sets = [
            sets([50, 60], 1000),
            parts(1..60, Component::Mailboxes),
            parts([200, 210], Component::Config),
        ]
        .concat();
        let plan = plan_retention(&RetentionInput {
            new,
            ..input(&sets, 30)
        });
        let removed: Vec<SetId> = (31..60).rev().filter(|age| *age != 50).map(daily).collect();
        assert_eq!((plan.remove, plan.refused), (removed, None));
    }

    #[test]
    fn the_newest_seven_with_a_component_stay_while_it_is_wanted() {
        let sets = parts(100..120, Component::Mysql);
        let remaining = |wanted: &[Component]| {
            let plan = plan_retention(&RetentionInput {
                wanted,
                ..input(&sets, 30)
            });
            plan.keep.len() - 1
        };
        // The new set has it too: it is the first of the seven.
        assert_eq!(remaining(&Component::ALL), 6);
        assert_eq!(remaining(&[Component::Mailboxes]), 0);
    }

    #[test]
    fn where_latest_leads_to_stays() {
        let sets = sets(100..120, 1000);
        let plan = plan_retention(&RetentionInput {
            latest: Some(daily(119)),
            ..input(&sets, 30)
        });
        assert!(plan.keep.contains(&daily(119)) && !plan.keep.contains(&daily(118)));
    }

    #[test]
    fn only_sets_with_the_same_components_are_compared() {
        let new = &parts([0], Component::Config)[0];
        let sets = sets(1..40, 1_000_000);
        let plan = plan_retention(&RetentionInput {
            new,
            ..input(&sets, 30)
        });
        assert_eq!(plan.refused, None);
    }

    #[test]
    fn weeks_are_counted_in_weeks() {
        let weekly = |age_weeks: i64| {
            SetId::for_date(
                SetKind::Weekly,
                NEW.checked_sub((7 * age_weeks).days()).unwrap(),
            )
        };
        let complete: Vec<Candidate> = (1..=14)
            .map(|age| full(weekly(age), Some(1000)))
            .chain(sets([99], 1000))
            .collect();
        let plan = plan_retention(&RetentionInput {
            new: &full(weekly(0), Some(1000)),
            ..input(&complete, 12)
        });
        assert_eq!(plan.remove, [weekly(14), weekly(13)]);
        assert_eq!(plan.keep.len(), 13);
    }

    fn hourly(minutes_ago: i64) -> Candidate {
        let time = NEW
            .at(12, 0, 0, 0)
            .checked_sub(minutes_ago.minutes())
            .unwrap();
        full(SetId::for_time(SetKind::Hourly, time), Some(1000))
    }

    #[test]
    fn hours_are_counted_to_the_minute() {
        let every_ten: Vec<Candidate> = (0..400).map(|n| hourly(n * 10)).collect();
        let plan = plan_retention(&RetentionInput {
            new: &hourly(0),
            ..input(&every_ten, 48)
        });
        assert_eq!(plan.keep.len(), 48 * 6 + 1);
        assert_eq!(plan.remove.last(), Some(&hourly(48 * 60 + 10).id));
        // Five hours without a run: the newest stay.
        let old: Vec<Candidate> = (0..20).map(|n| hourly(300 + n * 10)).collect();
        let plan = plan_retention(&RetentionInput {
            new: &hourly(0),
            ..input(&old, 2)
        });
        assert_eq!(plan.keep, [hourly(300).id, hourly(0).id]);
    }

    /// 02:50 summer time is followed by 02:00 winter time.
    #[test]
    fn the_hour_that_comes_twice_in_autumn_is_no_clock_set_back() {
        let refused = |minutes_ahead: i64| {
            let sets = [hourly(-minutes_ahead), hourly(100)];
            let input = input(&sets, 48);
            let new = &hourly(0);
            plan_retention(&RetentionInput { new, ..input }).refused
        };
        assert_eq!(refused(50), None);
        assert_eq!(refused(60), None);
        assert!(matches!(refused(61), Some(Refusal::ClockSetBack { .. })));
    }

    #[test]
    fn a_small_new_set_holds_retention_back_unless_forced() {
        let check = |new_bytes: u64, force: Force, expected: Option<u64>| {
            // The median of the last seven is 1000; the older sets are not looked at.
            let complete = [
                sets([1, 2, 3], 900),
                sets([4], 1000),
                sets([5, 6, 7], 1100),
                sets(31..40, 9999),
            ]
            .concat();
            let plan = plan_retention(&RetentionInput {
                new: &full(daily(0), Some(new_bytes)),
                force,
                ..input(&complete, 30)
            });
            let refused = expected.map(|median_bytes| Refusal::SuspiciouslySmall {
                stored_bytes: new_bytes,
                median_bytes,
            });
            assert_eq!(plan.refused, refused);
            assert_eq!(plan.remove.len(), if expected.is_some() { 0 } else { 9 });
        };
        check(500, Force::Refuse, None);
        check(499, Force::Refuse, Some(1000));
        check(0, Force::Refuse, Some(1000));
        check(499, Force::Override, None);
    }

    #[test]
    fn two_sets_or_sets_of_the_old_scripts_are_nothing_to_compare_with() {
        let legacy = [40, 41, 42, 43].map(|age| full(daily(age), None));
        let complete = [&sets([1, 2], 1_000_000)[..], &legacy].concat();
        let plan = plan_retention(&input(&complete, 3));
        assert_eq!(plan.refused, None);
        assert_eq!(plan.remove, [daily(43), daily(42), daily(41), daily(40)]);
    }

    #[test]
    fn a_clock_set_back_removes_nothing_even_when_forced() {
        let complete = sets((-400..=-398).chain(0..100), 1000);
        let plan = plan_retention(&RetentionInput {
            force: Force::Override,
            ..input(&complete, 30)
        });
        assert_eq!(
            plan.refused,
            Some(Refusal::ClockSetBack {
                latest: daily(-400),
                new: daily(0)
            })
        );
        assert!(plan.remove.is_empty());
        assert_eq!(plan.keep.len(), 103);
    }

    #[test]
    fn a_clock_that_jumped_ahead_does_not_cost_the_good_sets() {
        let complete = sets(1000..1030, 1000);
        let plan = plan_retention(&input(&complete, 30));
        assert_eq!(plan.keep.len(), 7);
        assert!(plan.keep.contains(&daily(1000)) && plan.keep.contains(&daily(1005)));
    }

    #[test]
    fn incomplete_sets_go_by_their_age() {
        let incomplete = [daily(31), daily(30), daily(400), daily(-5)];
        let plan = plan_retention(&RetentionInput {
            incomplete: &incomplete,
            ..input(&[], 30)
        });
        assert_eq!(plan.remove_incomplete, [daily(400), daily(31)]);
        assert_eq!(plan.keep, [daily(0)]);
    }

    proptest! {
        #[test]
        fn a_plan_never_costs_too_much(
            sets in proptest::collection::vec(
                (-3_i64..200, proptest::option::of(0_u64..5000)),
                0..60,
            ),
            keep_days in 1_u32..60,
            is_forced: bool,
        ) {
            let candidate = |&(age, stored_bytes)| full(daily(age), stored_bytes);
            let complete: Vec<Candidate> = sets.iter().map(candidate).collect();
            let force = if is_forced { Force::Override } else { Force::Refuse };
            let plan = plan_retention(&RetentionInput { force, ..input(&complete, keep_days) });

            let mut all: Vec<SetId> = complete.iter().map(|set| set.id).chain([daily(0)]).collect();
            all.sort();
            all.dedup();
            let mut planned = [plan.remove.clone(), plan.keep.clone()].concat();
            planned.sort();
            prop_assert_eq!(&planned, &all, "every set is either kept or removed, once");

            let newest = all.len().saturating_sub(7.min(keep_days as usize));
            prop_assert!(all[newest..].iter().all(|id| plan.keep.contains(id)), "the newest stay");
            prop_assert!(plan.keep.contains(&daily(0)), "the new set stays");
            prop_assert!(plan.remove.is_sorted());
            let youngest = daily(i64::from(keep_days));
            prop_assert!(plan.remove.iter().all(|id| *id < youngest), "the young stay");
            let has_future = sets.iter().any(|(age, _)| *age < 0);
            prop_assert!(!has_future || plan.remove.is_empty(), "a clock set back removes nothing");
        }
    }
}
