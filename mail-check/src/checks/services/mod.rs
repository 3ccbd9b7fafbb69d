//! `services`: each service answers as its protocol says, in time, with a certificate that its
//! users can trust.

mod clamd; // PING, and the age of the signatures
mod database; // MariaDB: a login, a query, connections
mod endpoint; // the mail protocols
mod page; // HTTP and HTTPS
mod postfix; // effective settings, and the queue

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::tls::Judge;
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::net::{NetError, Peer, Place, Trust};
use crate::probe::Probe;

pub(crate) use endpoint::{Kind, converse};
pub(crate) use page::Page;
pub(crate) use postfix::reasons_of;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[services]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    response: Ceiling,
    pub(crate) name: Option<String>,
    smtp: Vec<Place>,
    submission: Vec<Place>,
    smtps: Vec<Place>,
    imap: Vec<Place>,
    imaps: Vec<Place>,
    pop3: Vec<Place>,
    pop3s: Vec<Place>,
    lmtp: Vec<Place>,
    clamd: Vec<Place>,
    signatures: Ceiling,
    mysql: bool,
    connections: Ceiling,
    pub(crate) postfix: postfix::Settings,
    pub(crate) http: Vec<Page>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            response: Ceiling::new(2.0, 8.0),
            name: None,
            smtp: Vec::new(),
            submission: Vec::new(),
            smtps: Vec::new(),
            imap: Vec::new(),
            imaps: Vec::new(),
            pop3: Vec::new(),
            pop3s: Vec::new(),
            lmtp: Vec::new(),
            clamd: Vec::new(),
            signatures: Ceiling::warning(7.0),
            mysql: false,
            connections: Ceiling::new(80.0, 95.0),
            postfix: postfix::Settings::default(),
            http: Vec::new(),
        }
    }
}

impl Settings {
    /// Every mail protocol at every address.
    pub(crate) fn endpoints(&self) -> Vec<(Kind, Place)> {
        let all = [
            (Kind::Smtp, &self.smtp),
            (Kind::Submission, &self.submission),
            (Kind::Smtps, &self.smtps),
            (Kind::Imap, &self.imap),
            (Kind::Imaps, &self.imaps),
            (Kind::Pop3, &self.pop3),
            (Kind::Pop3s, &self.pop3s),
            (Kind::Lmtp, &self.lmtp),
        ];
        all.into_iter()
            .flat_map(|(kind, places)| places.iter().map(move |place| (kind, place.clone())))
            .collect()
    }

    /// The name by which a server at `place` is greeted.
    pub(crate) fn name_at<'a>(&'a self, place: &'a Place) -> &'a str {
        self.name.as_deref().unwrap_or(place.host())
    }
}

/// Nothing but what is configured: who never had POP3 is not told that it is down.
pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let settings = &context.settings.services;
    let mut probes: Vec<Probe> = Vec::new();
    let (endpoints, pages) = (settings.endpoints(), &settings.http);
    if !(endpoints.is_empty() && pages.is_empty()) {
        match super::tls::trust(context) {
            Ok(trust) => {
                probes.extend(
                    endpoints
                        .into_iter()
                        .map(|(kind, place)| endpoint::probe(kind, place, context, &trust)),
                );
                probes.extend(
                    pages
                        .iter()
                        .map(|page| page::probe(page.clone(), context, &trust)),
                );
            }
            Err(error) => probes.push(super::tls::untrusting("services", error)),
        }
    }
    probes.extend(clamd::probes(context));
    if settings.mysql {
        probes.push(database::probe(context));
    }
    probes.extend(postfix::probes(context));
    probes
}

/// What a service needs of the time that its probe has: it must say itself that it hung.
fn most_of(within: Duration) -> Duration {
    within.mul_f64(0.9)
}

/// What a conversation came to.
fn judge(
    (name, target): (&'static str, &str),
    outcome: Result<Option<Peer>, NetError>,
    begun: Instant,
    judge: &Judge<'_>,
    limits: Ceiling,
) -> Finding {
    let seconds = begun.elapsed().as_secs_f64();
    match outcome {
        Err(error) => down((name, target), error, seconds, limits),
        Ok(peer) => match peer.and_then(|peer| judge.objection(&peer)) {
            Some(why) => Finding::critical(name, target, why).under(seconds, "seconds", limits),
            None => answered((name, target), seconds, limits),
        },
    }
}

fn answered((name, target): (&'static str, &str), seconds: f64, limits: Ceiling) -> Finding {
    let message = format!("it answers in {seconds:.2} s");
    let mut finding = Finding::ok(name, target, message).under(seconds, "seconds", limits);
    if finding.status != crate::status::Status::Ok {
        finding.message += ", which is slow; look at the load of the machine and of the service";
    }
    finding
}

/// A service that is not there is critical.
fn down(
    (name, target): (&'static str, &str),
    why: impl Display,
    seconds: f64,
    limits: Ceiling,
) -> Finding {
    Finding::critical(name, target, why.to_string()).under(seconds, "seconds", limits)
}

/// The trust of all probes of a group.
type Shared = Arc<Trust>;
