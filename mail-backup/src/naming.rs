//! The name of the set that a run makes.

use std::path::Path;

use jiff::civil::Date;
use jiff::{ToSpan, ZonedDateTime};
use mail_common::set::{BackupRoot, SetId, SetKind};

use crate::previous::begin_of;

/// As long as it takes the clock on the wall to show everything twice, and as long again.
const MINUTES_TRIED: i64 = 24 * 60;

/// The name of a set of `kind`: that of `date`, or of now.
pub(crate) fn set_id(kind: SetKind, date: Option<Date>, now: &ZonedDateTime, root: &Path) -> SetId {
    match (date, kind) {
        (Some(date), _) => SetId::for_date(kind, date),
        (None, SetKind::Daily | SetKind::Weekly) => SetId::for_time(kind, now.datetime()),
        (None, SetKind::Hourly) => free_minute(now, root),
    }
}

/// The minute of now, or the next one whose name no set of another time has. In autumn, when the
/// clock on the wall is set back, an hour has its names twice, and no set may take the place of
/// one that is an hour older. A second run in a minute does replace the set of that minute.
fn free_minute(now: &ZonedDateTime, root: &Path) -> SetId {
    let now_named = SetId::for_time(SetKind::Hourly, now.datetime());
    let Ok(root) = BackupRoot::open(root) else {
        return now_named; // Whoever needs the root says that it is not there.
    };
    let minute_seconds = now.timestamp().as_second().div_euclid(60) * 60;
    let later = |minutes: i64| now.datetime().saturating_add(minutes.minutes());
    (0..MINUTES_TRIED)
        .map(|minutes| SetId::for_time(SetKind::Hourly, later(minutes)))
        .find(|id| !is_taken(&root, *id, minute_seconds))
        .unwrap_or(now_named)
}

/// Whether there is a set of this name that was begun before `minute_seconds`. One that was begun
/// later is of this minute, or of a future that the run has its own word for.
fn is_taken(root: &BackupRoot, id: SetId, minute_seconds: i64) -> bool {
    [root.set_path(id), root.incomplete_path(id)]
        .into_iter()
        .filter(|set| set.symlink_metadata().is_ok())
        .any(|set| {
            let begun = begin_of(&set).and_then(|begin| begin.time.parse().ok());
            begun.is_none_or(|begun: jiff::Timestamp| begun.as_second() < minute_seconds)
        })
}
