//! Who is notified of what: pure. From what was known, what a run found and the time, to what is
//! known now and what each channel is sent.
//!
//! Why it is not simply "status changed, send": runs see different things, channels fail, and both
//! happen at once. So three questions are kept apart, and each has its own state.
//!
//! 1. *How does a check stand?* ([`CheckState`]) A run touches only the checks that it made: a
//!    crontab line that checks disks knows nothing of certificates. A status counts once `after`
//!    runs in a row have found it, and it has held since the first of them. Three things end a bad
//!    status besides a finding that says so: the check answers again after it had timed out (its
//!    own name is then not found), a newer whole run settles what only bad news names (a file that
//!    is infected has a check while it is, and none when it is gone), and it was not checked
//!    for `forget`. A run that began earlier and ended later is ignored: it would bring back old
//!    news.
//! 2. *What does a channel believe?* ([`Notified`]) News is the difference between the two, for
//!    each channel by itself. A channel that could not be reached keeps its old belief, so the next
//!    run finds the same difference and sends it again. That alone would lose what is over by then:
//!    a night in which the server was down and the mail, too. So the worst status that could not be
//!    sent is kept as `missed`, and its recovery is news although the belief was ok all the time.
//! 3. *Is it worth a message?* What flaps is sent once, when it begins, and once when it has been
//!    steady for `flap_within`; what stays bad is repeated after `remind`.
//!
//! The property test in `decide_tests.rs` holds the promise: whatever statuses come and channels
//! fail, the last thing that was sent to a channel is what holds.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::memory::{CheckState, Key, Memory, Moment, NAME, Notified};
use crate::finding::{Finding, worst_by_target};
use crate::status::Status;
use crate::stream;

/// What a clock may be wrong by, and runs may overtake each other by.
const SLACK_SECONDS: i64 = 600;

/// Mail was destroyed, or looks so: who waited for a second run would lose a night. As the checks
/// of a root and of a stream name it.
const AT_ONCE: [&str; 3] = ["backup-alarm", "backup-changes", "changes"];

/// When a change is news.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How many runs in a row must find a status before it counts.
    pub(crate) after_runs: u32,
    /// What is still bad is repeated after this; never, when it is zero.
    pub(crate) remind: Duration,
    /// More changes than this within `flap_within` are flapping.
    pub(crate) flap_changes: u32,
    pub(crate) flap_within: Duration,
    /// A check that was not made for this long is dropped.
    pub(crate) forget: Duration,
}

/// A piece of news.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    /// What the channel was notified of before, or should have been.
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
pub(crate) struct Observation<'a> {
    pub(crate) findings: &'a [Finding],
    /// Checks that gave a result in time: that they had not before is over.
    pub(crate) answered: &'a [Key],
    pub(crate) now: Moment,
}

/// The news for each of `channels` that has any.
pub(crate) fn decide(
    before: Memory,
    observation: Observation<'_>,
    channels: &[String],
    rules: &Rules,
) -> (Memory, Vec<(String, Vec<Event>)>) {
    let mut memory = observe(before, observation, rules);
    let news = channels.iter().map(|channel| {
        (
            channel.clone(),
            news_for(channel, &memory, observation, rules),
        )
    });
    let news: Vec<_> = news.filter(|(_, events)| !events.is_empty()).collect();
    forget(&mut memory, observation.now, channels, rules);
    (memory, news)
}

