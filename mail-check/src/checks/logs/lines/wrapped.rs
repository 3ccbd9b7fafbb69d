//! Lines of programs that stand in lines of JSON: of Docker's `json-file`, of `journalctl -o json`,
//! of what ships logs; and the events that Dovecot exports.

use std::borrow::Cow;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value;

use super::super::settings::Kind;
use super::super::tally::has_time;

/// Where shippers and the journal keep the parts of a line.
const MESSAGES: [&str; 3] = ["MESSAGE", "message", "msg"];
const PROGRAMS: [&str; 6] = [
    "SYSLOG_IDENTIFIER",
    "ident",
    "programname",
    "program",
    "appname",
    "app-name",
];
const PIDS: [&str; 4] = ["SYSLOG_PID", "_PID", "pid", "procid"];
const TIMES: [&str; 3] = ["timestamp", "@timestamp", "time"];

/// The block with what lines of JSON hold in their place.
pub(super) fn unwrapped(block: &[u8], kind: Kind) -> Cow<'_, [u8]> {
    if !block.starts_with(b"{") && memchr::memmem::find(block, b"\n{").is_none() {
        return Cow::Borrowed(block);
    }
    let mut text = Vec::with_capacity(block.len());
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        match held(line, kind) {
            Some(held) => {
                text.extend_from_slice(held.trim_end().as_bytes());
                text.push(b'\n');
            }
            None => text.extend_from_slice(line),
        }
    }
    Cow::Owned(text)
}

/// What the line holds; `None` where it stands for itself, as a request in JSON does.
fn held(line: &[u8], kind: Kind) -> Option<String> {
    let is_mail = matches!(kind, Kind::Postfix | Kind::Dovecot);
    let may_hold = |name: &[u8]| memchr::memmem::find(line, name).is_some();
    if !line.starts_with(b"{") || !(is_mail || may_hold(b"\"MESSAGE\"") || may_hold(b"\"stream\""))
    {
        return None;
    }
    let entry: Value = serde_json::from_slice(line).ok()?;
    if let (Some(log), Some(_)) = (entry["log"].as_str(), entry["stream"].as_str()) {
        return Some(of_docker(log, &entry, is_mail));
    }
    if is_mail && let (Some(event), Value::Object(_)) = (entry["event"].as_str(), &entry["fields"])
    {
        return Some(of_event(event, &entry));
    }
    let message = MESSAGES.iter().find_map(|name| text(&entry[*name]))?;
    if !is_mail && entry["MESSAGE"].is_null() {
        return None;
    }
    Some(of_syslog(&message, &entry, kind))
}

/// Docker's time is that of a line that has none.
fn of_docker(log: &str, entry: &Value, is_mail: bool) -> String {
    match entry["time"].as_str() {
        Some(time) if is_mail && !has_time(log.as_bytes()) => format!("{time} {log}"),
        _ => log.to_owned(),
    }
}

/// As syslog writes it; a web server and an application have formats of their own.
fn of_syslog(message: &str, entry: &Value, kind: Kind) -> String {
    if matches!(kind, Kind::Nginx | Kind::InboundApi | Kind::Tools) {
        return message.to_owned();
    }
    let part = |names: &[&str]| names.iter().find_map(|name| text(&entry[*name]));
    let mut line = time_of(entry).unwrap_or_default();
    let program = part(&PROGRAMS).or_else(|| part(&["tag", "syslogtag"]));
    if let Some(program) = program {
        let program = program.trim_end_matches(':');
        let _ = write!(line, " host {program}");
        if let Some(pid) = part(&PIDS).filter(|_| !program.ends_with(']')) {
            let _ = write!(line, "[{pid}]");
        }
        line.push(':');
    }
    let _ = write!(line, " {}", message.replace('\n', " "));
    line.trim_start().to_owned()
}

/// The journal has microseconds since 1970.
fn time_of(entry: &Value) -> Option<String> {
    let micros = text(&entry["__REALTIME_TIMESTAMP"]).and_then(|micros| micros.parse().ok());
    let of_journal = micros.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    let named = || TIMES.iter().find_map(|name| text(&entry[*name]));
    of_journal.map(|time| time.to_string()).or_else(named)
}

