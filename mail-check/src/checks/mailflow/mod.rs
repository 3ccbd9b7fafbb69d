//! `mailflow`: the real round trip. A marked message is handed in by submission and by the inbound
//! API, read by IMAP, and removed.

mod judge; // how the trip ended, as a finding
mod settings; // where it begins and ends
mod trip; // one message on its way

use std::sync::Arc;
use std::time::Duration;

use crate::checks::services::Postfix;
use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

use settings::{Complete, Route};
pub(crate) use settings::{EXAMPLE, Settings};
use trip::Trip;

/// What a trip may take beyond its critical limit: its last look, the reason in the queue, the
/// removal.
const BESIDES: Duration = Duration::from_secs(30);

/// A probe for each way in; each is critical at the limit at the latest, since the wait ends there.
/// `postfix` is asked why a message has not come.
pub(crate) fn probes(
    settings: &Settings,
    postfix: Option<&Postfix>,
    context: &Arc<Context>,
) -> Vec<Probe> {
    let settings = match settings.complete() {
        Ok(None) => return Vec::new(),
        Ok(Some(settings)) => Arc::new(settings),
        Err(why) => return vec![Probe::unknown("mailflow", "settings", why)],
    };
    let routes = settings.routes().into_iter();
    routes
        .map(|route| probe(route, &settings, postfix, context))
        .collect()
}

fn probe(
    route: Route,
    settings: &Arc<Complete>,
    postfix: Option<&Postfix>,
    context: &Arc<Context>,
) -> Probe {
    let (settings, context) = (Arc::clone(settings), Arc::clone(context));
    let postfix = postfix.cloned();
    let within = settings.wait() + context.timeout * 2 + BESIDES;
    Probe::new("mailflow", route.name(), within, move || {
        vec![check(route, &settings, postfix.as_ref(), &context)]
    })
}

fn check(
    route: Route,
    settings: &Complete,
    postfix: Option<&Postfix>,
    context: &Context,
) -> Finding {
    let needs = || Ok((settings.password()?, context.verifier.trust()?));
    let (password, trust) = match needs() {
        Ok(needs) => needs,
        Err(why) => return judge::unmade(route, why),
    };
    let trip = Trip {
        route,
        settings,
        password: &password,
        trust: &trust,
        postfix,
        context,
    };
    judge::judge(route, trip.make(), settings.delay)
}
