//! A year of ordinary life of a mail server, and attacks on it, as numbers: no day of the one is an
//! alarm, and which of the others is seen when.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::judge::{Finding, judge};
use super::{Day, Limits, Rule, Told, judge_month};
use crate::record::{AlarmLevel, MailboxChanges, MessageChanges};

const SEEDS: u64 = 10;
const DAYS: usize = 365;
const USERS: usize = 40;

/// Numbers that look random and are the same each time (xorshift64*).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit.max(1)
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone)]
struct User {
    name: String,
    messages: u64,
    /// Messages on a working day.
    daily: u64,
    /// How many percent of what comes is deleted the same day, or ends in the trash.
    deleting: u64,
    away_days: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Person,
    /// A mailbox that a program empties each night.
    Jobs,
}

#[derive(Clone)]
struct Server {
    dice: Dice,
    users: Vec<User>,
    day: usize,
}

impl Server {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let users = (0..USERS).map(|number| User {
            name: format!("example.com/user{number}"),
            messages: 50 << dice.below(8),
            daily: 2 + dice.below(40),
            deleting: 5 + dice.below(90),
            away_days: 0,
            kind: if number == 7 {
                Kind::Jobs
            } else {
                Kind::Person
            },
        });
        let users = users.collect();
        Self {
            dice,
            users,
            day: 0,
        }
    }

    /// Another day of ordinary life.
    fn pass_day(&mut self) -> Day {
        self.day += 1;
        let mut day = Day {
            mailboxes: self.users.len() as u64,
            before: self.messages(),
            changed: BTreeMap::new(),
        };
        for number in 0..self.users.len() {
            let changes = self.pass_day_of(number);
            let name = self.users[number].name.clone();
            add(&mut day, name, changes);
        }
        self.join_and_leave(&mut day);
        day
    }

    fn pass_day_of(&mut self, number: usize) -> MessageChanges {
        let is_weekend = self.day % 7 >= 5;
        let is_december = (351..365).contains(&self.day);
        let (dice, user) = (&mut self.dice, &mut self.users[number]);
        let before = user.messages;
        let new = if is_weekend {
            user.daily / 5
        } else {
            user.daily / 2 + dice.below(user.daily)
        };
        let (mut vanished, mut renamed) = (0, 0);
        if user.kind == Kind::Jobs {
            vanished = before;
        } else if user.away_days > 0 {
            user.away_days -= 1;
            if user.away_days == 0 {
                // Back: newsletters go, the rest is read.
                vanished = (user.daily * 6).min(before / 4);
                renamed = user.daily * 8;
            }
        } else {
            vanished = (new * user.deleting / 100 + dice.below(5)).min(before / 3);
            renamed = new + dice.below(30);
            if dice.happens(1) {
                user.away_days = 7 + dice.below(15);
            }
            if dice.happens(1) {
                renamed += before; // All are marked as read, or a folder is renamed.
            }
            if dice.below(400) == 0 {
                // A great clean-up.
                vanished += before * dice.below(70) / 100;
            }
            if is_december && dice.happens(4) {
                // The year is archived, and some of it thrown away.
                renamed += before / 2;
                vanished += before * dice.below(40) / 100;
            }
        }
        let vanished = vanished.min(before);
        user.messages = before - vanished + new;
        MessageChanges {
            before,
            new,
            renamed: renamed.min(before),
            vanished,
            // Now and then a program leaves something odd.
            headless: u64::from(dice.below(500) == 0),
            spoiled: u64::from(dice.below(500) == 0),
            ..MessageChanges::default()
        }
    }

    /// Some ten users a year go, and others come.
    fn join_and_leave(&mut self, day: &mut Day) {
        if self.dice.below(36) > 0 {
            return;
        }
        let number = self.dice.below(self.users.len() as u64) as usize;
        let gone = std::mem::replace(
            &mut self.users[number],
            User {
                name: format!("example.com/new{}", self.day),
                messages: 0,
                daily: 2 + self.dice.below(40),
                deleting: 5 + self.dice.below(90),
                away_days: 0,
                kind: Kind::Person,
            },
        );
        if let Some(mailbox) = day.changed.get_mut(&gone.name) {
            mailbox.gone = true;
            mailbox.messages.vanished = mailbox.messages.before;
        }
    }

    fn messages(&self) -> u64 {
        self.users.iter().map(|user| user.messages).sum()
    }
}

fn add(day: &mut Day, mailbox: String, messages: MessageChanges) {
    let changes = MailboxChanges {
        mailbox: mailbox.clone(),
        gone: false,
        messages,
    };
    day.changed.insert(mailbox, changes);
}

/// Who looks on: what was, and what was told.
#[derive(Clone, Default)]
struct Watch {
    past: Vec<Day>,
    /// With the day of each.
    told: Vec<(usize, Finding)>,
}

