//! `services`: each service answers as its protocol says, in time, with a certificate that its
//! users can trust.

mod answer; // how a conversation ended, as a finding
mod clamd; // PING, and the age of the signatures
mod database; // MariaDB: a login, a query, connections
mod endpoint; // the mail protocols
mod page; // HTTP and HTTPS
mod postfix; // effective settings, and the queue
mod settings; // which services, and the limits

use std::sync::Arc;

use crate::context::Context;
use crate::probe::Probe;

pub(crate) use postfix::Postfix;
pub(crate) use settings::{EXAMPLE, Settings};

/// Only what is configured: who never had POP3 gets no alert that it is down.
pub(crate) fn probes(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let mut probes = network(settings, context);
    probes.extend(clamd::probes(settings, context));
    if settings.mysql {
        probes.push(database::probe(settings, context));
    }
    let postfix = Postfix::new(&settings.postfix, &context.project);
    probes.extend(
        postfix
            .into_iter()
            .flat_map(|postfix| postfix::probes(postfix, context)),
    );
    probes
}

/// The mail protocols and the pages.
fn network(settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    let endpoints = settings.endpoints();
    if endpoints.is_empty() && settings.http.is_empty() {
        return Vec::new();
    }
    let trust = match context.verifier.trust() {
        Ok(trust) => trust,
        Err(why) => return vec![Probe::unknown("services", "ca_file", why)],
    };
    let mut probes = Vec::new();
    for (protocol, place) in endpoints {
        probes.push(endpoint::probe(protocol, place, settings, context, &trust));
    }
    for page in &settings.http {
        probes.push(page::probe(
            page.clone(),
            settings.response,
            context,
            &trust,
        ));
    }
    probes
}
