//! Who holds the lock of a root, as its lock file says.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use jiff::ZonedDateTime;
use jiff::fmt::temporal::DateTimePrinter;

use crate::beneath;

/// Enough for a pid and a time; what is longer was not written by us.
const HOLDER_MAX_BYTES: u64 = 128;

/// Who holds the lock of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// When it took the lock: RFC 3339, second precision.
    pub since: String,
    /// Today, as the holder wrote its time; a time of another day is shown with its date.
    today: String,
}

/// Writes into the lock file that this process has the lock since `now`.
pub(super) fn write_holder(file: &mut File, now: &ZonedDateTime) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {}", std::process::id(), rfc3339(now))
}

/// Who wrote the lock file at `path`; `None` when the holder has not written its line yet.
pub(super) fn read_holder(path: &Path, now: &ZonedDateTime) -> Option<Holder> {
    let mut line = String::new();
    let file = beneath::regular_file(path).ok()?;
    file.take(HOLDER_MAX_BYTES).read_to_string(&mut line).ok()?;
    let (pid, since) = line.trim_end().split_once(' ')?;
    let is_plain = since
        .bytes()
        .all(|b| b.is_ascii_digit() || b"-+:.TZ".contains(&b));
    let holder = Holder {
        pid: pid.parse().ok()?,
        since: since.to_owned(),
        today: now.date().to_string(),
    };
    is_plain.then_some(holder)
}

fn rfc3339(time: &ZonedDateTime) -> String {
    DateTimePrinter::new()
        .precision(Some(0))
        .timestamp_with_offset_to_string(&time.timestamp(), time.offset())
}

/// The holder in the words of a message.
pub(super) fn holder_text(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another run".to_owned(), ToString::to_string)
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = self.since.split_once('T').unwrap_or((&self.since, ""));
        let minute = time.get(..5).unwrap_or(time);
        if date == self.today {
            write!(f, "pid {} since {minute}", self.pid)
        } else {
            write!(f, "pid {} since {date} {minute}", self.pid)
        }
    }
}
