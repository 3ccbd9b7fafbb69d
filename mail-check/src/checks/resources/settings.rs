//! `[resources]`: its section of the file of checks.

use std::path::PathBuf;

use serde::Deserialize;

use crate::limits::Ceiling;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[resources]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(super) cpu: Ceiling,
    pub(super) memory: Ceiling,
    pub(super) swap: Ceiling,
    pub(super) load_per_core: Ceiling,
    pub(super) disk: Ceiling,
    pub(super) inodes: Ceiling,
    pub(super) mounts: Vec<PathBuf>,
    pub(super) time_sync: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cpu: Ceiling::new(80.0, 95.0),
            memory: Ceiling::new(80.0, 95.0),
            swap: Ceiling::new(80.0, 95.0),
            load_per_core: Ceiling::new(2.0, 5.0),
            disk: Ceiling::new(70.0, 95.0),
            inodes: Ceiling::new(70.0, 95.0),
            mounts: Vec::new(),
            time_sync: true,
        }
    }
}
