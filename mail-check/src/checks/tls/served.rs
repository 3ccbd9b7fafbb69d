//! Certificates as services show them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::disk;
use super::judge::Judge;
use crate::checks::services::{Kind, converse};
use crate::context::Context;
use crate::finding::Finding;
use crate::net::http::{self, Url};
use crate::net::{Certificate, NetError, Peer, Place, Trust};
use crate::probe::Probe;
use crate::status::Status;

/// Where a certificate is shown.
enum Shown {
    Mail(Kind, Place),
    Page(Url),
}

impl Shown {
    fn target(&self) -> String {
        match self {
            Self::Mail(kind, place) => format!("{} {place}", kind.name()),
            Self::Page(url) => url.to_string(),
        }
    }

    fn see(
        &self,
        context: &Context,
        trust: &Trust,
        within: Duration,
    ) -> Result<Option<Peer>, NetError> {
        match self {
            Self::Mail(kind, place) => converse(
                *kind,
                place,
                trust,
                context.settings.services.name_at(place),
                within,
            ),
            Self::Page(url) => http::get(url, trust, within).map(|answer| answer.peer),
        }
    }

    fn judge<'a>(&'a self, context: &'a Context) -> Judge<'a> {
        match self {
            Self::Mail(_, place) => Judge::of(context, place.host()),
            Self::Page(url) => Judge::of_url(context, url.place.host()),
        }
    }
}

pub(super) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let services = &context.settings.services;
    let mail = services
        .endpoints()
        .into_iter()
        .filter(|(kind, _)| *kind != Kind::Lmtp);
    let mail = mail.map(|(kind, place)| Shown::Mail(kind, place));
    let pages = services
        .http
        .iter()
        .filter(|page| page.url.secure)
        .map(|page| Shown::Page(page.url.clone()));
    let shown: Vec<Shown> = mail.chain(pages).collect();
    if shown.is_empty() {
        return Vec::new();
    }
    match super::trust(context) {
        Ok(trust) => shown
            .into_iter()
            .map(|shown| probe(shown, context, &trust))
            .collect(),
        Err(why) => vec![super::untrusting("certificate", why)],
    }
}

fn probe(shown: Shown, context: &Arc<Context>, trust: &Arc<Trust>) -> Probe {
    let (context, trust) = (Arc::clone(context), Arc::clone(trust));
    Probe::new("certificate", shown.target(), context.timeout, move || {
        let seen = shown.see(&context, &trust, context.timeout.mul_f64(0.9));
        vec![check(&shown, seen, &context)]
    })
}

/// That a service is down is for `services` to say.
fn check(shown: &Shown, seen: Result<Option<Peer>, NetError>, context: &Context) -> Finding {
    let target = shown.target();
    let peer = match seen {
        Ok(Some(peer)) => peer,
        Ok(None) => {
            return Finding::unknown(
                "certificate",
                target,
                "it offers no TLS; see its TLS settings",
            );
        }
        Err(error) => {
            return Finding::unknown(
                "certificate",
                target,
                format!("no certificate was seen: {error}"),
            );
        }
    };
    if let Some(why) = shown.judge(context).objection(&peer) {
        return Finding::critical("certificate", target, why);
    }
    let Some(certificate) = peer.chain.first().and_then(|der| Certificate::parse(der)) else {
        return Finding::unknown("certificate", target, "its certificate cannot be read");
    };
    let on_disk = disk::files(context)
        .into_iter()
        .filter_map(|path| Some((disk::read(&path).ok()?, path)))
        .collect();
    match forgotten(&certificate, on_disk) {
        Some(path) => {
            let message = format!(
                "{} is newer than the certificate that is served; reload the service",
                path.display()
            );
            let finding = judge_days(&target, &certificate, context);
            let status = crate::status::worse(finding.status, Status::Warning);
            Finding {
                status,
                message,
                ..finding
            }
        }
        None => judge_days(&target, &certificate, context),
    }
}

/// The file with a certificate for the same names that outlives the one that is served.
fn forgotten(served: &Certificate, on_disk: Vec<(Certificate, PathBuf)>) -> Option<PathBuf> {
    let newer =
        |disk: &Certificate| disk.names == served.names && disk.not_after > served.not_after;
    on_disk
        .into_iter()
        .find(|(disk, _)| newer(disk))
        .map(|(_, path)| path)
}

pub(super) fn judge_days(target: &str, certificate: &Certificate, context: &Context) -> Finding {
    let days = certificate.days_left(context.now.timestamp());
    let message = format!(
        "the certificate for {} has {days:.0} days left",
        certificate.names.join(", ")
    );
    let mut finding =
        Finding::ok("certificate", target, message).above(days, "days", context.settings.tls.days);
    if finding.status != Status::Ok {
        finding.message += "; renew it (certbot renew) and reload the services";
    }
    finding
}
