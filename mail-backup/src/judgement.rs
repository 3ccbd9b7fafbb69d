//! Whether the changes of the mail are those of an ordinary day.

use jiff::{Timestamp, ZonedDateTime};
use mail_common::manifest::DayRecords;
use mail_common::record::{Alarm, AlarmLevel, Changes, MailboxChanges, MessageChanges};
use mail_common::set::{CommitAs, SetId, SetKind, SetState};
use mail_common::suspicion::{self, Day, DayRun, Hold, days, is_of_day, judge, moment_of, runs};
use mail_common::tool::Session;

use crate::components::SavedComponents;
use crate::error::Error;
use crate::mailboxes::{Comparing, match_mailboxes};
use crate::plan::Plan;
use crate::previous::Chain;

/// What is recorded of the day.
pub(crate) struct JudgedDay {
    pub(crate) records: DayRecords,
    raised: Raised,
}

/// Whether this run has seen something that others had not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raised {
    Alarm,
    Nothing,
}

/// Judges what was saved beside the days before, and says what is not ordinary. Nothing is judged
/// where nothing was compared.
pub(crate) fn judge_day(
    plan: &Plan,
    session: &Session,
    saved: &mut SavedComponents,
    now: &ZonedDateTime,
) -> Result<JudgedDay, Error> {
    let mut records = records(std::mem::take(&mut saved.comparisons));
    if let Some(changes) = &records.changes {
        count(saved, changes);
        records.alarms = alarms(plan, session, &records, of_set(plan.id, now));
    }
    // A set that is made again does not end the alarm of the one whose name it takes.
    let held = Hold::of(&plan.root)?.map_or_else(Vec::new, |hold| hold.alarms);
    let name = plan.id.to_string();
    let of_this = held
        .into_iter()
        .filter(|alarm| alarm.set.trim_end_matches(".incomplete") == name);
    for alarm in &records.alarms {
        let notice = notice(alarm);
        session.report.warning(&notice);
        saved.notices.push(notice);
    }
    let mut levels = records.alarms.iter().map(|alarm| alarm.level);
    let raised = match levels.find(|level| *level == AlarmLevel::Alarm) {
        Some(_) => Raised::Alarm,
        None => Raised::Nothing,
    };
    records.alarms.splice(0..0, of_this);
    Ok(JudgedDay { records, raised })
}

fn notice(alarm: &Alarm) -> String {
    match alarm.level {
        AlarmLevel::Notable => alarm.message.clone(),
        AlarmLevel::Alarm => format!(
            "ALARM: {}; no set from before {} is removed until you have looked and run \
             mail-backup --accept",
            alarm.message, alarm.set
        ),
    }
}

fn records(comparisons: Vec<Comparing>) -> DayRecords {
    let (mut compared, mut not_compared) = (Vec::new(), 0);
    for comparison in comparisons {
        match comparison {
            Comparing::None => {}
            Comparing::Impossible => not_compared += 1,
            Comparing::Done(mailbox) => compared.push(mailbox),
        }
    }
    if compared.is_empty() {
        return DayRecords::default();
    }
    let mut mailboxes = match_mailboxes(compared);
    let changes = sum(&mailboxes, not_compared);
    mailboxes.retain(|mailbox| mailbox.gone || !mailbox.messages.are_none());
    DayRecords {
        alarms: Vec::new(),
        changes: Some(changes),
        mailboxes,
    }
}

fn sum(mailboxes: &[MailboxChanges], not_compared: u64) -> Changes {
    let mut messages = MessageChanges::default();
    for mailbox in mailboxes {
        messages.add(&mailbox.messages);
    }
    Changes {
        mailboxes: mailboxes.len() as u64,
        not_compared,
        messages,
    }
}

fn count(saved: &mut SavedComponents, changes: &Changes) {
    let messages = &changes.messages;
    let numbers = [
        ("messages_before", messages.before),
        ("messages_new", messages.new),
        ("messages_renamed", messages.renamed),
        ("messages_vanished", messages.vanished),
        ("messages_replaced", messages.replaced),
        ("messages_headless", messages.headless),
        ("mailboxes_not_compared", changes.not_compared),
    ];
    for (name, number) in numbers {
        saved.totals.add(name, number);
    }
}

fn alarms(plan: &Plan, session: &Session, records: &DayRecords, now: Timestamp) -> Vec<Alarm> {
    let earlier = runs(&plan.root, kinds(plan.reuse.chain));
    let (today, before) = today(plan, records, &earlier, now);
    let findings = judge(&today, &before, &plan.change_limits);
    let told = told_today(plan, &earlier, now);
    let findings = findings.into_iter().filter(|it| !told.contains(&key(it)));
    let alarm = |finding: suspicion::Finding| Alarm {
        level: finding.rule.level(),
        rule: finding.rule.name().to_owned(),
        set: plan.id.to_string(),
        time: session.begin().time.clone(),
        message: finding.message,
        mailboxes: finding.mailboxes,
    };
    findings.map(alarm).collect()
}

/// When a run is, by the date that its set was given.
fn of_set(id: SetId, now: &ZonedDateTime) -> Timestamp {
    let moment = moment_of(id, now.datetime()).to_zoned_datetime(now.time_zone().clone());
    moment.map_or_else(|_| now.timestamp(), |moment| moment.timestamp())
}

