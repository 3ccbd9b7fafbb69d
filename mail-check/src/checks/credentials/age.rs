//! When secrets were changed.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use crate::finding::Finding;
use crate::limits::Ceiling;

const DAY_SECONDS: f64 = 86_400.0;

/// A day such as `2026-09-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Day(Date);

/// It is none.
#[derive(Debug, thiserror::Error)]
#[error("not a day, such as \"2026-09-01\"")]
pub(super) struct NotADay;

impl TryFrom<String> for Day {
    type Error = NotADay;

    fn try_from(text: String) -> Result<Self, NotADay> {
        text.parse().map(Self).map_err(|_| NotADay)
    }
}

/// How old something is.
#[derive(Debug, PartialEq)]
pub(super) enum Age {
    Days(f64),
    Unknown(String),
}

/// Since the file was changed last.
pub(super) fn of_file(path: &Path, looked: io::Result<Metadata>, now: Timestamp) -> Age {
    match looked
        .and_then(|metadata| metadata.modified())
        .map(Timestamp::try_from)
    {
        Ok(Ok(changed)) => {
            Age::Days(now.duration_since(changed).as_secs_f64().max(0.0) / DAY_SECONDS)
        }
        Ok(Err(_)) => Age::Unknown(format!("{} has a time that cannot be", path.display())),
        Err(error) => Age::Unknown(format!("{} cannot be looked at: {error}", path.display())),
    }
}

/// Since a day.
pub(super) fn since(created: Day, today: Date) -> Age {
    let days = today.since(created.0).map_or(0, |span| span.get_days());
    Age::Days(f64::from(days.max(0)))
}

pub(super) fn judge(target: &str, age: Age, limits: Ceiling) -> Finding {
    match age {
        Age::Days(days) => {
            let message = format!(
                "last changed {days:.0} days ago; to renew it, make a new secret and store it there"
            );
            Finding::ok("secret-age", target, message).under(days, "days", limits)
        }
        Age::Unknown(why) => {
            Finding::unknown("secret-age", target, format!("its age is not known: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn age_is_judged_in_days() {
        let limits = Ceiling::warning(90.0);
        let check = |age, expected| assert_eq!(judge("/.env", age, limits).status, expected);
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert_eq!(
            since(Day(day("2026-08-27")), day("2026-11-25")),
            Age::Days(90.0)
        );
        assert_eq!(
            since(Day(day("2026-12-01")), day("2026-11-25")),
            Age::Days(0.0)
        );
        assert_eq!(
            Day::try_from("2026-02-30".to_owned())
                .unwrap_err()
                .to_string(),
            NotADay.to_string()
        );
        check(Age::Days(89.9), Status::Ok);
        check(Age::Days(90.0), Status::Warning);
        check(Age::Unknown("lost".to_owned()), Status::Unknown);
        let lost = of_file(
            Path::new("/x"),
            Err(io::ErrorKind::NotFound.into()),
            Timestamp::UNIX_EPOCH,
        );
        assert!(matches!(lost, Age::Unknown(why) if why.contains("/x")));
    }
}
