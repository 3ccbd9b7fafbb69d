//! `--notify`: notifies people, once, when a check changes or recovers.
//!
//! The memory is locked from its reading to its keeping, so that two runs at once send nothing
//! twice. What could not be sent is sent by the next run, and is itself a finding.

mod settings; // the section of the file of checks
mod memory; // what is kept between runs
mod decide; // who is notified of what: pure
mod alert; // the news in words
mod http; // requests, and nothing of their URL
mod error; // why nobody can be notified
mod retry; // how often sending is tried
mod secrets; // passwords and URLs from files or the environment
mod mail; // by sendmail or SMTP
mod webhook; // by HTTP
mod channel; // one of the two
mod ping; // a dead-man switch

use std::thread;
use std::time::Duration;

use mail_common::config::{Environment, Settings as ServerSettings};
use mail_common::report::chain;

use channel::{Channel, Sent, Transport, send_all};
use decide::{Observation, Rules, decide, observe};
use http::Url;
use mail::Mail;
use memory::{Memory, NAME};
use ping::Ping;
use retry::patience;
use secrets::secret;
use settings::{MailSettings, WebhookSettings};

pub(crate) use alert::Occasion;
pub(crate) use error::{ConfigError, NotifyError};
pub(crate) use memory::Key;
pub(crate) use settings::{EXAMPLE, Settings};

use crate::finding::Finding;
use crate::state::{Kept, StateDir};
use crate::status::Status;

/// Names that findings have beside those of webhooks.
const RESERVED: [&str; 3] = ["mail", "ping", "state"];

/// Who is notified, and when.
#[derive(Clone, Debug)]
pub(crate) struct Notifier {
    channels: Vec<Channel>,
    ping: Option<Ping>,
    rules: Rules,
    /// How long one attempt may take.
    within: Duration,
    /// Whether alerts go by mail, and whether good runs do (NOTIFICATION_ON_FAILURE,
    /// NOTIFICATION_ON_SUCCESS).
    mails_failure: bool,
    mails_success: bool,
}

/// How notifying went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) findings: Vec<Finding>,
    pub(crate) failures: Vec<NotifyError>,
}

/// A run that is reported to the dead-man switch.
#[derive(Debug)]
pub(crate) struct Begun(Option<thread::JoinHandle<Result<(), NotifyError>>>);

impl Notifier {
    pub(crate) fn new(
        settings: &Settings,
        server: &ServerSettings,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let mut channels = Vec::new();
        if let Some(mail) = mail_settings(settings, server) {
            channels.push(Channel {
                name: "mail".to_owned(),
                transport: Transport::Mail(Mail::new(&mail, server, environment)?),
            });
        }
        for hook in &settings.webhook {
            let is_taken = channels.iter().any(|channel| channel.name == hook.name);
            if is_taken || RESERVED.contains(&&*hook.name) {
                return Err(ConfigError::Name(hook.name.clone()));
            }
            channels.push(webhook_channel(hook, environment)?);
        }
        let ping = settings.ping.as_ref();
        let ping = ping.map(|ping| Ping::new(ping, settings.timeout(), environment));
        let ping = ping.transpose()?;
        if channels.is_empty() && ping.is_none() {
            return Err(ConfigError::Nobody);
        }
        Ok(Self {
            channels,
            ping,
            rules: settings.rules(),
            within: settings.timeout(),
            mails_failure: server.notification_on_failure,
            mails_success: server.notification_on_success,
        })
    }

    /// Tells the dead-man switch that a run begins, beside it.
    pub(crate) fn begin(&self) -> Begun {
        let ping = self.ping.clone();
        Begun(ping.map(|ping| thread::spawn(move || ping.start())))
    }

    /// Notifies everybody of what is new. `answered` are the checks that answered in time.
    pub(crate) fn notify(
        &self,
        occasion: Occasion<'_>,
        answered: &[Key],
        state: &StateDir,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.channels.is_empty() {
            return outcome;
        }
        let lock = match state.lock(NAME, 2 * patience(self.within)) {
            Ok(lock) => lock,
            Err(error) => {
                outcome.fail("state", NotifyError::Lock(error));
                return outcome;
            }
        };
        let (memory, damage) = load(state);
        let remark = damage.map(|why| {
            format!(
                "all that is bad is sent again, since what was sent before cannot be read: {why}"
            )
        });
        if let Some(remark) = &remark {
            outcome
                .findings
                .push(Finding::warning(NAME, "state", remark));
        }
        let occasion = Occasion {
            remark: remark.as_deref(),
            ..occasion
        };
        let memory = self.notify_of_changes(memory, occasion, answered, &mut outcome);
        if let Err(error) = state.keep(NAME, &memory) {
            outcome.fail("state", NotifyError::Keep(error));
        }
        drop(lock);
        outcome
    }