/// An event of Dovecot: whether it has failed, in a line that the table has rows for.
/// <https://doc.dovecot.org/2.4.2/core/config/events/export.html>
fn of_event(event: &str, entry: &Value) -> String {
    let field = |name: &str| text(&entry["fields"][name]);
    let error = field("error").or_else(|| {
        let is_login = event == "auth_request_finished";
        let failed = is_login && field("success").as_deref() != Some("yes");
        failed.then(|| "refused".to_owned())
    });
    let time = text(&entry["end_time"]).or_else(|| text(&entry["start_time"]));
    let mut line = format!("{} dovecot: event {event}:", time.unwrap_or_default());
    if let Some(error) = error {
        let _ = write!(line, " error={}", error.replace('\n', " "));
    }
    if let Some(address) = field("remote_ip") {
        let _ = write!(line, " rip={address}");
    }
    line
}

/// A text, a number, or the bytes that the journal writes for what is not UTF-8.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(bytes) => {
            let bytes: Option<Vec<u8>> = bytes
                .iter()
                .map(|byte| u8::try_from(byte.as_u64()?).ok())
                .collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, line: &str, expected: &str) {
        let found = unwrapped(line.as_bytes(), kind);
        assert_eq!(String::from_utf8_lossy(&found), expected, "{line}");
    }

    #[test]
    fn lines_in_json_are_taken_out_and_requests_stay() {
        let docker = r#"{"log":"imap-login: Info: x \"y\"\n","stream":"stdout","time":"2026-11-25T08:19:28.5Z"}"#;
        let taken_out = "2026-11-25T08:19:28.5Z imap-login: Info: x \"y\"\n";
        check(Kind::Dovecot, docker, taken_out);
        let timed = r#"{"log":"Nov 25 08:19:28 mail postfix/smtpd[7]: x\n","stream":"stdout","time":"2026-11-25T08:19:28.5Z"}"#;
        check(
            Kind::Postfix,
            timed,
            "Nov 25 08:19:28 mail postfix/smtpd[7]: x\n",
        );
        let request = r#"192.0.2.9 - - [25/Nov/2026:08:00:00 +0000] "GET /x HTTP/1.1" 404 1"#;
        let wrapped = serde_json::json!({"log": request, "stream": "stdout", "time": "t"});
        check(Kind::Nginx, &wrapped.to_string(), &format!("{request}\n"));
        let own = r#"{"status":404,"request":"GET / HTTP/1.1","message":"x"}"#;
        check(Kind::Nginx, own, own);
        check(
            Kind::InboundApi,
            r#"{"level":50,"msg":"x"}"#,
            r#"{"level":50,"msg":"x"}"#,
        );
        check(Kind::Postfix, "{not json}\nx\n", "{not json}\nx\n");
    }

    #[test]
    fn the_journal_and_shippers_are_read() {
        let journal = r#"{"__REALTIME_TIMESTAMP":"1795594768000000","SYSLOG_IDENTIFIER":"postfix/smtp","_PID":"7","MESSAGE":"4BC: x"}"#;
        let line = "2026-11-25T08:19:28Z host postfix/smtp[7]: 4BC: x\n";
        check(Kind::Postfix, journal, line);
        let bytes = r#"{"__REALTIME_TIMESTAMP":"1795594768000000","SYSLOG_IDENTIFIER":"dovecot","MESSAGE":[97,255]}"#;
        check(
            Kind::Dovecot,
            bytes,
            "2026-11-25T08:19:28Z host dovecot: a\u{fffd}\n",
        );
        let shipped = r#"{"@timestamp":"2026-11-25T08:19:28Z","syslogtag":"postfix/smtp[7]:","message":"4BC: x"}"#;
        check(Kind::Postfix, shipped, line);
        check(Kind::Nginx, r#"{"MESSAGE":"GET"}"#, "GET\n");
    }

    #[test]
    fn events_of_dovecot_say_whether_they_failed() {
        let event = |name: &str, fields: &str| {
            format!(
                r#"{{"event":"{name}","end_time":"2026-11-25T08:19:28Z","categories":["x"],"fields":{{{fields}}}}}"#
            )
        };
        let check = |name: &str, fields: &str, expected: &str| {
            let expected = format!("2026-11-25T08:19:28Z dovecot: event {name}:{expected}\n");
            check(Kind::Dovecot, &event(name, fields), &expected);
        };
        let login = "auth_request_finished";
        check(
            login,
            r#""user":"ann","remote_ip":"192.0.2.7","success":"yes""#,
            " rip=192.0.2.7",
        );
        check(
            login,
            r#""user":"ann","remote_ip":"192.0.2.7""#,
            " error=refused rip=192.0.2.7",
        );
        check(
            "mail_delivery_finished",
            r#""error":"Quota exceeded""#,
            " error=Quota exceeded",
        );
        check("mail_delivery_finished", r#""message_id":"x""#, "");
    }
}
