//! A year of ordinary life of a mail server, and attacks on it, as numbers: no day of the one is an
//! alarm, and which of the others is seen when.

use std::collections::BTreeMap;

use super::judge::{Finding, judge};
use super::{Day, Limits};
use crate::record::{AlarmLevel, MailboxChanges, MessageChanges};

const SEEDS: u64 = 10;
const DAYS: usize = 365;
const USERS: usize = 40;

/// Numbers that look random and are the same each time (xorshift64*).
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

/// What is found on `day`, with the thirty before it in `past`, the newest last.
fn found(day: &Day, past: &[Day]) -> Vec<Finding> {
    let before = &past[past.len().saturating_sub(30)..];
    judge(day, before, &Limits::default())
}

fn is_alarm(findings: &[Finding]) -> bool {
    let mut levels = findings.iter().map(|finding| finding.rule.level());
    levels.any(|level| level == AlarmLevel::Alarm)
}

#[test]
fn a_year_of_ordinary_life_is_no_alarm() {
    for seed in 1..=SEEDS {
        let mut server = Server::new(seed);
        let (mut past, mut notable) = (Vec::new(), 0);
        for number in 0..DAYS {
            let day = server.pass_day();
            let findings = found(&day, &past);
            assert!(
                !is_alarm(&findings),
                "seed {seed} day {number}: {findings:?}"
            );
            notable += usize::from(!findings.is_empty());
            past.push(day);
        }
        // Somebody is told now and then, not each day.
        assert!(notable < 80, "seed {seed}: {notable} notable days");
    }
}

/// What is done to mail.
#[derive(Clone, Copy)]
enum Attack {
    /// This share of each mailbox is deleted.
    DeleteEvenly(u64),
    /// This share of one mailbox is.
    DeleteOne(u64),
    /// This share is overwritten, header and all or not.
    InPlace(u64),
    /// This share is encrypted under new names.
    NewNames(u64),
    /// So many messages in all are overwritten.
    Messages(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    AsAlarm(usize),
    AsNotable(usize),
    Never,
}

/// Carries out an attack on the days from 200, `days` long. When it is seen, counted from 0.
fn seen(attack: Attack, days: usize, seed: u64) -> Seen {
    let mut server = Server::new(seed);
    let mut past: Vec<Day> = (0..200).map(|_| server.pass_day()).collect();
    let mut notable = Seen::Never;
    for number in 0..days {
        let mut day = server.pass_day();
        strike(attack, &mut server, &mut day);
        let findings = found(&day, &past);
        if is_alarm(&findings) {
            return Seen::AsAlarm(number);
        }
        let is_told = findings
            .iter()
            .any(|it| it.rule == super::Rule::MailboxLoss);
        if is_told && notable == Seen::Never {
            notable = Seen::AsNotable(number);
        }
        past.push(day);
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
        let (lost, spoiled) = match attack {
            Attack::DeleteEvenly(percent) => (rest * percent / 100, 0),
            Attack::DeleteOne(percent) if number == 3 => (rest * percent / 100, 0),
            Attack::DeleteOne(_) => (0, 0),
            Attack::InPlace(percent) => (0, rest * percent / 100),
            Attack::NewNames(percent) => (rest * percent / 100, rest * percent / 100),
            Attack::Messages(_) => (0, left.min(rest)),
        };
        left = left.saturating_sub(spoiled);
        messages.vanished += lost;
        messages.spoiled += spoiled;
        user.messages = user.messages.saturating_sub(lost);
    }
}

/// The same for each seed.
#[track_caller]
fn check(attack: Attack, days: usize, expected: Seen) {
    for seed in 1..=SEEDS {
        assert_eq!(seen(attack, days, seed), expected, "seed {seed}");
    }
}

/// Below the limits, though a mailbox may be notable on its own account.
#[track_caller]
fn check_no_alarm(attack: Attack, days: usize) {
    for seed in 1..=SEEDS {
        let seen = seen(attack, days, seed);
        assert!(!matches!(seen, Seen::AsAlarm(_)), "seed {seed}: {seen:?}");
    }
}

#[test]
fn attacks_are_seen_in_the_very_run_or_stay_below_the_limits() {
    let at_once = Seen::AsAlarm(0);
    for percent in [20, 25, 45, 75, 100] {
        check(Attack::DeleteEvenly(percent), 1, at_once);
    }
    check_no_alarm(Attack::DeleteEvenly(5), 1);
    for percent in [1, 2, 10, 50, 100] {
        check(Attack::InPlace(percent), 1, at_once);
        check(Attack::NewNames(percent), 1, at_once);
    }
    check(Attack::Messages(20), 1, at_once);
    // What the ordinary odd messages of the day do not add to.
    check_no_alarm(Attack::Messages(10), 1);
    // Slowly: encrypting is seen on the first day, deleting is not seen at all.
    check(Attack::InPlace(5), 20, at_once);
    check_no_alarm(Attack::DeleteEvenly(5), 20);
}

#[test]
fn half_of_one_mailbox_is_notable_in_the_very_run() {
    for seed in 1..=SEEDS {
        let messages = {
            let mut server = Server::new(seed);
            (0..200).for_each(|_| drop(server.pass_day()));
            server.users[3].messages
        };
        if messages > 200 {
            let told = seen(Attack::DeleteOne(60), 1, seed);
            assert_ne!(told, Seen::Never, "seed {seed}");
        }
    }
}
