//! The name of a set: what kind of run made it, and for which day, week or minute.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind};

/// How often sets of a kind are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SetKind {
    /// One a day: `daily/2026-11-23`.
    Daily,
    /// One a week, for which everything is read again: `weekly/2026-week-47`.
    Weekly,
    /// One every hour, or every ten minutes: `hourly/2026-11-23T1510`.
    Hourly,
}

/// The name of a set below the backup root, such as `daily/2026-11-23`, `weekly/2026-week-47` or
/// `hourly/2026-11-23T1510`.
///
/// Weeks are those of `date +%Y-week-%U`: they start on Sunday, and the days before the first
/// Sunday of a year are its week 00. Hours and minutes are those of the clock on the wall: where it
/// is set back in autumn, an hour has its names twice, and mail-backup takes the next free one.
/// Ordered by kind, then by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetId {
    kind: SetKind,
    /// The first minute of the period that the set stands for, within its year.
    start: DateTime,
}

/// The text is not the name of a set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "not the name of a set: {0:?}; expected one like daily/2026-11-23, weekly/2026-week-47 or \
     hourly/2026-11-23T1510"
)]
pub struct NotASetId(String);

impl Failure for NotASetId {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }
}

impl SetKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Daily, Self::Weekly, Self::Hourly];

    /// The name in records, and the directory below the root.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Hourly => "hourly",
        }
    }
}

impl SetId {
    /// The set of the day, of the week, or of the first minute of the day `date`. Years before 0
    /// have no name.
    #[must_use]
    pub fn for_date(kind: SetKind, date: Date) -> Self {
        Self::for_time(kind, date.at(0, 0, 0, 0))
    }

    /// The set of the day, week or minute that `time` lies in, by the clock on the wall.
    #[must_use]
    pub fn for_time(kind: SetKind, time: DateTime) -> Self {
        let start = match kind {
            SetKind::Daily => midnight(time.date()),
            SetKind::Weekly => midnight(start_of_week(time.date())),
            SetKind::Hourly => time.date().at(time.hour(), time.minute(), 0, 0),
        };
        Self { kind, start }
    }

    /// Reads the name of a directory in `daily/`, `weekly/` or `hourly/`.
    ///
    /// # Errors
    /// When it is not exactly as [`name`](Self::name) writes it, or there is no such day or week.
    pub fn parse_name(kind: SetKind, name: &str) -> Result<Self, NotASetId> {
        let parsed = match kind {
            SetKind::Daily => Date::strptime("%Y-%m-%d", name).ok().map(midnight),
            SetKind::Weekly => parse_week(name).map(midnight),
            SetKind::Hourly => DateTime::strptime("%Y-%m-%dT%H%M", name).ok(),
        };
        // Parsing takes more than one spelling, blanks and signs among them; writing knows one.
        parsed
            .map(|start| Self { kind, start })
            .filter(|id| id.start.year() >= 0 && id.name() == name)
            .ok_or_else(|| NotASetId(name.to_owned()))
    }

    /// Daily, weekly or hourly.
    #[must_use]
    pub fn kind(self) -> SetKind {
        self.kind
    }

    /// The day; of a week the Sunday that starts it, of week 00 the first of January.
    #[must_use]
    pub fn date(self) -> Date {
        self.start.date()
    }

    /// The first minute of the period that the set stands for.
    #[must_use]
    pub fn start(self) -> DateTime {
        self.start
    }

    /// The name of the directory: `2026-11-23`, `2026-week-47` or `2026-11-23T1510`.
    #[must_use]
    pub fn name(self) -> String {
        let format = match self.kind {
            SetKind::Daily => "%Y-%m-%d",
            SetKind::Weekly => "%Y-week-%U",
            SetKind::Hourly => "%Y-%m-%dT%H%M",
        };
        self.start.strftime(format).to_string()
    }

    /// Whether it is too old to be kept for its age, counted from `newest`: sets of a kind are kept
    /// for so many days, weeks or hours.
    #[must_use]
    pub fn is_expired(self, newest: Self, keep_periods: u32) -> bool {
        let hours_per_period = match newest.kind {
            SetKind::Hourly => 1,
            SetKind::Daily => 24,
            SetKind::Weekly => 7 * 24,
        };
        let kept = SignedDuration::from_hours(i64::from(keep_periods) * hours_per_period);
        self.kind == newest.kind && newest.start.duration_since(self.start) > kept
    }

