//! What an object of the pool needs so that it outlives a set that uses it. Pure: the times of the
//! object, of the set and of the bucket's rule decide.

use jiff::Timestamp;

use crate::keep::{DAY_SECONDS, MARGIN_DAYS, days_after, end_of_day};
use crate::store::Lock;

/// A lock is extended for a quarter of its days more than it has to be: so an object that stays in
/// use is extended every tenth day, not daily.
const SPARE_PART: i64 = 4;
/// A term that is longer by no more than this part of it is not begun again.
const CLEARLY_PART: i64 = 10;

/// The term of a set that is pushed now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) now: Timestamp,
    /// For how many days the set is kept.
    pub(super) keep_days: u32,
    /// After how many days without being written an object goes.
    pub(super) pool_days: u32,
    /// How long every object of the set has to be locked.
    pub(super) lock: Option<Lock>,
}

/// What an object needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// A longer lock.
    Lock(Lock),
    /// To be written again, with this lock: else the rule takes it while the set is kept.
    Rewrite(Option<Lock>),
}

impl Life {
    /// When the set has gone.
    pub(super) fn kept_until(&self) -> Timestamp {
        end_of_day(self.now, self.keep_days)
    }

    /// Whether a term that ends then is longer than the other by more than a tenth of itself: a
    /// weekly set that is pushed every day of its week is left as it is.
    pub(super) fn is_clearly_longer(
        &self,
        wanted: Option<Timestamp>,
        there: Option<Timestamp>,
    ) -> bool {
        let Some(wanted) = wanted else {
            return false;
        };
        let days = (wanted.as_second() - self.now.as_second()).max(0) / DAY_SECONDS;
        let spare_seconds = days / CLEARLY_PART * DAY_SECONDS;
        there.is_none_or(|there| there.as_second() + spare_seconds < wanted.as_second())
    }

    /// What an object needs that was last written then, and is locked for as long as is known.
    pub(super) fn need(&self, written: Timestamp, locked_until: Option<Timestamp>) -> Need {
        let goes = days_after(written, self.pool_days);
        if goes < days_after(self.kept_until(), MARGIN_DAYS) {
            // What is written is a new version, and other sets may need it for longer.
            let lock = self.lock_of(self.now).map(|lock| Lock {
                until: locked_until.map_or(lock.until, |until| until.max(lock.until)),
                ..lock
            });
            return Need::Rewrite(lock);
        }
        match self.lock {
            Some(lock) if locked_until.is_none_or(|until| until < lock.until) => {
                self.lock_of(written).map_or(Need::Nothing, Need::Lock)
            }
            _ => Need::Nothing,
        }
    }

    /// The lock of an object that was written then: some days longer than the set needs it, but not
    /// for longer than the rule leaves it.
    pub(super) fn lock_of(&self, written: Timestamp) -> Option<Lock> {
        let lock = self.lock?;
        let days = (lock.until.as_second() - self.now.as_second()).max(0) / DAY_SECONDS;
        let spare = u32::try_from(days / SPARE_PART).unwrap_or_default();
        let goes = end_of_day(written, self.pool_days);
        let until = days_after(lock.until, spare).min(goes).max(lock.until);
        Some(Lock { until, ..lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LockMode;

    const LIFE: (&str, u32, u32) = ("2026-11-23T04:00:00Z", 40, 200);

    fn time(text: &str) -> Timestamp {
        format!("{text}T00:00:00Z").parse().unwrap()
    }

    fn lock(until: &str) -> Lock {
        Lock {
            mode: LockMode::Compliance,
            until: time(until),
        }
    }

    /// What is needed of what was written and locked then, with and without locks.
    #[track_caller]
    fn check(written: &str, locked: Option<&str>, expected: Need, unlocked: Need) {
        let (now, keep_days, pool_days) = LIFE;
        let life = |lock| Life {
            now: now.parse().unwrap(),
            keep_days,
            pool_days,
            lock,
        };
        let locked = locked.map(time);
        let with = life(Some(lock("2027-01-03")));
        assert_eq!(with.need(time(written), locked), expected);
        assert_eq!(life(None).need(time(written), locked), unlocked);
    }

    #[test]
    fn a_term_is_begun_again_when_that_makes_it_clearly_longer() {
        let life = Life {
            now: LIFE.0.parse().unwrap(),
            keep_days: LIFE.1,
            pool_days: LIFE.2,
            lock: None,
        };
        let check = |wanted: &str, there: &str, expected| {
            let longer = life.is_clearly_longer(Some(time(wanted)), Some(time(there)));
            assert_eq!(longer, expected, "{wanted} and {there}");
        };
        // 40 days, and four of them spare.
        check("2027-01-03", "2027-01-03", false);
        check("2027-01-03", "2026-12-30", false);
        check("2027-01-03", "2026-12-29", true);
        check("2027-01-03", "2027-02-01", false);
        // Two days, and none.
        check("2026-11-26", "2026-11-25", true);
        assert!(life.is_clearly_longer(Some(time("2026-11-26")), None));
        assert!(!life.is_clearly_longer(None, None));
    }

    #[test]
    fn an_object_gets_what_it_needs_and_no_more() {
        let nothing = Need::Nothing;
        // The set is kept until the end of January 2nd, and needs its objects for three days more.
        check("2026-11-23", Some("2027-01-03"), nothing, nothing);
        let longer = Need::Lock(lock("2027-01-13"));
        check("2026-11-23", Some("2027-01-02"), longer, nothing);
        check("2026-11-23", None, longer, nothing);
        check("2026-06-20", Some("2027-01-03"), nothing, nothing);
        let again = Need::Rewrite(Some(lock("2027-01-13")));
        check("2026-06-19", Some("2027-01-03"), again, Need::Rewrite(None));
        // Another set needs it for longer.
        let longer = Need::Rewrite(Some(lock("2027-02-20")));
        check(
            "2026-06-19",
            Some("2027-02-20"),
            longer,
            Need::Rewrite(None),
        );
        // What goes soon is not locked for longer than it is there, nor for less than is needed.
        let short = Need::Lock(lock("2027-01-07"));
        check("2026-06-20", None, short, nothing);
    }
}