    fn notify_of_changes(
        &self,
        memory: Memory,
        occasion: Occasion<'_>,
        answered: &[Key],
        outcome: &mut Outcome,
    ) -> Memory {
        let now = occasion.now.timestamp().as_second();
        let names: Vec<String> = self
            .channels
            .iter()
            .map(|channel| channel.name.clone())
            .collect();
        let observation = Observation {
            findings: occasion.findings,
            answered,
            now,
        };
        let (mut memory, mut news) = decide(memory, observation, &names, &self.rules);
        if !self.mails_failure {
            // They count as sent, so that they are not sent when alerts by mail are wanted again.
            for (name, events) in news.extract_if(.., |(name, _)| name == "mail") {
                memory.delivered(&name, &events, now);
            }
        }
        let has_mail = names.iter().any(|name| name == "mail");
        let is_mail_idle = has_mail && !news.iter().any(|(name, _)| name == "mail");
        if self.mails_success && occasion.worst == Status::Ok && is_mail_idle {
            news.push(("mail".to_owned(), Vec::new()));
        }
        let before = outcome.findings.len();
        for sent in send_all(&self.channels, occasion, news, self.within) {
            match &sent.result {
                Ok(()) => memory.delivered(&sent.channel, &sent.events, now),
                Err(_) => memory.missed(&sent.channel, &sent.events, now),
            }
            outcome.add(sent);
        }
        // A channel that fails is news for the others, in the next run.
        let own = Observation {
            findings: &outcome.findings[before..],
            answered: &[],
            now,
        };
        observe(memory, own, &self.rules)
    }

    /// Reports to the dead-man switch how the run ended. That it cannot be reached is news for the
    /// channels, in the next run.
    pub(crate) fn end(&self, begun: Begun, occasion: Occasion<'_>, state: &StateDir) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(ping) = &self.ping else {
            return outcome;
        };
        let hung = || NotifyError::Hung {
            within: patience(self.within),
        };
        let started = begun
            .0
            .map_or(Ok(()), |thread| thread.join().unwrap_or(Err(hung())));
        match started.and(ping.end(occasion)) {
            Ok(()) => {
                let message = "the dead-man switch knows of this run";
                outcome.findings.push(Finding::ok(NAME, "ping", message));
            }
            Err(source) => {
                outcome.fail("ping", source.by("ping"));
            }
        }
        let kept = self.remember(&outcome.findings, occasion, state);
        outcome.failures.extend(kept.err());
        outcome
    }

    fn remember(
        &self,
        findings: &[Finding],
        occasion: Occasion<'_>,
        state: &StateDir,
    ) -> Result<(), NotifyError> {
        if self.channels.is_empty() {
            return Ok(());
        }
        let patience = 2 * patience(self.within);
        let _lock = state.lock(NAME, patience).map_err(NotifyError::Lock)?;
        let observation = Observation {
            findings,
            answered: &[],
            now: occasion.now.timestamp().as_second(),
        };
        let memory = observe(load(state).0, observation, &self.rules);
        state.keep(NAME, &memory).map_err(NotifyError::Keep)
    }
}

/// Those of `[notify.mail]`; without any channel, the defaults where ADMIN_EMAIL is set.
fn mail_settings(settings: &Settings, server: &ServerSettings) -> Option<MailSettings> {
    let has_others = !settings.webhook.is_empty() || settings.ping.is_some();
    let by_default = || (!has_others && server.admin_email.is_some()).then(MailSettings::default);
    settings.mail.clone().or_else(by_default)
}

fn webhook_channel(
    hook: &WebhookSettings,
    environment: &Environment,
) -> Result<Channel, ConfigError> {
    let section = format!("[[notify.webhook]] {}", hook.name);
    let (file, variable) = (hook.url_file.as_deref(), hook.url_env.as_deref());
    let url = secret(&section, "url", file, variable, environment)?;
    let url = Url::new(url).ok_or(ConfigError::Url { section })?;
    Ok(Channel {
        name: hook.name.clone(),
        transport: Transport::Webhook(hook.template, url),
    })
}

impl Outcome {
    fn add(&mut self, sent: Sent) {
        let Sent {
            channel,
            events,
            result,
        } = sent;
        match result {
            Ok(()) => {
                let message = match events.len() {
                    0 => "the summary was sent".to_owned(),
                    1 => "one change was sent".to_owned(),
                    several => format!("{several} changes were sent"),
                };
                self.findings.push(Finding::ok(NAME, channel, message));
            }
            Err(source) => self.fail(&channel, source.by(&channel)),
        }
    }

    fn fail(&mut self, target: &str, failure: NotifyError) {
        self.findings
            .push(Finding::critical(NAME, target, chain(&failure)));
        self.failures.push(failure);
    }
}

fn load(state: &StateDir) -> (Memory, Option<String>) {
    match state.load(NAME) {
        Kept::There(memory) => (memory, None),
        Kept::Nothing => (Memory::default(), None),
        Kept::Damaged(why) => (Memory::default(), Some(why)),
    }
}
