//! A day beside the thirty before it.

use super::day::Day;
use super::limits::Limits;
use crate::record::{Alarm, AlarmLevel, MailboxChanges};
use crate::set::Component;

/// So many mailboxes are named.
const NAMED: usize = 50;

/// So many are named in the sentence.
const NAMED_IN_MESSAGE: usize = 3;

/// On so many of the days before something happens that is a habit.
pub(super) const HABIT_DAYS: usize = 3;

/// A habit does not excuse more than this times its largest day.
const HABIT_TIMES: f64 = 1.5;

/// What is not ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Messages with other content, or without a header.
    Spoiled,
    /// A great part of all messages is gone.
    ServerLoss,
    /// Many mailboxes are notable.
    ManyMailboxes,
    /// A great part of a mailbox is gone.
    MailboxLoss,
    /// A mailbox is gone.
    MailboxGone,
    /// The message that nobody touches is gone, or has other content.
    Canary,
    /// Half of all messages have gone within thirty days.
    SlowRuin,
    /// A great part of them has.
    SlowLoss,
    /// As many messages were spoiled within thirty days as are an alarm on one.
    SlowSpoiling,
    /// A great part of a mailbox has gone within thirty days.
    MailboxSlowLoss,
    /// A database is gone.
    DatabaseGone,
    /// Tables of a database are gone.
    TablesGone,
    /// A table has lost its rows.
    RowsLost,
    /// A private key has other content.
    KeyChanged,
    /// A private key is gone.
    KeyGone,
    /// A file of the Compose project is gone.
    FileGone,
}

/// What the judgement is.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Why.
    pub rule: Rule,
    /// What it is about, where that is not the mail.
    pub component: Option<Component>,
    /// A sentence for people.
    pub message: String,
    /// The mailboxes that it is about, those with the greatest changes first; of very many, the
    /// first.
    pub mailboxes: Vec<MailboxChanges>,
}

impl Rule {
    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spoiled => "spoiled",
            Self::ServerLoss => "server-loss",
            Self::ManyMailboxes => "many-mailboxes",
            Self::MailboxLoss => "mailbox-loss",
            Self::MailboxGone => "mailbox-gone",
            Self::Canary => "canary",
            Self::SlowRuin => "slow-ruin",
            Self::SlowLoss => "slow-loss",
            Self::SlowSpoiling => "slow-spoiling",
            Self::MailboxSlowLoss => "mailbox-slow-loss",
            Self::DatabaseGone => "database-gone",
            Self::TablesGone => "tables-gone",
            Self::RowsLost => "rows-lost",
            Self::KeyChanged => "key-changed",
            Self::KeyGone => "key-gone",
            Self::FileGone => "file-gone",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn level(self) -> AlarmLevel {
        match self {
            Self::Spoiled
            | Self::ServerLoss
            | Self::ManyMailboxes
            | Self::Canary
            | Self::SlowRuin => AlarmLevel::Alarm,
            Self::MailboxLoss
            | Self::MailboxGone
            | Self::SlowLoss
            | Self::SlowSpoiling
            | Self::MailboxSlowLoss
            | Self::DatabaseGone
            | Self::TablesGone
            | Self::RowsLost
            | Self::KeyChanged
            | Self::KeyGone
            | Self::FileGone => AlarmLevel::Notable,
        }
    }
}

/// Whether an alarm is about `component`. A rule that is not known is about the mail, and one about
/// files that does not say which component it means is about none.
#[must_use]
pub fn is_about(alarm: &Alarm, component: Component) -> bool {
    if let Some(of) = alarm.component {
        return of == component;
    }
    let is_of = |rules: &[Rule]| rules.iter().any(|rule| rule.name() == alarm.rule);
    let is_of_databases = is_of(&[Rule::DatabaseGone, Rule::TablesGone, Rule::RowsLost]);
    let is_of_files = is_of(&[Rule::KeyChanged, Rule::KeyGone, Rule::FileGone]);
    match component {
        Component::Mysql => is_of_databases,
        Component::Config | Component::Ssl | Component::Dkim => false,
        Component::Mailboxes => !is_of_databases && !is_of_files,
    }
}

/// Judges `day` beside the days before it, the alarms first.
#[must_use]
pub fn judge(day: &Day, before: &[Day], limits: &Limits) -> Vec<Finding> {
    let lost: Vec<&MailboxChanges> = day
        .changed
        .values()
        .filter(|mailbox| !mailbox.gone && has_lost_much(mailbox, before, limits))
        .collect();
    // One whose messages are all in another is renamed.
    let has_lost = |it: &MailboxChanges| it.messages.vanished > 0 || it.messages.before == 0;
    let gone = day.changed.values().filter(|it| it.gone && has_lost(it));
    let gone: Vec<&MailboxChanges> = gone.collect();
    let findings = [
        spoiled(day, limits),
        server_loss(day, before, limits),
        many_mailboxes(day, &lost, &gone, limits),
        mailbox_loss(&lost),
        mailbox_gone(&gone),
    ];
    findings.into_iter().flatten().collect()
}

