//! `[containers]`: its section of the file of checks.

use serde::Deserialize;

use crate::limits::Ceiling;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[containers]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(super) services: Vec<String>,
    pub(super) one_shot: Vec<String>,
    pub(super) restarts: Ceiling,
    pub(super) image_age: Ceiling,
    pub(super) ageless: Vec<String>,
    pub(super) cpu: Ceiling,
    pub(super) memory: Ceiling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            one_shot: Vec::new(),
            restarts: Ceiling::new(1.0, 5.0),
            image_age: Ceiling::warning(90.0),
            ageless: Vec::new(),
            cpu: Ceiling::new(80.0, 95.0),
            memory: Ceiling::new(80.0, 95.0),
        }
    }
}
