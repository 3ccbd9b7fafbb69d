//! From the name of a group to its checks: each is handed its own section of the settings.

use std::sync::Arc;

use crate::checks::services::Postfix;
use crate::checks::tls::Shown;
use crate::checks::{
    backups, containers, credentials, logs, mailflow, resources, s3, scans, services, tls, users,
};
use crate::context::Context;
use crate::group::Group;
use crate::net::Protocol;
use crate::probe::Probe;
use crate::settings::Settings;

/// The checks of a group; none when nothing is configured for it.
pub(crate) fn probes(group: Group, settings: &Settings, context: &Arc<Context>) -> Vec<Probe> {
    match group {
        Group::Resources => resources::probes(&settings.resources, context),
        Group::Containers => containers::probes(&settings.containers, context),
        Group::Services => services::probes(&settings.services, context),
        Group::Mailflow => {
            let postfix = Postfix::new(&settings.services.postfix, &context.project);
            mailflow::probes(&settings.mailflow, postfix.as_ref(), context)
        }
        Group::Logs => logs::probes(&settings.logs, context),
        Group::Backups => backups::probes(&settings.backups, context),
        Group::Scans => scans::probes(&settings.scans, context),
        Group::S3 => s3::probes(&settings.s3, context),
        Group::Tls => tls::probes(&settings.tls, shown(&settings.services), context),
        Group::Credentials => credentials::probes(&settings.credentials, context),
        Group::Users => users::probes(&settings.users, context),
    }
}

/// Where services show certificates.
fn shown(services: &services::Settings) -> Vec<Shown> {
    let mut shown = Vec::new();
    for (protocol, place) in services.endpoints() {
        if protocol != Protocol::Lmtp {
            shown.push(Shown::Mail(protocol, place));
        }
    }
    shown.extend(services.secure_urls().cloned().map(Shown::Page));
    shown
}
