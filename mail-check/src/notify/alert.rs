//! An alert, in words that are clear at three in the morning: the worst first, what is
//! new, since when, what to do next.

use std::fmt::Write;

use jiff::ZonedDateTime;
use mail_common::text::printable;

use super::decide::{Event, Kind};
use crate::finding::{Finding, worst_by_target};
use crate::language::{Language, fill};
use crate::status::Status;

/// What an alert is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) host: &'a str,
    pub(crate) now: &'a ZonedDateTime,
    /// That of who reads it.
    pub(crate) language: Language,
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
        let remark = fill(occasion.language.words().remark, &[&printable(remark)]);
        let _ = write!(body, "\n{remark}\n");
    }
    for kind in [
        Kind::Problem,
        Kind::Flapping,
        Kind::Steady,
        Kind::Recovery,
        Kind::Reminder,
        Kind::Gone,
    ] {
        section(&mut body, kind, events, occasion);
    }
    also_bad(&mut body, occasion, events);
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
    let language = occasion.language;
    let line = fill(
        language.words().found,
        &[
            &printable(occasion.host),
            &occasion.now.strftime("%Y-%m-%d %H:%M %:z"),
            &language.checks(occasion.findings.len()),
            &count(Status::Critical),
            &count(Status::Warning),
            &count(Status::Unknown),
        ],
    );
    line + "\n"
}

fn subject(occasion: Occasion<'_>, events: &[Event]) -> String {
    let (language, host) = (occasion.language, printable(occasion.host));
    let words = language.words();
    let summary = |status, what: &str| {
        let status = language.status(status);
        fill(words.summary, &[&status, &host, &what])
    };
    let Some(first) = events.first() else {
        return summary(occasion.worst, &language.checks(occasion.findings.len()));
    };
    let what = match first.kind {
        Kind::Problem => "",
        Kind::Flapping => words.flapping,
        Kind::Steady => words.steady,
        Kind::Recovery => words.recovered,
        Kind::Reminder => words.reminded,
        Kind::Gone => words.gone_from_checks,
    };
    let others = match events.len() {
        1 => String::new(),
        several => fill(words.and_more, &[&(several - 1)]),
    };
    let (name, target) = (printable(&first.key.name), printable(&first.key.target));
    summary(first.status, &format!("{name} {target}{what}{others}"))
}

fn section(body: &mut String, kind: Kind, events: &[Event], occasion: Occasion<'_>) {
    let mut events = events.iter().filter(|event| event.kind == kind).peekable();
    if events.peek().is_none() {
        return;
    }
    let language = occasion.language;
    let words = language.words();
    let title = match kind {
        Kind::Problem => words.title_problem,
        Kind::Flapping => words.title_flapping,
        Kind::Steady => words.title_steady,
        Kind::Recovery => words.title_recovered,
        Kind::Reminder => words.title_reminded,
        Kind::Gone => words.title_gone,
    };
    let _ = write!(body, "\n{title}\n");
    for event in events {
        let (name, target) = (printable(&event.key.name), printable(&event.key.target));
        let since = language.since(event.since, occasion.now);
        let text = if event.was == event.status {
            words.since
        } else {
            words.since_was
        };
        let what = format!("{name} {target}");
        let what = fill(text, &[&what, &since, &language.status(event.was)]);
        item(body, language, event.status, &what, &event.message);
    }
}

/// A line of a section and, below it, its message.
fn item(body: &mut String, language: Language, status: Status, what: &str, message: &str) {
    let status = language.status_column(status);
    let _ = writeln!(body, "  {status}  {what}");
    let _ = writeln!(body, "{}{}", language.indent(), printable(message));
}

/// What is bad and no news: who reads this alert alone must not take it for the whole.
fn also_bad(body: &mut String, occasion: Occasion<'_>, events: &[Event]) {
    let is_news = |finding: &Finding| {
        events
            .iter()
            .any(|e| e.key.name == finding.name && e.key.target == finding.target)
    };
    let mut bad: Vec<&Finding> = worst_by_target(occasion.findings);
    bad.retain(|finding| finding.status != Status::Ok && !is_news(finding));
    bad.sort_by_key(|finding| std::cmp::Reverse(finding.status));
    if !bad.is_empty() {
        let _ = write!(body, "\n{}\n", occasion.language.words().title_also_bad);
    }
    for finding in bad {
        let (name, target) = (printable(&finding.name), printable(&finding.target));
        let what = format!("{name} {target}");
        let (status, message) = (finding.status, &finding.message);
        item(body, occasion.language, status, &what, message);
    }
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
            language: Language::English,
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
        let japanese = Occasion {
            language: Language::Japanese,
            remark: None,
            ..occasion
        };
        let alert = write(japanese, &events);
        assert_eq!(
            alert.subject,
            "[危険] mx.example.com: imaps tcp://127.0.0.1:993、ほか 1 件"
        );
        let expected = "\
mx.example.com 2026-11-25 03:20 +00:00: チェック 3 件(危険 1、警告 1、不明 0)

新しい異常
  危険  imaps tcp://127.0.0.1:993(03:15 から。それまでは正常)
        imaps refused the connection; see docker compose ps dovecot

回復
  正常  smtp tcp://127.0.0.1:993(03:15 から。それまでは危険)
        smtp refused the connection; see docker compose ps dovecot

そのほかの異常
  警告  disk /mnt\\n/backup
        91 % used; delete something
";
        assert_eq!(alert.body, expected);
    }
}
