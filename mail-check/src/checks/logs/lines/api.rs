//! Errors that an application writes itself: Python's logging and uvicorn, pino and winston of
//! Node.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::tally::Topic;
use super::event::{Event, reason};

/// A word or a field that says how bad it is.
static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"\b(?:DEBUG|INFO|NOTICE|WARN|WARNING|(ERROR|CRITICAL|FATAL))\b";
    let fields = r#""level(?:name)?"\s*:\s*(?:"(?:(?i:debug|info|warn|warning)|((?i:error|critical|fatal)))"|[1-4]0\b|(50|60)\b)"#;
    let traceback = r"(^Traceback \(most recent call last\):)";
    let alternatives = format!("{words}|{fields}|{traceback}");
    Regex::new(&alternatives).expect("the tests compile it")
});

/// What a line of an application is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Error(Event<'a>),
    /// A line with a milder level.
    Other,
}

/// `None` for a line without a level.
pub(super) fn read(line: &[u8]) -> Option<Said<'_>> {
    let found = LEVEL.captures(line)?;
    if found.iter().skip(1).all(|group| group.is_none()) {
        return Some(Said::Other);
    }
    Some(Said::Error(Event {
        topic: Topic::ApiErrors,
        times: 1,
        // The time before the level would make each reason another.
        reason: reason(&line[found.get(0).map_or(0, |level| level.start())..]),
    }))
}

/// A traceback follows the line of the error that it belongs to.
pub(super) fn is_traceback(line: &[u8]) -> bool {
    line.starts_with(b"Traceback (most recent call last):")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_other_lines_in_every_format() {
        let check = |line: &str, expected: Option<Option<&str>>| {
            let said = read(line.as_bytes());
            let found = said.as_ref().map(|said| match said {
                Said::Error(event) => Some(&*event.reason),
                Said::Other => None,
            });
            assert_eq!(found, expected, "{line}");
        };
        check(
            "2026-11-28 08:00:00,123 ERROR api.lmtp: refused",
            Some(Some("ERROR api.lmtp: refused")),
        );
        check(
            "ERROR:    Exception in ASGI application",
            Some(Some("ERROR:    Exception in ASGI application")),
        );
        check(
            "CRITICAL:root:no database",
            Some(Some("CRITICAL:root:no database")),
        );
        check(
            r#"{"level":50,"msg":"refused"}"#,
            Some(Some(r#""level":50,"msg":"refused"}"#)),
        );
        check(
            r#"{"level": "error","msg":"x"}"#,
            Some(Some(r#""level": "error","msg":"x"}"#)),
        );
        check(
            "Traceback (most recent call last):",
            Some(Some("Traceback (most recent call last):")),
        );
        check("INFO:     Application startup complete.", Some(None));
        check(r#"{"level":30,"msg":"ready"}"#, Some(None));
        check("2026-11-28 08:00:00 INFO api: no errors", Some(None));
        check("smtplib.SMTPServerDisconnected: closed", None);
    }
}
