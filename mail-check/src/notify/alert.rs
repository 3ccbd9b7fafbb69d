//! An alert, in words that are clear at three in the morning: the worst first, what is
//! new, since when, what to do next.

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use mail_common::text::printable;

use super::decide::{Event, Kind};
use super::memory::Moment;
use crate::finding::{Finding, worst_by_target};
use crate::status::{Status, word};

/// What an alert is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) host: &'a str,
    pub(crate) now: &'a ZonedDateTime,
    /// What the run found; what is bad and no news is listed, too.
    pub(crate) findings: &'a [Finding],
    /// The worst of them.
    pub(crate) worst: Status,
    /// Something that the reader must know of this alert itself.
    pub(crate) remark: Option<&'a str>,
}

/// An alert in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// The news in words; a summary, where there is none.
pub(crate) fn write(occasion: Occasion<'_>, events: &[Event]) -> Alert {
    let mut body = head(occasion);
    if let Some(remark) = occasion.remark {
        let _ = write!(body, "\nNote: {}\n", printable(remark));
    }
    for kind in [
        Kind::Problem,
        Kind::Flapping,
        Kind::Steady,
        Kind::Recovery,
        Kind::Reminder,
        Kind::Gone,
    ] {
        section(&mut body, kind, events, occasion.now);
    }
    also_bad(&mut body, occasion.findings, events);
    Alert {
        subject: subject(occasion, events),
        body,
    }
}

/// One line on the whole run.
pub(crate) fn head(occasion: Occasion<'_>) -> String {
    let count = |status| {
        occasion
            .findings
            .iter()
            .filter(|finding| finding.status == status)
            .count()
    };
    format!(
        "{}, {}: {} checks, {} critical, {} warning, {} unknown.\n",
        printable(occasion.host),
        occasion.now.strftime("%Y-%m-%d %H:%M %:z"),
        occasion.findings.len(),
        count(Status::Critical),
        count(Status::Warning),
        count(Status::Unknown)
    )
}

fn subject(occasion: Occasion<'_>, events: &[Event]) -> String {
    let host = printable(occasion.host);
    let Some(first) = events.first() else {
        return format!(
            "[{}] {host}: {} checks",
            word(occasion.worst),
            occasion.findings.len()
        );
    };
    let what = match first.kind {
        Kind::Problem => "",
        Kind::Flapping => " keeps changing",
        Kind::Steady => " is steady again",
        Kind::Recovery => " has recovered",
        Kind::Reminder => " still",
        Kind::Gone => " is no longer checked",
    };
    let others = match events.len() {
        1 => String::new(),
        several => format!(", and {} more", several - 1),
    };
    let (name, target) = (printable(&first.key.name), printable(&first.key.target));
    format!(
        "[{}] {host}: {name} {target}{what}{others}",
        word(first.status)
    )
}

fn section(body: &mut String, kind: Kind, events: &[Event], now: &ZonedDateTime) {
    let mut events = events.iter().filter(|event| event.kind == kind).peekable();
    if events.peek().is_none() {
        return;
    }
    let title = match kind {
        Kind::Problem => "NEW",
        Kind::Flapping => "KEEPS CHANGING (the next message comes when it is steady)",
        Kind::Steady => "STEADY AGAIN",
        Kind::Recovery => "RECOVERED",
        Kind::Reminder => "STILL BAD",
        Kind::Gone => "NO LONGER CHECKED",
    };
    let _ = write!(body, "\n{title}\n");
    for event in events {
        let (name, target) = (printable(&event.key.name), printable(&event.key.target));
        let since = moment(event.since, now);
        let _ = writeln!(
            body,
            "  {:8}  {name} {target}, since {since}{}",
            word(event.status),
            before(event)
        );
        let _ = writeln!(body, "            {}", printable(&event.message));
    }
}

fn before(event: &Event) -> String {
    if event.was == event.status {
        String::new()
    } else {
        format!(" (was {})", word(event.was))
    }
}

/// What is bad and no news: who reads this alert alone must not take it for the whole.
fn also_bad(body: &mut String, findings: &[Finding], events: &[Event]) {
    let is_news = |finding: &Finding| {
        events
            .iter()
            .any(|e| e.key.name == finding.name && e.key.target == finding.target)
    };
    let mut bad: Vec<&Finding> = worst_by_target(findings);
    bad.retain(|finding| finding.status != Status::Ok && !is_news(finding));
    bad.sort_by_key(|finding| std::cmp::Reverse(finding.status));
    if !bad.is_empty() {
        body.push_str("\nALSO BAD\n");
    }
    for finding in bad {
        let (name, target) = (printable(&finding.name), printable(&finding.target));
        let _ = writeln!(body, "  {:8}  {name} {target}", word(finding.status));
        let _ = writeln!(body, "            {}", printable(&finding.message));
    }
}

/// The time of day where it was today, else with its date.
fn moment(moment: Moment, now: &ZonedDateTime) -> String {
    let zone: TimeZone = now.time_zone().clone();
    let Ok(then) = Timestamp::from_second(moment) else {
        return "an unknown time".to_owned();
    };
    let then = then.to_zoned_datetime(zone);
    let format = if then.date() == now.date() {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    then.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::memory::Key;

    fn event(kind: Kind, was: Status, status: Status, name: &str) -> Event {
        let key = Key {
            name: name.to_owned(),
            target: "tcp://127.0.0.1:993".to_owned(),
        };
        let message = format!("{name} refused the connection; see docker compose ps dovecot");
        Event {
            key,
            kind,
            was,
            status,
            since: 1_795_576_500,
            message,
        }
    }

    #[test]
    fn the_worst_is_first_and_what_is_known_is_not_left_out() {
        let now: ZonedDateTime = "2026-11-25T03:20:00+00:00[UTC]".parse().unwrap();
        let findings = [
            Finding::critical("imaps", "tcp://127.0.0.1:993", "refused"),
            Finding::warning("disk", "/mnt\n/backup", "91 % used; delete something"),
            Finding::ok("cpu", "processors", "fine"),
        ];
        let occasion = Occasion {
            host: "mx.example.com",
            now: &now,
            findings: &findings,
            worst: Status::Critical,
            remark: None,
        };
        let events = [
            event(Kind::Problem, Status::Ok, Status::Critical, "imaps"),
            event(Kind::Recovery, Status::Critical, Status::Ok, "smtp"),
        ];
        let alert = write(occasion, &events);
        assert_eq!(
            alert.subject,
            "[CRITICAL] mx.example.com: imaps tcp://127.0.0.1:993, and 1 more"
        );
        let expected = "\
mx.example.com, 2026-11-25 03:20 +00:00: 3 checks, 1 critical, 1 warning, 0 unknown.

NEW
  CRITICAL  imaps tcp://127.0.0.1:993, since 03:15 (was OK)
            imaps refused the connection; see docker compose ps dovecot

RECOVERED
  OK        smtp tcp://127.0.0.1:993, since 03:15 (was CRITICAL)
            smtp refused the connection; see docker compose ps dovecot

ALSO BAD
  WARNING   disk /mnt\\n/backup
            91 % used; delete something
";
        assert_eq!(alert.body, expected);
        let quiet = Occasion {
            worst: Status::Ok,
            findings: &[],
            remark: Some("sent again"),
            ..occasion
        };
        let alert = write(quiet, &[]);
        assert_eq!(alert.subject, "[OK] mx.example.com: 0 checks");
        assert!(
            alert.body.ends_with("\nNote: sent again\n"),
            "{}",
            alert.body
        );
    }
}
