//! `--notify`: tells people, once, when a check changes or recovers.
//!
//! The memory is locked from its reading to its keeping, so that two runs at once tell nothing
//! twice. What could not be sent is told by the next run, and is itself a finding.

mod decide; // who is told what: pure
mod http; // requests, and nothing of their URL
mod letter; // the news in words
mod mail; // by sendmail or SMTP
mod memory; // what is kept between runs
mod ping; // a dead-man switch
mod secrets; // passwords and URLs from files or the environment
mod settings; // the section of the file of checks
mod webhook; // by HTTP

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use mail_common::config::{Environment, Settings as ServerSettings};

use decide::{Event, Rules, Sight, decide, observe};
use http::{HttpError, NoUrl, Url};
pub(crate) use letter::Occasion;
use mail::{Mail, MailError, MailSettingsError, Stamp};
pub(crate) use memory::Key;
use memory::Memory;
use ping::Ping;
use secrets::{SecretError, secret};
pub(crate) use settings::Settings;
use settings::Template;

use crate::finding::Finding;
use crate::state::{Kept, LockError, StateDir, StateError};
use crate::status::Status;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// The name of its findings, and of what it keeps.
const NAME: &str = "notify";

/// How often sending is tried, and the pause between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// What all attempts of a channel may take beyond their own time-outs: a conversation has several
/// steps.
const GRACE: Duration = Duration::from_secs(10);

/// Who is told, and when.
#[derive(Clone, Debug)]
pub(crate) struct Notifier {
    channels: Vec<Channel>,
    ping: Option<Ping>,
    rules: Rules,
    /// One attempt may take so long.
    within: Duration,
    /// Whether alerts go by mail, and whether good runs do (NOTIFICATION_ON_FAILURE,
    /// NOTIFICATION_ON_SUCCESS).
    mails_failure: bool,
    mails_success: bool,
}

#[derive(Clone, Debug)]
struct Channel {
    name: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Mail(Mail),
    Webhook(Template, Url),
}

/// `[notify]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    #[error(
        "--notify has nobody to tell: set ADMIN_EMAIL in the configuration, or write [notify.mail], [[notify.webhook]] or [notify.ping] \
         into the file of checks; see mail-check --print-config"
    )]
    Nobody,
    #[error(
        "two webhooks are called {0:?}, or one is called \"mail\", \"ping\" or \"state\"; give each a name of its own"
    )]
    Name(String),
    #[error(transparent)]
    Mail(#[from] MailSettingsError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Url(#[from] NoUrl),
}

/// Somebody could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("send alerts by {channel}")]
    Send { channel: String, source: SendError },
    #[error("alerts were not sent, the next run sends them")]
    Lock(#[from] LockError),
    #[error("what was told is not kept, so it is told again")]
    Keep(#[from] StateError),
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("no answer within {} s", within.as_secs_f64())]
    Hung { within: Duration },
}

/// What telling came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) findings: Vec<Finding>,
    pub(crate) failures: Vec<Failure>,
}

impl Notifier {
    pub(crate) fn new(
        settings: &Settings,
        server: &ServerSettings,
        environment: &Environment,
    ) -> Result<Self, NotifyError> {
        let mut channels = Vec::new();
        let is_silent =
            settings.webhook.is_empty() && settings.ping.is_none() && server.admin_email.is_some();
        let by_default = is_silent.then(settings::MailSettings::default);
        if let Some(mail) = settings.mail.as_ref().or(by_default.as_ref()) {
            let way = Way::Mail(Mail::new(mail, server, environment)?);
            channels.push(Channel {
                name: "mail".to_owned(),
                way,
            });
        }
        for hook in &settings.webhook {
            let section = format!("[[notify.webhook]] {}", hook.name);
            if ["mail", "ping", "state"].contains(&hook.name.as_str())
                || channels.iter().any(|c| c.name == hook.name)
            {
                return Err(NotifyError::Name(hook.name.clone()));
            }
            let url = secret(
                &section,
                "url",
                hook.url_file.as_deref(),
                hook.url_env.as_deref(),
                environment,
            )?;
            let way = Way::Webhook(hook.template, Url::new(&section, url)?);
            channels.push(Channel {
                name: hook.name.clone(),
                way,
            });
        }
        let ping = settings
            .ping
            .as_ref()
            .map(|ping| Ping::new(ping, settings.timeout(), environment))
            .transpose()?;
        if channels.is_empty() && ping.is_none() {
            return Err(NotifyError::Nobody);
        }
        let (mails_failure, mails_success) = (
            server.notification_on_failure,
            server.notification_on_success,
        );
        Ok(Self {
            channels,
            ping,
            rules: settings.rules(),
            within: settings.timeout(),
            mails_failure,
            mails_success,
        })
    }

