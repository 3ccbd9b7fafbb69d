//! Postfix: its effective settings, and what waits in its queue; asked here, or in its container.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::answer::most_of;
use crate::command;
use crate::context::Context;
use crate::docker::{DockerError, Project};
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;
use crate::status::Status;

/// `[services.postfix]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    container: Option<String>,
    config_dir: Option<PathBuf>,
    myhostname: Option<String>,
    mydomain: Option<String>,
    relayhost: Option<String>,
    queue: Ceiling,
    oldest: Ceiling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            container: None,
            config_dir: None,
            myhostname: None,
            mydomain: None,
            relayhost: None,
            queue: Ceiling::new(100.0, 1000.0),
            oldest: Ceiling::new(3600.0, 86_400.0),
        }
    }
}

/// A Postfix that can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Postfix {
    settings: Settings,
    project: Project,
}

/// One line of `postqueue -j`.
#[derive(Debug, Deserialize)]
struct Message {
    queue_id: String,
    arrival_time: i64,
    recipients: Vec<Recipient>,
}

#[derive(Debug, Deserialize)]
struct Recipient {
    address: String,
    delay_reason: Option<String>,
}

pub(super) fn probes(postfix: Postfix, context: &Arc<Context>) -> Vec<Probe> {
    let (within, now_second) = (context.timeout, context.now.timestamp().as_second());
    let same = postfix.clone();
    vec![
        Probe::new("postfix-config", "postfix", within, move || {
            check_settings(&same, most_of(within))
        }),
        Probe::new("queue", "postfix", within, move || {
            check_queue(&postfix, most_of(within), now_second)
        }),
    ]
}

impl Postfix {
    /// `None` where neither a container nor a directory is named.
    pub(crate) fn new(settings: &Settings, project: &Project) -> Option<Self> {
        let is_named = settings.container.is_some() || settings.config_dir.is_some();
        is_named.then(|| Self {
            settings: settings.clone(),
            project: project.clone(),
        })
    }

    /// Why mail for `address` waits, by what `reply`, the server's answer to a submission, calls
    /// it; `None` where the queue cannot be read or does not hold it.
    pub(crate) fn why_waiting(
        &self,
        address: &str,
        reply: &str,
        within: Duration,
    ) -> Option<String> {
        let messages = self.queue(most_of(within)).ok()?;
        let message = messages
            .iter()
            .find(|message| message.is_of(address, reply))?;
        Some(format!(
            "it waits in the queue as {}: {}",
            message.queue_id,
            reason(message)
        ))
    }

    fn queue(&self, within: Duration) -> Result<Vec<Message>, String> {
        parse_queue(&self.output("postqueue", &["-j"], within)?)
    }

    /// What a program of Postfix prints.
    fn output(&self, program: &str, args: &[&str], within: Duration) -> Result<String, String> {
        match &self.settings.container {
            Some(service) => self.output_in(service, program, args, within / 3),
            None => self.output_here(program, args, within),
        }
    }

    /// In the container of `service`; each of three calls may take `within`.
    fn output_in(
        &self,
        service: &str,
        program: &str,
        args: &[&str],
        within: Duration,
    ) -> Result<String, String> {
        let argv = [&[program], args].concat();
        let run = || {
            let docker = self.project.connect(within)?;
            let container = docker.service(&self.project.name()?, service)?;
            docker.exec(&container.id, &argv, within)
        };
        let output = run().map_err(|error: DockerError| error.to_string())?;
        match output.exit_code {
            0 => Ok(output.stdout),
            code => Err(format!(
                "{program} in {service} failed ({code}): {}",
                output.stderr.trim()
            )),
        }
    }

    fn output_here(
        &self,
        program: &str,
        args: &[&str],
        within: Duration,
    ) -> Result<String, String> {
        let dir = self.settings.config_dir.as_deref().unwrap_or("".as_ref());
        let dir = dir.to_string_lossy();
        // Its programs are not in everybody's PATH.
        let path = format!("/usr/sbin/{program}");
        let program = if std::path::Path::new(&path).exists() {
            path.as_str()
        } else {
            program
        };
        command::output(program, &[&["-c", &*dir], args].concat(), within)
            .map_err(|error| error.to_string())
    }
}

impl Message {
    /// Whether it is that of `reply`, or, where a reply names none, for `address`.
    fn is_of(&self, address: &str, reply: &str) -> bool {
        if reply.is_empty() {
            let mut recipients = self.recipients.iter();
            return recipients.any(|recipient| recipient.address == address);
        }
        let mut words = reply.split([' ', '<', '>']);
        words.any(|word| word == self.queue_id)
    }
}

