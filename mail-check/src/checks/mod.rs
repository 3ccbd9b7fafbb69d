//! The checks. Each group gathers facts and judges them in pure functions, and owns its section of
//! the file of checks.

pub(crate) mod resources; // processors, memory, disks, time
pub(crate) mod containers; // services of the compose project
pub(crate) mod services; // each answers as its protocol says
pub(crate) mod mailflow; // the round trip of a message
pub(crate) mod logs; // what the services wrote since the last run
pub(crate) mod backups; // whether there are sets, young and complete
pub(crate) mod scans; // what the newest scan found
pub(crate) mod s3; // the copy elsewhere
pub(crate) mod tls; // certificates, on disk and as they are served
pub(crate) mod credentials; // age, modes and owners of secrets
pub(crate) mod users; // the database of users against mailboxes and sets
pub(crate) mod set; // whether a backup set is as it was made

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
        Group::Logs => logs::probes(context),
        Group::Backups => backups::probes(context),
        Group::Scans => scans::probes(context),
        Group::S3 => s3::probes(context),
        Group::Tls => tls::probes(context),
        Group::Credentials => credentials::probes(context),
        Group::Users => users::probes(context),
    }
}
