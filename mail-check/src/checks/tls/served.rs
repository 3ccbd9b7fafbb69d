//! Certificates as services show them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::days;
use super::disk::{self, Files};
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Floor;
use crate::net::http::{self, Url};
use crate::net::{
    Certificate, CertificateJudge, Chain, NetError, Peer, Place, Protocol, Trust, Verifier,
    converse,
};
use crate::probe::Probe;
use crate::status::Status;

/// Where a certificate is shown.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    Mail(Protocol, Place),
    Page(Url),
}

impl Shown {
    fn target(&self) -> String {
        match self {
            Self::Mail(protocol, place) => format!("{} {place}", protocol.name()),
            Self::Page(url) => url.to_string(),
        }
    }

    fn see(
        &self,
        verifier: &Verifier,
        trust: &Trust,
        within: Duration,
    ) -> Result<Option<Peer>, NetError> {
        match self {
            Self::Mail(protocol, place) => {
                converse(*protocol, place, trust, verifier.server_name(place), within)
            }
            Self::Page(url) => http::get(url, trust, within).map(|answer| answer.peer),
        }
    }

    fn judge<'a>(&'a self, verifier: &'a Verifier) -> CertificateJudge<'a> {
        match self {
            Self::Mail(_, place) => verifier.of_service(place),
            Self::Page(url) => verifier.of_url(url),
        }
    }
}

pub(super) fn probes(
    shown: Vec<Shown>,
    files: &Files,
    limits: Floor,
    context: &Arc<Context>,
) -> Vec<Probe> {
    if shown.is_empty() {
        return Vec::new();
    }
    match context.verifier.trust() {
        Ok(trust) => shown
            .into_iter()
            .map(|shown| probe(shown, files.clone(), limits, context, &trust))
            .collect(),
        Err(why) => vec![Probe::unknown("certificate", "ca_file", why)],
    }
}

fn probe(
    shown: Shown,
    files: Files,
    limits: Floor,
    context: &Arc<Context>,
    trust: &Arc<Trust>,
) -> Probe {
    let (context, trust) = (Arc::clone(context), Arc::clone(trust));
    Probe::new("certificate", shown.target(), context.timeout, move || {
        let seen = shown.see(&context.verifier, &trust, context.timeout.mul_f64(0.9));
        let judge = shown.judge(&context.verifier);
        let now = context.now.timestamp();
        vec![check(&shown.target(), seen, &judge, &files, limits, now)]
    })
}

/// That a service is down is for `services` to say.
fn check(
    target: &str,
    seen: Result<Option<Peer>, NetError>,
    judge: &CertificateJudge<'_>,
    files: &Files,
    limits: Floor,
    now: Timestamp,
) -> Finding {
    let unknown = |why: String| Finding::unknown("certificate", target, why);
    let peer = match seen {
        Ok(Some(peer)) => peer,
        Ok(None) => return unknown("it offers no TLS; see its TLS settings".to_owned()),
        Err(error) => return unknown(format!("no certificate was seen: {error}")),
    };
    if let Some(objection) = judge.objection(&peer) {
        return objection.finding("certificate", target);
    }
    let chain = match Chain::parse(&peer.chain) {
        Ok(Some(chain)) => chain,
        Ok(None) => return unknown("there is no certificate".to_owned()),
        Err(error) => return unknown(error.to_string()),
    };
    let finding = days::judge(target, &chain, now, limits);
    let on_disk = files.paths().into_iter();
    let on_disk = on_disk.filter_map(|path| Some((disk::read(&path).ok()?, path)));
    match forgotten(chain.own(), on_disk.collect()) {
        None => finding,
        Some(path) => Finding {
            status: finding.status.max(Status::Warning),
            message: format!(
                "{} is newer than the certificate that is served; reload the service",
                path.display()
            ),
            ..finding
        },
    }
}

/// The file with a certificate for the same names that outlives the one that is served.
fn forgotten(served: &Certificate, on_disk: Vec<(Chain, PathBuf)>) -> Option<PathBuf> {
    let is_newer =
        |disk: &Certificate| disk.names == served.names && disk.not_after > served.not_after;
    let mut newer = on_disk
        .into_iter()
        .filter(|(chain, _)| is_newer(chain.own()));
    newer.next().map(|(_, path)| path)
}
