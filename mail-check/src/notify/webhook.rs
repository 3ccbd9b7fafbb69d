//! Alerts by HTTP, in the words of who receives them.

use mail_common::record::Check;
use serde_json::json;

use super::alert::{Alert, Occasion};
use super::decide::{Event, Kind};
use super::http::Post;
use super::settings::Template;
use crate::finding::Finding;
use crate::status::{Status, word};

/// Discord refuses more than 2000 characters; Slack and ntfy cut.
const DISCORD_CHARACTERS: usize = 1900;
const OTHERS_CHARACTERS: usize = 3500;

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
            let text = slack_escaped(&text(OTHERS_CHARACTERS));
            in_json(&json!({ "text": text }))
        }
        // Nobody is called by a name that happens to be in a message.
        Template::Discord => {
            let text = text(DISCORD_CHARACTERS);
            in_json(&json!({ "content": text, "allowed_mentions": { "parse": [] } }))
        }
        Template::Ntfy => ntfy(alert, events),
    }
}

fn in_json(value: &serde_json::Value) -> Post {
    Post {
        content_type: "application/json",
        headers: Vec::new(),
        body: value.to_string(),
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
    let ascii = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    let title: String = alert.subject.chars().map(ascii).collect();
    let headers = vec![
        ("Title", title),
        ("Priority", priority.to_owned()),
        ("Tags", tag.to_owned()),
    ];
    Post {
        content_type: "text/plain; charset=utf-8",
        headers,
        body: shortened(&alert.body, OTHERS_CHARACTERS),
    }
}

/// <https://api.slack.com/reference/surfaces/formatting#escaping>
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!(
            "{}\n[... the rest is too long for this channel]",
            &text[..end]
        ),
        None => text.to_owned(),
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
            word(finding.status),
            finding.name,
            finding.target,
            finding.message
        ));
    }
    Post {
        content_type: "text/plain; charset=utf-8",
        headers: Vec::new(),
        body: shortened(&body, 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::memory::Key;

    fn check(template: Template, expected: &str) {
        let now: jiff::ZonedDateTime = "2026-11-25T03:20:00+00:00[UTC]".parse().unwrap();
        let findings =
            [Finding::critical("log", "a<b>&@everyone", "too large").measured(3.5, "bytes")];
        let occasion = Occasion {
            host: "mx",
            now: &now,
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
            r#"[("Title", "[CRITICAL] mx: ??"), ("Priority", "5"), ("Tags", "rotating_light")] b <c>"#,
        );
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(shortened("日本語", 3), "日本語");
        assert!(shortened("日本語", 2).starts_with("日本\n[..."));
    }
}
