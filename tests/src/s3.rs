//! Private S3 servers: temporary directory, loopback, free ports, gone when dropped.
//!
//! SeaweedFS checks signatures, locks, versions and roles; moto is a second opinion that refuses
//! what AWS refuses. `scripts/lib/s3.sh` installs both, and the AWS command line, into `s3-venv` in
//! the target directory.
#![expect(
    clippy::disallowed_methods,
    reason = "the configuration of a private server is not a stored file"
)]

use std::fs;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::run::faketime_library;

/// Where a server with a clock of its own reads how far that is off.
const CLOCK: &str = "clock";
const READY_WITHIN: Duration = Duration::from_secs(60);
/// SeaweedFS takes its port and these after it.
const SEAWEED_PORTS: [u16; 8] = [0, 1, 2, 3, 10, 11, 12, 13];

/// The account that may do everything.
pub const ADMIN: (&str, &str) = ("AKIATESTADMIN", "test-admin-secret");
/// The account that may read and list.
pub const READER: (&str, &str) = ("AKIATESTREAD", "test-read-secret");
/// A role that STS of SeaweedFS gives to who asks. It may do everything.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/BackupRole";
/// One that may do no more than the manual says that a mail server's key needs: it may neither
/// delete nor abort, which SeaweedFS would take for a part of putting.
pub const UPLOAD_ROLE: &str = "arn:aws:iam::123456789012:role/UploadRole";

const IDENTITIES: &str = r#"{"identities":[
 {"name":"admin","credentials":[{"accessKey":"AKIATESTADMIN","secretKey":"test-admin-secret"}],
  "actions":["Admin","Read","Write","List","Tagging"]},
 {"name":"reader","credentials":[{"accessKey":"AKIATESTREAD","secretKey":"test-read-secret"}],
  "actions":["Read","List"]}]}"#;