    /// The directory of the set below `root`.
    #[must_use]
    pub fn path_below(self, root: &Path) -> PathBuf {
        root.join(self.kind.name()).join(self.name())
    }
}

fn midnight(date: Date) -> DateTime {
    date.at(0, 0, 0, 0)
}

fn start_of_week(date: Date) -> Date {
    let sunday = date.saturating_sub(i64::from(date.weekday().to_sunday_zero_offset()).days());
    sunday.max(date.first_of_year())
}

/// The Sunday of the week, and of week 00, which has none in its year, the first of January.
fn parse_week(name: &str) -> Option<Date> {
    if let Some(year) = name.strip_suffix("-week-00") {
        return Date::new(year.parse().ok()?, 1, 1).ok();
    }
    Date::strptime("%Y-week-%U %w", format!("{name} 0")).ok()
}

impl fmt::Display for SetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name())
    }
}

impl FromStr for SetId {
    type Err = NotASetId;

    fn from_str(text: &str) -> Result<Self, NotASetId> {
        let unnamed = || NotASetId(text.to_owned());
        let (directory, name) = text.split_once('/').ok_or_else(unnamed)?;
        let kind = SetKind::ALL
            .into_iter()
            .find(|kind| kind.name() == directory)
            .ok_or_else(unnamed)?;
        Self::parse_name(kind, name).map_err(|_| unnamed())
    }
}

impl TryFrom<String> for SetId {
    type Error = NotASetId;

    fn try_from(text: String) -> Result<Self, NotASetId> {
        text.parse()
    }
}

impl From<SetId> for String {
    fn from(id: SetId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Weekday, date};
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::Command;