fn spoiled(day: &Day, limits: &Limits) -> Option<Finding> {
    let count = day.spoiled();
    if limits.alarm_spoiled == 0 || count < limits.alarm_spoiled {
        return None;
    }
    let by = |mailbox: &MailboxChanges| mailbox.messages.spoiled;
    let mailboxes = greatest(day.changed.values(), by);
    let names = names(&mailboxes, |mailbox| by(mailbox).to_string());
    Some(Finding {
        rule: Rule::Spoiled,
        component: None,
        message: format!(
            "{count} messages have other content under the same name, or begin with no header, as \
             mail never does: {names}"
        ),
        mailboxes,
    })
}

fn server_loss(day: &Day, before: &[Day], limits: &Limits) -> Option<Finding> {
    let vanished = day.vanished();
    let is_great = |day: &Day| day.vanished() as f64 >= share(day.before, limits.alarm_percent);
    if vanished == 0 || day.before < limits.alarm_messages || !is_great(day) {
        return None;
    }
    let such: Vec<u64> = before
        .iter()
        .filter(|day| is_great(day))
        .map(Day::vanished)
        .collect();
    if is_habit(vanished, &such) {
        return None;
    }
    let mailboxes = greatest(day.changed.values(), |mailbox| mailbox.messages.vanished);
    Some(Finding {
        rule: Rule::ServerLoss,
        component: None,
        message: format!(
            "{vanished} of all {} messages ({} %) are gone: {}",
            day.before,
            percent(vanished, day.before),
            losses(&mailboxes)
        ),
        mailboxes,
    })
}

fn many_mailboxes(
    day: &Day,
    lost: &[&MailboxChanges],
    gone: &[&MailboxChanges],
    limits: &Limits,
) -> Option<Finding> {
    let had_mail =
        |mailbox: &&&MailboxChanges| mailbox.messages.vanished >= limits.notable_messages;
    let emptied = gone.iter().filter(had_mail);
    let notable: Vec<&MailboxChanges> = lost.iter().chain(emptied).copied().collect();
    let count = notable.len() as u64;
    let is_share = count as f64 >= share(day.mailboxes, limits.alarm_mailboxes_percent);
    if count < limits.alarm_mailboxes || !is_share {
        return None;
    }
    let mailboxes = greatest(notable.into_iter(), |mailbox| mailbox.messages.vanished);
    Some(Finding {
        rule: Rule::ManyMailboxes,
        component: None,
        message: format!(
            "{count} of {} mailboxes lost an unusual part of their messages at once: {}",
            day.mailboxes,
            losses(&mailboxes)
        ),
        mailboxes,
    })
}

fn mailbox_loss(lost: &[&MailboxChanges]) -> Option<Finding> {
    let mailboxes = greatest(lost.iter().copied(), |mailbox| mailbox.messages.vanished);
    (!mailboxes.is_empty()).then(|| Finding {
        rule: Rule::MailboxLoss,
        component: None,
        message: format!(
            "an unusual part of a mailbox is gone: {}",
            losses(&mailboxes)
        ),
        mailboxes,
    })
}

fn mailbox_gone(gone: &[&MailboxChanges]) -> Option<Finding> {
    let mailboxes = greatest(gone.iter().copied(), |mailbox| mailbox.messages.before + 1);
    (!mailboxes.is_empty()).then(|| Finding {
        rule: Rule::MailboxGone,
        component: None,
        message: format!(
            "a mailbox is gone as a whole; was the user deleted on purpose? {}",
            losses(&mailboxes)
        ),
        mailboxes,
    })
}

/// Whether a mailbox lost more than it ordinarily does.
fn has_lost_much(mailbox: &MailboxChanges, before: &[Day], limits: &Limits) -> bool {
    let limits = limits.of(&mailbox.mailbox);
    let lost = mailbox.messages.vanished;
    let had = mailbox.messages.before;
    let earlier: Vec<&MailboxChanges> = before
        .iter()
        .filter_map(|day| day.changed.get(&mailbox.mailbox))
        .collect();
    let such: Vec<u64> = earlier
        .iter()
        .filter(|of| is_most(of, &limits))
        .map(|of| of.messages.vanished)
        .collect();
    if had >= limits.notable_messages && is_most(mailbox, &limits) {
        return !is_habit(lost, &such);
    }
    // Without days before it there is no largest one.
    let largest = earlier.iter().map(|of| of.messages.vanished).max();
    let is_part = lost as f64 >= share(had, limits.notable_times_percent);
    had >= limits.notable_messages
        && is_part
        && largest.is_some_and(|largest| {
            largest > 0 && lost as f64 >= largest as f64 * limits.notable_times
        })
}

