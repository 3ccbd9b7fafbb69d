//! How old a message is, in classes.
//!
//! Mail changes where it is young: it is read, flagged, filed and deleted in its first days. A
//! first backup keeps classes of age in segments of their own, so that the segments of old mail
//! stay as they are, day after day, and are linked, not written again.

/// A class of age; ordered from the oldest, which is saved first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age(u8);

const DAY_SECONDS: i64 = 86_400;

/// Days at which a message enters the next class.
const BOUNDARIES_DAYS: [i64; 4] = [128, 32, 8, 2];

impl Age {
    /// Of what has just arrived or changed.
    pub(crate) const YOUNGEST: Self = Self(BOUNDARIES_DAYS.len() as u8);

    /// The class of a message that was delivered at `delivered_seconds` since 1970.
    pub(crate) fn of(delivered_seconds: i64, now_seconds: i64) -> Self {
        let age = now_seconds.saturating_sub(delivered_seconds);
        let class = BOUNDARIES_DAYS
            .iter()
            .take_while(|days| age < **days * DAY_SECONDS)
            .count();
        Self(class as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(days: i64, class: u8) {
        assert_eq!(
            Age::of(2_000_000_000 - days * DAY_SECONDS, 2_000_000_000),
            Age(class),
            "{days} days"
        );
    }

    #[test]
    fn classes_of_age() {
        check(1000, 0);
        check(128, 0);
        check(127, 1);
        check(8, 2);
        check(7, 3);
        check(2, 3);
        check(1, 4);
        check(-5, 4);
        assert_eq!(Age::YOUNGEST, Age(4));
    }
}
