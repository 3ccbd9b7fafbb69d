//! Whether the mail was destroyed: alarms that nobody has accepted, and the changes of the last day
//! by the limits of the file of checks, which are not those of the mail server's own settings.

use std::cmp::Reverse;

use jiff::Timestamp;
use mail_common::record::{Alarm, AlarmLevel, MessageChanges};
use mail_common::set::{self, BackupRoot, SetId, SetKind, SetState};
use mail_common::suspicion::{
    self, Day, DayRun, HOLD, Hold, Limits, Told, days, is_of_day, judge as judge_day, judge_month,
    runs,
};

use crate::finding::Finding;

const ALARM: &str = "backup-alarm";
const CHANGES: &str = "backup-changes";

/// What an hourly run told is seen by a check that is made once a day, whenever that is.
const HOURS_OF_HOURLY: i64 = 26;

/// What the root says of the changes of the mail.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    hold: Option<Hold>,
    /// Of daily and hourly sets.
    runs: Vec<DayRun>,
    /// Of weekly sets: their figures are those of a week, but they tell what others do not.
    weekly: Vec<DayRun>,
    /// When the runs began whose alarms were accepted.
    accepted: Vec<Timestamp>,
}

pub(super) fn gather(root: &BackupRoot) -> Result<Changes, set::Error> {
    let accepted = suspicion::accepted(root);
    let alarms = accepted.iter().flat_map(|accepted| &accepted.alarms);
    Ok(Changes {
        hold: Hold::of(root)?,
        runs: runs(root, &[SetKind::Daily, SetKind::Hourly]),
        weekly: runs(root, &[SetKind::Weekly]),
        accepted: alarms.filter_map(|alarm| alarm.time.parse().ok()).collect(),
    })
}

/// What holds, what the last day was like, and its figures.
pub(super) fn judge(changes: &Changes, root: &str, limits: &Limits) -> Vec<Finding> {
    let mut findings = vec![judge_hold(changes, root)];
    if let Some(last) = changes.last() {
        findings.push(judge_last(changes, last, root, limits));
        findings.extend(figures(last));
    }
    findings
}

fn judge_hold(changes: &Changes, root: &str) -> Finding {
    let Some(hold) = &changes.hold else {
        return Finding::ok(ALARM, root, "no alarm is open");
    };
    let Some(first) = hold.first() else {
        let why = hold.unreadable.as_deref().unwrap_or_default();
        let message = format!(
            "{root}/{HOLD} cannot be read ({why}): an alarm is open, and nobody knows since when; \
             no old set is removed; look at the sets, then run mail-backup --accept"
        );
        return Finding::critical(ALARM, root, message);
    };
    let what: Vec<&str> = hold.alarms.iter().map(|it| it.message.as_str()).collect();
    let last_good = match changes.last_before(&first.time) {
        Some(id) => format!("the last set from before it is {id}"),
        None => "there is no set from before it here".to_owned(),
    };
    let message = format!(
        "mail was destroyed, or appears to be, since {} ({}): {}; {last_good}; no set from before \
         it is removed until somebody has looked and runs mail-backup --accept",
        first.set,
        first.time,
        what.join("; ")
    );
    Finding::critical(ALARM, root, message).measured(hold.alarms.len() as f64, "alarms")
}

fn judge_last(changes: &Changes, last: &DayRun, root: &str, limits: &Limits) -> Finding {
    let notable = changes.notable(last);
    let mut told: Vec<String> = notable.iter().map(|alarm| words(alarm, last)).collect();
    let mut level = (!notable.is_empty()).then_some(AlarmLevel::Notable);
    for finding in changes.found(last, limits) {
        if notable.iter().all(|alarm| alarm.message != finding.message) {
            told.push(finding.message);
        }
        level = level.max(Some(finding.rule.level()));
    }
    let told = format!("{}: {}", last.set, told.join("; "));
    match level {
        None => Finding::ok(CHANGES, root, format!("{} shows an ordinary day", last.set)),
        Some(AlarmLevel::Notable) => Finding::warning(CHANGES, root, told),
        Some(AlarmLevel::Alarm) => Finding::critical(CHANGES, root, told),
    }
}

/// What an alarm says, and which set if that is not the last one.
fn words(alarm: &Alarm, last: &DayRun) -> String {
    if alarm.set == last.set.to_string() {
        alarm.message.clone()
    } else {
        format!("{} ({})", alarm.message, alarm.set)
    }
}