/// Whether a mailbox lost more on a day than may be. `limits` are its own.
pub(super) fn is_most(mailbox: &MailboxChanges, limits: &Limits) -> bool {
    let messages = &mailbox.messages;
    messages.vanished as f64 > share(messages.before, limits.notable_percent)
}

/// Whether so much was lost on several of the `such` days, on which it was a great part as well.
fn is_habit(lost: u64, such: &[u64]) -> bool {
    let largest = such.iter().max().copied().unwrap_or_default();
    such.len() >= HABIT_DAYS && lost as f64 <= largest as f64 * HABIT_TIMES
}

pub(super) fn share(of: u64, percent: f64) -> f64 {
    of as f64 * percent / 100.0
}

pub(super) fn percent(part: u64, of: u64) -> u64 {
    part.saturating_mul(100) / of.max(1)
}

/// Those with the greatest numbers first; none without any.
pub(super) fn greatest<'a>(
    mailboxes: impl Iterator<Item = &'a MailboxChanges>,
    number: impl Fn(&MailboxChanges) -> u64,
) -> Vec<MailboxChanges> {
    let mut sorted: Vec<&MailboxChanges> = mailboxes.filter(|it| number(it) > 0).collect();
    sorted.sort_by_key(|mailbox| std::cmp::Reverse(number(mailbox)));
    sorted.into_iter().take(NAMED).cloned().collect()
}

pub(super) fn losses(mailboxes: &[MailboxChanges]) -> String {
    names(mailboxes, |mailbox| {
        format!(
            "{} of {}",
            mailbox.messages.vanished, mailbox.messages.before
        )
    })
}

