//! The checks. Each group gathers facts and judges them in pure functions, and owns its section of the file of checks.

pub(crate) mod resources; // processors, memory, disks, time
pub(crate) mod containers; // services of the compose project
pub(crate) mod services; // each answers as its protocol says
pub(crate) mod mailflow; // the round trip of a message
pub(crate) mod tls; // certificates, on disk and as they are served

use std::sync::Arc;

use crate::context::Context;
use crate::group::Group;
use crate::probe::Probe;

/// The checks of a group; none when nothing is configured for it.
pub(crate) fn probes(group: Group, context: &Arc<Context>) -> Vec<Probe> {
    match group {
        Group::Resources => resources::probes(context),
        Group::Containers => containers::probes(context),
        Group::Services => services::probes(context),
        Group::Mailflow => mailflow::probes(context),
        Group::Tls => tls::probes(context),
        _ => Vec::new(),
    }
}