    /// Tells the dead-man switch that a run begins, beside it.
    pub(crate) fn begin(&self) -> Begun {
        Begun(
            self.ping
                .clone()
                .map(|ping| thread::spawn(move || ping.start())),
        )
    }

    /// Tells everybody what is new. `answered` are the checks that answered in time.
    pub(crate) fn tell(
        &self,
        occasion: Occasion<'_>,
        answered: &[Key],
        state: &StateDir,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        if self.channels.is_empty() {
            return outcome;
        }
        let lock = match state.lock(NAME, 2 * self.patience()) {
            Ok(lock) => lock,
            Err(error) => {
                outcome.fail("state", error.into());
                return outcome;
            }
        };
        let (memory, damage) = load(state);
        if let Some(why) = &damage {
            let message = format!(
                "begun anew, all that is bad is told again: what was told before cannot be read: {why}"
            );
            outcome
                .findings
                .push(Finding::warning(NAME, "state", message));
        }
        let remark = outcome
            .findings
            .first()
            .map(|finding| finding.message.clone());
        let occasion = Occasion {
            remark: remark.as_deref(),
            ..occasion
        };
        let memory = self.tell_news(memory, occasion, answered, &mut outcome);
        if let Err(error) = state.keep(NAME, &memory) {
            outcome.fail("state", error.into());
        }
        drop(lock);
        outcome
    }

    fn tell_news(
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
        let sight = Sight {
            findings: occasion.findings,
            answered,
            now,
        };
        let (mut memory, news) = decide(memory, sight, &names, &self.rules);
        let is_muted = |name: &str| name == "mail" && !self.mails_failure;
        let (muted, mut news): (Vec<_>, Vec<_>) =
            news.into_iter().partition(|(name, _)| is_muted(name));
        for (name, events) in muted {
            memory.delivered(&name, &events, now);
        }
        let has_mail =
            names.iter().any(|name| name == "mail") && !news.iter().any(|(name, _)| name == "mail");
        if self.mails_success && occasion.worst == Status::Ok && has_mail {
            news.push(("mail".to_owned(), Vec::new()));
        }
        let before = outcome.findings.len();
        for (name, events, result) in self.send_all(occasion, news) {
            match result {
                Ok(()) => {
                    memory.delivered(&name, &events, now);
                    outcome
                        .findings
                        .push(Finding::ok(NAME, &name, told(events.len())));
                }
                Err(source) => {
                    memory.missed(&name, &events, now);
                    outcome.fail(
                        &name.clone(),
                        Failure::Send {
                            channel: name,
                            source,
                        },
                    );
                }
            }
        }
        // A channel that fails is news for the others, in the next run.
        let own = Sight {
            findings: &outcome.findings[before..],
            answered: &[],
            now,
        };
        observe(memory, own, &self.rules)
    }

    /// All channels at once have so long; what comes later is told again.
    fn patience(&self) -> Duration {
        (self.within + PAUSE) * ATTEMPTS + GRACE
    }

