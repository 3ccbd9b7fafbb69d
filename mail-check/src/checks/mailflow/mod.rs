//! `mailflow`: the real round trip. A marked message is handed in by submission and by the inbound
//! API, read by IMAP, and removed.

mod judge; // what the trip came to
mod settings; // where it begins and ends
mod trip; // one message on its way

use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::finding::Finding;
use crate::probe::Probe;

pub(crate) use settings::Settings;
use settings::{Complete, Route};

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// What a trip may take beyond its critical limit: its last look, the reason in the queue, the
/// removal.
const BESIDES: Duration = Duration::from_secs(30);

/// A probe for each way in; each is critical at the limit at the latest, since the wait ends there.
pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    match context.settings.mailflow.complete() {
        Ok(None) => Vec::new(),
        Ok(Some(settings)) => {
            let settings = Arc::new(settings);
            let routes = settings.routes();
            routes
                .into_iter()
                .map(|route| probe(route, &settings, context))
                .collect()
        }
        Err(why) => vec![Probe::new(
            "mailflow",
            "configuration",
            context.timeout,
            move || vec![Finding::unknown("mailflow", "configuration", why)],
        )],
    }
}

fn probe(route: Route, settings: &Arc<Complete>, context: &Arc<Context>) -> Probe {
    let (settings, context) = (Arc::clone(settings), Arc::clone(context));
    let within = settings.wait() + context.timeout * 2 + BESIDES;
    Probe::new("mailflow", route.name(), within, move || {
        let outcome = crate::checks::tls::trust(&context)
            .map(|trust| trip::make(route, &settings, &context, &trust));
        vec![match outcome {
            Ok(outcome) => judge::judge(route, outcome, settings.delay),
            Err(why) => Finding::unknown("mailflow", route.name(), why),
        }]
    })
}
