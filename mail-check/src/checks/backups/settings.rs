//! `[backups]`: its section of the file of checks.

use mail_common::set::Component;
use mail_common::suspicion::Limits;
use serde::Deserialize;

use crate::limits::{Ceiling, Floor};
use crate::span::Span;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[backups]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The newest daily set may be so old.
    pub(super) daily_max_age: Span,
    /// `None`: where there are any, or no hourly ones.
    pub(super) daily: Option<bool>,
    pub(super) weekly_max_age: Span,
    pub(super) weekly: bool,
    pub(super) hourly_max_age: Span,
    /// `None`: when there are any.
    pub(super) hourly: Option<bool>,
    /// What a set must hold to be complete; empty: what was wanted when it was made.
    pub(super) components: Vec<Component>,
    /// Percent by which the newest set is smaller or larger than those before it.
    pub(super) size_change: Ceiling,
    /// For how many more sets there is room.
    pub(super) room: Floor,
    /// For how many days what restores have kept may stay.
    pub(super) leftovers: Ceiling,
    /// From where on changes of the mail are not those of an ordinary day.
    pub(super) changes: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            daily_max_age: Span::hours(26),
            daily: None,
            weekly_max_age: Span::days(8),
            weekly: true,
            hourly_max_age: Span::hours(2),
            hourly: None,
            components: Vec::new(),
            size_change: Ceiling::new(50.0, 90.0),
            room: Floor::new(7.0, 2.0),
            leftovers: Ceiling::warning(30.0),
            changes: Limits::default(),
        }
    }
}