/// `memory` after what was seen.
pub(crate) fn observe(mut memory: Memory, observation: Observation<'_>, rules: &Rules) -> Memory {
    set_back(&mut memory, observation.now);
    let over: Vec<Finding> = silent_before(&memory, observation)
        .into_iter()
        .chain(settled(&memory, observation))
        .collect();
    let findings = worst_by_target(observation.findings);
    let findings = findings
        .into_iter()
        .filter(|finding| !finding.is_not_configured());
    for finding in findings.chain(&over) {
        let key = Key::of(finding);
        let index = memory
            .checks
            .iter()
            .position(|known| known.key == key)
            .unwrap_or_else(|| {
                memory
                    .checks
                    .push(CheckState::new(finding, observation.now));
                memory.checks.len() - 1
            });
        let known = &mut memory.checks[index];
        // A run that began earlier and ended later knows less than what is known already.
        if known.seen <= observation.now {
            update(known, finding, observation.now, rules);
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
    for notified in memory
        .channels
        .values_mut()
        .flatten()
        .filter(|notified| notified.at > latest)
    {
        notified.at = now;
    }
}

/// A check that gave no answer is unknown under its own name; when it answers, and finds nothing of
/// that name, that is over.
fn silent_before(memory: &Memory, observation: Observation<'_>) -> Vec<Finding> {
    let is_bad = |key: &&Key| {
        memory
            .checks
            .iter()
            .any(|known| known.key == **key && known.found != Status::Ok)
    };
    let found: BTreeSet<Key> = observation.findings.iter().map(Key::of).collect();
    let over = observation
        .answered
        .iter()
        .filter(|key| !found.contains(key))
        .filter(is_bad);
    over.map(|key| Finding::ok(&key.name, &key.target, "the check gives an answer again"))
        .collect()
}

/// A file that is infected has a check while it is, and none when it is gone: the next whole scan
/// settles it.
fn settled(memory: &Memory, observation: Observation<'_>) -> Vec<Finding> {
    let names = stream::settled(observation.findings);
    let found: BTreeSet<Key> = observation.findings.iter().map(Key::of).collect();
    let bad = memory
        .checks
        .iter()
        .filter(|known| known.found != Status::Ok)
        .map(|known| &known.key);
    let over = bad.filter(|key| names.contains(&key.name.as_str()) && !found.contains(key));
    over.map(|key| Finding::ok(&key.name, &key.target, "no longer so in the newest run"))
        .collect()
}

fn update(known: &mut CheckState, finding: &Finding, now: Moment, rules: &Rules) {
    if finding.status != known.found {
        known.changes.push(now);
        known.found = finding.status;
        known.found_since = now;
        known.found_runs = 0;
    }
    known.found_runs = known.found_runs.saturating_add(1);
    let is_urgent = finding.status == Status::Critical && AT_ONCE.contains(&&*finding.name);
    let after_runs = if is_urgent { 1 } else { rules.after_runs };
    if known.found_runs >= after_runs && known.status != known.found {
        known.status = known.found;
        known.since = known.found_since;
    }
    known.seen = now;
    known.message.clone_from(&finding.message);
    let window = seconds(rules.flap_within);
    known.changes.retain(|change| now - change < window);
    known.flapping = if known.flapping {
        !known.changes.is_empty()
    } else {
        known.changes.len() > rules.flap_changes as usize
    };
}

fn news_for(
    channel: &str,
    memory: &Memory,
    observation: Observation<'_>,
    rules: &Rules,
) -> Vec<Event> {
    let seen: BTreeSet<Key> = observation.findings.iter().map(Key::of).collect();
    let mut news = Vec::new();
    for known in &memory.checks {
        // A channel is not notified of itself: that it can be reached at all is the news.
        if known.key.name == NAME && known.key.target == channel {
            continue;
        }
        let belief = memory
            .notified(channel, &known.key)
            .map_or(Belief::NONE, Belief::of);
        let is_reminder_due = seen.contains(&known.key) && belief.is_due(observation.now, rules);
        let kind = if is_forgotten(known, observation.now, rules) {
            belief.is_bad().then_some(Kind::Gone)
        } else {
            belief.news_of(known, is_reminder_due)
        };
        if let Some(kind) = kind {
            news.push(Event {
                key: known.key.clone(),
                kind,
                was: belief.missed.unwrap_or(belief.status),
                status: known.status,
                since: known.since,
                message: known.message.clone(),
            });
        }
    }
    let order = |event: &Event| (Reverse(event.status), event.kind);
    news.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key)));
    news
}

