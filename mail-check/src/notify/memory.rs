//! What is kept between runs: how each check stands, and what each channel was notified of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::status::Status;

/// The name of the findings of notifying, and of what it keeps.
pub(super) const NAME: &str = "notify";

/// Moments are seconds since 1970.
pub(crate) type Moment = i64;

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) checks: Vec<CheckState>,
    /// By the name of the channel.
    pub(crate) channels: BTreeMap<String, Vec<Notified>>,
}

/// Which check of which target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) target: String,
}

/// How a check stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckState {
    pub(crate) key: Key,
    /// The status that has held for long enough.
    pub(crate) status: Status,
    pub(crate) since: Moment,
    /// What the last run found, since when, and how many runs in a row.
    pub(crate) found: Status,
    pub(crate) found_since: Moment,
    pub(crate) found_runs: u32,
    pub(crate) seen: Moment,
    /// When what was found changed, as far back as flapping is looked for.
    pub(crate) changes: Vec<Moment>,
    pub(crate) flapping: bool,
    pub(crate) message: String,
}

/// What a channel was last notified of a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notified {
    pub(crate) key: Key,
    pub(crate) status: Status,
    pub(crate) at: Moment,
    pub(crate) flapping: bool,
    /// A status worse than the one that was sent; it could not be sent, because the channel failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<Status>,
}

impl Key {
    pub(crate) fn of(finding: &Finding) -> Self {
        Self {
            name: finding.name.clone(),
            target: finding.target.clone(),
        }
    }
}

impl CheckState {
    /// Of a check that was never made before: nothing holds yet, so that a bad status is news and a
    /// good one is not.
    pub(crate) fn new(finding: &Finding, now: Moment) -> Self {
        Self {
            key: Key::of(finding),
            status: Status::Ok,
            since: now,
            found: finding.status,
            found_since: now,
            found_runs: 0,
            seen: now,
            changes: Vec::new(),
            flapping: false,
            message: finding.message.clone(),
        }
    }
}

impl Notified {
    /// Who was not notified believes that all is well.
    pub(crate) fn nothing(key: Key, now: Moment) -> Self {
        Self {
            key,
            status: Status::Ok,
            at: now,
            flapping: false,
            missed: None,
        }
    }
}

impl Memory {
    pub(crate) fn notified(&self, channel: &str, key: &Key) -> Option<&Notified> {
        self.channels
            .get(channel)?
            .iter()
            .find(|last| last.key == *key)
    }

    /// What `channel` was last notified of `key`, to be changed.
    pub(crate) fn notified_mut(&mut self, channel: &str, key: &Key, now: Moment) -> &mut Notified {
        let all = self.channels.entry(channel.to_owned()).or_default();
        let index = all
            .iter()
            .position(|last| last.key == *key)
            .unwrap_or_else(|| {
                all.push(Notified::nothing(key.clone(), now));
                all.len() - 1
            });
        &mut all[index]
    }
}