/// What the last run counted, for graphs.
fn figures(last: &DayRun) -> Vec<Finding> {
    let Some(changes) = &last.records.changes else {
        return Vec::new();
    };
    let MessageChanges {
        new,
        vanished,
        replaced,
        headless,
        ..
    } = changes.messages;
    let figures = [
        ("new", new),
        ("vanished", vanished),
        ("replaced", replaced),
        ("headless", headless),
    ];
    let finding = |(name, count): (&str, u64)| {
        let message = format!("{count} messages in {}", last.set);
        Finding::ok("backup-messages", name, message).measured(count as f64, "messages")
    };
    figures.map(finding).into()
}

impl Changes {
    /// The last run that compared, or told something.
    fn last(&self) -> Option<&DayRun> {
        let is_known =
            |run: &&DayRun| run.records.changes.is_some() || !run.records.alarms.is_empty();
        let compared = self.runs.iter().filter(is_known);
        compared.max_by_key(|run| (run.moment, run.begun))
    }

    /// What the runs of the last day have told as notable, the newest first: the last run of a
    /// day may see less than those before it.
    fn notable(&self, last: &DayRun) -> Vec<&Alarm> {
        let is_of_it = |run: &&DayRun| {
            let hours = last.moment.duration_since(run.moment).as_hours();
            let is_hourly = run.set.kind() == SetKind::Hourly;
            run.moment > last.moment
                || is_of_day(run, last.moment)
                || is_hourly && hours < HOURS_OF_HOURLY
        };
        let runs = self.runs.iter().chain(&self.weekly).filter(is_of_it);
        let mut runs: Vec<&DayRun> = runs.collect();
        runs.sort_by_key(|run| Reverse((run.moment, run.begun)));
        let mut told: Vec<&Alarm> = Vec::new();
        for alarm in runs.into_iter().flat_map(|run| &run.records.alarms) {
            let is_new = told.iter().all(|known| known.message != alarm.message);
            if alarm.level == AlarmLevel::Notable && is_new {
                told.push(alarm);
            }
        }
        told
    }

    /// The newest complete set from before `time`.
    fn last_before(&self, time: &str) -> Option<SetId> {
        let time: Timestamp = time.parse().ok()?;
        let before = self.runs.iter().filter(|run| {
            let is_alarm = |alarm: &Alarm| alarm.level == AlarmLevel::Alarm;
            run.state == SetState::Complete
                && run.begun < time
                && !run.records.alarms.iter().any(is_alarm)
        });
        before.max_by_key(|run| run.begun).map(|run| run.set)
    }

