//! The mail protocols at each address: whether a server answers as its protocol says.

use std::sync::Arc;
use std::time::Instant;

use super::answer::{judge, most_of};
use super::settings::Settings;
use crate::context::Context;
use crate::net::{Place, Protocol, Trust, converse};
use crate::probe::Probe;

pub(super) fn probe(
    protocol: Protocol,
    place: Place,
    settings: &Settings,
    context: &Arc<Context>,
    trust: &Arc<Trust>,
) -> Probe {
    let (context, trust, limits) = (Arc::clone(context), Arc::clone(trust), settings.response);
    let (name, within) = (protocol.name(), context.timeout);
    Probe::new(name, place.to_string(), within, move || {
        let begun = Instant::now();
        let server_name = context.verifier.server_name(&place);
        let outcome = converse(protocol, &place, &trust, server_name, most_of(within));
        let certificate = context.verifier.of_service(&place);
        vec![judge(
            (name, &place.to_string()),
            outcome,
            begun,
            &certificate,
            limits,
        )]
    })
}
