//! A private Docker daemon with an image of busybox: temporary directory, unix socket, no network,
//! gone when dropped.
#![expect(
    clippy::disallowed_methods,
    reason = "files of a test daemon are not stored files"
)]

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// The image of every container: `/bin/busybox`, and `/bin/sh` for health checks.
pub const IMAGE: &str = "mail-test";

/// A running daemon.
#[derive(Debug)]
pub struct Docker {
    dir: TempDir,
    daemon: Option<Child>,
}

impl Docker {
    /// Starts a daemon that has the image and no container.
    ///
    /// # Panics
    /// When Docker is not installed (`scripts/test` installs it), for anyone but root, and when the
    /// daemon does not come up.
    #[must_use]
    pub fn start() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "a private dockerd needs root: run this test as root"
        );
        let dir = tempfile::Builder::new()
            .prefix("docker-")
            .tempdir()
            .expect("a temporary directory can be made");
        let mut docker = Self { dir, daemon: None };
        docker.start_daemon();
        docker.import_image();
        docker
    }

    /// A daemon that all tests of a program share, while one of them has it. Each uses a project of
    /// its own.
    ///
    /// # Panics
    /// As [`Docker::start`].
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Docker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let docker = Arc::new(Self::start());
            *shared = Arc::downgrade(&docker);
            docker
        })
    }

    /// The unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// The daemon itself, to be stopped and continued.
    ///
    /// # Panics
    /// After it was dropped.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(
            self.daemon
                .as_ref()
                .expect("the daemon runs until it is dropped"),
        )
    }

    /// Runs `docker` and gives what it says.
    ///
    /// # Panics
    /// With its words when it fails.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self
            .client()
            .args(arguments)
            .output()
            .unwrap_or_else(|e| panic!("run docker: {e}"));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {words}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts the container `<project>-<service>` as Docker Compose would, with further options of
    /// `docker run`, and gives its name. `script` is run by busybox's shell.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn service(&self, project: &str, service: &str, options: &[&str], script: &str) -> String {
        let name = format!("{project}-{service}");
        let labels = [
            format!("--label=com.docker.compose.project={project}"),
            format!("--label=com.docker.compose.service={service}"),
            "--label=com.docker.compose.oneoff=False".to_owned(),
        ];
        let mut arguments = vec![
            "run",
            "--detach",
            "--pull=never",
            "--network=none",
            "--name",
            &name,
        ];
        arguments.extend(labels.iter().map(String::as_str));
        arguments.extend(options);
        arguments.extend([IMAGE, "/bin/busybox", "sh", "-c", script]);
        self.docker(&arguments);
        name
    }

    /// Waits until `docker inspect` gives `expected` for `format`, such as
    /// `{{.State.Health.Status}}`.
    ///
    /// # Panics
    /// With what it is when it does not become so.
    #[track_caller]
    pub fn wait(&self, container: &str, format: &str, expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.docker(&["inspect", "--format", format, container]);
            if printed == expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{container}: {format} is {printed:?}, not {expected:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Removes the containers of a project, running or not.
    pub fn remove(&self, project: &str) {
        let filter = format!("--filter=label=com.docker.compose.project={project}");
        self.remove_listed(&["ps", "--all", "--quiet", &filter]);
    }

    fn client(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path());
        command
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .stdin(Stdio::null());
        command
    }

    /// It must not meet another daemon: configuration, containerd's names and network are its own.
    fn start_daemon(&mut self) {
        let dir = self.dir.path();
        let own = |name: &str| dir.join(name).display().to_string();
        fs::write(dir.join("daemon.json"), "{}").expect("the directory is ours");
        let log = File::create(dir.join("log")).expect("the directory is ours");
        let namespace = dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut command = Command::new("dockerd");
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args([
                "--config-file",
                &own("daemon.json"),
                "--pidfile",
                &own("pid"),
            ])
            .args(["--data-root", &own("data"), "--exec-root", &own("exec")])
            .arg(format!("--host=unix://{}", self.socket().display()))
            .args(["--containerd-namespace", &namespace])
            .args([
                "--containerd-plugins-namespace",
                &format!("{namespace}-plugins"),
            ])
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--storage-driver=vfs",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let daemon = command.spawn();
        self.daemon = Some(
            daemon.unwrap_or_else(|e| panic!("start dockerd: {e}; apt-get install docker.io")),
        );
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let ready = |docker: &Self| {
            let mut asked = docker.client();
            asked
                .arg("version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        while !ready(self) {
            let exited = self
                .daemon
                .as_mut()
                .and_then(|daemon| daemon.try_wait().ok().flatten());
            if exited.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("dockerd did not come up ({exited:?}):\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing can be pulled here, so the image is made of the one program that needs nothing else.
    fn import_image(&self) {
        let root = self.dir.path().join("image");
        let bin = root.join("bin");
        fs::create_dir_all(&bin).expect("the directory is ours");
        fs::copy("/bin/busybox", bin.join("busybox"))
            .expect("busybox is installed: apt-get install busybox-static");
        std::os::unix::fs::symlink("busybox", bin.join("sh")).expect("the directory is ours");
        let archive = self.dir.path().join("image.tar");
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&archive)
            .arg(".")
            .status();
        assert!(
            packed.is_ok_and(|status| status.success()),
            "tar can pack a directory"
        );
        self.docker(&["import", &archive.display().to_string(), IMAGE]);
    }

    fn remove_listed(&self, list: &[&str]) {
        let output = self.client().args(list).output();
        let ids = output
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        if !ids.trim().is_empty() {
            // One that is gone already is what is wanted.
            let _ = self
                .client()
                .args(["rm", "--force"])
                .args(ids.split_whitespace())
                .output();
        }
    }

    /// What a mount may still hold is let go, so that the directory can be removed.
    fn unmount(dir: &Path) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|path| Path::new(path).starts_with(dir));
        for path in below {
            let _ = Command::new("umount").arg("--lazy").arg(path).status();
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(pid) = self.daemon.as_ref().map(Pid::from_child) {
            // A test may have left it stopped.
            let _ = kill_process(pid, Signal::CONT);
        }
        self.remove_listed(&["ps", "--all", "--quiet"]);
        if let Some(mut daemon) = self.daemon.take() {
            let _ = kill_process(Pid::from_child(&daemon), Signal::TERM);
            let _ = daemon.wait();
        }
        Self::unmount(self.dir.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_runs_services_and_leaves_nothing() {
        let docker = Docker::start();
        let name = docker.service(
            "p",
            "s",
            &[
                "--health-cmd=exit 1",
                "--health-interval=100ms",
                "--health-retries=1",
            ],
            "sleep 600",
        );
        docker.wait(&name, "{{.State.Health.Status}}", "unhealthy");
        docker.remove("p");
        assert_eq!(docker.docker(&["ps", "--all", "--quiet"]), "");
        docker.service("p", "left", &[], "sleep 600");
        let dir = docker.dir.path().to_owned();
        drop(docker);
        assert!(!dir.exists());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*dir.to_string_lossy()), "{mounts}");
    }
}
