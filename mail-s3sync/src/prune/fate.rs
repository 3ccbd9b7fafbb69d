//! Which sets go. Pure: names, times and settings decide.

use std::collections::BTreeSet;

use jiff::Timestamp;
use mail_common::set::{ALWAYS_KEPT_SETS, SetKind};
use mail_common::suspicion::Hold;

use crate::keep::{Keep, end_of_day};
use crate::remote::SetName;

/// A set as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) name: SetName,
    /// When the newest object below its name was written.
    pub(super) written: Timestamp,
    /// Whether it can be restored as a whole.
    pub(super) is_complete: bool,
    /// Until when it is locked, as far as it says.
    pub(super) locked_until: Option<Timestamp>,
}

/// What is to become of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not past its days.
    Kept,
    /// It is, and one of the newest that are complete: these stay, however old.
    Newest,
    /// It is, and from before an alarm that nobody has accepted.
    Held,
    /// It is, and locked.
    Locked(Timestamp),
    Due,
}

/// What is to become of each set, in their order.
pub(super) fn fates(
    sets: &[Candidate],
    keep: &Keep,
    hold: Option<&Hold>,
    now: Timestamp,
) -> Vec<Fate> {
    let newest = newest(sets, keep);
    let fate = |set: &Candidate| {
        let is_past = end_of_day(set.written, keep.days(set.name.id().kind())) <= now;
        match set.locked_until.filter(|until| *until > now) {
            _ if !is_past => Fate::Kept,
            _ if hold.is_some_and(|hold| hold.keeps(set.name.id())) => Fate::Held,
            _ if newest.contains(&set.name) => Fate::Newest,
            Some(until) => Fate::Locked(until),
            None => Fate::Due,
        }
    };
    sets.iter().map(fate).collect()
}

/// The newest complete sets of each kind: when pushes have ended, because the server is gone, these
/// are all that there is. As many as on the disk of the server, and no more than there are days.
fn newest(sets: &[Candidate], keep: &Keep) -> BTreeSet<SetName> {
    let mut newest = BTreeSet::new();
    for kind in SetKind::ALL {
        let is_of_kind = |set: &&Candidate| set.is_complete && set.name.id().kind() == kind;
        let mut names: Vec<SetName> = sets.iter().filter(is_of_kind).map(|set| set.name).collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        let days = usize::try_from(keep.days(kind)).unwrap_or(usize::MAX);
        newest.extend(names.into_iter().take(days.min(ALWAYS_KEPT_SETS)));
    }
    newest
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mail_common::config::{Config, Environment};
    use mail_common::record::{Alarm, AlarmLevel};

    use super::*;

    fn keep(text: &str) -> Keep {
        let config = Config::parse(text.as_bytes(), Path::new("/x"), Environment::default());
        Keep::new(&config.unwrap()).unwrap()
    }

    fn candidate(name: &str, written: &str) -> Candidate {
        Candidate {
            name: name.parse().unwrap(),
            written: format!("{written}T03:00:00Z").parse().unwrap(),
            is_complete: true,
            locked_until: None,
        }
    }

    fn hold(set: &str, time: &str) -> Hold {
        Hold {
            alarms: vec![Alarm {
                level: AlarmLevel::Alarm,
                rule: "spoiled".to_owned(),
                set: set.to_owned(),
                time: time.to_owned(),
                message: String::new(),
                component: None,
                mailboxes: Vec::new(),
            }],
            unreadable: None,
        }
    }

    #[track_caller]
    fn check(sets: &[Candidate], keep: &Keep, hold: Option<&Hold>, expected: &[Fate]) {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(fates(sets, keep, hold, now), expected);
    }

    #[test]
    fn a_set_goes_when_its_days_are_over_and_newer_ones_have_come() {
        use Fate::{Due, Kept, Newest};
        let keep = keep("S3_KEEP_DAILY=2\nS3_KEEP_WEEKLY=30\n");
        // Two days from the end of the one on which it was written.
        let daily =
            |day: u32| candidate(&format!("daily/2026-11-{day}"), &format!("2026-11-{day}"));
        let days = [daily(23), daily(22), daily(21), daily(20), daily(19)];
        check(&days, &keep, None, &[Kept, Kept, Kept, Due, Due]);
        // Pushes have ended: as many as there are days stay.
        check(&days[3..], &keep, None, &[Newest, Newest]);
        let half = Candidate {
            is_complete: false,
            ..days[3]
        };
        check(&[half, days[4]], &keep, None, &[Due, Newest]);
        // What was written again since has its days from then on.
        let again = candidate("daily/2026-10-01", "2026-11-22");
        check(&[days[0], days[1], again], &keep, None, &[Kept; 3]);
        let weeks: Vec<Candidate> = (30..40)
            .map(|week| candidate(&format!("weekly/2026-week-{week}"), "2026-10-01"))
            .collect();
        let newest_seven = [[Due; 3].as_slice(), &[Newest; 7]].concat();
        check(&weeks, &keep, None, &newest_seven);
    }

    #[test]
    fn what_an_alarm_or_a_lock_keeps_stays() {
        use Fate::{Due, Held, Kept, Locked};
        let keep = keep("S3_KEEP_DAILY=1\n");
        let mut sets = [
            candidate("daily/2026-11-23", "2026-11-23"),
            candidate("daily/2026-11-03", "2026-11-03"),
            candidate("daily/2026-11-02", "2026-11-02"),
            candidate("daily/2026-11-01.incomplete", "2026-11-01"),
        ];
        check(&sets, &keep, None, &[Kept, Due, Due, Due]);
        let alarm = hold("daily/2026-11-02", "2026-11-02T03:00:00+00:00");
        check(&sets, &keep, Some(&alarm), &[Kept, Due, Held, Held]);
        let unreadable = Hold {
            unreadable: Some("it is empty".to_owned()),
            ..Hold::default()
        };
        check(&sets, &keep, Some(&unreadable), &[Kept, Held, Held, Held]);
        let until = "2026-11-23T12:00:01Z".parse().unwrap();
        sets[1].locked_until = Some(until);
        sets[2].locked_until = Some("2026-11-23T12:00:00Z".parse().unwrap());
        check(&sets, &keep, None, &[Kept, Locked(until), Due, Due]);
    }
}
