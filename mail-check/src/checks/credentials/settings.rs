//! `[credentials]`: its section of the file of checks.

use std::path::PathBuf;

use serde::Deserialize;

use super::age::Day;
use crate::limits::Ceiling;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[credentials]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(super) files: Vec<PathBuf>,
    pub(super) age: Ceiling,
    pub(super) aws_created: Option<Day>,
    pub(super) owners: Vec<String>,
    pub(super) group_may_read: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            age: Ceiling::warning(90.0),
            aws_created: None,
            owners: Vec::new(),
            group_may_read: false,
        }
    }
}
