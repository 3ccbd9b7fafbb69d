//! Pages: whether a URL answers with the right status, and with the right words.

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use super::answer::{answered, down, most_of};
use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::net::http::{self, Answer, Url};
use crate::net::{CertificateJudge, Trust};
use crate::probe::Probe;

/// `[[services.http]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    pub(crate) url: Url,
    #[serde(default = "fine")]
    status: u16,
    text: Option<String>,
}

fn fine() -> u16 {
    200
}

pub(super) fn probe(
    page: Page,
    limits: Ceiling,
    context: &Arc<Context>,
    trust: &Arc<Trust>,
) -> Probe {
    let (context, trust) = (Arc::clone(context), Arc::clone(trust));
    let target = page.url.to_string();
    Probe::new("http", target.clone(), context.timeout, move || {
        let begun = Instant::now();
        let answer = http::get(&page.url, &trust, most_of(context.timeout));
        let seconds = begun.elapsed().as_secs_f64();
        let certificate = context.verifier.of_url(&page.url);
        vec![match answer {
            Err(error) => down(("http", &target), error, seconds, limits),
            Ok(answer) => judge(&page, &answer, seconds, limits, &certificate),
        }]
    })
}

fn judge(
    page: &Page,
    answer: &Answer,
    seconds: f64,
    limits: Ceiling,
    certificate: &CertificateJudge<'_>,
) -> Finding {
    let target = page.url.to_string();
    let objection = answer
        .peer
        .as_ref()
        .and_then(|peer| certificate.objection(peer));
    let wanting = page
        .text
        .as_ref()
        .filter(|text| !answer.body.contains(text.as_str()));
    match (objection, wanting) {
        (Some(objection), _) => objection
            .finding("http", &target)
            .under(seconds, "seconds", limits),
        _ if answer.status != page.status => {
            let message = format!(
                "it answers with status {}, not {}; see its log",
                answer.status, page.status
            );
            down(("http", &target), message, seconds, limits)
        }
        (None, Some(text)) => {
            let message = format!(
                "{text:?} is not in the page; another service or an error page answers, see its log"
            );
            down(("http", &target), message, seconds, limits)
        }
        (None, None) => answered(("http", &target), seconds, limits),
    }
}
