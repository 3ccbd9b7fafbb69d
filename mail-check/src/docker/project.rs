//! The compose project of the mail server: `[docker]`, DOCKER_HOST, and the compose file.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mail_common::config::Settings as ServerSettings;
use serde::Deserialize;

use super::client::Docker;
use super::compose::{Compose, Location};
use super::error::DockerError;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// Docker Compose reads its files in a moment.
const ASK_WITHIN: Duration = Duration::from_secs(2);

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// `[docker]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    socket: Option<String>,
    project: Option<String>,
}

/// Where the daemon listens, and which containers are those of the mail server.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    socket: Option<String>,
    name: Option<String>,
    /// `None` where the settings say that the server has no compose file.
    location: Option<Location>,
    compose: Arc<OnceLock<Compose>>,
}

impl Project {
    pub(crate) fn new(settings: &Settings, server: &ServerSettings) -> Self {
        Self {
            socket: settings.socket.clone(),
            name: settings.project.clone(),
            location: server
                .docker_compose_file
                .clone()
                .map(|compose_file| Location {
                    compose_file,
                    env_file: server.env_file.clone(),
                }),
            compose: Arc::default(),
        }
    }

    /// The daemon of `[docker]`, or of DOCKER_HOST, or the usual one. Each call may take `within`.
    ///
    /// # Errors
    /// As [`Docker::connect`], and when DOCKER_HOST names something other than a unix socket.
    pub(crate) fn connect(&self, within: Duration) -> Result<Docker, DockerError> {
        let host = std::env::var("DOCKER_HOST").ok();
        Docker::connect(
            &socket_path(self.socket.as_deref(), host.as_deref())?,
            within,
        )
    }

    /// The name of the project: that of `[docker]`, or else as Docker Compose names it.
    ///
    /// # Errors
    /// When neither says so and the compose file cannot be read.
    pub(crate) fn name(&self) -> Result<String, DockerError> {
        match &self.name {
            Some(name) => Ok(name.clone()),
            None => Ok(self.compose()?.project),
        }
    }

    /// The services that the compose file wants to run.
    ///
    /// # Errors
    /// When the compose file cannot be read.
    pub(crate) fn wanted_services(&self) -> Result<Vec<String>, DockerError> {
        Ok(self.compose()?.wanted)
    }

    /// Read once in a run.
    fn compose(&self) -> Result<Compose, DockerError> {
        if let Some(compose) = self.compose.get() {
            return Ok(compose.clone());
        }
        let location = self.location.as_ref().ok_or(DockerError::NoComposeFile)?;
        let compose = location.read(ASK_WITHIN)?;
        Ok(self.compose.get_or_init(|| compose).clone())
    }
}

fn socket_path(configured: Option<&str>, host: Option<&str>) -> Result<PathBuf, DockerError> {
    let host = host.filter(|host| !host.is_empty());
    let address = configured.or(host).unwrap_or(DEFAULT_SOCKET);
    match address.split_once("://") {
        None => Ok(address.into()),
        Some(("unix", path)) => Ok(path.into()),
        Some(_) => Err(DockerError::NotASocket {
            address: address.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_socket_is_the_configured_one_then_that_of_the_environment() {
        let check = |configured, host, expected: &str| {
            assert_eq!(socket_path(configured, host).unwrap(), Path::new(expected));
        };
        check(None, None, DEFAULT_SOCKET);
        check(None, Some(""), DEFAULT_SOCKET);
        check(None, Some("unix:///run/d.sock"), "/run/d.sock");
        check(Some("/a.sock"), Some("tcp://h:2375"), "/a.sock");
        let error = socket_path(None, Some("tcp://h:2375"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("tcp://h:2375") && error.contains("[docker]"),
            "{error}"
        );
    }
}
