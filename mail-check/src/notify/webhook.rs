//! Alerts by HTTP, in the words of who receives them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_common::record::Check;
use mail_common::text::inert_json;
use serde_json::json;

use super::alert::{Alert, Occasion};
use super::decide::{Event, Kind};
use super::http::Post;
use super::settings::Template;
use crate::finding::Finding;
use crate::status::Status;

/// The most that a receiver takes of a text.
#[derive(Clone, Copy)]
enum Limit {
    Bytes(usize),
    Characters(usize),
}

/// <https://discord.com/developers/docs/resources/webhook>
const DISCORD: Limit = Limit::Characters(2000);
/// Slack cuts at 40,000 characters; nobody reads that many. Escaping makes up to five of one.
const SLACK: Limit = Limit::Characters(3500);
/// <https://docs.ntfy.sh/publish/#limitations>: a longer message becomes an attachment, which a
/// server may refuse.
const NTFY: Limit = Limit::Bytes(4096);
/// What healthchecks.io keeps of a ping; others keep more.
const PING: Limit = Limit::Bytes(10_000);

/// What stands where a text was cut.
const CUT: &str = "\n[... the rest is too long for this channel]";

/// The request that tells `events`.
pub(crate) fn post(
    template: Template,
    occasion: Occasion<'_>,
    alert: &Alert,
    events: &[Event],
) -> Post {
    let text = |limit| shortened(&format!("{}\n\n{}", alert.subject, alert.body), limit);
    match template {
        Template::Json => in_json(&records(occasion, alert, events)),
        Template::Slack => {
            let text = slack_escaped(&text(SLACK));
            in_json(&json!({ "text": text }))
        }
        // Nobody is called by a name that happens to be in a message.
        Template::Discord => {
            let text = text(DISCORD);
            in_json(&json!({ "content": text, "allowed_mentions": { "parse": [] } }))
        }
        Template::Ntfy => ntfy(alert, events),
    }
}

fn in_json(value: &serde_json::Value) -> Post {
    Post {
        content_type: "application/json",
        headers: Vec::new(),
        body: inert_json(&value.to_string()).into_owned(),
    }
}

/// The checks as the records have them, and beside each what is new of it.
fn records(occasion: Occasion<'_>, alert: &Alert, events: &[Event]) -> serde_json::Value {
    let events: Vec<_> = events
        .iter()
        .map(|event| event_record(occasion, event))
        .collect();
    json!({
        "host": occasion.host,
        "time": occasion.now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        "status": occasion.worst,
        "subject": alert.subject,
        "events": events,
    })
}

fn event_record(occasion: Occasion<'_>, event: &Event) -> serde_json::Value {
    let is_it =
        |finding: &&Finding| finding.name == event.key.name && finding.target == event.key.target;
    let found = occasion.findings.iter().find(is_it).cloned();
    let known = || {
        Finding::new(
            event.status,
            &event.key.name,
            &event.key.target,
            &event.message,
        )
    };
    let mut check = Check::from(&found.unwrap_or_else(known));
    check.status = event.status;
    let since = jiff::Timestamp::from_second(event.since)
        .map(|since| since.to_string())
        .unwrap_or_default();
    json!({ "event": kind_word(event.kind), "was": event.was, "since": since, "check": check })
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Problem => "problem",
        Kind::Flapping => "flapping",
        Kind::Steady => "steady",
        Kind::Recovery => "recovery",
        Kind::Reminder => "reminder",
        Kind::Gone => "gone",
    }
}

/// <https://docs.ntfy.sh/publish/>: the text is the body, the rest is in headers.
fn ntfy(alert: &Alert, events: &[Event]) -> Post {
    let worst = events.first().map_or(Status::Ok, |event| event.status);
    let (priority, tag) = match worst {
        Status::Critical => ("5", "rotating_light"),
        Status::Warning => ("4", "warning"),
        Status::Unknown => ("4", "question"),
        Status::Ok => ("3", "white_check_mark"),
    };
    let headers = vec![
        ("Title", in_header(&alert.subject)),
        ("Priority", priority.to_owned()),
        ("Tags", tag.to_owned()),
    ];
    Post {
        content_type: "text/plain; charset=utf-8",
        headers,
        body: shortened(&alert.body, NTFY),
    }
}