    fn check(text: &str, expected: Option<Date>) {
        assert_eq!(
            text.parse::<SetId>().ok().map(SetId::date),
            expected,
            "{text:?}"
        );
        if expected.is_some() {
            assert_eq!(text.parse::<SetId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn names_are_read_strictly() {
        check("daily/2026-11-23", Some(date(2026, 11, 23)));
        check("daily/2024-02-29", Some(date(2024, 2, 29)));
        check("weekly/2026-week-47", Some(date(2026, 11, 22)));
        check("weekly/2026-week-00", Some(date(2026, 1, 1)));
        check("weekly/2026-week-01", Some(date(2026, 1, 4)));
        check("weekly/2023-week-53", Some(date(2023, 12, 31)));
        check("hourly/2026-11-23T0000", Some(date(2026, 11, 23)));
        check("hourly/2024-02-29T2359", Some(date(2024, 2, 29)));
        for text in [
            "",
            "daily",
            "daily/",
            "daily/..",
            "daily/../weekly/2026-week-47",
            "daily/2026-02-29",
            "daily/2026-13-01",
            "daily/2026-11-23/",
            "daily/2026-11-23.incomplete",
            "daily/.2026-11-23.new",
            "daily/26-11-23",
            "daily/2026-1-23",
            "daily/2026-11-23-01",
            "daily/+026-11-23",
            "daily/２０２６-11-23",
            "daily/2026-week-47",
            "weekly/2026-11-23",
            "weekly/2026-week-53",
            "weekly/2023-week-00",
            "weekly/2026-week-54",
            "weekly/2026-week-99",
            "weekly/9999-week-99",
            "weekly/2026-week--1",
            "weekly/2026-week-1",
            "weekly/2026-week- 1",
            "weekly/2026-week-01 ",
            "weekly/2026-week-01 0",
            "weekly/-0001-week-00",
            "weekly/-0001-week-01",
            "daily/-0001-01-01",
            "daily/-001-01-01",
            "daily/-000001-01-01",
            "daily/ 026-01-01",
            "daily/2026-01- 1",
            "daily/2026-01-01 ",
            "hourly/2026-11-23",
            "hourly/2026-11-23T",
            "hourly/2026-11-23T15",
            "hourly/2026-11-23T2400",
            "hourly/2026-11-23T1560",
            "hourly/2026-11-23t1510",
            "hourly/2026-11-23T15:10",
            "hourly/2026-11-23T151000",
            "hourly/2026-11-23T 910",
            "hourly/2026-11-23T1510Z",
            "hourly/2026-02-30T1510",
            "hourly/2026-11-23T1510.incomplete",
            "daily/2026-11-23T1510",
            "Daily/2026-11-23",
            "/daily/2026-11-23",
            " daily/2026-11-23",
        ] {
            check(text, None);
        }
    }

    /// `date` says so for every day of 30 years, in which the year begins on each day of the week,
    /// leap years too.
    #[test]
    fn weeks_are_those_of_date_u() {
        let days: Vec<Date> = date(2000, 1, 1)
            .series(1.day())
            .take_while(|day| day.year() < 2030)
            .collect();
        let mut list = tempfile::NamedTempFile::new().unwrap();
        for day in &days {
            writeln!(list, "{day}").unwrap();
        }
        let output = Command::new("date")
            .arg("--file")
            .arg(list.path())
            .arg("+%Y-week-%U")
            .output()
            .unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        assert_eq!(names.lines().count(), days.len());

        let mut start = days[0];
        for (day, name) in days.into_iter().zip(names.lines()) {
            let id = SetId::for_date(SetKind::Weekly, day);
            assert_eq!(id.name(), name, "{day}");
            if day.weekday() == Weekday::Sunday || day.day_of_year() == 1 {
                start = day;
            }
            check(&format!("weekly/{name}"), Some(start));
        }
    }

    /// Frozen from `date --date DAY +%Y-week-%U`.
    #[test]
    fn a_year_begins_in_week_00_or_01_and_ends_in_52_or_53() {
        let check = |day: Date, name: &str| {
            assert_eq!(SetId::for_date(SetKind::Weekly, day).name(), name, "{day}");
        };
        check(date(2026, 1, 1), "2026-week-00");
        check(date(2026, 1, 3), "2026-week-00");
        check(date(2026, 1, 4), "2026-week-01");
        check(date(2026, 12, 31), "2026-week-52");
        check(date(2023, 1, 1), "2023-week-01");
        check(date(2023, 12, 31), "2023-week-53");
        check(date(2028, 1, 1), "2028-week-00");
        check(date(2028, 12, 31), "2028-week-53");
    }

    #[test]
    fn order_is_by_date_within_a_kind() {
        let mut ids: Vec<SetId> = [
            "weekly/2026-week-01",
            "daily/2026-11-23",
            "weekly/2025-week-52",
            "daily/2025-12-31",
            "daily/2026-02-01",
        ]
        .map(|text| text.parse().unwrap())
        .into();
        ids.sort();
        let text: Vec<String> = ids.iter().map(|id| id.name()).collect();
        assert_eq!(
            text,
            [
                "2025-12-31",
                "2026-02-01",
                "2026-11-23",
                "2025-week-52",
                "2026-week-01"
            ]
        );
    }

    #[test]
    fn an_hourly_set_is_named_by_its_minute() {
        let time = date(2026, 11, 23).at(15, 9, 59, 999);
        let id = SetId::for_time(SetKind::Hourly, time);
        assert_eq!(id.to_string(), "hourly/2026-11-23T1509");
        assert_eq!(id.start(), date(2026, 11, 23).at(15, 9, 0, 0));
        let later = SetId::for_time(SetKind::Hourly, date(2026, 11, 23).at(15, 10, 0, 0));
        assert!(id < later);
    }

    #[test]
    fn deserialising_is_checked() {
        let id: SetId = serde_json::from_str(r#""daily/2026-11-23""#).unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), r#""daily/2026-11-23""#);
        assert!(serde_json::from_str::<SetId>(r#""daily/../../etc""#).is_err());
    }

    proptest! {
        #[test]
        fn what_parses_is_written_back_the_same(
            text in "(daily|weekly|hourly)/[0-9]{4}-(week-[0-9]{2}|[01][0-9]-[0-3][0-9](T[0-9]{4})?)",
        ) {
            if let Ok(id) = text.parse::<SetId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _ = text.parse::<SetId>();
        }

        #[test]
        fn every_day_has_a_set_of_each_kind(year in 0_i16..=9999, day in 1_i16..=366) {
            let Ok(date) = Date::constant(year, 1, 1).with().day_of_year(day).build() else {
                return Ok(());
            };
            for kind in SetKind::ALL {
                let id = SetId::for_date(kind, date);
                prop_assert_eq!(id.to_string().parse::<SetId>().unwrap(), id);
                prop_assert!(id.date() <= date && id.date().year() == year);
            }
        }
    }
}
