//! `tls`: certificates on disk and as services show them: days left, names, who signed them, and
//! whether a renewed one is served.

mod days; // how long a certificate lasts
mod disk; // certificates in files
mod served; // certificates of services
mod settings; // which files, and the limits

use std::sync::Arc;

use crate::context::Context;
use crate::probe::Probe;

pub(crate) use served::Shown;
pub(crate) use settings::{EXAMPLE, Settings};

/// `shown` is where services show certificates.
pub(crate) fn probes(settings: &Settings, shown: Vec<Shown>, context: &Arc<Context>) -> Vec<Probe> {
    let files = disk::Files::new(&settings.files, context.server.ssl_dir.as_deref());
    let mut probes = disk::probes(&files, settings.days, context);
    probes.extend(served::probes(shown, &files, settings.days, context));
    probes
}
