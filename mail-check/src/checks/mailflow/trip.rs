//! One message on its way: logged in first, so that nothing is sent that nobody can look for.

use std::thread;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use mail_common::secret::Secret;

use super::settings::{Api, Complete, Door, Protocol, Route};
use crate::checks::services::reasons_of;
use crate::checks::tls::Judge;
use crate::context::Context;
use crate::net::http;
use crate::net::imap::Imap;
use crate::net::smtp::{Hello, Smtp};
use crate::net::{Line, NetError, Peer, Trust};

/// The header that marks a probe message, with its id.
const HEADER: &str = "X-Mail-Check";
/// What every id begins with; older ones with it are those of earlier runs.
const PREFIX: &str = "mail-check-";
/// Probe messages that are older belong to no run that still goes on.
const STALE_SECONDS: i64 = 3600;
/// Between two looks into the mailbox: at first short, since mail mostly takes less.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the trip came to.
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
    /// The settings are not whole: nothing is known of the mail flow.
    Unmade { why: String },
}

/// A step that failed.
struct Failure {
    step: &'static str,
    why: String,
}

pub(super) fn make(route: Route, settings: &Complete, context: &Context, trust: &Trust) -> Outcome {
    let password = match settings.password() {
        Ok(password) => password,
        Err(why) => return Outcome::Unmade { why },
    };
    match travel(route, settings, &password, context, trust) {
        Ok(outcome) => outcome,
        Err(Failure { step, why }) => Outcome::Failed { step, why },
    }
}

fn travel(
    route: Route,
    settings: &Complete,
    password: &Secret,
    context: &Context,
    trust: &Trust,
) -> Result<Outcome, Failure> {
    let mut mailbox = open_mailbox(settings, password, context, trust)
        .map_err(at("reading the probe mailbox"))?;
    let id = new_id(context, route);
    let begun = Instant::now();
    let reply = hand_in(route, &id, settings, password, context, trust)?;
    let found = wait_for(&mut mailbox, &id, begun, settings.wait(), context.timeout)
        .map_err(at("waiting in the probe mailbox"))?;
    let delay = begun.elapsed();
    if found.is_empty() {
        let reason = reasons_of(context, &settings.user, &reply);
        return Ok(Outcome::Lost {
            waited: delay,
            reason,
        });
    }
    let removed = clear(&mut mailbox, &found, context);
    mailbox.logout();
    Ok(Outcome::Arrived {
        delay,
        left_behind: removed.err().map(|error| error.to_string()),
    })
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

fn open_mailbox(
    settings: &Complete,
    password: &Secret,
    context: &Context,
    trust: &Trust,
) -> Result<Imap, String> {
    let Door { protocol, place } = &settings.read;
    let name = context.settings.services.name_at(place);
    let said = |error: NetError| error.to_string();
    let line = Line::connect(place, context.timeout).map_err(said)?;
    let mut session = match protocol {
        Protocol::Imaps => Imap::open(line.protect(trust, name).map_err(said)?).map_err(said)?,
        _ => {
            let mut session = Imap::open(line).map_err(said)?;
            match session.offers("STARTTLS").map_err(said)? {
                true => session.start_tls(trust, name).map_err(said)?,
                false if place.is_local() => session,
                false => {
                    return Err(format!(
                        "{place} offers no STARTTLS for the password; use imaps://"
                    ));
                }
            }
        }
    };
    if let Some(why) = session
        .peer()
        .and_then(|peer| Judge::of(context, place.host()).objection(peer))
    {
        // A password is not told to who may be anybody.
        return Err(format!("{place}: {why}"));
    }
    session.login(&settings.user, password).map_err(said)?;
    session.select(&settings.mailbox).map_err(said)?;
    Ok(session)
}

/// Gives what the server answered, in which the queue's name for the message may be.
fn hand_in(
    route: Route,
    id: &str,
    settings: &Complete,
    password: &Secret,
    context: &Context,
    trust: &Trust,
) -> Result<String, Failure> {
    match (route, &settings.submit, &settings.inbound) {
        (Route::Submission, Some(door), _) => {
            submit(door, id, settings, password, context, trust).map_err(at("submission"))
        }
        (Route::Inbound, _, Some(api)) => {
            post(api, id, settings, context, trust).map_err(at("the inbound API"))
        }
        _ => Err(Failure {
            step: "configuration",
            why: "this way in is not configured".to_owned(),
        }),
    }
}

fn submit(
    door: &Door,
    id: &str,
    settings: &Complete,
    password: &Secret,
    context: &Context,
    trust: &Trust,
) -> Result<String, String> {
    let Door { protocol, place } = door;
    let name = context.settings.services.name_at(place);
    let said = |error: NetError| error.to_string();
    let line = Line::connect(place, context.timeout).map_err(said)?;
    let mut session = match protocol {
        Protocol::Smtps => Smtp::open(line.protect(trust, name).map_err(said)?, Hello::Ehlo),
        Protocol::Submission => {
            Smtp::open(line, Hello::Ehlo).and_then(|session| session.start_tls(trust, name))
        }
        _ => Smtp::open(line, Hello::Ehlo),
    }
    .map_err(said)?;
    if let Some(why) = session
        .peer()
        .and_then(|peer| Judge::of(context, place.host()).objection(peer))
    {
        return Err(format!("{place}: {why}"));
    }
    if *protocol != Protocol::Smtp {
        session.login(&settings.user, password).map_err(said)?;
    }
    let reply = session
        .submit(
            &settings.from,
            &settings.user,
            &message(id, settings, context),
        )
        .map_err(said)?;
    session.quit();
    Ok(reply)
}

fn message(id: &str, settings: &Complete, context: &Context) -> String {
    let (from, to) = (&settings.from, &settings.user);
    let date = context
        .now
        .with_time_zone(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string();
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: mail-check probe\r\nDate: {date}\r\nMessage-ID: <{id}@mail-check.invalid>\r\n\
         {HEADER}: {id}\r\nAuto-Submitted: auto-generated\r\nPrecedence: bulk\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\nSent by mail-check to see whether mail flows. It is removed when it is found."
    )
}

fn post(
    api: &Api,
    id: &str,
    settings: &Complete,
    context: &Context,
    trust: &Trust,
) -> Result<String, String> {
    let headers = api.headers()?;
    let body = api
        .body
        .replace("{id}", id)
        .replace("{from}", &settings.from)
        .replace("{to}", &settings.user);
    let objection = |peer: &Peer| Judge::of_url(context, api.url.place.host()).objection(peer);
    let answer = http::post(&api.url, &headers, &body, trust, objection, context.timeout);
    match answer.map_err(|error| error.to_string())?.status {
        200..300 => Ok(String::new()),
        status => Err(format!(
            "{} answers with status {status}; see its log",
            api.url
        )),
    }
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
