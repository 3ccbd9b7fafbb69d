//! Thirty days together: what is destroyed a little a day stays below the limits of each of them.

use std::collections::{BTreeMap, BTreeSet};

use super::day::Day;
use super::judge::{Finding, HABIT_DAYS, Rule, greatest, is_most, losses, names, percent, share};
use super::limits::Limits;
use crate::record::{AlarmLevel, MailboxChanges, MessageChanges};

/// What was told within thirty days, and is not told again. An alarm is: what has gone is counted
/// from the last one on, so that another is about other messages.
#[derive(Clone, Debug, Default)]
pub struct Told {
    rules: BTreeSet<String>,
    /// Mailboxes of which a loss was told.
    mailboxes: BTreeSet<String>,
}

impl Told {
    /// Adds that `rule` was told of `mailboxes`.
    pub fn add(&mut self, rule: &str, mailboxes: &[MailboxChanges]) {
        self.rules.insert(rule.to_owned());
        let losses = [Rule::MailboxLoss, Rule::MailboxSlowLoss];
        if losses.iter().any(|loss| loss.name() == rule) {
            let names = mailboxes.iter().map(|it| it.mailbox.clone());
            self.mailboxes.extend(names);
        }
    }

    fn has(&self, rule: Rule) -> bool {
        rule.level() == AlarmLevel::Notable && self.rules.contains(rule.name())
    }
}

/// Judges `day` together with the days before it, the newest first, back to the last alarm or at
/// most thirty. What came in meanwhile is set against what went: who files or throws away as much
/// as comes in has lost nothing. What was `told` is left out.
#[must_use]
pub fn judge_month(day: &Day, since: &[&Day], limits: &Limits, told: &Told) -> Vec<Finding> {
    let month: Vec<&Day> = std::iter::once(day).chain(since.iter().copied()).collect();
    let of_all = [
        slow_loss(day, &month, limits),
        slow_spoiling(day, &month, limits),
    ];
    let of_all = of_all.into_iter().flatten();
    let untold = of_all.filter(|finding| !told.has(finding.rule));
    untold
        .chain(mailbox_slow_loss(day, &month, limits, told))
        .collect()
}

/// How far a number of messages has fallen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fall {
    /// How many there were.
    from: u64,
    by: u64,
}

impl Fall {
    /// The greatest one up to now. `changes` are those of the days, the newest first, with the
    /// messages before each.
    fn of(changes: impl Iterator<Item = (u64, MessageChanges)>) -> Self {
        let (mut fall, mut net) = (Self::default(), 0_i128);
        for (before, messages) in changes {
            net += i128::from(messages.vanished) - i128::from(messages.new);
            if let Ok(by) = u64::try_from(net)
                && by > fall.by
            {
                fall = Self { from: before, by };
            }
        }
        fall
    }

    fn is_at_least(self, percent: f64) -> bool {
        self.by > 0 && self.by as f64 >= share(self.from, percent)
    }
}

fn slow_loss(day: &Day, month: &[&Day], limits: &Limits) -> Option<Finding> {
    let fall = Fall::of(month.iter().map(|day| (day.before, day.messages())));
    if day.vanished() == 0 || fall.from < limits.alarm_messages {
        return None;
    }
    let rule = if fall.is_at_least(limits.alarm_month_percent) {
        Rule::SlowRuin
    } else if fall.is_at_least(limits.notable_month_percent) {
        Rule::SlowLoss
    } else {
        return None;
    };
    let mailboxes = greatest(sums(month).values(), |mailbox| mailbox.messages.vanished);
    Some(Finding {
        rule,
        component: None,
        message: format!(
            "within thirty days the server has lost {} of {} messages ({} %): {}",
            fall.by,
            fall.from,
            percent(fall.by, fall.from),
            losses(&mailboxes)
        ),
        mailboxes,
    })
}

fn slow_spoiling(day: &Day, month: &[&Day], limits: &Limits) -> Option<Finding> {
    let by = |mailbox: &MailboxChanges| mailbox.messages.spoiled;
    let count = month
        .iter()
        .fold(0, |sum: u64, day| sum.saturating_add(day.spoiled()));
    let is_of_today = day.spoiled() >= limits.alarm_spoiled;
    if is_of_today || day.spoiled() == 0 || count < limits.alarm_spoiled {
        return None;
    }
    let mailboxes = greatest(sums(month).values(), by);
    Some(Finding {
        rule: Rule::SlowSpoiling,
        component: None,
        message: format!(
            "within thirty days {count} messages got other content under the same name, or began \
             with no header, as mail never does: {}",
            names(&mailboxes, |mailbox| by(mailbox).to_string())
        ),
        mailboxes,
    })
}

fn mailbox_slow_loss(day: &Day, month: &[&Day], limits: &Limits, told: &Told) -> Option<Finding> {
    let lost = day.changed.values().filter(|it| !it.gone);
    let lost = lost.filter(|it| it.messages.vanished > 0);
    let lost = lost.filter(|it| !told.mailboxes.contains(&it.mailbox));
    let fallen: Vec<MailboxChanges> = lost
        .filter_map(|mailbox| fallen(mailbox, month, limits))
        .collect();
    let mailboxes = greatest(fallen.iter(), |mailbox| mailbox.messages.vanished);
    (!mailboxes.is_empty()).then(|| Finding {
        rule: Rule::MailboxSlowLoss,
        component: None,
        message: format!(
            "within thirty days an unusual part of a mailbox has gone: {}",
            losses(&mailboxes)
        ),
        mailboxes,
    })
}

