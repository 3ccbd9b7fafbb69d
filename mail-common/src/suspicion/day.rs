//! The changes of a day: those of all runs since the day before, which with hourly sets are many.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::manifest::{DayRecords, ManifestHead};
use crate::record::{MailboxChanges, MessageChanges};
use crate::set::{BackupRoot, FoundSet, MANIFEST, SetId, SetKind, SetState};

/// How many days a day is compared with.
const DAYS: i64 = 30;

const HOUR_SECONDS: i64 = 3600;

/// A run of yesterday may have begun a little less than a day ago.
const TOLERANCE_SECONDS: i64 = 4 * HOUR_SECONDS;

/// What changed on a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Day {
    /// Mailboxes that were compared.
    pub mailboxes: u64,
    /// Their messages before.
    pub before: u64,
    /// The mailboxes in which anything changed, by their paths.
    pub changed: BTreeMap<String, MailboxChanges>,
}

/// A run, whether or not it compared anything.
#[derive(Clone, Debug, PartialEq)]
pub struct DayRun {
    /// The set that it made.
    pub set: SetId,
    /// Complete or incomplete. Nothing is compared with an incomplete set.
    pub state: SetState,
    /// When it began.
    pub begun: Timestamp,
    /// Of which moment it is: the same, but for a set that was given another date.
    pub moment: Timestamp,
    /// What it recorded.
    pub records: DayRecords,
}

/// Of which moment a run is that was at `clock` on the wall and made the set `id`: a set that was
/// given another date is of that day.
#[must_use]
pub fn moment_of(id: SetId, clock: DateTime) -> DateTime {
    if SetId::for_time(id.kind(), clock) == id {
        clock
    } else {
        id.date().to_datetime(clock.time())
    }
}

/// The runs whose sets of `kinds` are in `root`, in any order. A manifest that cannot be read says
/// nothing: what it would have said is not known, and not judged.
#[must_use]
pub fn runs(root: &BackupRoot, kinds: &[SetKind]) -> Vec<DayRun> {
    let sets = kinds
        .iter()
        .flat_map(|kind| root.sets(*kind).unwrap_or_default());
    let ours = sets.filter(|set| matches!(set.state, SetState::Complete | SetState::Incomplete));
    let read = |set: FoundSet| {
        let head = ManifestHead::read(&set.path.join(MANIFEST)).ok()?;
        let begun: Timestamp = head.begin.time.parse().ok()?;
        let clock: DateTime = head.begin.time.parse().ok()?;
        let shift = moment_of(set.id, clock).duration_since(clock);
        Some(DayRun {
            set: set.id,
            state: set.state,
            begun,
            moment: begun.checked_add(shift).ok()?,
            records: head.day,
        })
    };
    ours.filter_map(read).collect()
}

/// The days up to `now` of the complete sets, that of `now` first. Days on which nothing was
/// compared are left out, except the first. Runs that began after `now`, by a clock that was set
/// back since, count for none.
#[must_use]
pub fn days(runs: &[DayRun], now: Timestamp) -> Vec<Day> {
    let mut days: BTreeMap<i64, Vec<&DayRun>> = BTreeMap::from([(0, Vec::new())]);
    let complete = runs.iter().filter(|run| run.state == SetState::Complete);
    for run in complete.filter(|run| run.records.changes.is_some()) {
        if let Some(number) = days_before(run, now).filter(|number| *number <= DAYS) {
            days.entry(number).or_default().push(run);
        }
    }
    days.into_values().map(|runs| day_of(&runs)).collect()
}

/// Whether `run` is of the day that ends `now`.
#[must_use]
pub fn is_of_day(run: &DayRun, now: Timestamp) -> bool {
    days_before(run, now) == Some(0)
}

/// How many days before `now` a run was; `None` when it was later.
fn days_before(run: &DayRun, now: Timestamp) -> Option<i64> {
    let seconds = now.as_second() - run.moment.as_second();
    (seconds >= 0).then_some((seconds + TOLERANCE_SECONDS) / (24 * HOUR_SECONDS))
}

fn day_of(runs: &[&DayRun]) -> Day {
    let mut runs = runs.to_vec();
    runs.sort_by_key(|run| run.moment);
    let mut day = Day::default();
    for run in runs {
        day.add(&run.records);
    }
    day
}

/// Leaves of the changes of `mailboxes` what was not seen before by `others`.
pub fn forget_seen<'a>(
    mailboxes: impl IntoIterator<Item = &'a mut MailboxChanges>,
    others: &[&DayRun],
) {
    let seen = day_of(others);
    for mailbox in mailboxes {
        if let Some(seen) = seen.changed.get(&mailbox.mailbox) {
            mailbox.gone &= !seen.gone;
            mailbox.messages.subtract(&seen.messages);
        }
    }
}

impl Day {
    /// Adds a run that came after those that were added.
    pub fn add(&mut self, records: &DayRecords) {
        let Some(changes) = &records.changes else {
            return;
        };
        self.mailboxes = self.mailboxes.max(changes.mailboxes);
        if self.before == 0 {
            self.before = changes.messages.before;
        }
        self.add_mailboxes(records.mailboxes.iter());
    }