/// The sets that are compared with each other.
fn kinds(chain: Chain) -> &'static [SetKind] {
    match chain {
        Chain::All => &SetKind::ALL,
        Chain::Weekly => &[SetKind::Weekly],
        Chain::DailyAndHourly => &[SetKind::Daily, SetKind::Hourly],
    }
}

/// A rule and the names of mailboxes.
type Key = (String, Vec<String>);

fn key(finding: &suspicion::Finding) -> Key {
    key_of(finding.rule.name(), &finding.mailboxes)
}

fn key_of(rule: &str, mailboxes: &[MailboxChanges]) -> Key {
    let mut names: Vec<String> = mailboxes.iter().map(|it| it.mailbox.clone()).collect();
    names.sort();
    (rule.to_owned(), names)
}

/// What the runs of the day have told as notable, of the same mailboxes.
fn told_today(plan: &Plan, earlier: &[DayRun], now: Timestamp) -> Vec<Key> {
    if plan.reuse.chain == Chain::Weekly {
        return Vec::new();
    }
    let today = earlier.iter().filter(|run| is_of_day(run, now));
    let alarms = today.flat_map(|run| &run.records.alarms);
    let notable = alarms.filter(|alarm| alarm.level == AlarmLevel::Notable);
    notable
        .map(|alarm| key_of(&alarm.rule, &alarm.mailboxes))
        .collect()
}

/// The day of this run, and those before it.
fn today(plan: &Plan, records: &DayRecords, earlier: &[DayRun], now: Timestamp) -> (Day, Vec<Day>) {
    let before = days(earlier, now).split_off(1);
    if plan.reuse.chain == Chain::Weekly {
        let mut week = Day::default();
        week.add(records);
        let seen = seen_this_week(plan, earlier);
        week.forget(&seen.iter().collect::<Vec<_>>());
        return (week, before);
    }
    let accepted = accepted(plan);
    let until = accepted
        .iter()
        .copied()
        .chain(earlier.iter().flat_map(alarmed))
        .max();
    let open: Vec<DayRun> = earlier
        .iter()
        .filter(|run| until.is_none_or(|until| run.begun > until))
        .cloned()
        .collect();
    let mut today = days(&open, now).swap_remove(0);
    today.add(records);
    today.forget(&accepted_since(earlier, &accepted));
    (today, before)
}

/// When the alarms of a run were raised: what they say is not said again by each run of the day.
fn alarmed(run: &DayRun) -> impl Iterator<Item = Timestamp> {
    let alarms = run.records.alarms.iter();
    let raised = alarms.filter(|alarm| alarm.level == AlarmLevel::Alarm);
    raised.filter_map(|alarm| alarm.time.parse().ok())
}

/// Incomplete sets whose alarms were accepted since the last complete one: this run is compared with
/// that, and sees once more what they saw.
fn accepted_since<'a>(earlier: &'a [DayRun], accepted: &[Timestamp]) -> Vec<&'a DayRun> {
    let complete = earlier.iter().filter(|run| run.state == SetState::Complete);
    let last = complete.map(|run| run.begun).max();
    let seen = earlier.iter().filter(|run| {
        run.state == SetState::Incomplete
            && last.is_none_or(|last| run.begun >= last)
            && accepted.contains(&run.begun)
    });
    seen.collect()
}

/// A weekly run is compared with the last weekly set. What the daily runs since have seen was judged
/// then.
fn seen_this_week(plan: &Plan, weekly: &[DayRun]) -> Vec<DayRun> {
    let mut seen = runs(&plan.root, kinds(Chain::DailyAndHourly));
    let last = weekly.iter().map(|run| run.begun).max();
    seen.retain(|run| run.state == SetState::Complete && last.is_none_or(|last| run.begun > last));
    seen
}

/// When the runs began whose alarms somebody has accepted: their changes, and those before, are
/// accounted for.
fn accepted(plan: &Plan) -> Vec<Timestamp> {
    let accepted = suspicion::accepted(&plan.root);
    let alarms = accepted.iter().flat_map(|accepted| &accepted.alarms);
    alarms.filter_map(|alarm| alarm.time.parse().ok()).collect()
}

impl JudgedDay {
    /// Takes over what the day's set says of mailboxes that are not saved again.
    pub(crate) fn add(&mut self, carried: DayRecords) {
        let old = carried
            .alarms
            .into_iter()
            .filter(|alarm| !self.records.alarms.contains(alarm));
        let old: Vec<Alarm> = old.collect();
        self.records.alarms.splice(0..0, old);
        if self.records.changes.is_none() {
            self.records.changes = carried.changes;
            self.records.mailboxes = carried.mailboxes;
        }
    }

    /// A day's set from before an alarm does not give its place to one from after it.
    pub(crate) fn commit_as(&self, plan: &Plan, session: &Session) -> CommitAs {
        let set = plan.root.set_path(plan.id);
        let is_there = matches!(SetState::of(&set), SetState::Complete | SetState::Legacy);
        if self.raised == Raised::Nothing || !is_there {
            return CommitAs::Complete;
        }
        session.fail(None, None, &Error::FromBeforeAlarm { set: plan.id });
        CommitAs::Incomplete
    }
}