/// How far a mailbox has fallen, if that is more than half, or as its limits say, and at least as
/// many messages as a mailbox must have to be judged, and not its habit.
fn fallen(mailbox: &MailboxChanges, month: &[&Day], limits: &Limits) -> Option<MailboxChanges> {
    let limits = limits.of(&mailbox.mailbox);
    let days = month
        .iter()
        .filter_map(|day| day.changed.get(&mailbox.mailbox));
    let fall = Fall::of(days.clone().map(|it| (it.messages.before, it.messages)));
    let emptied = days.filter(|it| is_most(it, &limits)).count();
    // Of a small mailbox half is soon gone.
    if fall.by < limits.notable_messages
        || fall.by as f64 <= share(fall.from, limits.notable_percent)
        || emptied >= HABIT_DAYS
    {
        return None;
    }
    Some(MailboxChanges {
        mailbox: mailbox.mailbox.clone(),
        gone: false,
        messages: MessageChanges {
            before: fall.from,
            vanished: fall.by,
            ..MessageChanges::default()
        },
    })
}

/// The changes of each mailbox in all these days, given the newest first.
fn sums(month: &[&Day]) -> BTreeMap<String, MailboxChanges> {
    let mut sum = Day::default();
    for day in month.iter().rev() {
        sum.add_mailboxes(day.changed.values());
    }
    sum.changed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day of a server with `before` messages, all in one mailbox.
    fn day(before: u64, new: u64, vanished: u64, spoiled: u64) -> Day {
        let messages = MessageChanges {
            before,
            new,
            vanished,
            spoiled,
            ..MessageChanges::default()
        };
        let mailbox = MailboxChanges {
            mailbox: "e/a".to_owned(),
            gone: false,
            messages,
        };
        Day {
            mailboxes: 9,
            before,
            changed: [("e/a".to_owned(), mailbox)].into(),
        }
    }

    /// `days` are given the newest first.
    #[track_caller]
    fn check(days: &[Day], expected: &[&str]) {
        let since: Vec<&Day> = days[1..].iter().collect();
        let findings = judge_month(&days[0], &since, &Limits::default(), &Told::default());
        let rules: Vec<&str> = findings.iter().map(|it| it.rule.name()).collect();
        assert_eq!(rules, expected, "{findings:?}");
    }

    #[test]
    fn a_fifth_of_all_within_a_month_is_told_and_half_of_it_is_an_alarm() {
        check(&[day(1000, 0, 0, 0)], &[]);
        check(&[day(900, 0, 99, 0), day(1000, 0, 100, 0)], &[]);
        check(&[day(900, 0, 100, 0), day(1000, 0, 100, 0)], &["slow-loss"]);
        check(&[day(899, 0, 100, 0), day(999, 0, 100, 0)], &[]);
        let half = [
            day(700, 0, 200, 0),
            day(850, 0, 150, 0),
            day(1000, 0, 150, 0),
        ];
        check(&half, &["slow-ruin"]);
        // More than half of its mailbox, too.
        let more = [
            day(700, 0, 201, 0),
            day(850, 0, 150, 0),
            day(1000, 0, 150, 0),
        ];
        check(&more, &["slow-ruin", "mailbox-slow-loss"]);
        // Nothing has gone today: it was told.
        check(&[day(500, 0, 0, 0), day(1000, 0, 500, 0)], &[]);
    }

    #[test]
    fn what_comes_in_makes_up_for_what_goes() {
        let days: Vec<Day> = (0..30).map(|_| day(1000, 300, 300, 0)).collect();
        check(&days, &[]);
        // What came in before does not excuse what goes afterwards.
        let days = [day(2000, 0, 400, 0), day(1000, 1000, 0, 0)];
        check(&days, &["slow-loss"]);
    }

    #[test]
    fn a_mailbox_that_is_emptied_again_and_again_has_not_fallen() {
        let emptied = || day(300, 300, 300, 0);
        let last = day(300, 0, 300, 0);
        check(&[last.clone(), emptied(), emptied()], &[]);
        check(&[last, emptied()], &["mailbox-slow-loss"]);
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let (today, before) = (day(900, 0, 100, 0), day(1000, 0, 450, 0));
        let judge = |told: &Told| {
            let findings = judge_month(&today, &[&before], &Limits::default(), told);
            findings.iter().map(|it| it.rule.name()).collect::<Vec<_>>()
        };
        let mut told = Told::default();
        assert_eq!(judge(&told), ["slow-ruin", "mailbox-slow-loss"]);
        let mailboxes: Vec<_> = today.changed.values().cloned().collect();
        told.add("mailbox-loss", &mailboxes);
        assert_eq!(judge(&told), ["slow-ruin"]);
        told.add("slow-loss", &[]);
        assert_eq!(judge(&told), ["slow-ruin"]);
        // The count of what has gone began again with that alarm: this is another half.
        told.add("slow-ruin", &[]);
        assert_eq!(judge(&told), ["slow-ruin"]);
    }

    #[test]
    fn twenty_spoiled_messages_within_a_month_are_told() {
        check(&[day(500, 0, 0, 10), day(500, 0, 0, 9)], &[]);
        check(
            &[day(500, 0, 0, 10), day(500, 0, 0, 10)],
            &["slow-spoiling"],
        );
        check(&[day(500, 0, 0, 0), day(500, 0, 0, 19)], &[]);
    }
}
