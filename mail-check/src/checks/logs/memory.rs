//! What the next run needs to know of a log: how far it was read, and what was counted in the hour
//! that is not over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::follow::Position;
use super::settings::{Settings, Source};
use super::tally::{Hour, Tally, Topic};

/// An hour older than this is over.
const HOUR_SECONDS: i64 = 3600;

/// Kept from run to run, one for each source, in one file, so that two runs at once leave one of
/// the two truths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// In a file.
    pub(super) position: Option<Position>,
    /// In the log of a container.
    #[serde(default)]
    pub(super) container: Option<LastLine>,
    #[serde(default)]
    hours: Vec<Counted>,
    /// A line of it, where none of what was read last was understood.
    #[serde(default)]
    foreign_line: Option<String>,
}

/// The last line of a container that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastLine {
    pub(super) id: String,
    /// RFC 3339, in UTC.
    time: String,
}

/// The last hour of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    topic: String,
    hour: Hour,
    /// When something was last counted, in seconds since 1970.
    at_seconds: i64,
}

/// Under which name it is kept.
pub(super) fn name(source: &Source) -> String {
    format!("log-{}", source.name)
}

impl LastLine {
    pub(super) fn new(id: String, time: Timestamp) -> Self {
        Self {
            id,
            time: time.to_string(),
        }
    }

    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

impl Memory {
    /// A line of a log of which none is understood: of what is new, or, where nothing is, as the
    /// last run saw it.
    pub(super) fn foreign_line(&self, tally: &Tally, read_bytes: u64) -> Option<String> {
        if read_bytes == 0 {
            self.foreign_line.clone()
        } else {
            tally.foreign_line().map(str::to_owned)
        }
    }

    /// Counters that go on where the last run stopped.
    pub(super) fn resume(&self, source: &Source, settings: &Settings, now_seconds: i64) -> Tally {
        let is_fresh =
            |counted: &&Counted| (0..HOUR_SECONDS).contains(&(now_seconds - counted.at_seconds));
        let topics = topics(source, settings);
        Tally::resumed(self.hours.iter().filter(is_fresh).filter_map(|counted| {
            let (topic, _) = topics.iter().find(|(_, name)| *name == counted.topic)?;
            Some((*topic, counted.hour.clone()))
        }))
    }

    /// Takes over the last hour of each topic.
    pub(super) fn remember(
        &mut self,
        source: &Source,
        settings: &Settings,
        tally: &Tally,
        foreign_line: Option<String>,
        now_seconds: i64,
    ) {
        self.foreign_line = foreign_line;
        let topics = topics(source, settings);
        let counted = tally.last_hours().filter_map(|(topic, hour)| {
            let (_, name) = topics.iter().find(|(known, _)| *known == topic)?;
            let before = self
                .hours
                .iter()
                .find(|counted| counted.topic == *name)
                .map(|counted| counted.at_seconds);
            let at_seconds = if tally.counter(topic).new > 0 {
                now_seconds
            } else {
                before.unwrap_or(now_seconds)
            };
            Some(Counted {
                topic: name.clone(),
                hour,
                at_seconds,
            })
        });
        self.hours = counted.collect();
    }
}

/// Names that outlive a change of the file of checks.
fn topics(source: &Source, settings: &Settings) -> Vec<(Topic, String)> {
    let fixed = [
        (Topic::Bounced, "bounced"),
        (Topic::Deferred, "deferred"),
        (Topic::Rejected, "rejected"),
        (Topic::AuthFailures, "auth-failures"),
        (Topic::AuthErrors, "auth-errors"),
        (Topic::ApiErrors, "api-errors"),
        (Topic::LmtpFailures, "lmtp-failures"),
        (Topic::Probes, "probes"),
        (Topic::Http4xx, "http-4xx"),
        (Topic::Http5xx, "http-5xx"),
        (Topic::Admin, "admin"),
        (Topic::Tools, "tools"),
    ];
    let own = settings.patterns_of(source).enumerate();
    let own =
        own.map(|(number, pattern)| (Topic::Pattern(number), format!("pattern {}", pattern.name)));
    fixed
        .into_iter()
        .map(|(topic, name)| (topic, name.to_owned()))
        .chain(own)
        .collect()
}
