//! How long sets are kept off site, and when the rule of the bucket takes what nobody writes again.

use jiff::Timestamp;
use mail_common::config::{self, Config};
use mail_common::set::SetKind;

use crate::layout::Choice;
use crate::store::LockMode;

pub(crate) const DAY_SECONDS: i64 = 86_400;
/// S3 counts the days of a rule from the next midnight, and is in no hurry. An object is written
/// again when it would go less than this before a set that uses it.
pub(crate) const MARGIN_DAYS: u32 = 3;
/// An object that is written again must not need it soon after.
const LEAST_REST_DAYS: u32 = 7;
const LONGEST_DAYS: u32 = 36_500;

/// Days, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    daily: u32,
    weekly: u32,
    hourly: u32,
    /// After how many days without being written an object of the pool goes.
    pub(crate) pool: u32,
}

impl Keep {
    /// S3_KEEP_DAILY, S3_KEEP_WEEKLY, S3_KEEP_HOURLY and S3_POOL_DAYS.
    pub(crate) fn new(config: &Config) -> Result<Self, config::Error> {
        let keep = Self {
            daily: days(config, "S3_KEEP_DAILY", 40, 1)?,
            weekly: days(config, "S3_KEEP_WEEKLY", 100, 1)?,
            hourly: days(config, "S3_KEEP_HOURLY", 7, 1)?,
            pool: 0,
        };
        let longest = keep.longest();
        let least = longest + MARGIN_DAYS + LEAST_REST_DAYS;
        let pool = days(config, "S3_POOL_DAYS", (2 * longest).max(200), least)?;
        Ok(Self { pool, ..keep })
    }

    /// The same for a directory, where nothing goes that has no setting of its own; `None` where no
    /// kind has one.
    pub(crate) fn given(config: &Config) -> Result<Option<Self>, config::Error> {
        let given = |kind| days(config, Self::setting(kind), LONGEST_DAYS, 1);
        let is_set = |kind| {
            let setting = config.get(Self::setting(kind));
            setting.is_some_and(|setting| !setting.value.is_empty())
        };
        let keep = Self {
            daily: given(SetKind::Daily)?,
            weekly: given(SetKind::Weekly)?,
            hourly: given(SetKind::Hourly)?,
            pool: LONGEST_DAYS,
        };
        Ok(SetKind::ALL.into_iter().any(is_set).then_some(keep))
    }

    /// How many days the kind is kept that is kept longest.
    pub(crate) fn longest(&self) -> u32 {
        self.daily.max(self.weekly).max(self.hourly)
    }

    /// After how many days what stays in use in the pool is written again, at the earliest.
    pub(crate) fn rewritten_after(&self) -> u32 {
        self.pool.saturating_sub(self.longest() + MARGIN_DAYS)
    }

    /// The setting that says how many days a set of that kind is kept.
    pub(crate) fn setting(kind: SetKind) -> &'static str {
        match kind {
            SetKind::Daily => "S3_KEEP_DAILY",
            SetKind::Weekly => "S3_KEEP_WEEKLY",
            SetKind::Hourly => "S3_KEEP_HOURLY",
        }
    }

    /// How many days a set is kept.
    pub(crate) fn days(&self, kind: SetKind) -> u32 {
        match kind {
            SetKind::Daily => self.daily,
            SetKind::Weekly => self.weekly,
            SetKind::Hourly => self.hourly,
        }
    }
}

/// The end of the day `days` days after `now`: what is done again on the same day asks for nothing
/// new.
pub(crate) fn end_of_day(now: Timestamp, days: u32) -> Timestamp {
    let day = now.as_second().div_euclid(DAY_SECONDS) + i64::from(days) + 1;
    Timestamp::from_second(day.saturating_mul(DAY_SECONDS)).unwrap_or(Timestamp::MAX)
}