/// What a channel believes of a check.
#[derive(Clone, Copy)]
struct Belief {
    status: Status,
    flapping: bool,
    /// What could not be sent to it.
    missed: Option<Status>,
    /// When it was notified last.
    at: Option<Moment>,
}

impl Belief {
    /// Who was never notified of a check believes that it is well.
    const NONE: Self = Self {
        status: Status::Ok,
        flapping: false,
        missed: None,
        at: None,
    };

    fn of(notified: &Notified) -> Self {
        Self {
            status: notified.status,
            flapping: notified.flapping,
            missed: notified.missed,
            at: Some(notified.at),
        }
    }

    fn is_bad(self) -> bool {
        self.status != Status::Ok || self.flapping || self.missed.is_some()
    }

    fn is_due(self, now: Moment, rules: &Rules) -> bool {
        self.at.is_some_and(|at| is_due(now - at, rules.remind))
    }

    /// What a check that stands like this is to a channel that believes so.
    fn news_of(self, known: &CheckState, is_reminder_due: bool) -> Option<Kind> {
        let is_bad = known.status != Status::Ok;
        let reminder = || (is_reminder_due && (is_bad || known.flapping)).then_some(Kind::Reminder);
        let is_news = known.status != self.status || self.missed.is_some();
        match (known.flapping, self.flapping) {
            (true, false) => Some(Kind::Flapping),
            (true, true) => reminder(),
            (false, true) => Some(Kind::Steady),
            (false, false) if !is_news => reminder(),
            (false, false) if is_bad => Some(Kind::Problem),
            (false, false) => Some(Kind::Recovery),
        }
    }
}

/// A hundredth earlier is early enough: who runs once a day is never exactly on time.
fn is_due(elapsed_seconds: i64, remind: Duration) -> bool {
    let remind = seconds(remind);
    remind > 0 && elapsed_seconds >= remind - remind / 100
}

fn is_forgotten(known: &CheckState, now: Moment, rules: &Rules) -> bool {
    now - known.seen >= seconds(rules.forget)
}

/// Drops what was not checked for long. What could still not be sent to a channel stays, until it
/// was.
fn forget(memory: &mut Memory, now: Moment, channels: &[String], rules: &Rules) {
    let is_owed =
        |last: &Notified| last.status != Status::Ok || last.flapping || last.missed.is_some();
    let is_waiting = |key: &Key| {
        channels
            .iter()
            .filter_map(|channel| memory.notified(channel, key))
            .any(is_owed)
    };
    let gone = memory
        .checks
        .iter()
        .filter(|known| is_forgotten(known, now, rules) && !is_waiting(&known.key));
    let gone: BTreeSet<Key> = gone.map(|known| known.key.clone()).collect();
    memory.checks.retain(|known| !gone.contains(&known.key));
    for notified in memory.channels.values_mut() {
        notified.retain(|last| !gone.contains(&last.key));
    }
}

impl Memory {
    /// `events` were sent to `channel`.
    pub(crate) fn delivered(&mut self, channel: &str, events: &[Event], now: Moment) {
        for event in events {
            let last = self.notified_mut(channel, &event.key, now);
            last.at = now;
            last.missed = None;
            last.status = if event.kind == Kind::Gone {
                Status::Ok
            } else {
                event.status
            };
            last.flapping = match event.kind {
                Kind::Flapping => true,
                Kind::Reminder => last.flapping,
                _ => false,
            };
        }
    }

    /// `events` could not be sent to `channel`. What is worse than all that it knows will be sent,
    /// also when it is over by then.
    pub(crate) fn missed(&mut self, channel: &str, events: &[Event], now: Moment) {
        for event in events.iter().filter(|event| event.kind != Kind::Gone) {
            let last = self.notified_mut(channel, &event.key, now);
            if event.status > last.missed.unwrap_or(last.status) {
                last.missed = Some(event.status);
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