    /// Adds what became of mailboxes after what was added before.
    pub(super) fn add_mailboxes<'a>(
        &mut self,
        mailboxes: impl Iterator<Item = &'a MailboxChanges>,
    ) {
        for mailbox in mailboxes {
            match self.changed.get_mut(&mailbox.mailbox) {
                Some(sum) => {
                    sum.gone = mailbox.gone;
                    sum.messages.add_later(&mailbox.messages);
                }
                None => {
                    self.changed
                        .insert(mailbox.mailbox.clone(), mailbox.clone());
                }
            }
        }
    }

    /// Leaves what was not seen before by `others`, which looked at the same mailboxes more often.
    pub fn forget(&mut self, others: &[&DayRun]) {
        forget_seen(self.changed.values_mut(), others);
    }

    /// How many messages are gone.
    #[must_use]
    pub fn vanished(&self) -> u64 {
        self.sum(|messages| messages.vanished)
    }

    /// How many are replaced or headless.
    #[must_use]
    pub fn spoiled(&self) -> u64 {
        self.sum(|messages| messages.spoiled)
    }

    /// The changes of all messages. What they were before is that of the changed mailboxes alone.
    pub(super) fn messages(&self) -> MessageChanges {
        let mut sum = MessageChanges::default();
        for mailbox in self.changed.values() {
            sum.add(&mailbox.messages);
        }
        sum
    }

    fn sum(&self, number: impl Fn(&MessageChanges) -> u64) -> u64 {
        let mailboxes = self.changed.values();
        mailboxes.fold(0, |sum, mailbox| {
            sum.saturating_add(number(&mailbox.messages))
        })
    }
}

impl MessageChanges {
    /// Adds changes of other messages.
    pub fn add(&mut self, other: &Self) {
        self.before = self.before.saturating_add(other.before);
        self.add_later(other);
    }

    /// Adds what became of the same messages later.
    fn add_later(&mut self, later: &Self) {
        let pairs = [
            (&mut self.new, later.new),
            (&mut self.renamed, later.renamed),
            (&mut self.vanished, later.vanished),
            (&mut self.replaced, later.replaced),
            (&mut self.headless, later.headless),
            (&mut self.spoiled, later.spoiled),
        ];
        for (sum, number) in pairs {
            *sum = sum.saturating_add(number);
        }
    }

    fn subtract(&mut self, seen: &Self) {
        self.vanished = self.vanished.saturating_sub(seen.vanished);
        self.replaced = self.replaced.saturating_sub(seen.replaced);
        self.headless = self.headless.saturating_sub(seen.headless);
        self.spoiled = self.spoiled.saturating_sub(seen.spoiled);
    }

    /// Whether all is as it was.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self
            == Self {
                before: self.before,
                ..Self::default()
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Changes;
    use jiff::ToSpan;

    const NOW: &str = "2026-11-28T03:00:00Z";

    /// A run `hours` before now, after which `vanished` of 1,000 messages were gone.
    fn run(hours: i64, vanished: u64) -> DayRun {
        let now: Timestamp = NOW.parse().unwrap();
        let messages = MessageChanges {
            before: 1000,
            vanished,
            ..MessageChanges::default()
        };
        DayRun {
            set: "daily/2026-11-01".parse().unwrap(),
            state: SetState::Complete,
            begun: now,
            moment: now.checked_sub(hours.hours()).unwrap(),
            records: DayRecords {
                changes: Some(Changes {
                    mailboxes: 1,
                    not_compared: 0,
                    messages,
                }),
                mailboxes: vec![MailboxChanges {
                    mailbox: "e/a".into(),
                    gone: false,
                    messages,
                }],
                alarms: Vec::new(),
                ..DayRecords::default()
            },
        }
    }

    #[track_caller]
    fn check(runs: &[DayRun], vanished: &[u64]) {
        let days = days(runs, NOW.parse().unwrap());
        let found: Vec<u64> = days.iter().map(Day::vanished).collect();
        assert_eq!(found, vanished);
    }

    #[test]
    fn runs_are_added_up_by_the_day() {
        check(&[run(0, 7)], &[7]);
        check(&[run(24, 5), run(0, 7)], &[7, 5]);
        // Hourly runs belong to the day of the last.
        check(&[run(1, 1), run(19, 2), run(0, 7), run(21, 4)], &[10, 4]);
        check(&[run(24 * 30, 5)], &[0, 5]);
        check(&[run(24 * 31, 5)], &[0]);
        let mut failed = run(24, 5);
        failed.state = SetState::Incomplete;
        check(&[failed], &[0]);
        // By a clock that was ahead.
        check(&[run(-1, 5), run(48, 1)], &[0, 1]);
    }

    #[test]
    fn a_day_begins_with_the_messages_of_its_first_run() {
        let mut later = run(0, 100);
        later.records.changes.as_mut().unwrap().messages.before = 900;
        let days = days(&[later, run(1, 100)], NOW.parse().unwrap());
        assert_eq!(
            (days[0].before, days[0].changed["e/a"].messages.before),
            (1000, 1000)
        );
    }
}
