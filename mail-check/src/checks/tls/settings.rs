//! `[tls]`: its section of the file of checks.

use std::path::PathBuf;

use serde::Deserialize;

use crate::limits::Floor;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(super) days: Floor,
    pub(super) files: Vec<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) allow_self_signed: bool,
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
