//! What was counted in a log, in bounded memory: how often, in which hour, and why.

use std::collections::{BTreeMap, HashMap};

use mail_common::text::printable;
use serde::{Deserialize, Serialize};

/// More different reasons or hours than this are counted together.
const MAX_KEYS: usize = 1000;

/// No reason is longer.
const MAX_REASON_BYTES: usize = 160;

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Topic {
    Bounced,
    Deferred,
    /// Clients that the server refused.
    Rejected,
    AuthFailures,
    /// Logins that nobody could check.
    AuthErrors,
    LmtpFailures,
    /// Clients that went without a word, were held back, or looked for holes.
    Probes,
    Http4xx,
    Http5xx,
    Admin,
    ApiErrors,
    Tools,
    /// Known, and no failure.
    Ignored,
    /// A pattern of the administrator, by its number among those of the source.
    Pattern(usize),
}

/// All that was counted in a log since the last run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counters: BTreeMap<Topic, Counter>,
    pub(super) requests: u64,
    /// The hour of lines that have none.
    hour: String,
    is_understood: bool,
    /// The first line, while none is understood.
    first_line: Option<String>,
}

/// How often something happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    /// Since the last run.
    pub(super) new: u64,
    /// By the hour that the lines begin with; in order of appearance.
    hours: Vec<Hour>,
    reasons: HashMap<String, u64>,
}

/// A clock hour as a log writes it, such as `Nov 25 07`, and how often in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hour {
    pub(super) text: String,
    pub(super) count: u64,
}

impl Tally {
    /// Begins with what the last run counted in the hour that is not over.
    pub(super) fn resumed(hours: impl IntoIterator<Item = (Topic, Hour)>) -> Self {
        let counter = |hour| Counter {
            hours: vec![hour],
            ..Counter::default()
        };
        let counters = hours
            .into_iter()
            .map(|(topic, hour)| (topic, counter(hour)))
            .collect();
        Self {
            counters,
            ..Self::default()
        }
    }

    /// Lines without a time are from now on of this hour.
    pub(super) fn set_hour(&mut self, hour: String) {
        self.hour = hour;
    }

    /// A line was what the log is said to hold.
    pub(super) fn understood(&mut self) {
        self.is_understood = true;
    }

    pub(super) fn is_understood(&self) -> bool {
        self.is_understood
    }

    /// Keeps a line to be shown when all are like it.
    pub(super) fn not_understood(&mut self, block: &[u8]) {
        if self.is_understood || self.first_line.is_some() {
            return;
        }
        let mut lines = block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let line = lines.find(|line| !line.is_empty());
        self.first_line = line.map(|line| {
            let text = String::from_utf8_lossy(&line[..line.len().min(MAX_REASON_BYTES)]);
            printable(&text)
        });
    }

    /// A line of a log of which none is understood; `None` where one is, or nothing was read.
    pub(super) fn foreign_line(&self) -> Option<&str> {
        self.first_line.as_deref().filter(|_| !self.is_understood)
    }

    pub(super) fn count(&mut self, topic: Topic, times: u64, line: &[u8], reason: &str) {
        let counter = self.counters.entry(topic).or_default();
        counter.new += times;
        match hour_of(line) {
            hour if hour.is_empty() => counter.add_hour(&self.hour, times),
            hour => counter.add_hour(&hour, times),
        }
        counter.add_reason(reason, times);
    }

    pub(super) fn counter(&self, topic: Topic) -> Counter {
        self.counters.get(&topic).cloned().unwrap_or_default()
    }

    /// The last hour of each topic: the next run goes on counting there.
    pub(super) fn last_hours(&self) -> impl Iterator<Item = (Topic, Hour)> {
        self.counters
            .iter()
            .filter_map(|(topic, counter)| Some((*topic, counter.hours.last()?.clone())))
    }
}

impl Counter {
    /// The hour with the most.
    pub(super) fn busiest(&self) -> Hour {
        self.hours
            .iter()
            .max_by_key(|hour| hour.count)
            .cloned()
            .unwrap_or_default()
    }

    /// The most frequent reasons, such as `3x connection refused`.
    pub(super) fn top(&self, most: usize) -> Vec<String> {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let mut top: Vec<String> = reasons
            .iter()
            .take(most)
            .map(|(reason, count)| format!("{count}x {reason}"))
            .collect();
        if reasons.len() > most {
            top.push(format!("and {} more", reasons.len() - most));
        }
        top
    }

    fn add_hour(&mut self, text: &str, times: u64) {
        // Lines are nearly in order, so it is one of the last.
        if let Some(hour) = self.hours.iter_mut().rev().find(|hour| hour.text == text) {
            hour.count += times;
            return;
        }
        if self.hours.len() >= MAX_KEYS {
            self.hours.remove(0);
        }
        self.hours.push(Hour {
            text: text.to_owned(),
            count: times,
        });
    }

