//! `tls`: certificates on disk and as services show them: days left, names, who signed them, and
//! whether a renewed one is served.

mod disk; // certificates in files
mod judge; // what is to be said against a certificate
mod served; // certificates of services

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Floor;
use crate::net::Trust;
use crate::probe::Probe;

pub(crate) use judge::Judge;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    days: Floor,
    files: Vec<String>,
    ca_file: Option<PathBuf>,
    allow_self_signed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            days: Floor::new(30.0, 7.0),
            files: Vec::new(),
            ca_file: None,
            allow_self_signed: false,
        }
    }
}

pub(crate) fn probes(context: &Arc<Context>) -> Vec<Probe> {
    let mut probes = disk::probes(context);
    probes.extend(served::probes(context));
    probes
}

/// Whom the checks trust.
pub(crate) fn trust(context: &Context) -> Result<Arc<Trust>, String> {
    Trust::load(context.settings.tls.ca_file.as_deref())
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

/// What a group says that cannot judge any certificate.
pub(crate) fn untrusting(name: &'static str, why: String) -> Probe {
    Probe::new(
        name,
        "ca_file",
        std::time::Duration::from_secs(1),
        move || vec![Finding::unknown(name, "ca_file", why)],
    )
}
