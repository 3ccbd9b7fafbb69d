//! The tools' own logs: `[time] [LEVEL] [COMPONENT] message` of the scripts, `mail-backup: error:
//! ...` of these tools.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::super::tally::Topic;
use super::event::{Event, after, reason};

/// Only lines with one of these can tell an error of a tool.
pub(super) static INTERESTING: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"\[ERROR\]|\[FATAL\]|\[CRITICAL\]|error: ";
    Regex::new(words).expect("the tests compile it")
});

/// A line of a script, of a tool, or a record.
pub(super) static KNOWN: LazyLock<Regex> = LazyLock::new(|| {
    let known = r#"(?m)^\[[^\]]+\] \[[A-Z]+\] |\bmail-[a-z0-9]+(?:\[\d+\])?: |^\{"type":"[a-z_]+","data":|^error: "#;
    Regex::new(known).expect("the tests compile it")
});

pub(super) fn events(line: &[u8]) -> Vec<Event<'_>> {
    let levels: [&[u8]; 3] = [b"] [ERROR] ", b"] [FATAL] ", b"] [CRITICAL] "];
    let by_script = line
        .starts_with(b"[")
        .then(|| levels.iter().find_map(|level| after(line, level)))
        .flatten();
    let text = match by_script {
        Some(at) => &line[at..],
        None if is_said_by_a_tool(line) => line,
        None => return Vec::new(),
    };
    vec![Event {
        topic: Topic::Tools,
        times: 1,
        reason: reason(text),
    }]
}

/// `error: ` at the beginning, or after the name of a tool, which may follow the time and the host
/// of a syslog.
fn is_said_by_a_tool(line: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(line, b"error: ") else {
        return false;
    };
    let head = line[..at].trim_ascii_end();
    let word = head.rsplit(u8::is_ascii_whitespace).next().unwrap_or(head);
    head.is_empty() || (word.starts_with(b"mail-") && word.ends_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_scripts_and_tools_are_found() {
        let check = |line: &str, expected: Option<&str>| {
            let events = events(line.as_bytes());
            assert_eq!(
                events.first().map(|event| &*event.reason),
                expected,
                "{line}"
            );
        };
        check(
            "[2026-11-25 03:00:09] [ERROR] [MYSQL] dump failed",
            Some("[MYSQL] dump failed"),
        );
        check("[2026-11-25 03:00:09] [INFO] [MYSQL] no [ERROR] seen", None);
        check(
            "mail-backup: error: dump x: gone",
            Some("mail-backup: error: dump x: gone"),
        );
        check(
            "Nov 25 03:00:01 mx mail-s3sync[7]: error: x",
            Some("Nov 25 03:00:01 mx mail-s3sync[7]: error: x"),
        );
        check("mail-backup: warning: last error: x", None);
        check("error: plain", Some("error: plain"));
    }
}
