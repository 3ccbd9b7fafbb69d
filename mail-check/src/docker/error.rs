//! Why the Docker daemon or the compose file gives no answer, and what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mail_common::compose;

/// Why the daemon gives no answer: whole sentences, since a finding has one message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DockerError {
    #[error(
        "there is no Docker socket at {}; is Docker installed and started? (systemctl status \
         docker)",
        socket.display()
    )]
    Absent { socket: PathBuf },
    #[error(
        "the Docker socket {} may not be opened; run as root or as a member of the group docker",
        socket.display()
    )]
    Denied { socket: PathBuf },
    #[error(
        "nobody listens at the Docker socket {}; see systemctl status docker",
        socket.display()
    )]
    Refused { socket: PathBuf },
    #[error("the Docker socket {} cannot be opened: {cause}", socket.display())]
    Open { socket: PathBuf, cause: io::Error },
    #[error("{address} is not a unix socket; name one with `socket` in [docker]")]
    NotASocket { address: String },
    #[error(
        "{what}: Docker at {} gave no answer within {} s; see journalctl -u docker",
        socket.display(), within.as_secs_f64()
    )]
    Silent {
        socket: PathBuf,
        what: String,
        within: Duration,
    },
    /// The daemon refuses; its words.
    #[error("{what}: Docker says {status}: {words}")]
    Refuses {
        what: String,
        status: u16,
        words: String,
    },
    #[error("{what}: Docker at {} gave an answer that cannot be used: {cause}", socket.display())]
    Garbage {
        socket: PathBuf,
        what: String,
        cause: Box<bollard::errors::Error>,
    },
    #[error(
        "service {service} of the compose project {project} has no container; see docker compose \
         ps --all"
    )]
    NoContainer { project: String, service: String },
    #[error(
        "DOCKER_COMPOSE_FILE says that there is no compose file; set it, or `project` in [docker] \
         and `services` in [containers]"
    )]
    NoComposeFile,
    #[error(
        "{} cannot be read: {cause}; set DOCKER_COMPOSE_FILE, or `project` in [docker] and \
         `services` in [containers]",
        path.display()
    )]
    ComposeFile { path: PathBuf, cause: io::Error },
    #[error("{}: {reason}; name the services with `services` in [containers]", path.display())]
    ComposeContent { path: PathBuf, reason: String },
    #[error("{} cannot be read: {cause}; set ENV_FILE", path.display())]
    EnvFile { path: PathBuf, cause: String },
    #[error("no runtime for the Docker client")]
    Runtime(#[source] io::Error),
}

impl From<compose::Error> for DockerError {
    fn from(error: compose::Error) -> Self {
        match error {
            compose::Error::File { path, cause } => Self::ComposeFile { path, cause },
            compose::Error::Content { path, reason } => Self::ComposeContent { path, reason },
            compose::Error::EnvFile { path, cause } => Self::EnvFile { path, cause },
        }
    }
}

impl DockerError {
    pub(super) fn at_the_door(socket: &Path, source: io::Error) -> Self {
        let socket = socket.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Absent { socket },
            io::ErrorKind::PermissionDenied => Self::Denied { socket },
            io::ErrorKind::ConnectionRefused => Self::Refused { socket },
            _ => Self::Open {
                socket,
                cause: source,
            },
        }
    }

    pub(super) fn silent(socket: &Path, what: &str, within: Duration) -> Self {
        Self::Silent {
            socket: socket.to_owned(),
            what: what.to_owned(),
            within,
        }
    }

    pub(super) fn of(socket: &Path, what: &str, source: bollard::errors::Error) -> Self {
        let what = what.to_owned();
        match source {
            bollard::errors::Error::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refuses {
                what,
                status: status_code,
                words: message.trim().to_owned(),
            },
            source => Self::Garbage {
                socket: socket.to_owned(),
                what,
                cause: Box::new(source),
            },
        }
    }
}
