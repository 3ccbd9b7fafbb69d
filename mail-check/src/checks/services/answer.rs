//! How a conversation with a service ended, as a finding.

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::net::{CertificateJudge, NetError, Peer};
use crate::status::Status;

/// What a service needs of the time that its probe has: it must say itself that it hung.
pub(super) fn most_of(within: Duration) -> Duration {
    within.mul_f64(0.9)
}

/// How a conversation ended.
pub(super) fn judge(
    (name, target): (&'static str, &str),
    outcome: Result<Option<Peer>, NetError>,
    begun: Instant,
    judge: &CertificateJudge<'_>,
    limits: Ceiling,
) -> Finding {
    let seconds = begun.elapsed().as_secs_f64();
    match outcome {
        Err(error) => down((name, target), error, seconds, limits),
        Ok(peer) => match peer.and_then(|peer| judge.objection(&peer)) {
            Some(objection) => objection
                .finding(name, target)
                .under(seconds, "seconds", limits),
            None => answered((name, target), seconds, limits),
        },
    }
}

pub(super) fn answered(
    (name, target): (&'static str, &str),
    seconds: f64,
    limits: Ceiling,
) -> Finding {
    let message = format!("it answers in {seconds:.2} s");
    let mut finding = Finding::ok(name, target, message).under(seconds, "seconds", limits);
    if finding.status != Status::Ok {
        finding.message += ", which is slow; look at the load of the machine and of the service";
    }
    finding
}

/// A service that is not there is critical.
pub(super) fn down(
    (name, target): (&'static str, &str),
    why: impl Display,
    seconds: f64,
    limits: Ceiling,
) -> Finding {
    Finding::critical(name, target, why.to_string()).under(seconds, "seconds", limits)
}
