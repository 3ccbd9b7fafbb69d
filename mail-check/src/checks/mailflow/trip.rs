//! One message on its way: logged in first, so that nothing is sent that nobody can look for.

use std::thread;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use mail_common::secret::Secret;

use super::settings::{Api, Complete, Door, Route};
use crate::checks::services::Postfix;
use crate::context::Context;
use crate::net::http;
use crate::net::imap::Imap;
use crate::net::smtp::{Hello, Smtp};
use crate::net::{Line, NetError, Peer, Place, Protocol, Trust};

/// The header that marks a probe message, with its id.
const HEADER: &str = "X-Mail-Check";
/// What every id begins with; older ones with it are those of earlier runs.
const PREFIX: &str = "mail-check-";
/// Probe messages that are older belong to no run that still goes on.
const STALE_SECONDS: i64 = 3600;
/// Between two looks into the mailbox: at first short, since mail mostly takes less.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How the trip ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Arrived {
        delay: Duration,
        /// Why it lies in the mailbox still.
        left_behind: Option<String>,
    },
    Lost {
        waited: Duration,
        /// Why, as the queue says.
        reason: Option<String>,
    },
    /// It could not be handed in, or nobody could look for it: where, and why.
    Failed { step: &'static str, why: String },
}

/// A step that failed.
struct Failure {
    step: &'static str,
    why: String,
}

/// What a trip needs.
pub(super) struct Trip<'a> {
    pub(super) route: Route,
    pub(super) settings: &'a Complete,
    pub(super) password: &'a Secret,
    pub(super) trust: &'a Trust,
    /// Asked why a message has not come.
    pub(super) postfix: Option<&'a Postfix>,
    pub(super) context: &'a Context,
}

impl Trip<'_> {
    pub(super) fn make(&self) -> Outcome {
        match self.travel() {
            Ok(outcome) => outcome,
            Err(Failure { step, why }) => Outcome::Failed { step, why },
        }
    }

    fn travel(&self) -> Result<Outcome, Failure> {
        let within = self.context.timeout;
        let mut mailbox = self
            .open_mailbox()
            .map_err(at("reading the probe mailbox"))?;
        let id = new_id(self.context, self.route);
        let begun = Instant::now();
        let reply = self.hand_in(&id)?;
        let found = wait_for(&mut mailbox, &id, begun, self.settings.wait(), within)
            .map_err(at("waiting in the probe mailbox"))?;
        let delay = begun.elapsed();
        if found.is_empty() {
            let why = |postfix: &Postfix| postfix.why_waiting(&self.settings.user, &reply, within);
            return Ok(Outcome::Lost {
                waited: delay,
                reason: self.postfix.and_then(why),
            });
        }
        let removed = clear(&mut mailbox, &found, self.context);
        mailbox.logout();
        Ok(Outcome::Arrived {
            delay,
            left_behind: removed.err().map(|error| error.to_string()),
        })
    }

    fn open_mailbox(&self) -> Result<Imap, String> {
        let place = &self.settings.read.place;
        let mut session = self.greet_mailbox().map_err(|error| error.to_string())?;
        match session.peer() {
            Some(peer) => self.refuse_impostor(peer, place)?,
            None if place.is_local() => {}
            None => {
                return Err(format!(
                    "{place} offers no STARTTLS for the password; use imaps://"
                ));
            }
        }
        let (user, mailbox) = (&self.settings.user, &self.settings.mailbox);
        let opened = session
            .login(user, self.password)
            .and_then(|()| session.select(mailbox));
        opened.map(|()| session).map_err(|error| error.to_string())
    }

    /// With TLS, where the server has it.
    fn greet_mailbox(&self) -> Result<Imap, NetError> {
        let Door { protocol, place } = &self.settings.read;
        let name = self.context.verifier.server_name(place);
        let line = Line::connect(place, self.context.timeout)?;
        if *protocol == Protocol::Imaps {
            return Imap::open(line.protect(self.trust, name)?);
        }
        let mut session = Imap::open(line)?;
        if session.offers("STARTTLS")? {
            session = session.start_tls(self.trust, name)?;
        }
        Ok(session)
    }

    /// A password is not sent to a server that may be anybody's.
    fn refuse_impostor(&self, peer: &Peer, place: &Place) -> Result<(), String> {
        match self.context.verifier.of_service(place).objection(peer) {
            Some(objection) => Err(format!("{place}: {}", objection.why())),
            None => Ok(()),
        }
    }

    /// Gives what the server answered, in which the queue's name for the message may be.
    fn hand_in(&self, id: &str) -> Result<String, Failure> {
        match (self.route, &self.settings.submit, &self.settings.inbound) {
            (Route::Submission, Some(door), _) => self.submit(door, id).map_err(at("submission")),
            (Route::Inbound, _, Some(api)) => self.post(api, id).map_err(at("the inbound API")),
            _ => Err(Failure {
                step: "configuration",
                why: "this way in is not configured".to_owned(),
            }),
        }
    }

    fn submit(&self, door: &Door, id: &str) -> Result<String, String> {
        let Complete { user, from, .. } = self.settings;
        let mut session = self
            .greet_submission(door)
            .map_err(|error| error.to_string())?;
        if let Some(peer) = session.peer() {
            self.refuse_impostor(peer, &door.place)?;
        }
        let message = message(id, self.settings, self.context);
        let login = match door.protocol {
            Protocol::Smtp => Ok(()),
            _ => session.login(user, self.password),
        };
        let reply = login.and_then(|()| session.submit(from, user, &message));
        let reply = reply.map_err(|error| error.to_string())?;
        session.quit();
        Ok(reply)
    }

    fn greet_submission(&self, door: &Door) -> Result<Smtp, NetError> {
        let Door { protocol, place } = door;
        let name = self.context.verifier.server_name(place);
        let line = Line::connect(place, self.context.timeout)?;
        match protocol {
            Protocol::Smtps => Smtp::open(line.protect(self.trust, name)?, Hello::Ehlo),
            Protocol::Submission => Smtp::open(line, Hello::Ehlo)?.start_tls(self.trust, name),
            _ => Smtp::open(line, Hello::Ehlo),
        }
    }

    fn post(&self, api: &Api, id: &str) -> Result<String, String> {
        let headers = api.headers()?;
        let body = api
            .body
            .replace("{id}", id)
            .replace("{from}", &self.settings.from)
            .replace("{to}", &self.settings.user);
        let objection = |peer: &Peer| {
            let objection = self.context.verifier.of_url(&api.url).objection(peer)?;
            Some(objection.why().to_owned())
        };
        let within = self.context.timeout;
        let answer = http::post(&api.url, &headers, &body, self.trust, objection, within);
        match answer.map_err(|error| error.to_string())?.status {
            200..300 => Ok(String::new()),
            status => Err(format!(
                "{} answers with status {status}; see its log",
                api.url
            )),
        }
    }
}

fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure {
        step,
        why: error.to_string(),
    }
}

/// Unique among runs, and with its time in it.
fn new_id(context: &Context, route: Route) -> String {
    let nanoseconds = context.now.timestamp().as_nanosecond();
    format!(
        "{PREFIX}{nanoseconds}-{}-{}",
        std::process::id(),
        route.name()
    )
}

fn message(id: &str, settings: &Complete, context: &Context) -> String {
    let (from, to) = (&settings.from, &settings.user);
    let date = context
        .now
        .with_time_zone(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string();
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: mail-check probe\r\nDate: {date}\r\n\
         Message-ID: <{id}@mail-check.invalid>\r\n\
         {HEADER}: {id}\r\nAuto-Submitted: auto-generated\r\nPrecedence: bulk\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n\
         Sent by mail-check to see whether mail flows. It is removed when it is found."
    )
}

/// Empty when it has not come.
fn wait_for(
    mailbox: &mut Imap,
    id: &str,
    begun: Instant,
    wait: Duration,
    each: Duration,
) -> Result<Vec<u32>, NetError> {
    let mut pause = FIRST_PAUSE;
    loop {
        mailbox.renew(each);
        let found = mailbox.search("UNDELETED", HEADER, id)?;
        let left = wait.saturating_sub(begun.elapsed());
        if !found.is_empty() || left.is_zero() {
            return Ok(found);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Removes what was found, and what earlier runs have left.
fn clear(mailbox: &mut Imap, found: &[u32], context: &Context) -> Result<(), NetError> {
    mailbox.renew(context.timeout);
    mailbox.remove(found)?;
    let criteria = stale(mailbox.offers("WITHIN")?, context);
    let old = mailbox.search(&criteria, HEADER, PREFIX)?;
    mailbox.remove(&old)
}

/// The messages of runs that are over, as SEARCH says it: to the second (RFC 5032), or else to the
/// day.
fn stale(knows_seconds: bool, context: &Context) -> String {
    if knows_seconds {
        return format!("UNDELETED OLDER {STALE_SECONDS}");
    }
    let now = context.now.timestamp();
    let before = jiff::Timestamp::from_second(now.as_second() - STALE_SECONDS).unwrap_or(now);
    let day =
        jiff::ZonedDateTime::new(before, context.now.time_zone().clone()).strftime("%d-%b-%Y");
    format!("UNDELETED BEFORE {day}")
}