    /// All channels at once; who hangs does not keep the others waiting.
    fn send_all(
        &self,
        occasion: Occasion<'_>,
        news: Vec<(String, Vec<Event>)>,
    ) -> Vec<(String, Vec<Event>, Result<(), SendError>)> {
        let deadline = Instant::now() + self.patience();
        let mut started = Vec::new();
        for (name, events) in news {
            let Some(channel) = self.channels.iter().find(|channel| channel.name == name) else {
                continue;
            };
            let attempt = errand(&channel.way, occasion, &events, self.within);
            let (sender, receiver) = mpsc::channel();
            // Nobody listens any more when it comes too late.
            thread::spawn(move || sender.send(retrying(attempt, SendError::is_lasting)));
            started.push((name, events, receiver));
        }
        let wait = |receiver: mpsc::Receiver<Result<(), SendError>>| match receiver
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(SendError::Hung {
                    within: self.patience(),
                })
            }
        };
        started
            .into_iter()
            .map(|(name, events, receiver)| (name, events, wait(receiver)))
            .collect()
    }

    /// Tells the dead-man switch how the run ended. That it cannot be told is news for the
    /// channels, in the next run.
    pub(crate) fn end(&self, begun: Begun, occasion: Occasion<'_>, state: &StateDir) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(ping) = &self.ping else {
            return outcome;
        };
        let started = begun.0.map_or(Ok(()), |thread| {
            thread.join().unwrap_or(Err(SendError::Hung {
                within: self.patience(),
            }))
        });
        let ended = ping.end(occasion);
        match started.and(ended) {
            Ok(()) => outcome.findings.push(Finding::ok(
                NAME,
                "ping",
                "the dead-man switch knows of this run",
            )),
            Err(source) => outcome.fail(
                "ping",
                Failure::Send {
                    channel: "ping".to_owned(),
                    source,
                },
            ),
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
    ) -> Result<(), Failure> {
        if self.channels.is_empty() {
            return Ok(());
        }
        let _lock = state.lock(NAME, 2 * self.patience())?;
        let sight = Sight {
            findings,
            answered: &[],
            now: occasion.now.timestamp().as_second(),
        };
        let memory = observe(load(state).0, sight, &self.rules);
        Ok(state.keep(NAME, &memory)?)
    }
}

/// A run that the dead-man switch is told of.
#[derive(Debug)]
pub(crate) struct Begun(Option<thread::JoinHandle<Result<(), SendError>>>);

/// One attempt to tell `events`, which can be made again.
fn errand(
    way: &Way,
    occasion: Occasion<'_>,
    events: &[Event],
    within: Duration,
) -> Box<dyn Fn() -> Result<(), SendError> + Send> {
    let letter = letter::write(occasion, events);
    let (host, nanoseconds) = (
        occasion.host.to_owned(),
        occasion.now.timestamp().as_nanosecond(),
    );
    match way {
        Way::Webhook(template, url) => {
            let (url, post) = (
                url.clone(),
                webhook::post(*template, occasion, &letter, events),
            );
            Box::new(move || Ok(http::send(&url, &post, within)?))
        }
        Way::Mail(mail) => {
            let mail = mail.clone();
            Box::new(move || {
                Ok(mail.send(
                    &letter,
                    Stamp {
                        host: &host,
                        nanoseconds,
                    },
                    within,
                )?)
            })
        }
    }
}

impl SendError {
    fn is_lasting(&self) -> bool {
        match self {
            Self::Mail(error) => error.is_lasting(),
            Self::Http(error) => error.is_lasting(),
            Self::Hung { .. } => true,
        }
    }
}

impl Outcome {
    fn fail(&mut self, target: &str, failure: Failure) {
        let message = mail_common::report::chain(&failure);
        self.findings.push(Finding::critical(NAME, target, message));
        self.failures.push(failure);
    }
}

fn told(news: usize) -> String {
    match news {
        0 => "the summary was sent".to_owned(),
        1 => "one change was told".to_owned(),
        several => format!("{several} changes were told"),
    }
}

fn load(state: &StateDir) -> (Memory, Option<String>) {
    match state.load(NAME) {
        Kept::There(memory) => (memory, None),
        Kept::Nothing => (Memory::default(), None),
        Kept::Damaged(why) => (Memory::default(), Some(why)),
    }
}

fn retrying<E>(
    mut attempt: impl FnMut() -> Result<(), E>,
    is_lasting: impl Fn(&E) -> bool,
) -> Result<(), E> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if !is_lasting(&error) => thread::sleep(PAUSE),
            result => return result,
        }
    }
    attempt()
}
