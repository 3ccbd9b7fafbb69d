//! Who is told what: pure. From what was known, what a run found and the time, to what is known now
//! and what each channel is told.
//!
//! A run changes only the checks that it made. A status counts when it was found by `after` runs in
//! a row. What was not made for `forget` is dropped, and told once more where it had been told as
//! bad.

use std::collections::BTreeSet;
use std::time::Duration;

use super::memory::{Key, Memory, Moment, Standing, Told};
use crate::finding::{Finding, worst_by_target};
use crate::status::{Status, severity};
use crate::stream;

/// What a clock may be wrong by, and runs may overtake each other by.
const SLACK_SECONDS: i64 = 600;

/// When is it news?
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// So many runs in a row must find a status before it counts.
    pub(crate) after_runs: u32,
    /// What is still bad is told again after this; never, when it is zero.
    pub(crate) remind: Duration,
    /// More changes than this within `flap_within` are flapping.
    pub(crate) flap_changes: u32,
    pub(crate) flap_within: Duration,
    /// A check that was not made for so long is dropped.
    pub(crate) forget: Duration,
}

/// A piece of news.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    /// What the channel was told before, or should have been.
    pub(crate) was: Status,
    pub(crate) status: Status,
    pub(crate) since: Moment,
    pub(crate) message: String,
}

/// What kind of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It is bad, and was well or differently bad before.
    Problem,
    /// It changes all the time.
    Flapping,
    /// It changed all the time, and does no longer.
    Steady,
    /// It is well again.
    Recovery,
    /// It is still bad.
    Reminder,
    /// It was bad, and is no longer checked.
    Gone,
}

/// What a run has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) findings: &'a [Finding],
    /// Checks that answered in time: what they had been silent of before is over.
    pub(crate) answered: &'a [Key],
    pub(crate) now: Moment,
}

/// The news for each of `channels`; none for those that have nothing to hear.
pub(crate) fn decide(
    before: Memory,
    sight: Sight<'_>,
    channels: &[String],
    rules: &Rules,
) -> (Memory, Vec<(String, Vec<Event>)>) {
    let mut memory = observe(before, sight, rules);
    let news = channels
        .iter()
        .map(|channel| (channel.clone(), news_for(channel, &memory, sight, rules)));
    let news: Vec<_> = news.filter(|(_, events)| !events.is_empty()).collect();
    forget(&mut memory, sight.now, channels, rules);
    (memory, news)
}

/// `memory` after what was seen.
pub(crate) fn observe(mut memory: Memory, sight: Sight<'_>, rules: &Rules) -> Memory {
    set_back(&mut memory, sight.now);
    let over: Vec<Finding> = silent_before(&memory, sight)
        .into_iter()
        .chain(settled(&memory, sight))
        .collect();
    for finding in worst_by_target(sight.findings).into_iter().chain(&over) {
        let key = Key::of(finding);
        let index = memory
            .checks
            .iter()
            .position(|known| known.key == key)
            .unwrap_or_else(|| {
                memory.checks.push(Standing::new(finding, sight.now));
                memory.checks.len() - 1
            });
        let known = &mut memory.checks[index];
        // A run that began earlier and ended later knows less than what is known already.
        if known.seen <= sight.now {
            update(known, finding, sight.now, rules);
        }
    }
    memory
}

/// Moments in the future were written by a clock that was wrong.
fn set_back(memory: &mut Memory, now: Moment) {
    let latest = now + SLACK_SECONDS;
    for known in memory.checks.iter_mut().filter(|known| known.seen > latest) {
        known.seen = now;
        known.since = known.since.min(now);
        known.found_since = known.found_since.min(now);
        known.changes.retain(|change| *change <= now);
    }
    for told in memory
        .channels
        .values_mut()
        .flatten()
        .filter(|told| told.at > latest)
    {
        told.at = now;
    }
}

/// A check that gave no answer is unknown under its own name; when it answers, and finds nothing of
/// that name, that is over.
fn silent_before(memory: &Memory, sight: Sight<'_>) -> Vec<Finding> {
    let is_bad = |key: &&Key| {
        memory
            .checks
            .iter()
            .any(|known| known.key == **key && known.found != Status::Ok)
    };
    let found: BTreeSet<Key> = sight.findings.iter().map(Key::of).collect();
    let over = sight
        .answered
        .iter()
        .filter(|key| !found.contains(key))
        .filter(is_bad);
    over.map(|key| Finding::ok(&key.name, &key.target, "the check gives an answer again"))
        .collect()
}

/// A file that is infected has a check while it is, and none when it is gone: the next whole scan
/// settles it.
fn settled(memory: &Memory, sight: Sight<'_>) -> Vec<Finding> {
    let names = stream::settled(sight.findings);
    let found: BTreeSet<Key> = sight.findings.iter().map(Key::of).collect();
    let bad = memory
        .checks
        .iter()
        .filter(|known| known.found != Status::Ok)
        .map(|known| &known.key);
    let over = bad.filter(|key| names.contains(&key.name.as_str()) && !found.contains(key));
    over.map(|key| Finding::ok(&key.name, &key.target, "no longer so in the newest run"))
        .collect()
}

