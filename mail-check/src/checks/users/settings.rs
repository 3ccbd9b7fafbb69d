//! `[users]`: its section of the file of checks.

use serde::Deserialize;

use crate::limits::Ceiling;
use crate::net::http::Url;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[users]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(super) database: Option<String>,
    pub(super) users_query: String,
    pub(super) quota: Ceiling,
    pub(super) api_url: Option<Url>,
    pub(super) api_status: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: None,
            users_query: "SELECT email, quota, enabled FROM users".to_owned(),
            quota: Ceiling::new(90.0, 100.0),
            api_url: None,
            api_status: 200,
        }
    }
}
