//! What every check may look at.

use std::path::PathBuf;
use std::time::Duration;

use jiff::ZonedDateTime;
use mail_common::config::{Config, Settings as ServerSettings};

use crate::settings::Settings;
use crate::state::StateDir;

/// What every check may look at; decided once, before any of them begins.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: ZonedDateTime,
    /// The file of checks.
    pub(crate) settings: Settings,
    /// What the environment and the server's configuration say, by name.
    pub(crate) config: Config,
    /// Where the server's parts are.
    pub(crate) server: ServerSettings,
    /// The directory that holds the sets.
    pub(crate) root: PathBuf,
    /// What is kept from run to run.
    pub(crate) state: StateDir,
    /// How long a check may take.
    pub(crate) timeout: Duration,
}