fn update(known: &mut Standing, finding: &Finding, now: Moment, rules: &Rules) {
    if finding.status != known.found {
        known.changes.push(now);
        known.found = finding.status;
        known.found_since = now;
        known.found_runs = 0;
    }
    known.found_runs = known.found_runs.saturating_add(1);
    if known.found_runs >= rules.after_runs && known.status != known.found {
        known.status = known.found;
        known.since = known.found_since;
    }
    known.seen = now;
    known.message.clone_from(&finding.message);
    let window = seconds(rules.flap_within);
    known.changes.retain(|change| now - change < window);
    known.flapping = match known.flapping {
        true => !known.changes.is_empty(),
        false => known.changes.len() > rules.flap_changes as usize,
    };
}

fn news_for(channel: &str, memory: &Memory, sight: Sight<'_>, rules: &Rules) -> Vec<Event> {
    let seen: BTreeSet<Key> = sight.findings.iter().map(Key::of).collect();
    // A channel is not told of itself: that it can be told at all is the news.
    let others = memory
        .checks
        .iter()
        .filter(|known| !(known.key.name == super::NAME && known.key.target == channel));
    let news = others.filter_map(|known| {
        let kind = kind_of(
            channel,
            memory,
            known,
            seen.contains(&known.key),
            sight.now,
            rules,
        )?;
        let told = memory.told(channel, &known.key);
        let was = told.map_or(Status::Ok, |told| told.missed.unwrap_or(told.status));
        let (key, message) = (known.key.clone(), known.message.clone());
        Some(Event {
            key,
            kind,
            was,
            status: known.status,
            since: known.since,
            message,
        })
    });
    let mut news: Vec<Event> = news.collect();
    news.sort_by(|a, b| {
        let order = |event: &Event| (std::cmp::Reverse(severity(event.status)), event.kind);
        order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key))
    });
    news
}

fn kind_of(
    channel: &str,
    memory: &Memory,
    known: &Standing,
    is_seen: bool,
    now: Moment,
    rules: &Rules,
) -> Option<Kind> {
    let told = memory.told(channel, &known.key);
    let told_status = told.map_or(Status::Ok, |told| told.status);
    let told_flapping = told.is_some_and(|told| told.flapping);
    let missed = told.and_then(|told| told.missed).is_some();
    let is_bad = known.status != Status::Ok;
    if is_forgotten(known, now, rules) {
        return (told_status != Status::Ok || told_flapping || missed).then_some(Kind::Gone);
    }
    let reminder = || {
        let due = told.is_some_and(|told| is_due(now - told.at, rules.remind));
        (is_seen && due && (is_bad || known.flapping)).then_some(Kind::Reminder)
    };
    match (known.flapping, told_flapping) {
        (true, false) => Some(Kind::Flapping),
        (true, true) => reminder(),
        (false, true) => Some(Kind::Steady),
        (false, false) if known.status != told_status || missed => Some(if is_bad {
            Kind::Problem
        } else {
            Kind::Recovery
        }),
        (false, false) => reminder(),
    }
}

/// A hundredth earlier is early enough: who runs once a day is never exactly on time.
fn is_due(elapsed_seconds: i64, remind: Duration) -> bool {
    let remind = seconds(remind);
    remind > 0 && elapsed_seconds >= remind - remind / 100
}

fn is_forgotten(known: &Standing, now: Moment, rules: &Rules) -> bool {
    now - known.seen >= seconds(rules.forget)
}

/// Drops what was not checked for long. What a channel could still not be told of it stays, until
/// it was.
fn forget(memory: &mut Memory, now: Moment, channels: &[String], rules: &Rules) {
    let is_owed = |told: &Told| told.status != Status::Ok || told.flapping || told.missed.is_some();
    let is_waiting = |key: &Key| {
        channels
            .iter()
            .filter_map(|channel| memory.told(channel, key))
            .any(is_owed)
    };
    let gone = memory
        .checks
        .iter()
        .filter(|known| is_forgotten(known, now, rules) && !is_waiting(&known.key));
    let gone: BTreeSet<Key> = gone.map(|known| known.key.clone()).collect();
    memory.checks.retain(|known| !gone.contains(&known.key));
    for told in memory.channels.values_mut() {
        told.retain(|told| !gone.contains(&told.key));
    }
}

impl Memory {
    /// `channel` was told `events`.
    pub(crate) fn delivered(&mut self, channel: &str, events: &[Event], now: Moment) {
        for event in events {
            let told = self.told_mut(channel, &event.key, now);
            told.at = now;
            told.missed = None;
            told.status = if event.kind == Kind::Gone {
                Status::Ok
            } else {
                event.status
            };
            told.flapping = match event.kind {
                Kind::Flapping => true,
                Kind::Reminder => told.flapping,
                _ => false,
            };
        }
    }

    /// `channel` could not be told `events`. What is worse than all that it knows will be told,
    /// also when it is over by then.
    pub(crate) fn missed(&mut self, channel: &str, events: &[Event], now: Moment) {
        for event in events.iter().filter(|event| event.kind != Kind::Gone) {
            let told = self.told_mut(channel, &event.key, now);
            if severity(event.status) > severity(told.missed.unwrap_or(told.status)) {
                told.missed = Some(event.status);
            }
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
