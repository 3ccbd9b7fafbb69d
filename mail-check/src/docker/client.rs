//! The Docker Engine, asked over its unix socket: a synchronous client that bounds every call in
//! time.
//!
//! The one asynchronous part of this program: a runtime of one thread lives in each [`Docker`], and
//! nobody outside sees it.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use futures::future::join_all;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::container::{Container, Details, Image};
use super::error::DockerError;

const PROJECT_LABEL: &str = "com.docker.compose.project";

/// A daemon that can be asked.
#[derive(Debug)]
pub(crate) struct Docker {
    pub(super) runtime: Runtime,
    pub(super) client: bollard::Docker,
    pub(super) socket: PathBuf,
    within: Duration,
}

impl Docker {
    /// The daemon that listens at `socket`. Each call may take `within`.
    ///
    /// # Errors
    /// When the socket is absent, denied or nobody listens, and when the daemon does not speak.
    pub(crate) fn connect(socket: &Path, within: Duration) -> Result<Self, DockerError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DockerError::Runtime)?;
        runtime.block_on(async { knock(socket, within).await })?;
        let address = socket.to_string_lossy();
        let seconds = within.as_secs().saturating_add(1);
        let new = runtime.block_on(async {
            bollard::Docker::connect_with_unix(&address, seconds, bollard::API_DEFAULT_VERSION)
        });
        let unversioned = new.map_err(|source| DockerError::of(socket, "connect", source))?;
        let negotiated =
            runtime.block_on(async { timeout(within, unversioned.negotiate_version()).await });
        let client = match negotiated {
            Ok(client) => {
                client.map_err(|source| DockerError::of(socket, "ask for its version", source))?
            }
            Err(_) => return Err(DockerError::silent(socket, "ask for its version", within)),
        };
        Ok(Self {
            runtime,
            client,
            socket: socket.to_owned(),
            within,
        })
    }

    /// The containers of a compose project, running or not, by service and name; not those of
    /// `docker compose run`.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(crate) fn list(&self, project: &str) -> Result<Vec<Container>, DockerError> {
        let filters = HashMap::from([("label", vec![format!("{PROJECT_LABEL}={project}")])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self.call(
            "list containers",
            self.client.list_containers(Some(options)),
        )?;
        let mut containers: Vec<Container> =
            listed.into_iter().filter_map(Container::read).collect();
        containers.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        Ok(containers)
    }

    /// A running container of a service, or else one that does not run.
    ///
    /// # Errors
    /// When the daemon does not answer, and when the service has no container.
    pub(crate) fn service(&self, project: &str, service: &str) -> Result<Container, DockerError> {
        let of_service = self
            .list(project)?
            .into_iter()
            .filter(|container| container.service == service);
        let best = of_service.max_by_key(|container| container.running);
        best.ok_or_else(|| DockerError::NoContainer {
            project: project.to_owned(),
            service: service.to_owned(),
        })
    }

    /// Everything that is known of each of the containers and its image, by id or name, all asked
    /// at once: one that Docker cannot look at does not hold the others up.
    pub(crate) fn inspect_all(
        &self,
        containers: &[&str],
    ) -> Vec<Result<(Details, Image), DockerError>> {
        let both = async |container: &str| {
            let details = self.details(container).await?;
            let image = self.image_of(&details.image_id).await?;
            Ok((details, image))
        };
        self.runtime
            .block_on(join_all(containers.iter().map(|container| both(container))))
    }

    async fn details(&self, container: &str) -> Result<Details, DockerError> {
        let request = self
            .client
            .inspect_container(container, None::<InspectContainerOptions>);
        Ok(Details::read(
            self.answer(self.within, &format!("inspect {container}"), request)
                .await?,
        ))
    }

    async fn image_of(&self, image: &str) -> Result<Image, DockerError> {
        let request = self.client.inspect_image(image);
        Ok(Image::read(
            self.answer(self.within, &format!("inspect image {image}"), request)
                .await?,
        ))
    }

    pub(super) fn call<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        self.call_within(self.within, what, request)
    }

    pub(super) fn call_within<T>(
        &self,
        within: Duration,
        what: &str,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        self.runtime.block_on(self.answer(within, what, request))
    }

    async fn answer<T>(
        &self,
        within: Duration,
        what: &str,
        request: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        match timeout(within, request).await {
            Ok(answer) => answer.map_err(|source| DockerError::of(&self.socket, what, source)),
            Err(_) => Err(DockerError::silent(&self.socket, what, within)),
        }
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use jiff::Timestamp;

    use super::super::exec::Output;
    use super::super::logs::Logs;
    use super::*;

    fn details(docker: &Docker, container: &str) -> Result<Details, DockerError> {
        docker
            .inspect_all(&[container])
            .remove(0)
            .map(|(details, _)| details)
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

    #[test]
    fn one_that_is_no_docker_is_told_from_one_that_refuses() {
        let check = |answer: &'static str, expected: &str| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("d.sock");
            let listener = UnixListener::bind(&path).unwrap();
            std::thread::spawn(move || {
                for client in listener.incoming() {
                    let mut client = client.unwrap();
                    // Whoever only knocks is gone before it is answered.
                    let _ = client.read(&mut [0; 4096]);
                    let _ = client.write_all(answer.as_bytes());
                }
            });
            let error = Docker::connect(&path, Duration::from_secs(20))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            "220 mx.example.com ESMTP\r\n",
            "an answer that cannot be used",
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html>\n",
            "an answer that cannot be used",
        );
        let broken = "HTTP/1.1 500 Oops\r\nContent-Length: 20\r\n\r\n{\"message\":\"broken\"}";
        check(broken, "Docker says 500: broken");
    }

    #[test]
    fn logs_and_programs_of_containers() {
        let daemon = mail_tests::docker::Docker::start();
        let script = "echo one; sleep 0.1; echo two >&2; exec sleep 600";
        let plain = daemon.service("p", "plain", &[], script);
        let tty = daemon.service("p", "tty", &["--tty"], script);
        daemon.service("p", "gone", &[], "exit 3");
        daemon.wait("p-gone", "{{.State.Status}}", "exited");
        let docker = Docker::connect(&daemon.socket(), Duration::from_secs(60)).unwrap();
        let names: Vec<(String, bool)> = docker
            .list("p")
            .unwrap()
            .into_iter()
            .map(|container| (container.service, container.running))
            .collect();
        assert_eq!(
            names,
            [
                ("gone".to_owned(), false),
                ("plain".to_owned(), true),
                ("tty".to_owned(), true)
            ]
        );
        assert_eq!(details(&docker, "p-gone").unwrap().exit_code, 3);
        assert!(details(&docker, &tty).unwrap().tty);
        for name in [&plain, &tty] {
            let all = loop {
                let logs = docker.logs(name, Timestamp::UNIX_EPOCH, 1000).unwrap();
                if logs.lines.len() > 1 {
                    break logs;
                }
                std::thread::sleep(Duration::from_millis(50));
            };
            let texts: Vec<&str> = all.lines.iter().map(|line| line.text.as_str()).collect();
            assert_eq!((texts, all.cut), (vec!["one", "two"], false), "{name}");
            let last = all.lines.last().unwrap().time;
            assert_eq!(docker.logs(name, last, 1000).unwrap(), Logs::default());
            let cut = docker.logs(name, Timestamp::UNIX_EPOCH, 4).unwrap();
            assert_eq!((cut.lines.len(), cut.cut), (1, true));
            assert_eq!(
                docker.logs(name, cut.lines[0].time, 1000).unwrap().lines,
                all.lines[1..]
            );
        }
        let argv = ["/bin/busybox", "sh", "-c", "echo out; echo err >&2; exit 5"];
        let output = docker.exec(&plain, &argv, Duration::from_secs(60)).unwrap();
        let expected = Output {
            exit_code: 5,
            stdout: "out\n".to_owned(),
            stderr: "err\n".to_owned(),
        };
        assert_eq!(output, expected);
        let hangs = docker
            .exec(
                &plain,
                &["/bin/busybox", "sleep", "600"],
                Duration::from_millis(300),
            )
            .unwrap_err();
        assert!(
            matches!(&hangs, DockerError::Silent { .. })
                && hangs.to_string().starts_with("run /bin/busybox in p-plain"),
            "{hangs}"
        );
        let stopped = docker
            .exec("p-gone", &argv, Duration::from_secs(60))
            .unwrap_err();
        assert!(
            matches!(stopped, DockerError::Refuses { status: 409, .. }),
            "{stopped}"
        );
        let absent = details(&docker, "nobody").unwrap_err().to_string();
        assert!(
            absent.starts_with("inspect nobody: Docker says 404"),
            "{absent}"
        );
        assert!(matches!(
            docker.service("p", "none"),
            Err(DockerError::NoContainer { .. })
        ));
        assert_eq!(docker.service("p", "plain").unwrap().name, plain);
    }
}
