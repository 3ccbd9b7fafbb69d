//! The Docker Engine, asked over its unix socket: a synchronous face, where every call is bounded in time.
//!
//! The one asynchronous part of this program: a runtime of one thread lives in each [`Docker`], and nobody outside sees it.

mod compose; // what the compose file says of services
mod container; // what the daemon knows of a container
mod error; // why it gives no answer
mod exec; // programs run in a container
mod logs; // what a container said
mod stats; // what a container uses

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

pub(crate) use compose::{ComposeError, ComposeFile};
pub(crate) use container::{Container, Details, Health, Image, State};
pub(crate) use error::DockerError;
pub(crate) use exec::Output;
pub(crate) use logs::{LogLine, Logs};
pub(crate) use stats::Usage;

use crate::context::Context;

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const PROJECT_LABEL: &str = "com.docker.compose.project";

/// `[docker]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    socket: Option<String>,
    project: Option<String>,
}

/// A daemon that can be asked.
#[derive(Debug)]
pub(crate) struct Docker {
    runtime: Runtime,
    client: bollard::Docker,
    socket: PathBuf,
    within: Duration,
}

impl Docker {
    /// The daemon of `[docker]`, or of DOCKER_HOST, or the usual one. Each call may take `within`.
    ///
    /// # Errors
    /// As [`Docker::connect`], and when DOCKER_HOST names no unix socket.
    pub(crate) fn of(context: &Context, within: Duration) -> Result<Self, DockerError> {
        let host = std::env::var("DOCKER_HOST").ok();
        Self::connect(&socket_path(context.settings.docker.socket.as_deref(), host.as_deref())?, within)
    }

    /// The daemon that listens at `socket`. Each call may take `within`.
    ///
    /// # Errors
    /// When the socket is absent, denied or nobody listens, and when the daemon does not speak.
    pub(crate) fn connect(socket: &Path, within: Duration) -> Result<Self, DockerError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(DockerError::Runtime)?;
        runtime.block_on(async { knock(socket, within).await })?;
        let address = socket.to_string_lossy();
        let seconds = within.as_secs().saturating_add(1);
        let new = runtime
            .block_on(async { bollard::Docker::connect_with_unix(&address, seconds, bollard::API_DEFAULT_VERSION) });
        let unversioned = new.map_err(|source| DockerError::of(socket, "connect", source))?;
        let negotiated = runtime.block_on(async { timeout(within, unversioned.negotiate_version()).await });
        let client = match negotiated {
            Ok(client) => client.map_err(|source| DockerError::of(socket, "ask for its version", source))?,
            Err(_) => return Err(DockerError::silent(socket, "ask for its version", within)),
        };
        Ok(Self { runtime, client, socket: socket.to_owned(), within })
    }

    /// The containers of a compose project, running or not, by service and name; not those of `docker compose run`.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(crate) fn list(&self, project: &str) -> Result<Vec<Container>, DockerError> {
        let filters = HashMap::from([("label", vec![format!("{PROJECT_LABEL}={project}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.call("list containers", self.client.list_containers(Some(options)))?;
        let mut containers: Vec<Container> = listed.into_iter().filter_map(Container::read).collect();
        containers.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        Ok(containers)
    }

    /// A running container of a service, or else one that does not run.
    ///
    /// # Errors
    /// When the daemon does not answer, and when the service has no container.
    pub(crate) fn service(&self, project: &str, service: &str) -> Result<Container, DockerError> {
        let of_service = self.list(project)?.into_iter().filter(|container| container.service == service);
        let best = of_service.max_by_key(|container| container.running);
        best.ok_or_else(|| DockerError::NoContainer { project: project.to_owned(), service: service.to_owned() })
    }

    /// Everything that is known of a container, by id or name.
    ///
    /// # Errors
    /// When the daemon does not answer, and when there is no such container.
    pub(crate) fn inspect(&self, container: &str) -> Result<Details, DockerError> {
        let answer = self.call(
            &format!("inspect {container}"),
            self.client.inspect_container(container, None::<InspectContainerOptions>),
        )?;
        Ok(Details::read(answer))
    }

    /// An image, by id or name.
    ///
    /// # Errors
    /// When the daemon does not answer, and when there is no such image.
    pub(crate) fn image(&self, image: &str) -> Result<Image, DockerError> {
        Ok(Image::read(self.call(&format!("inspect image {image}"), self.client.inspect_image(image))?))
    }

    fn call<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        self.call_within(self.within, what, request)
    }

    fn call_within<T>(
        &self,
        within: Duration,
        what: &str,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        match self.runtime.block_on(async { timeout(within, request).await }) {
            Ok(answer) => answer.map_err(|source| DockerError::of(&self.socket, what, source)),
            Err(_) => Err(DockerError::silent(&self.socket, what, within)),
        }
    }
}

/// The compose project that is checked: that of `[docker]`, or else as Docker Compose names it.
///
/// # Errors
/// When neither says so and the compose file cannot be read.
pub(crate) fn project(context: &Context) -> Result<String, ComposeError> {
    match &context.settings.docker.project {
        Some(project) => Ok(project.clone()),
        None => Ok(ComposeFile::read(&context.server.docker_compose_file)?.project()),
    }
}

/// Says what is wrong with a socket better than the client does.
async fn knock(socket: &Path, within: Duration) -> Result<(), DockerError> {
    match timeout(within, UnixStream::connect(socket)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(DockerError::at_the_door(socket, source)),
        Err(_) => Err(DockerError::silent(socket, "connect", within)),
    }
}

fn socket_path(configured: Option<&str>, host: Option<&str>) -> Result<PathBuf, DockerError> {
    let host = host.filter(|host| !host.is_empty());
    let address = configured.or(host).unwrap_or(DEFAULT_SOCKET);
    match address.split_once("://") {
        None => Ok(address.into()),
        Some(("unix", path)) => Ok(path.into()),
        Some(_) => Err(DockerError::NotASocket { address: address.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

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
        let error = socket_path(None, Some("tcp://h:2375")).unwrap_err().to_string();
        assert!(error.contains("tcp://h:2375") && error.contains("[docker]"), "{error}");
    }

    #[test]
    fn absent_and_deaf_sockets_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.sock");
        let connect = || Docker::connect(&path, Duration::from_secs(5)).unwrap_err();
        assert!(matches!(connect(), DockerError::Absent { .. }));
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(connect(), DockerError::Refused { .. }));
    }

    #[test]
    fn a_daemon_that_accepts_and_says_nothing_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.sock");
        let _silent = UnixListener::bind(&path).unwrap();
        let begun = Instant::now();
        let error = Docker::connect(&path, Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, DockerError::Silent { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
