//! What is asked for: by mailbox, Message-ID, time of delivery and name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use glob::{MatchOptions, Pattern};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use mail_common::message::{MESSAGE_ID_MAX_BYTES, without_white_space};
use mail_common::relpath::RelPath;
use mail_common::set::Address;

use super::error::Error;
use super::lots::Lot;

/// What a message must be. All kinds that are given must hold; of one kind, any will do. Without
/// any, every message is meant.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// In one of these mailboxes.
    pub mailboxes: Vec<Address>,
    /// With one of these Message-IDs.
    pub message_ids: Vec<MessageId>,
    /// Delivered then or later: the modification time of the file.
    pub since: Option<Since>,
    /// Delivered before: the modification time of the file.
    pub until: Option<Until>,
    /// At one of these paths, where they are known already.
    pub only: Option<BTreeSet<RelPath>>,
    /// With a path, relative to the mail root, that one of these patterns matches. `*` stays within
    /// a directory, `**` does not.
    pub paths: Vec<Pattern>,
    /// In this lot of them, where they are too many to be held at once.
    pub lot: Option<Lot>,
    /// Where whole folders are meant: which of their other files come with one that is gone, as
    /// with `paths`.
    pub whole_folders: Option<Vec<Pattern>>,
}

/// A Message-ID without its angle brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageId(String);

/// A time up to which messages are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Until {
    /// The first moment that is too late.
    end: Timestamp,
    text: String,
}

/// A time from which on messages are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    time: Timestamp,
    text: String,
}

impl Query {
    /// Whether path and time match.
    pub(super) fn wants_file(&self, path: &RelPath, mtime_ns: i64) -> bool {
        self.wants_time(mtime_ns) && self.wants_path(path)
    }

    /// Whether every message is meant.
    pub(crate) fn is_any(&self) -> bool {
        let Self {
            mailboxes,
            message_ids,
            since,
            until,
            only,
            paths,
            lot,
            whole_folders: _,
        } = self;
        mailboxes.is_empty()
            && message_ids.is_empty()
            && paths.is_empty()
            && since.is_none()
            && until.is_none()
            && only.is_none()
            && lot.is_none()
    }

    /// Whether the time of delivery matches.
    pub(crate) fn wants_time(&self, mtime_ns: i64) -> bool {
        let since = self.since.as_ref();
        let until = self.until.as_ref();
        since.is_none_or(|since| since.is_met(mtime_ns))
            && until.is_none_or(|until| until.is_met(mtime_ns))
    }

    /// What is asked for of a lot.
    pub(crate) fn of_lot(&self, lot: &Lot) -> Self {
        let only = self.only.as_ref().map(|only| {
            let only = only.iter().filter(|path| lot.holds(path));
            only.cloned().collect()
        });
        Self {
            only,
            lot: Some(lot.clone()),
            mailboxes: self.mailboxes.clone(),
            message_ids: self.message_ids.clone(),
            paths: self.paths.clone(),
            whole_folders: self.whole_folders.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
        }
    }

    /// Whether a message with this Message-ID is asked for.
    pub(crate) fn wants_id(&self, id: &str) -> bool {
        self.message_ids.iter().any(|wanted| wanted.0 == id)
    }

    /// Whether the path matches.
    pub(crate) fn wants_path(&self, path: &RelPath) -> bool {
        if self.only.as_ref().is_some_and(|only| !only.contains(path)) {
            return false;
        }
        if self.lot.as_ref().is_some_and(|lot| !lot.holds(path)) {
            return false;
        }
        fits_any(&self.paths, path)
    }

    /// Whether a file of a folder that is not a message comes with the folder.
    pub(super) fn wants_with_folder(&self, path: &RelPath) -> bool {
        let patterns = self.whole_folders.as_ref();
        patterns.is_some_and(|patterns| fits_any(patterns, path))
    }
}

/// Whether one of `patterns` matches, or there are none.
fn fits_any(patterns: &[Pattern], path: &RelPath) -> bool {
    let options = MatchOptions {
        require_literal_separator: true,
        ..MatchOptions::default()
    };
    let text = path.to_string_lossy();
    let mut patterns = patterns.iter().peekable();
    patterns.peek().is_none() || patterns.any(|pattern| pattern.matches_with(&text, options))
}

impl fmt::Display for Query {
    /// As on a command line, for messages that say what was searched.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        for address in &self.mailboxes {
            words.push(format!("--mailbox {address}"));
        }
        for id in &self.message_ids {
            words.push(format!("--message-id <{}>", id.0));
        }
        if let Some(since) = &self.since {
            words.push(format!("--since {}", since.text));
        }
        if let Some(until) = &self.until {
            words.push(format!("--until {}", until.text));
        }
        for pattern in &self.paths {
            words.push(format!("--path {pattern}"));
        }
        if words.is_empty() {
            return f.write_str("all messages");
        }
        f.write_str(&words.join(" "))
    }
}

impl MessageId {
    /// The text between the brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let id = text.trim().trim_start_matches('<').trim_end_matches('>');
        let id = without_white_space(id);
        match id.len() {
            1..=MESSAGE_ID_MAX_BYTES => Ok(Self(id)),
            _ => Err(Error::MessageId {
                text: text.to_owned(),
            }),
        }
    }
}