impl Watch {
    /// What is found on the next day, but for what was told already.
    fn see(&mut self, day: Day) -> Vec<Finding> {
        let before = &self.past[self.past.len().saturating_sub(30)..];
        let mut findings = judge(&day, before, &Limits::default());
        if !findings.iter().any(|it| it.rule == Rule::ServerLoss) {
            let alarms = self.told.iter().filter(|(_, it)| is_alarm_of(it.rule));
            let since = alarms.map(|(day, _)| day + 1).max().unwrap_or(0);
            let since = since.max(self.past.len().saturating_sub(30));
            let month: Vec<&Day> = self.past[since..].iter().rev().collect();
            let told = self.told(&findings);
            findings.extend(judge_month(&day, &month, &Limits::default(), &told));
        }
        let number = self.past.len();
        self.told
            .extend(findings.iter().map(|it| (number, it.clone())));
        self.past.push(day);
        findings
    }

    /// What was told within thirty days, and of today.
    fn told(&self, today: &[Finding]) -> Told {
        let mut told = Told::default();
        for (day, finding) in &self.told {
            if day + 30 > self.past.len() {
                told.add(finding.rule.name(), &finding.mailboxes);
            }
        }
        for finding in today {
            told.add(finding.rule.name(), &finding.mailboxes);
        }
        told
    }
}

fn is_alarm_of(rule: Rule) -> bool {
    rule.level() == AlarmLevel::Alarm
}

fn is_alarm(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| is_alarm_of(finding.rule))
}

/// What an administrator of forty mailboxes is told in a year: somebody left, somebody threw much
/// away. Most of it is people who come back from a vacation and throw a quarter away.
const NOTABLE_DAYS: usize = 65;

#[test]
fn a_year_of_ordinary_life_is_no_alarm() {
    for seed in 1..=SEEDS {
        let mut server = Server::new(seed);
        let mut watch = Watch::default();
        let mut by_rule: BTreeMap<&str, usize> = BTreeMap::new();
        let mut notable = 0;
        for number in 0..DAYS {
            let findings = watch.see(server.pass_day());
            assert!(
                !is_alarm(&findings),
                "seed {seed} day {number}: {findings:?}"
            );
            notable += usize::from(!findings.is_empty());
            for finding in findings {
                *by_rule.entry(finding.rule.name()).or_default() += 1;
            }
        }
        println!("seed {seed}: {notable} notable days, {by_rule:?}");
        assert!(
            notable <= NOTABLE_DAYS,
            "seed {seed}: {notable} notable days"
        );
    }
}

/// What is done to mail.
#[derive(Clone, Copy)]
enum Attack {
    /// This share of each mailbox is deleted.
    DeleteEvenly(u64),
    /// This share of one mailbox is.
    DeleteOne(u64),
    /// This share is overwritten under its names: encrypted, with or without its header, cut to
    /// nothing, or replaced by older content.
    InPlace(u64),
    /// This share is encrypted under new names.
    NewNames(u64),
    /// The same, and each message keeps its header.
    NewNamesWithHeaders(u64),
    /// So many messages in all are overwritten.
    Messages(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    AsAlarm(usize),
    AsNotable(usize),
    Never,
}

/// The server after 200 days of ordinary life, and what was seen of it.
fn after_ordinary_life(seed: u64) -> (Server, Watch) {
    static ALL: OnceLock<Vec<(Server, Watch)>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let one = |seed| {
            let mut server = Server::new(seed);
            let past = (0..200).map(|_| server.pass_day()).collect();
            let told = Vec::new();
            (server, Watch { past, told })
        };
        (1..=SEEDS).map(one).collect()
    });
    all[seed as usize - 1].clone()
}

/// Carries out an attack on so many days in a row. When it is seen, counted from 0.
fn seen(attack: Attack, days: usize, seed: u64) -> Seen {
    let (mut server, mut watch) = after_ordinary_life(seed);
    let mut notable = Seen::Never;
    for number in 0..days {
        let mut day = server.pass_day();
        strike(attack, &mut server, &mut day);
        let findings = watch.see(day);
        if is_alarm(&findings) {
            return Seen::AsAlarm(number);
        }
        // What ordinary life is told for on its own account is not it.
        let is_of_it = |it: &Finding| match attack {
            Attack::DeleteOne(_) => it
                .mailboxes
                .iter()
                .any(|it| it.mailbox == server.users[3].name),
            _ => matches!(it.rule, Rule::SlowLoss | Rule::SlowSpoiling),
        };
        if findings.iter().any(is_of_it) && notable == Seen::Never {
            notable = Seen::AsNotable(number);
        }
    }
    notable
}

