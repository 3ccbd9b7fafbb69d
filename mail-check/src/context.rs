//! What a check may look at besides its own settings.

use std::path::PathBuf;
use std::time::Duration;

use jiff::ZonedDateTime;
use mail_common::config::{Config, Settings as ServerSettings};

use crate::docker::Project;
use crate::language::Language;
use crate::net::Verifier;
use crate::state::StateDir;

/// What a check may look at besides its own settings; decided once, before any of them begins.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) now: ZonedDateTime,
    /// That of who reads letters and pages.
    pub(crate) language: Language,
    /// How long a check may take.
    pub(crate) timeout: Duration,
    /// What is kept from run to run.
    pub(crate) state: StateDir,
    /// What the environment and the server's configuration say, by name.
    pub(crate) config: Config,
    /// The file that `config` was read from, where one was named; other tools are given it too.
    pub(crate) config_file: Option<PathBuf>,
    /// Where the server's parts are.
    pub(crate) server: ServerSettings,
    /// The directory that holds the sets.
    pub(crate) root: PathBuf,
    /// The compose project that runs the server.
    pub(crate) project: Project,
    /// How certificates of servers are judged.
    pub(crate) verifier: Verifier,
}