/// As it is where it is ASCII, else as an encoded word (RFC 2047), which ntfy reads.
fn in_header(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        text.to_owned()
    } else {
        format!("=?UTF-8?B?{}?=", STANDARD.encode(text))
    }
}

/// <https://api.slack.com/reference/surfaces/formatting#escaping>
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// What fits of `text`, cut between characters.
fn shortened(text: &str, limit: Limit) -> String {
    let (fits, room) = match limit {
        Limit::Bytes(bytes) => (text.len() <= bytes, bytes - CUT.len()),
        Limit::Characters(most) => {
            let end = text.char_indices().nth(most - CUT.chars().count());
            let fits = text.chars().nth(most).is_none();
            (fits, end.map_or(text.len(), |(at, _)| at))
        }
    };
    if fits {
        text.to_owned()
    } else {
        let boundary = (0..=room).rev().find(|at| text.is_char_boundary(*at));
        format!("{}{CUT}", &text[..boundary.unwrap_or(0)])
    }
}

/// What a dead-man switch keeps of a run.
pub(crate) fn summary(occasion: Occasion<'_>) -> Post {
    let mut body = super::alert::head(occasion);
    for finding in occasion
        .findings
        .iter()
        .filter(|finding| finding.status != Status::Ok)
    {
        body.push_str(&format!(
            "{} {} {}: {}\n",
            occasion.language.status(finding.status),
            finding.name,
            finding.target,
            finding.message
        ));
    }
    Post {
        content_type: "text/plain; charset=utf-8",
        headers: Vec::new(),
        body: shortened(&body, PING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;
    use crate::notify::memory::Key;

    fn check(template: Template, expected: &str) {
        let now: jiff::ZonedDateTime = "2026-11-25T03:20:00+00:00[UTC]".parse().unwrap();
        let findings =
            [Finding::critical("log", "a<b>&@everyone", "too large").measured(3.5, "bytes")];
        let occasion = Occasion {
            host: "mx",
            now: &now,
            language: Language::English,
            findings: &findings,
            worst: Status::Critical,
            remark: None,
        };
        let event = Event {
            key: Key {
                name: "log".to_owned(),
                target: "a<b>&@everyone".to_owned(),
            },
            kind: Kind::Problem,
            was: Status::Ok,
            status: Status::Critical,
            since: 1_795_576_500,
            message: "too large".to_owned(),
        };
        let alert = Alert {
            subject: "[CRITICAL] mx: ログ".to_owned(),
            body: "b <c>".to_owned(),
        };
        let post = post(template, occasion, &alert, &[event]);
        let shown = format!("{:?} {}", post.headers, post.body);
        assert!(shown.contains(expected), "{shown}");
    }

    #[test]
    fn each_receiver_has_its_own_words() {
        check(
            Template::Json,
            r#""check":{"message":"too large","name":"log","status":"critical","target":"a<b>&@everyone","unit":"bytes","value":3.5}"#,
        );
        check(
            Template::Json,
            r#""event":"problem","since":"2026-11-25T03:15:00Z","was":"ok""#,
        );
        check(Template::Slack, r#"[CRITICAL] mx: ログ\n\nb &lt;c&gt;"#);
        check(Template::Discord, r#""allowed_mentions":{"parse":[]}"#);
        check(
            Template::Ntfy,
            r#"[("Title", "=?UTF-8?B?W0NSSVRJQ0FMXSBteDog44Ot44Kw?="), ("Priority", "5"), ("Tags", "rotating_light")] b <c>"#,
        );
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_within_the_limit() {
        let text = "日本語".repeat(2000);
        for limit in [
            Limit::Bytes(4096),
            Limit::Bytes(4095),
            Limit::Characters(2000),
        ] {
            let cut = shortened(&text, limit);
            assert!(cut.starts_with("日本") && cut.ends_with(CUT));
            match limit {
                Limit::Bytes(most) => assert!((most - 2..=most).contains(&cut.len())),
                Limit::Characters(most) => assert_eq!(cut.chars().count(), most),
            }
        }
        for whole in [&text[..4095], &text[..2000 * 3]] {
            assert_eq!(shortened(whole, Limit::Characters(2000)), whole);
        }
        assert_eq!(shortened(&text[..4095], Limit::Bytes(4095)), text[..4095]);
    }
}
