//! Whether the changes of the mail are those of an ordinary day.

use jiff::{Timestamp, ZonedDateTime};
use mail_common::manifest::DayRecords;
use mail_common::record::{
    Alarm, AlarmLevel, Changes, MailboxChanges, MessageChanges, WatchedFile, WatchedRole,
};
use mail_common::set::{CommitAs, Component, SetId, SetKind, SetState};
use mail_common::suspicion::{
    self, Day, DayRun, Finding, Hold, Rule, Told, days, forget_seen, is_of_day, judge, judge_month,
    moment_of,
};
use mail_common::tool::Session;

use crate::canary::Tended;
use crate::components::SavedComponents;
use crate::error::Error;
use crate::mailboxes::{Comparing, match_mailboxes};
use crate::other_losses::other_losses;
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

/// Judges what was saved beside the days before, and says what is not ordinary. Mail is judged
/// where it was compared. `earlier` are the runs that made the sets of the root.
pub(crate) fn judge_day(
    plan: &Plan,
    session: &Session,
    saved: &mut SavedComponents,
    tended: Tended,
    earlier: &[DayRun],
    now: &ZonedDateTime,
) -> Result<JudgedDay, Error> {
    let seen = accepted_since(plan, earlier);
    let mut records = records(std::mem::take(&mut saved.comparisons), &seen);
    let mut findings = tended.alarm.map_or_else(Vec::new, of_canary);
    let moment = of_set(plan.id, now);
    if let Some(changes) = &records.changes {
        count(saved, changes);
        findings.extend(of_mail(plan, &records, earlier, moment));
    }
    findings.extend(other_losses(plan, saved, earlier, now.timestamp(), moment));
    records.alarms = findings
        .into_iter()
        .map(|it| alarm(plan, session, it))
        .collect();
    records.canary = tended.record;
    records.databases = std::mem::take(&mut saved.databases);
    records.watched = std::mem::take(&mut saved.watched);
    records
        .watched
        .sort_by(|a, b| key_of_file(a).cmp(&key_of_file(b)));
    let of_replaced = of_replaced(plan, earlier)?;
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
    records.alarms.splice(0..0, of_replaced);
    Ok(JudgedDay { records, raised })
}