fn check_settings(postfix: &Postfix, within: Duration) -> Vec<Finding> {
    let settings = &postfix.settings;
    let wanted = [
        ("myhostname", &settings.myhostname, Status::Warning),
        ("mydomain", &settings.mydomain, Status::Warning),
        ("relayhost", &settings.relayhost, Status::Critical),
    ];
    let text = match postfix.output("postconf", &wanted.map(|(name, ..)| name), within) {
        Ok(text) => text,
        Err(why) => return vec![Finding::unknown("postfix-config", "postfix", why)],
    };
    let judged = wanted.map(|(name, expected, bad)| {
        judge_setting(name, value_of(&text, name), expected.as_deref(), bad)
    });
    judged.into()
}

fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn judge_setting(name: &str, found: Option<&str>, expected: Option<&str>, bad: Status) -> Finding {
    const NAME: &str = "postfix-config";
    match (found, expected) {
        (None, _) => Finding::unknown(NAME, name, format!("postconf does not tell {name}")),
        (Some(found), Some(expected)) if found != expected => {
            let message = format!(
                "{name} is {found:?}, not {expected:?}; mail goes out wrong: see main.cf and .env"
            );
            Finding::new(bad, NAME, name, message)
        }
        (Some(found), _) => Finding::ok(NAME, name, format!("{name} is {found:?}")),
    }
}

fn check_queue(postfix: &Postfix, within: Duration, now_second: i64) -> Vec<Finding> {
    let Settings { queue, oldest, .. } = postfix.settings;
    match postfix.queue(within) {
        Err(why) => vec![Finding::unknown("queue", "postfix", why)],
        Ok(messages) => judge_queue(&messages, now_second, queue, oldest),
    }
}

fn parse_queue(text: &str) -> Result<Vec<Message>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read = lines.map(|line| {
        serde_json::from_str(line)
            .map_err(|e| format!("postqueue -j printed something other than JSON: {e}"))
    });
    read.collect()
}

fn judge_queue(
    messages: &[Message],
    now_second: i64,
    length: Ceiling,
    age: Ceiling,
) -> Vec<Finding> {
    let count = messages.len();
    let oldest = messages.iter().min_by_key(|message| message.arrival_time);
    let seconds = oldest.map_or(0, |message| (now_second - message.arrival_time).max(0));
    let why = oldest
        .map(|oldest| format!("; the oldest ({}): {}", oldest.queue_id, reason(oldest)))
        .unwrap_or_default();
    let hint = "; see postqueue -p";
    let shown = |mut finding: Finding| {
        if finding.status != Status::Ok {
            finding.message += &format!("{why}{hint}");
        }
        finding
    };
    vec![
        shown(
            Finding::ok("queue", "length", format!("{count} messages wait")).under(
                count as f64,
                "messages",
                length,
            ),
        ),
        shown(
            Finding::ok(
                "queue",
                "oldest",
                format!("the oldest message waits for {seconds} s"),
            )
            .under(seconds as f64, "seconds", age),
        ),
    ]
}

fn reason(message: &Message) -> String {
    let mut reasons = message
        .recipients
        .iter()
        .filter_map(|recipient| recipient.delay_reason.as_deref());
    reasons.next().map_or_else(
        || "no reason is known".to_owned(),
        mail_common::text::printable,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"queue_name": "deferred", "queue_id": "4abc", "arrival_time": 1000, "message_size": 300, "forced_expire": false, "sender": "a@x", "recipients": [{"address": "b@y", "delay_reason": "connect: refused"}]}"#;

    #[test]
    fn a_queue_is_judged_by_length_and_age() {
        let messages = parse_queue(&format!("{LINE}\n")).unwrap();
        let check = |now, expected: [Status; 2]| {
            let found = judge_queue(
                &messages,
                now,
                Ceiling::new(2.0, 3.0),
                Ceiling::new(60.0, 600.0),
            );
            assert_eq!([found[0].status, found[1].status], expected, "{found:?}");
            found
        };
        check(1010, [Status::Ok, Status::Ok]);
        let late = check(1060, [Status::Ok, Status::Warning]);
        assert!(
            late[1].message.contains("4abc") && late[1].message.contains("connect: refused"),
            "{late:?}"
        );
        assert!(
            judge_queue(&[], 5, Ceiling::new(2.0, 3.0), Ceiling::new(60.0, 600.0))
                .iter()
                .all(|f| f.status == Status::Ok)
        );
        assert!(parse_queue("postqueue: fatal\n").is_err());
    }

    #[test]
    fn another_relayhost_is_critical() {
        let text = "myhostname = mail.test\nmydomain = test\nrelayhost =\n";
        assert_eq!(value_of(text, "relayhost"), Some(""));
        let status =
            |found, expected| judge_setting("relayhost", found, expected, Status::Critical).status;
        assert_eq!(status(Some(""), Some("")), Status::Ok);
        assert_eq!(status(Some("evil"), Some("")), Status::Critical);
        assert_eq!(status(Some("x"), None), Status::Ok);
        assert_eq!(status(None, None), Status::Unknown);
    }
}
