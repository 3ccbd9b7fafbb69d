//! Points in time to the nanosecond, and setting them as modification times.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use super::error::{Error, Result};

/// Seconds of a day.
pub const DAY_SECONDS: i64 = 86_400;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of that second.
    pub nanoseconds: u32,
}

impl Moment {
    /// The date as a mail header has it (RFC 5322, 3.3).
    ///
    /// # Panics
    /// When it is out of the range of dates.
    #[must_use]
    pub fn mail_date(self) -> String {
        let time =
            jiff::Timestamp::from_second(self.seconds).expect("sample mail has dates of our time");
        time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }
}

/// Sets the modification time of the file, directory or symlink at `path`.
pub(super) fn stamp(path: &Path, moment: Moment) -> Result<()> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
        last_modification: Timespec {
            tv_sec: moment.seconds,
            tv_nsec: moment.nanoseconds.into(),
        },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(Error::io("set the time of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_in_mail() {
        let moment = Moment {
            seconds: 1_767_225_600,
            nanoseconds: 5,
        };
        assert_eq!(moment.mail_date(), "Thu, 01 Jan 2026 00:00:00 +0000");
    }
}