    fn add_reason(&mut self, reason: &str, times: u64) {
        let reason = shortened(reason);
        if let Some(count) = self.reasons.get_mut(reason) {
            *count += times;
        } else if self.reasons.len() < MAX_KEYS {
            self.reasons.insert(reason.to_owned(), times);
        } else {
            *self.reasons.entry("others".to_owned()).or_default() += times;
        }
    }
}

fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// Whether the line says when it was written.
pub(super) fn has_time(line: &[u8]) -> bool {
    !hour_of(line).is_empty()
}

/// Day and hour as the line has them, cut out before the minutes; empty where it has no time.
fn hour_of(line: &[u8]) -> String {
    let head = &line[..line.len().min(200)];
    // A request has its time in brackets, after an address that may look like a time.
    let is_bracket = |w: &[u8]| w.starts_with(b" [") && w[2].is_ascii_digit() && w[4] == b'/';
    let begin = head.windows(5).position(is_bracket).map_or(0, |at| at + 2);
    let head = &head[begin..];
    let is_time = |w: &[u8]| {
        w[2] == b':' && w[5] == b':' && [0, 1, 3, 4, 6, 7].iter().all(|&i| w[i].is_ascii_digit())
    };
    // The year of a request's time ends just before its hour.
    let is_begin = |at: &usize| *at == 0 || !head[at - 1].is_ascii_digit();
    let times = head
        .windows(8)
        .enumerate()
        .filter(|(_, window)| is_time(window))
        .map(|(at, _)| at);
    let Some(at) = times.into_iter().find(is_begin) else {
        return String::new();
    };
    let day = &head[at.saturating_sub(12)..at + 2];
    let day = day.rsplit(|byte| *byte == b'[').next().unwrap_or(day);
    let is_mark = |c: char| c == '"' || c == ':' || c == '{' || c.is_whitespace();
    String::from_utf8_lossy(day)
        .trim_matches(is_mark)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_found_in_every_format() {
        let check =
            |line: &str, expected: &str| assert_eq!(hour_of(line.as_bytes()), expected, "{line}");
        check("Nov 25 08:19:28 mail postfix/smtpd[1]: x", "Nov 25 08");
        check(
            "2026-11-25T08:19:28.123456+00:00 mail postfix/smtpd[1]: x",
            "2026-11-25T08",
        );
        check(
            "1.2.3.4 - - [25/Nov/2026:08:19:28 +0000] \"GET / HTTP/1.1\" 200 1",
            "25/Nov/2026:08",
        );
        check(
            "2001:db8::11:22:33 - - [25/Nov/2026:08:19:28 +0000] \"GET /\" 200",
            "25/Nov/2026:08",
        );
        check("[2026-11-25 08:19:28] [ERROR] [MYSQL] x", "2026-11-25 08");
        check(r#"{"time":"2026-11-25T08:19:28Z","x":1}"#, "2026-11-25T08");
        check("error: no time", "");
        check("", "");
    }

    #[test]
    fn the_busiest_hour_counts_and_goes_on_from_run_to_run() {
        let mut tally = Tally::resumed([(
            Topic::Bounced,
            Hour {
                text: "Nov 25 07".into(),
                count: 4,
            },
        )]);
        for line in [
            "Nov 25 07:59:00 x",
            "Nov 25 08:00:00 x",
            "Nov 25 07:59:59 late",
        ] {
            tally.count(Topic::Bounced, 1, line.as_bytes(), "why");
        }
        let counter = tally.counter(Topic::Bounced);
        assert_eq!((counter.new, counter.busiest().count), (3, 6));
        assert_eq!(
            tally.last_hours().collect::<Vec<_>>(),
            [(
                Topic::Bounced,
                Hour {
                    text: "Nov 25 08".into(),
                    count: 1
                }
            )]
        );
    }

    #[test]
    fn reasons_are_bounded() {
        let mut tally = Tally::default();
        for number in 0..5000 {
            tally.count(
                Topic::Deferred,
                1,
                format!("Nov {number} 08:00:00").as_bytes(),
                &format!("{number}{}", "é".repeat(300)),
            );
        }
        let counter = tally.counter(Topic::Deferred);
        assert_eq!(counter.new, 5000);
        assert!(counter.reasons.len() <= MAX_KEYS + 1 && counter.hours.len() <= MAX_KEYS);
        assert!(
            counter.top(2)[0].starts_with("4000x others"),
            "{:?}",
            counter.top(2)
        );
        assert_eq!(counter.top(2)[2], "and 999 more");
    }
}
