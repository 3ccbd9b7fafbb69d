//! `[s3]`: its section of the file of checks.

use std::path::PathBuf;

use serde::Deserialize;

use crate::limits::Ceiling;
use crate::span::Span;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[s3]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) records: Vec<PathBuf>,
    pub(super) ask: bool,
    pub(super) program: String,
    pub(super) from: Option<String>,
    pub(super) max_age: Span,
    pub(super) weekly_max_age: Span,
    pub(super) hourly_max_age: Span,
    pub(super) locked_for: Option<Span>,
    pub(super) monthly_usd: Ceiling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            ask: false,
            program: "mail-s3sync".to_owned(),
            from: None,
            max_age: Span::hours(28),
            weekly_max_age: Span::days(9),
            hourly_max_age: Span::hours(28),
            locked_for: None,
            monthly_usd: Ceiling::warning(5.0),
        }
    }
}