impl Since {
    /// Reads a date, which begins at midnight in `zone`, or an RFC 3339 time.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, Error> {
        let time = moment(text, |date| date.to_zoned_datetime(zone.clone()))?;
        Ok(Self {
            time,
            text: text.to_owned(),
        })
    }

    fn is_met(&self, mtime_ns: i64) -> bool {
        i128::from(mtime_ns) >= self.time.as_nanosecond()
    }
}

impl Until {
    /// Reads a date, of which the whole day is meant, in `zone`, or an RFC 3339 time, which is not
    /// meant itself.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, Error> {
        let day_after = |date: Date| date.tomorrow()?.to_zoned_datetime(zone.clone());
        Ok(Self {
            end: moment(text, day_after)?,
            text: text.to_owned(),
        })
    }

    fn is_met(&self, mtime_ns: i64) -> bool {
        i128::from(mtime_ns) < self.end.as_nanosecond()
    }
}

/// An RFC 3339 time, or what `of_date` makes of a date.
fn moment(
    text: &str,
    of_date: impl Fn(Date) -> Result<ZonedDateTime, jiff::Error>,
) -> Result<Timestamp, Error> {
    let time = match text.len() {
        0..=10 => text.parse().and_then(of_date).map(|time| time.timestamp()),
        _ => text.parse::<Timestamp>(),
    };
    time.map_err(|source| Error::Time {
        text: text.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_may_have_its_brackets() {
        for text in ["1@mx", "<1@mx>", " <1@mx> ", "<1@\r\n\tmx>"] {
            assert_eq!(text.parse::<MessageId>().unwrap().as_str(), "1@mx");
        }
        for text in ["", "<>", " ", &"x".repeat(999)] {
            assert!(text.parse::<MessageId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn until_means_the_whole_day_or_up_to_a_time() {
        let check = |text: &str, expected: &str| {
            let zone = TimeZone::fixed(jiff::tz::offset(9));
            let until = Until::parse(text, &zone).unwrap();
            assert_eq!(until.end.to_string(), expected, "{text}");
        };
        check("2026-11-23", "2026-11-23T15:00:00Z");
        check("2026-12-31", "2026-12-31T15:00:00Z");
        check("2026-11-23T08:00:00+09:00", "2026-11-22T23:00:00Z");
        let until = Until::parse("1970-01-01T00:00:01Z", &TimeZone::UTC).unwrap();
        assert!(until.is_met(999_999_999) && !until.is_met(1_000_000_000));
        for text in ["", "June", "2026-02-30", "9999-12-31"] {
            assert!(Until::parse(text, &TimeZone::UTC).is_err(), "{text}");
        }
    }

    #[test]
    fn since_is_a_date_or_a_time() {
        let check = |text: &str, expected: &str| {
            let zone = TimeZone::fixed(jiff::tz::offset(9));
            assert_eq!(
                Since::parse(text, &zone).unwrap().time.to_string(),
                expected,
                "{text}"
            );
        };
        check("2026-11-23", "2026-11-22T15:00:00Z");
        check("2026-11-23T08:00:00+09:00", "2026-11-22T23:00:00Z");
        check("2026-11-23T08:00:00.5Z", "2026-11-23T08:00:00.5Z");
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-23T08:00:00",
            "23.11.2026",
        ] {
            assert!(Since::parse(text, &TimeZone::UTC).is_err(), "{text}");
        }
    }

    #[test]
    fn the_second_itself_is_meant() {
        let since = Since::parse("2026-11-23T00:00:00Z", &TimeZone::UTC).unwrap();
        let at = 1_795_392_000_000_000_000;
        assert!(since.is_met(at) && since.is_met(at + 1) && !since.is_met(at - 1));
    }

    #[test]
    fn a_pattern_is_matched_against_the_whole_path() {
        let check = |pattern: &str, path: &str, expected: bool| {
            let query = Query {
                paths: vec![Pattern::new(pattern).unwrap()],
                ..Query::default()
            };
            assert_eq!(
                query.wants_file(&path.parse().unwrap(), 0),
                expected,
                "{pattern} {path}"
            );
        };
        check(
            "example.com/alice/cur/*",
            "example.com/alice/cur/1.a:2,S",
            true,
        );
        check(
            "example.com/alice/*",
            "example.com/alice/cur/1.a:2,S",
            false,
        );
        check("example.com/**", "example.com/alice/cur/1.a:2,S", true);
        check("**/.Sent/**", "example.com/alice/.Sent/cur/1.a:2,S", true);
        check(
            "*/*/.*/cur/*S*",
            "example.com/alice/.Sent/cur/1.a:2,S",
            true,
        );
        check("**/1.a*", "example.com/alice/cur/1.a:2,S", true);
        check("alice/cur/*", "example.com/alice/cur/1.a:2,S", false);
    }

    #[test]
    fn a_query_says_what_it_asks() {
        let query = Query {
            mailboxes: vec!["alice@example.com".parse().unwrap()],
            message_ids: vec!["<1@mx>".parse().unwrap()],
            since: Some(Since::parse("2026-11-23", &TimeZone::UTC).unwrap()),
            until: Some(Until::parse("2026-11-24", &TimeZone::UTC).unwrap()),
            only: None,
            paths: vec![Pattern::new("**").unwrap()],
            lot: None,
            whole_folders: None,
        };
        let expected = "--mailbox alice@example.com --message-id <1@mx> --since 2026-11-23 \
                        --until 2026-11-24 --path **";
        assert_eq!(query.to_string(), expected);
        assert_eq!(Query::default().to_string(), "all messages");
    }
}