/// The same time of the day, `days` days later.
pub(crate) fn days_after(time: Timestamp, days: u32) -> Timestamp {
    let second = time.as_second() + i64::from(days) * DAY_SECONDS;
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// S3_LAYOUT.
pub(crate) fn layout(config: &Config) -> Result<Choice, config::Error> {
    let setting = config.get("S3_LAYOUT");
    let Some(setting) = setting.filter(|setting| !setting.value.is_empty()) else {
        return Ok(Choice::Auto);
    };
    setting.value.parse().map_err(|()| config::Error::Invalid {
        name: "S3_LAYOUT",
        value: setting.value,
        origin: setting.source,
        expected: "auto, pool or plain",
    })
}

/// S3_LOCK_MODE: who may end the locks of sets that are locked for as long as they are kept.
pub(crate) fn lock_mode(config: &Config) -> Result<Option<LockMode>, config::Error> {
    let setting = config.get("S3_LOCK_MODE");
    let Some(setting) = setting.filter(|setting| !setting.value.is_empty()) else {
        return Ok(None);
    };
    match setting.value.to_ascii_lowercase().as_str() {
        "compliance" => Ok(Some(LockMode::Compliance)),
        "governance" => Ok(Some(LockMode::Governance)),
        _ => Err(config::Error::Invalid {
            name: "S3_LOCK_MODE",
            value: setting.value,
            origin: setting.source,
            expected: "compliance or governance",
        }),
    }
}

fn days(
    config: &Config,
    name: &'static str,
    default: u32,
    least: u32,
) -> Result<u32, config::Error> {
    let setting = config.get(name);
    let Some(setting) = setting.filter(|setting| !setting.value.is_empty()) else {
        return Ok(default);
    };
    let days = setting.value.parse().ok();
    days.filter(|days| (least..=LONGEST_DAYS).contains(days))
        .ok_or(config::Error::Invalid {
            name,
            value: setting.value,
            origin: setting.source,
            expected: match least {
                1 => "1 to 36500 days",
                _ => {
                    "at least 10 days more than the longest of S3_KEEP_DAILY, S3_KEEP_WEEKLY and \
                      S3_KEEP_HOURLY"
                }
            },
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use mail_common::config::Environment;

    use super::*;

    fn read(text: &str) -> Result<Keep, String> {
        let path = Path::new("/etc/x");
        let config = Config::parse(text.as_bytes(), path, Environment::default()).unwrap();
        Keep::new(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn days_are_read_and_the_pool_outlives_every_kind() {
        let keep = read("").unwrap();
        let kinds = SetKind::ALL.map(|kind| keep.days(kind));
        assert_eq!((kinds, keep.pool), ([40, 100, 7], 200));
        assert_eq!(read("S3_KEEP_WEEKLY=300").unwrap().pool, 600);
        assert_eq!(read("S3_POOL_DAYS=110").unwrap().pool, 110);
        let refused = |text: &str, part: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused("S3_POOL_DAYS=109", "10 days more");
        refused("S3_KEEP_DAILY=0", "S3_KEEP_DAILY=\"0\"");
        refused("S3_KEEP_WEEKLY=x", "1 to 36500");
        refused("S3_KEEP_WEEKLY=36501", "1 to 36500");
    }

    #[test]
    fn in_a_directory_nothing_goes_that_was_not_asked_for() {
        let given = |text: &str| {
            let path = Path::new("/etc/x");
            let config = Config::parse(text.as_bytes(), path, Environment::default()).unwrap();
            let keep = Keep::given(&config).unwrap();
            keep.map(|keep| SetKind::ALL.map(|kind| keep.days(kind)))
        };
        assert_eq!(given("S3_POOL_DAYS=300\nS3_KEEP_DAILY=\n"), None);
        assert_eq!(given("S3_KEEP_WEEKLY=30"), Some([36_500, 30, 36_500]));
    }

    #[test]
    fn a_day_ends_at_its_end_and_never_before() {
        let check = |now: &str, days, end: &str| {
            assert_eq!(end_of_day(now.parse().unwrap(), days).to_string(), end);
        };
        check("2026-11-23T00:00:00Z", 1, "2026-11-25T00:00:00Z");
        check("2026-11-23T23:59:59Z", 1, "2026-11-25T00:00:00Z");
        check("2026-11-23T04:00:00Z", 30, "2026-12-24T00:00:00Z");
    }
}
