//! Where alerts go: by mail, or to a webhook.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::alert::{self, Occasion};
use super::decide::Event;
use super::error::NotifyError;
use super::http::{self, Url};
use super::mail::{Mail, Stamp};
use super::retry::{patience, retrying};
use super::settings::Template;
use super::webhook;

/// Somebody who is notified.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) transport: Transport,
}

/// How an alert gets there.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    Mail(Mail),
    Webhook(Template, Url),
}

/// News for a channel, and how sending them went.
pub(super) struct Sent {
    pub(super) channel: String,
    pub(super) events: Vec<Event>,
    pub(super) result: Result<(), NotifyError>,
}

/// Sends the news to all channels at once; who hangs does not keep the others waiting. Each attempt
/// may take `within`.
pub(super) fn send_all(
    channels: &[Channel],
    occasion: Occasion<'_>,
    news: Vec<(String, Vec<Event>)>,
    within: Duration,
) -> Vec<Sent> {
    let deadline = Instant::now() + patience(within);
    let mut started = Vec::new();
    for (name, events) in news {
        if let Some(channel) = channels.iter().find(|channel| channel.name == name) {
            let receiver = channel.start(occasion, &events, within);
            started.push((name, events, receiver));
        }
    }
    let sent = started.into_iter().map(|(channel, events, receiver)| Sent {
        channel,
        events,
        result: wait(&receiver, deadline, within),
    });
    sent.collect()
}

fn wait(
    receiver: &Receiver<Result<(), NotifyError>>,
    deadline: Instant,
    within: Duration,
) -> Result<(), NotifyError> {
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(NotifyError::Hung {
            within: patience(within),
        }),
    }
}

impl Channel {
    /// Begins to send `events` in a thread of its own.
    fn start(
        &self,
        occasion: Occasion<'_>,
        events: &[Event],
        within: Duration,
    ) -> Receiver<Result<(), NotifyError>> {
        let attempt = self.attempt(occasion, events, within);
        let (sender, receiver) = mpsc::channel();
        // Nobody listens any more when it comes too late.
        thread::spawn(move || sender.send(retrying(attempt)));
        receiver
    }

    /// One attempt, which can be made again.
    fn attempt(
        &self,
        occasion: Occasion<'_>,
        events: &[Event],
        within: Duration,
    ) -> Box<dyn Fn() -> Result<(), NotifyError> + Send> {
        let alert = alert::write(occasion, events);
        match &self.transport {
            Transport::Webhook(template, url) => {
                let (url, post) = (
                    url.clone(),
                    webhook::post(*template, occasion, &alert, events),
                );
                Box::new(move || http::send(&url, &post, within))
            }
            Transport::Mail(mail) => {
                let (mail, host) = (mail.clone(), occasion.host.to_owned());
                let nanoseconds = occasion.now.timestamp().as_nanosecond();
                Box::new(move || {
                    let stamp = Stamp {
                        host: &host,
                        nanoseconds,
                    };
                    mail.send(&alert, stamp, within)
                })
            }
        }
    }
}