/// A set that is made again does not end the alarm of the one whose name it takes, and forgets
/// nothing notable of it.
fn of_replaced(plan: &Plan, earlier: &[DayRun]) -> Result<Vec<Alarm>, Error> {
    let held = Hold::of(&plan.root)?.map_or_else(Vec::new, |hold| hold.alarms);
    let name = plan.id.to_string();
    let is_own = |alarm: &Alarm| alarm.set.trim_end_matches(".incomplete") == name;
    let replaced = earlier.iter().filter(|run| run.set == plan.id);
    let told = replaced.flat_map(|run| run.records.alarms.iter().cloned());
    let notable = told.filter(|alarm| alarm.level == AlarmLevel::Notable);
    Ok(held.into_iter().filter(is_own).chain(notable).collect())
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

/// What was compared, but for what was `seen` and accepted: whoever adds up these records later, as
/// the next run and `mail-check` do, would count it once more.
fn records(comparisons: Vec<Comparing>, seen: &[&DayRun]) -> DayRecords {
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
    forget_seen(&mut mailboxes, seen);
    let changes = sum(&mailboxes, not_compared);
    mailboxes.retain(|mailbox| mailbox.gone || !mailbox.messages.are_none());
    DayRecords {
        changes: Some(changes),
        mailboxes,
        ..DayRecords::default()
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

fn of_canary(message: String) -> Vec<Finding> {
    vec![Finding {
        rule: Rule::Canary,
        component: None,
        message,
        mailboxes: Vec::new(),
    }]
}

/// What is not ordinary of the mail, but for what was told already.
fn of_mail(plan: &Plan, records: &DayRecords, earlier: &[DayRun], now: Timestamp) -> Vec<Finding> {
    let chain = of_kinds(earlier, kinds(plan.reuse.chain));
    let (today, before) = today(plan, records, earlier, &chain, now);
    let mut findings = judge(&today, &before, &plan.change_limits);
    let told = told_today(plan, &chain, now);
    findings.retain(|it| !told.contains(&key(it)));
    if plan.reuse.chain != Chain::Weekly && !findings.iter().any(|it| it.rule == Rule::ServerLoss) {
        let of_month = of_month(plan, &today, &chain, &findings, now);
        findings.extend(of_month);
    }
    findings
}

/// What thirty days together say, and none of the runs of these days has said.
fn of_month(
    plan: &Plan,
    today: &Day,
    chain: &[DayRun],
    of_today: &[Finding],
    now: Timestamp,
) -> Vec<Finding> {
    let open = since(plan, chain);
    let since = days(&open, now).split_off(1);
    let since: Vec<&Day> = since.iter().collect();
    let mut told = Told::default();
    let alarms = chain.iter().flat_map(|run| &run.records.alarms);
    for alarm in alarms.filter(|alarm| is_within_a_month(alarm, now)) {
        told.add(&alarm.rule, &alarm.mailboxes);
    }
    for finding in of_today {
        told.add(finding.rule.name(), &finding.mailboxes);
    }
    judge_month(today, &since, &plan.change_limits, &told)
}

fn is_within_a_month(alarm: &Alarm, now: Timestamp) -> bool {
    let time: Option<Timestamp> = alarm.time.parse().ok();
    time.is_some_and(|time| now.duration_since(time).as_hours() < 30 * 24)
}

fn alarm(plan: &Plan, session: &Session, finding: Finding) -> Alarm {
    Alarm {
        level: finding.rule.level(),
        rule: finding.rule.name().to_owned(),
        set: plan.id.to_string(),
        time: session.begin().time.clone(),
        message: finding.message,
        component: finding.component,
        mailboxes: finding.mailboxes,
    }
}

fn key_of_file(file: &WatchedFile) -> (Component, WatchedRole, Option<&str>, &str) {
    let archive = file.archive.as_deref();
    (file.component, file.role, archive, &file.path.path)
}

fn of_kinds(runs: &[DayRun], kinds: &[SetKind]) -> Vec<DayRun> {
    let of_kinds = runs.iter().filter(|run| kinds.contains(&run.set.kind()));
    of_kinds.cloned().collect()
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

fn key(finding: &Finding) -> Key {
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

/// The day of this run, and those before it. `chain` are the runs of the sets that are compared
/// with each other.
fn today(
    plan: &Plan,
    records: &DayRecords,
    earlier: &[DayRun],
    chain: &[DayRun],
    now: Timestamp,
) -> (Day, Vec<Day>) {
    let before = days(chain, now).split_off(1);
    if plan.reuse.chain == Chain::Weekly {
        let mut week = Day::default();
        week.add(records);
        let seen = seen_this_week(earlier, chain);
        week.forget(&seen.iter().collect::<Vec<_>>());
        return (week, before);
    }
    let open = since(plan, chain);
    let mut today = days(&open, now).swap_remove(0);
    today.add(records);
    (today, before)
}

/// The runs since the last alarm that was raised or accepted.
fn since(plan: &Plan, chain: &[DayRun]) -> Vec<DayRun> {
    let raised = chain.iter().flat_map(alarmed);
    let until = accepted(plan).into_iter().chain(raised).max();
    let is_open = |run: &&DayRun| until.is_none_or(|until| run.begun > until);
    chain.iter().filter(is_open).cloned().collect()
}

/// When the alarms of a run were raised: what they say is not said again by each run of the day.
fn alarmed(run: &DayRun) -> impl Iterator<Item = Timestamp> {
    let alarms = run.records.alarms.iter();
    let raised = alarms.filter(|alarm| alarm.level == AlarmLevel::Alarm);
    raised.filter_map(|alarm| alarm.time.parse().ok())
}

/// Incomplete sets whose alarms were accepted since the last complete one: this run is compared
/// with that, and sees once more what they saw. A weekly run leaves out what the daily ones have
/// seen, and nothing twice.
fn accepted_since<'a>(plan: &Plan, earlier: &'a [DayRun]) -> Vec<&'a DayRun> {
    if plan.reuse.chain == Chain::Weekly {
        return Vec::new();
    }
    let accepted = accepted(plan);
    let kinds = kinds(plan.reuse.chain);
    let chain = earlier.iter().filter(|run| kinds.contains(&run.set.kind()));
    let (complete, incomplete): (Vec<&DayRun>, Vec<&DayRun>) =
        chain.partition(|run| run.state == SetState::Complete);
    let last = complete.iter().map(|run| run.begun).max();
    let mut seen = incomplete;
    seen.retain(|run| last.is_none_or(|last| run.begun >= last) && accepted.contains(&run.begun));
    seen
}

/// A weekly run is compared with the last weekly set. What the daily runs since have seen was
/// judged then.
fn seen_this_week(earlier: &[DayRun], weekly: &[DayRun]) -> Vec<DayRun> {
    let mut seen = of_kinds(earlier, kinds(Chain::DailyAndHourly));
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
        if self.records.canary.is_none() {
            self.records.canary = carried.canary;
        }
        self.records.databases.extend(carried.databases);
        self.records.watched.extend(carried.watched);
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
