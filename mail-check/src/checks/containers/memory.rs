//! What is kept from run to run: how often each container was started again, and how much it had
//! computed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::docker::CpuTime;
use crate::state::{Kept, StateDir, StateError};

const STATE: &str = "containers";

/// Between runs that are this far apart, the time between them is what is judged: a busy second is
/// no trouble.
const APART_SECONDS: std::ops::RangeInclusive<i64> = 60..=3600;

/// What the last run knew.
#[derive(Debug, Default)]
pub(super) struct Memory {
    kept: Option<Stored>,
    damage: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    at_second: i64,
    /// By the container's id.
    containers: BTreeMap<String, Counters>,
}

/// How often a container was started again, and how much it had computed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) restarts: u64,
    pub(super) cpu: Option<CpuTime>,
}

impl Memory {
    pub(super) fn load(state: &StateDir) -> Self {
        match state.load(STATE) {
            Kept::There(stored) => Self {
                kept: Some(stored),
                damage: None,
            },
            Kept::Nothing => Self::default(),
            Kept::Damaged(why) => Self {
                kept: None,
                damage: Some(why),
            },
        }
    }

    /// What is known now; of a container that could not be asked, what was known before.
    pub(super) fn renewed<'a>(
        mut self,
        counters: impl Iterator<Item = (&'a str, Option<Counters>)>,
        now: Timestamp,
    ) -> Stored {
        let mut earlier = self
            .kept
            .take()
            .map(|kept| kept.containers)
            .unwrap_or_default();
        let renewed = counters.filter_map(|(id, counters)| match counters {
            Some(counters) => Some((id.to_owned(), counters)),
            None => earlier.remove_entry(id),
        });
        Stored {
            at_second: now.as_second(),
            containers: renewed.collect(),
        }
    }

    /// How often a container was started again since the last run; a first run knows of none. All
    /// of a container that is new are since then.
    pub(super) fn new_restarts(&self, id: &str, restarts: u64) -> u64 {
        let Some(kept) = &self.kept else { return 0 };
        let earlier = kept
            .containers
            .get(id)
            .map_or(0, |counters| counters.restarts);
        restarts.saturating_sub(earlier)
    }

    /// The counters of the last run, where it is neither too near nor too far.
    pub(super) fn cpu(&self, id: &str, now: Timestamp) -> Option<CpuTime> {
        let kept = self.kept.as_ref()?;
        let is_apart = APART_SECONDS.contains(&(now.as_second() - kept.at_second));
        kept.containers
            .get(id)
            .filter(|_| is_apart)
            .and_then(|counters| counters.cpu)
    }

    /// To be added to a message; empty when all is well.
    pub(super) fn damage(&self) -> String {
        self.damage.as_ref().map_or_else(String::new, |why| {
            format!(
                "; what the last run kept is damaged, so restarts are counted from now on: {why}"
            )
        })
    }
}

impl Stored {
    pub(super) fn keep(&self, state: &StateDir) -> Result<(), StateError> {
        state.keep(STATE, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let cpu = Some(CpuTime {
            used_nanoseconds: 1,
            passed_nanoseconds: 2,
        });
        let containers = BTreeMap::from([("a".to_owned(), Counters { restarts: 3, cpu })]);
        Memory {
            kept: Some(Stored {
                at_second: 1000,
                containers,
            }),
            damage: None,
        }
    }

    #[test]
    fn restarts_are_those_since_the_last_run() {
        assert_eq!(memory().new_restarts("a", 5), 2);
        assert_eq!(memory().new_restarts("a", 1), 0);
        assert_eq!(memory().new_restarts("made since then", 4), 4);
        assert_eq!(Memory::default().new_restarts("a", 5), 0);
    }

    #[test]
    fn a_container_that_could_not_be_asked_is_not_forgotten() {
        let renewed = memory().renewed([("a", None)].into_iter(), Timestamp::UNIX_EPOCH);
        let memory = Memory {
            kept: Some(renewed),
            damage: None,
        };
        assert_eq!(memory.new_restarts("a", 3), 0);
    }

    #[test]
    fn counters_are_used_from_a_minute_to_an_hour() {
        let is_used = |second| {
            memory()
                .cpu("a", Timestamp::from_second(second).unwrap())
                .is_some()
        };
        assert_eq!(
            [1030, 1060, 4600, 4601].map(is_used),
            [false, true, true, false]
        );
        assert_eq!(
            memory().cpu("b", Timestamp::from_second(1100).unwrap()),
            None
        );
    }
}