fn strike(attack: Attack, server: &mut Server, day: &mut Day) {
    let mut left = match attack {
        Attack::Messages(count) => count,
        _ => 0,
    };
    for (number, user) in server.users.iter_mut().enumerate() {
        let Some(mailbox) = day.changed.get_mut(&user.name) else {
            continue;
        };
        let messages = &mut mailbox.messages;
        let rest = messages.before - messages.vanished;
        let (lost, spoiled, new) = match attack {
            Attack::DeleteEvenly(percent) => (rest * percent / 100, 0, 0),
            Attack::DeleteOne(percent) if number == 3 => (rest * percent / 100, 0, 0),
            Attack::DeleteOne(_) => (0, 0, 0),
            Attack::InPlace(percent) => (0, rest * percent / 100, 0),
            Attack::NewNames(percent) => {
                let part = rest * percent / 100;
                (part, part, part)
            }
            Attack::NewNamesWithHeaders(percent) => {
                let part = rest * percent / 100;
                (part, 0, part)
            }
            Attack::Messages(_) => (0, left.min(rest), 0),
        };
        left = left.saturating_sub(spoiled);
        messages.vanished += lost;
        messages.spoiled += spoiled;
        messages.new += new;
        user.messages = (user.messages + new).saturating_sub(lost);
    }
}

/// The worst and the best that the seeds give.
fn range(attack: Attack, days: usize) -> String {
    let all: Vec<Seen> = (1..=SEEDS).map(|seed| seen(attack, days, seed)).collect();
    let words = |seen: &Seen| match seen {
        Seen::AsAlarm(day) => format!("alarm {day}"),
        Seen::AsNotable(day) => format!("notable {day}"),
        Seen::Never => "never".to_owned(),
    };
    let mut words: Vec<String> = all.iter().map(words).collect();
    words.sort();
    words.dedup();
    words.join(", ")
}

/// The same for each seed; the days are counted from 0.
#[track_caller]
fn check(attack: Attack, days: usize, expected: &str) {
    assert_eq!(range(attack, days), expected);
}

#[test]
fn attacks_are_seen_in_the_very_run_or_stay_below_the_limits() {
    let at_once = "alarm 0";
    for percent in [20, 25, 45, 75, 100] {
        check(Attack::DeleteEvenly(percent), 1, at_once);
        check(Attack::NewNamesWithHeaders(percent), 1, at_once);
    }
    for percent in [5, 10, 15] {
        check(Attack::DeleteEvenly(percent), 1, "never");
        check(Attack::NewNamesWithHeaders(percent), 1, "never");
    }
    for percent in [1, 2, 10, 50, 100] {
        check(Attack::InPlace(percent), 1, at_once);
        check(Attack::NewNames(percent), 1, at_once);
    }
    check(Attack::Messages(20), 1, at_once);
    check(Attack::Messages(10), 1, "never");
}

#[test]
fn what_is_destroyed_slowly_is_seen_while_the_good_sets_are_there() {
    let check = |attack, expected| check(attack, 20, expected);
    check(Attack::DeleteEvenly(5), "alarm 13, alarm 14");
    check(Attack::DeleteEvenly(3), "notable 6, notable 7, notable 8");
    check(
        Attack::DeleteEvenly(2),
        "notable 11, notable 12, notable 13, notable 9",
    );
    check(Attack::DeleteEvenly(1), "never");
    check(Attack::NewNamesWithHeaders(5), "never");
    check(Attack::NewNamesWithHeaders(1), "never");
    check(Attack::NewNames(1), "alarm 0");
    check(Attack::InPlace(1), "alarm 0");
    check(Attack::Messages(10), "notable 1");
    check(
        Attack::Messages(2),
        "notable 6, notable 7, notable 8, notable 9",
    );
}

/// What is seen when this share of a mailbox that is large enough is deleted: the best and the worst.
fn seen_of_one(percent: u64) -> Vec<Seen> {
    let is_large = |seed: &u64| after_ordinary_life(*seed).0.users[3].messages > 200;
    let seeds = (1..=SEEDS).filter(is_large);
    let mut all: Vec<Seen> = Vec::new();
    for told in seeds.map(|seed| seen(Attack::DeleteOne(percent), 1, seed)) {
        if !all.contains(&told) {
            all.push(told);
        }
    }
    all
}

/// A folder is as so much of its mailbox.
#[test]
fn a_quarter_of_one_mailbox_is_notable_in_the_very_run() {
    for percent in [25, 35, 50, 60, 100] {
        assert_eq!(seen_of_one(percent), [Seen::AsNotable(0)], "{percent} %");
    }
    // Only together with what its user has deleted on that day.
    assert!(seen_of_one(10).contains(&Seen::Never));
}