    /// What the limits here say of the last day, but for what was accepted.
    fn found(&self, last: &DayRun, limits: &Limits) -> Vec<suspicion::Finding> {
        let accepted = self.accepted.iter().max();
        let is_open = |run: &&DayRun| accepted.is_none_or(|accepted| run.begun > *accepted);
        let open: Vec<DayRun> = self.runs.iter().filter(is_open).cloned().collect();
        let mut since = days(&open, last.moment).into_iter();
        let Some(today) = since.next() else {
            return Vec::new();
        };
        let before: Vec<Day> = days(&self.runs, last.moment).into_iter().skip(1).collect();
        let mut findings = judge_day(&today, &before, limits);
        let is_alarm = |it: &suspicion::Finding| it.rule.level() == AlarmLevel::Alarm;
        if !findings.iter().any(is_alarm) {
            let since: Vec<Day> = since.collect();
            let since: Vec<&Day> = since.iter().collect();
            findings.extend(judge_month(&today, &since, limits, &Told::default()));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use mail_common::manifest::DayRecords;
    use mail_common::record::{self, Alarm, MailboxChanges};

    fn run(day: u8, spoiled: u64) -> DayRun {
        let begun: Timestamp = format!("2026-11-{day}T03:00:00Z").parse().unwrap();
        let messages = MessageChanges {
            before: 5000,
            replaced: spoiled,
            spoiled,
            ..MessageChanges::default()
        };
        DayRun {
            set: format!("daily/2026-11-{day}").parse().unwrap(),
            state: SetState::Complete,
            begun,
            moment: begun,
            records: DayRecords {
                alarms: Vec::new(),
                changes: Some(record::Changes {
                    mailboxes: 9,
                    not_compared: 0,
                    messages,
                }),
                mailboxes: vec![MailboxChanges {
                    mailbox: "e/a".into(),
                    gone: false,
                    messages,
                }],
                ..DayRecords::default()
            },
        }
    }

    fn alarm(day: u8) -> Alarm {
        Alarm {
            level: AlarmLevel::Alarm,
            rule: "spoiled".into(),
            set: format!("daily/2026-11-{day}"),
            time: format!("2026-11-{day}T03:00:00+00:00"),
            message: "20 messages".into(),
            component: None,
            mailboxes: Vec::new(),
        }
    }

    #[track_caller]
    fn check(changes: &Changes, name: &str, status: Status, part: &str) {
        let findings = judge(changes, "/b", &Limits::default());
        let found = findings.iter().find(|finding| finding.name == name);
        let found = found.unwrap();
        assert!(
            found.status == status && found.message.contains(part),
            "{found:?}"
        );
    }

    #[test]
    fn an_open_alarm_is_critical_with_what_to_do() {
        let mut changes = Changes {
            runs: vec![run(26, 0), run(27, 0), run(28, 20)],
            ..Changes::default()
        };
        check(&changes, ALARM, Status::Ok, "no alarm");
        // What is notable makes no set a bad one.
        changes.runs[1].records.alarms.push(Alarm {
            level: AlarmLevel::Notable,
            ..alarm(27)
        });
        changes.hold = Some(Hold {
            alarms: vec![alarm(28)],
            unreadable: None,
        });
        check(&changes, ALARM, Status::Critical, "since daily/2026-11-28");
        let good = "the last set from before it is daily/2026-11-27";
        check(&changes, ALARM, Status::Critical, good);
        changes.hold = Some(Hold {
            alarms: Vec::new(),
            unreadable: Some("it is empty".into()),
        });
        check(
            &changes,
            ALARM,
            Status::Critical,
            "cannot be read (it is empty)",
        );
    }

    #[test]
    fn the_last_day_is_judged_by_the_limits_of_the_checker() {
        let mut changes = Changes {
            runs: vec![run(27, 0), run(28, 20)],
            ..Changes::default()
        };
        check(&changes, CHANGES, Status::Critical, "20 messages");
        changes.accepted = vec!["2026-11-28T03:00:00Z".parse().unwrap()];
        check(&changes, CHANGES, Status::Ok, "ordinary");
        changes.runs = vec![run(27, 0), run(28, 19)];
        check(&changes, CHANGES, Status::Ok, "ordinary");
        let last = changes.runs.last_mut().unwrap();
        last.records.alarms.push(Alarm {
            level: AlarmLevel::Notable,
            message: "half of a mailbox".into(),
            ..alarm(28)
        });
        check(&changes, CHANGES, Status::Warning, "half of a mailbox");
    }

    /// A run that told something that is no mail.
    fn telling(set: &str, time: &str) -> DayRun {
        let notable = Alarm {
            level: AlarmLevel::Notable,
            set: set.to_owned(),
            message: "a private key is gone".into(),
            ..alarm(28)
        };
        run_of(set, time, vec![notable])
    }

    fn run_of(set: &str, time: &str, alarms: Vec<Alarm>) -> DayRun {
        let mut run = run(28, 0);
        run.set = set.parse().unwrap();
        run.begun = time.parse().unwrap();
        run.moment = run.begun;
        run.records.alarms = alarms;
        run
    }

    #[test]
    fn what_any_run_of_the_day_has_told_is_told() {
        let weekly = telling("weekly/2026-week-48", "2026-11-28T02:00:00Z");
        let told = "daily/2026-11-28: a private key is gone (weekly/2026-week-48)";
        let mut changes = Changes {
            runs: vec![run(27, 0), run(28, 0)],
            weekly: vec![weekly],
            ..Changes::default()
        };
        check(&changes, CHANGES, Status::Warning, told);
        // The daily run after it has failed.
        changes.runs.pop();
        check(&changes, CHANGES, Status::Warning, "(weekly/2026-week-48)");
        changes.runs.push(run(29, 0));
        check(&changes, CHANGES, Status::Ok, "ordinary");
        let hourly = run_of("hourly/2026-11-28T0330", "2026-11-28T03:30:00Z", Vec::new());
        let daily = telling("daily/2026-11-28", "2026-11-28T03:00:00Z");
        changes.runs = vec![run(27, 0), daily, hourly];
        check(&changes, CHANGES, Status::Warning, "(daily/2026-11-28)");
        // The check before it was made at three, as the next is.
        let told = telling("hourly/2026-11-28T0400", "2026-11-28T04:00:00Z");
        let last = run_of("hourly/2026-11-29T0230", "2026-11-29T02:30:00Z", Vec::new());
        changes.runs = vec![run(27, 0), told, last];
        let hourly = "(hourly/2026-11-28T0400)";
        check(&changes, CHANGES, Status::Warning, hourly);
    }

    #[test]
    fn sets_of_earlier_versions_are_not_judged() {
        let mut old = run(28, 900);
        old.records = DayRecords::default();
        let changes = Changes {
            runs: vec![old],
            ..Changes::default()
        };
        let findings = judge(&changes, "/b", &Limits::default());
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}