pub(super) fn names(
    mailboxes: &[MailboxChanges],
    number: impl Fn(&MailboxChanges) -> String,
) -> String {
    let named = mailboxes.iter().take(NAMED_IN_MESSAGE);
    let named: Vec<String> = named
        .map(|mailbox| format!("{} ({})", mailbox.mailbox, number(mailbox)))
        .collect();
    let more = match mailboxes.len().saturating_sub(NAMED_IN_MESSAGE) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MessageChanges;
    use crate::suspicion::MailboxLimits;

    fn mailbox(number: u64, before: u64, vanished: u64) -> MailboxChanges {
        MailboxChanges {
            mailbox: format!("e/{number}"),
            gone: false,
            messages: MessageChanges {
                before,
                vanished,
                ..MessageChanges::default()
            },
        }
    }

    /// A day of `total` mailboxes with 10,000 messages, besides those that changed.
    fn day(total: u64, changed: impl IntoIterator<Item = MailboxChanges>) -> Day {
        let changed: Vec<MailboxChanges> = changed.into_iter().collect();
        let before: u64 = changed.iter().map(|it| it.messages.before).sum();
        Day {
            mailboxes: total,
            before: before + 10_000,
            changed: changed
                .into_iter()
                .map(|it| (it.mailbox.clone(), it))
                .collect(),
        }
    }

    #[track_caller]
    fn check(day: &Day, before: &[Day], expected: &[&str]) {
        check_with(day, before, &Limits::default(), expected);
    }

    #[track_caller]
    fn check_with(day: &Day, before: &[Day], limits: &Limits, expected: &[&str]) {
        let findings = judge(day, before, limits);
        let rules: Vec<&str> = findings.iter().map(|it| it.rule.name()).collect();
        assert_eq!(rules, expected, "{findings:?}");
    }

    fn spoiled(count: u64) -> Day {
        let mut mailbox = mailbox(1, 1000, 0);
        mailbox.messages.spoiled = count;
        day(9, [mailbox])
    }

    #[test]
    fn an_ordinary_day_is_nothing() {
        check(&Day::default(), &[], &[]);
        check(&day(9, []), &[], &[]);
        check(&day(9, [mailbox(1, 1000, 500)]), &[], &[]);
        check(&day(9, [mailbox(1, 99, 99)]), &[], &[]);
    }

    #[test]
    fn twenty_spoiled_messages_are_an_alarm() {
        check(&spoiled(19), &[], &[]);
        check(&spoiled(20), &[], &["spoiled"]);
        let mut limits = Limits {
            alarm_spoiled: 500,
            ..Limits::default()
        };
        check_with(&spoiled(499), &[], &limits, &[]);
        check_with(&spoiled(500), &[], &limits, &["spoiled"]);
        limits.alarm_spoiled = 0;
        check_with(&spoiled(900), &[], &limits, &[]);
    }

    #[test]
    fn a_fifth_of_all_mail_is_an_alarm() {
        let lost = |part| {
            let rest = mailbox(2, 8000, 0);
            let mut day = day(20, [mailbox(1, 10_000, part), rest]);
            day.before = 18_000;
            day
        };
        check(&lost(3599), &[], &[]);
        check(&lost(3600), &[], &["server-loss"]);
        let mut small = lost(300);
        small.before = 999;
        check(&small, &[], &[]);
        small.before = 1000;
        check(&small, &[], &["server-loss"]);
    }

    #[test]
    fn half_of_a_mailbox_is_notable() {
        check(&day(9, [mailbox(1, 100, 51)]), &[], &["mailbox-loss"]);
        check(&day(9, [mailbox(1, 1000, 1000)]), &[], &["mailbox-loss"]);
    }

    #[test]
    fn three_times_its_largest_day_is_notable() {
        let usual = |lost| {
            vec![
                day(9, [mailbox(1, 1000, lost)]),
                day(9, [mailbox(1, 1000, 3)]),
            ]
        };
        check(
            &day(9, [mailbox(1, 1000, 200)]),
            &usual(66),
            &["mailbox-loss"],
        );
        check(&day(9, [mailbox(1, 1000, 200)]), &usual(67), &[]);
        check(&day(9, [mailbox(1, 1000, 199)]), &usual(3), &[]);
        // Nobody knows what is usual.
        check(&day(9, [mailbox(1, 1000, 200)]), &[], &[]);
    }

    #[test]
    fn who_deletes_a_lot_every_day_is_no_alarm() {
        let usual: Vec<Day> = (0..3).map(|_| day(9, [mailbox(1, 500, 400)])).collect();
        check(&day(9, [mailbox(1, 500, 480)]), &usual, &[]);
        check(
            &day(9, [mailbox(1, 500, 480)]),
            &usual[..2],
            &["mailbox-loss"],
        );
        check(&day(9, [mailbox(1, 900, 601)]), &usual, &["mailbox-loss"]);
        let all: Vec<Day> = (0..3).map(|_| day(9, [mailbox(1, 5000, 4000)])).collect();
        check(&day(9, [mailbox(1, 5000, 4000)]), &all, &[]);
    }

    #[test]
    fn three_mailboxes_and_a_tenth_of_all_are_an_alarm() {
        let lost = |count, total| day(total, (0..count).map(|number| mailbox(number, 200, 150)));
        check(&lost(2, 20), &[], &["mailbox-loss"]);
        check(&lost(3, 30), &[], &["many-mailboxes", "mailbox-loss"]);
        check(&lost(3, 31), &[], &["mailbox-loss"]);
    }

    #[test]
    fn a_mailbox_that_is_gone_is_told() {
        let gone = |number, messages| MailboxChanges {
            gone: true,
            ..mailbox(number, messages, messages)
        };
        check(&day(9, [gone(1, 3)]), &[], &["mailbox-gone"]);
        check(&day(9, [gone(1, 0)]), &[], &["mailbox-gone"]);
        let three = (0..3).map(|number| gone(number, 200));
        check(&day(9, three), &[], &["many-mailboxes", "mailbox-gone"]);
        let mut renamed = gone(1, 200);
        renamed.messages.vanished = 0;
        check(&day(9, [renamed]), &[], &[]);
        let empty = (0..3).map(|number| gone(number, 2));
        check(&day(9, empty), &[], &["mailbox-gone"]);
    }

    #[test]
    fn a_mailbox_may_have_limits_of_its_own() {
        let own = MailboxLimits {
            notable_percent: Some(100.0),
            notable_times: Some(1000.0),
            ..MailboxLimits::default()
        };
        let limits = Limits {
            mailboxes: [("e/1".to_owned(), own)].into(),
            ..Limits::default()
        };
        check_with(&day(9, [mailbox(1, 500, 500)]), &[], &limits, &[]);
        check_with(
            &day(9, [mailbox(2, 500, 500)]),
            &[],
            &limits,
            &["mailbox-loss"],
        );
    }

    #[test]
    fn the_worst_mailboxes_are_named_first_and_the_rest_counted() {
        let lost = (1..=60).map(|number| mailbox(number, 1000, 500 + number));
        let findings = judge(&day(1000, lost), &[], &Limits::default());
        let loss = findings.iter().find(|it| it.rule == Rule::MailboxLoss);
        let loss = loss.unwrap();
        assert_eq!(loss.mailboxes.len(), 50);
        assert!(
            loss.message
                .contains("e/60 (560 of 1000), e/59 (559 of 1000), e/58"),
            "{}",
            loss.message
        );
    }
}