const ROLES: &str = r#"{
 "sts":{"issuer":"seaweedfs-sts","signingKey":"dGVzdC1zaWduaW5nLWtleS0zMi1jaGFyYWN0ZXJzLWxvbmc=",
  "tokenDuration":"1h","maxSessionLength":"12h"},
 "policy":{"defaultEffect":"Deny","storeType":"memory"},
 "roles":[{"roleName":"BackupRole","roleArn":"arn:aws:iam::123456789012:role/BackupRole",
  "trustPolicy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},
  "Action":["sts:AssumeRole"]}]},"attachedPolicies":["AllowAll"]},
  {"roleName":"UploadRole","roleArn":"arn:aws:iam::123456789012:role/UploadRole",
  "trustPolicy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},
  "Action":["sts:AssumeRole"]}]},"attachedPolicies":["Upload"]}],
 "policies":[{"name":"AllowAll","document":{"Version":"2012-10-17",
  "Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["*"]}]}},
  {"name":"Upload","document":{"Version":"2012-10-17","Statement":[
   {"Effect":"Allow","Resource":["arn:aws:s3:::*"],"Action":["s3:ListBucket","s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning","s3:GetEncryptionConfiguration"]},
   {"Effect":"Allow","Resource":["arn:aws:s3:::*/*"],"Action":["s3:PutObject","s3:GetObject",
    "s3:PutObjectRetention","s3:GetObjectRetention"]},
   {"Effect":"Deny","Resource":["*"],"Action":["s3:AbortMultipartUpload","s3:ListBucketMultipartUploads"]}]}}],
 "providers":[]}"#;

/// A running server.
#[derive(Debug)]
pub struct S3Server {
    dir: TempDir,
    port: u16,
    process: Child,
    scheme: &'static str,
}

impl S3Server {
    /// Starts SeaweedFS.
    ///
    /// # Panics
    /// When it is not installed (`scripts/test` installs it) or does not come up.
    #[must_use]
    pub fn seaweedfs() -> Self {
        let dir = temporary();
        fs::write(dir.path().join("s3.json"), IDENTITIES).expect("a configuration can be written");
        fs::write(dir.path().join("iam.json"), ROLES).expect("a configuration can be written");
        let port = free_ports(&SEAWEED_PORTS);
        let at = |offset: u16| (port + offset).to_string();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut command = Command::new(program("weed"));
        command.arg(format!("-logdir={}", path(""))).args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
        ]);
        command
            .arg(format!("-dir={}", path("")))
            .arg("-master.telemetry=false")
            .arg("-s3");
        for (flag, offset) in [
            ("s3.port", 0),
            ("master.port", 1),
            ("volume.port", 2),
            ("filer.port", 3),
            ("s3.port.grpc", 10),
            ("master.port.grpc", 11),
            ("volume.port.grpc", 12),
            ("filer.port.grpc", 13),
        ] {
            command.arg(format!("-{flag}={}", at(offset)));
        }
        command
            .arg(format!("-s3.config={}", path("s3.json")))
            .arg(format!("-s3.iam.config={}", path("iam.json")));
        command.args([
            "-s3.allowDeleteBucketNotEmpty=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]);
        command.args(["-master.volumeSizeLimitMB=1024", "-volume.max=200"]);
        let server = Self::start(dir, port, command);
        // It answers before it can store anything.
        server.wait_until(|| {
            server
                .aws()
                .args(["s3api", "create-bucket", "--bucket", "ready"])
                .run_quietly()
        });
        let file = server.dir.path().join("s3.json");
        server.wait_until(|| {
            let mut put = server.aws();
            put.args([
                "s3api",
                "put-object",
                "--bucket",
                "ready",
                "--key",
                "k",
                "--body",
            ])
            .arg(&file)
            .run_quietly()
        });
        server
    }

    /// Starts moto.
    ///
    /// # Panics
    /// As [`S3Server::seaweedfs`].
    #[must_use]
    pub fn moto() -> Self {
        let port = free_ports(&[0]);
        let mut command = Command::new(program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        Self::start(temporary(), port, command)
    }

    /// Starts moto with a clock that [`S3Server::set_clock`] sets.
    ///
    /// # Panics
    /// As [`S3Server::seaweedfs`], and when faketime is not installed.
    #[must_use]
    pub fn moto_with_clock() -> Self {
        let port = free_ports(&[0]);
        let dir = temporary();
        let mut command = Command::new(program("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
            .env("LD_PRELOAD", faketime_library())
            .env("FAKETIME_TIMESTAMP_FILE", dir.path().join(CLOCK))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        write_clock(&dir, "+0d");
        Self::start(dir, port, command)
    }

    /// Lets the time of day be off by `offset` from now on, such as `+3d`.
    ///
    /// # Panics
    /// When it was not started with a clock.
    pub fn set_clock(&self, offset: &str) {
        assert!(self.dir.path().join(CLOCK).exists(), "it has no clock");
        write_clock(&self.dir, offset);
    }

    /// Starts moto with TLS, with this certificate and its key.
    ///
    /// # Panics
    /// As [`S3Server::seaweedfs`].
    #[must_use]
    pub fn moto_over_tls(certificate: &Path, key: &Path) -> Self {
        let port = free_ports(&[0]);
        let mut command = Command::new(program("moto_server"));
        command
            .args([
                "-H",
                "127.0.0.1",
                "-p",
                &port.to_string(),
                "--ssl",
                "--ssl-cert",
            ])
            .arg(certificate);
        command.arg("--ssl-key").arg(key);
        let mut server = Self::start(temporary(), port, command);
        server.scheme = "https";
        server
    }

    /// A SeaweedFS that all tests of a program share, while one of them has it.
    ///
    /// # Panics
    /// As [`S3Server::seaweedfs`].
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<S3Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::seaweedfs());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    fn start(dir: TempDir, port: u16, mut command: Command) -> Self {
        let log = File::create(dir.path().join("log")).expect("a log can be made");
        let twin = log.try_clone().expect("a file can be opened twice");
        command
            .env("TMPDIR", dir.path())
            .env("HOME", dir.path())
            .current_dir(dir.path());
        let process = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(twin)
            .spawn();
        let process =
            process.unwrap_or_else(|e| panic!("start {}: {e}", command.get_program().display()));
        let server = Self {
            dir,
            port,
            process,
            scheme: "http",
        };
        server.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn wait_until(&self, mut is_ready: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_ready() {
            assert!(
                start.elapsed() < READY_WITHIN,
                "the S3 server is not ready:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        let mut text = String::new();
        // What cannot be read cannot be shown; the panic that shows it says enough.
        let _ = File::open(self.dir.path().join("log"))
            .and_then(|mut log| log.read_to_string(&mut text));
        text.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The variables with which a program uses it as the account that may do everything.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", ADMIN.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", ADMIN.1.to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// The AWS command line, as the account that may do everything.
    #[must_use]
    pub fn aws(&self) -> Command {
        let mut command = Command::new(program("aws"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("LC_ALL", "C.UTF-8");
        command
            .envs(self.environment())
            .args(["--endpoint-url", &self.endpoint()])
            .stdin(Stdio::null());
        command
    }

    /// Runs the AWS command line, which must succeed, and gives its output.
    ///
    /// # Panics
    /// With what it printed when it fails.
    #[track_caller]
    pub fn aws_ok(&self, args: &[&str]) -> String {
        let output = self
            .aws()
            .args(args)
            .output()
            .expect("the AWS command line starts");
        assert!(
            output.status.success(),
            "aws {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// From now on moto asks the policies of its users about each request; before, it lets
    /// everybody do everything.
    ///
    /// # Panics
    /// When the server is not moto.
    pub fn enforce_policies(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        let request = "POST /moto-api/reset-auth HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\
                       Content-Length: 1\r\nConnection: close\r\n\r\n0";
        stream
            .write_all(request.as_bytes())
            .expect("the server listens");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When it cannot.
    pub fn make_bucket(&self, name: &str) {
        let _ = self.aws_ok(&["s3api", "create-bucket", "--bucket", name]);
    }

    /// Makes a bucket with Object Lock, and so with versions.
    ///
    /// # Panics
    /// When it cannot.
    pub fn make_locked_bucket(&self, name: &str) {
        let _ = self.aws_ok(&[
            "s3api",
            "create-bucket",
            "--bucket",
            name,
            "--object-lock-enabled-for-bucket",
        ]);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // SeaweedFS takes 17 s to end in order, and nothing is kept.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for port in SEAWEED_PORTS.map(|offset| self.port + offset) {
            remove_sockets(port);
        }
    }
}

/// Quiet success of a command.
trait RunQuietly {
    fn run_quietly(&mut self) -> bool;
}

impl RunQuietly for Command {
    fn run_quietly(&mut self) -> bool {
        self.output()
            .is_ok_and(|output: Output| output.status.success())
    }
}

/// SeaweedFS puts its sockets into the common temporary directory, named for its ports.
fn remove_sockets(port: u16) {
    let Ok(entries) = fs::read_dir("/tmp") else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("seaweedfs-") && name.ends_with(&format!("-{port}.sock")) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A program of the environment that `scripts/lib/s3.sh` makes.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its program");
    let found = test
        .ancestors()
        .map(|dir| dir.join("s3-venv/bin").join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; run: scripts/test"))
}

fn write_clock(dir: &TempDir, offset: &str) {
    fs::write(dir.path().join(CLOCK), offset).expect("a clock can be set");
}

fn temporary() -> TempDir {
    tempfile::Builder::new()
        .prefix("s3-")
        .tempdir()
        .expect("a temporary directory can be made")
}

/// A port that is free, and so are those at these distances from it. Below the range from which
/// connections take theirs.
fn free_ports(offsets: &[u16]) -> u16 {
    let mut seed = [0; 2];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .expect("there are random numbers");
    let start = u16::from_le_bytes(seed) % 10_000;
    let candidates = (0..10_000_u16)
        .step_by(20)
        .map(|step| 20_000 + (start + step) % 10_000);
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut free = candidates.filter(|base| offsets.iter().all(|offset| is_free(base + offset)));
    free.next().expect("there are free ports")
}
