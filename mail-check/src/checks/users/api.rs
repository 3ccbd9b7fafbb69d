//! Whether the REST API of the user management answers.

use std::time::Duration;

use crate::finding::Finding;
use crate::net::http::{self, Url};
use crate::net::{NetError, Verifier};

pub(super) fn check(url: &Url, expected: u16, verifier: &Verifier, within: Duration) -> Finding {
    let target = url.to_string();
    let answer = match verifier.trust() {
        Ok(trust) => http::get(url, &trust, within),
        Err(why) => return Finding::unknown("user-api", target, why),
    };
    let peer = answer.as_ref().ok().and_then(|answer| answer.peer.as_ref());
    if let Some(objection) = peer.and_then(|peer| verifier.of_url(url).objection(peer)) {
        return objection.finding("user-api", &target);
    }
    judge(&target, expected, answer.map(|answer| answer.status))
}

fn judge(target: &str, expected: u16, answer: Result<u16, NetError>) -> Finding {
    match answer {
        Ok(status) if status == expected => {
            Finding::ok("user-api", target, format!("it answers with {status}"))
        }
        Ok(status) => {
            let message = format!(
                "it answers with {status}, not {expected}; see the log of the user management"
            );
            Finding::critical("user-api", target, message)
        }
        Err(error) => {
            let message = format!("it does not answer: {error}; is the user management running?");
            Finding::critical("user-api", target, message)
        }
    }
}
