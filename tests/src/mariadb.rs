//! A private MariaDB: temporary directory, loopback, free port, gone when dropped.

use std::fs;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running server. `root` has no password.
#[derive(Debug)]
pub struct MariaDb {
    dir: TempDir,
    port: u16,
    options: Vec<String>,
    server: Option<Child>,
}

impl MariaDb {
    /// Starts a server with an empty database directory.
    ///
    /// # Panics
    /// When MariaDB is not installed (`scripts/test` installs it) or does not come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that all tests of a program share, while one of them has it.
    ///
    /// # Panics
    /// As [`MariaDb::start`].
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<MariaDb>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a server with further options, such as `--require-secure-transport=ON`.
    ///
    /// # Panics
    /// As [`MariaDb::start`].
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_below(&std::env::temp_dir(), options)
    }

    /// As [`MariaDb::start_with`], with everything in a new directory below `parent`.
    ///
    /// # Panics
    /// As [`MariaDb::start`].
    #[must_use]
    pub fn start_below(parent: &Path, options: &[&str]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("mariadb-")
            .tempdir_in(parent)
            .expect("a temporary directory can be made");
        let options = options.iter().map(ToString::to_string).collect();
        let mut server = Self {
            dir,
            port: free_port(),
            options,
            server: None,
        };
        server.install();
        server.resume();
        server
    }

    /// The server's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s.sock")
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `mariadb` as root, to which arguments and input can be added.
    #[must_use]
    pub fn client(&self) -> Command {
        self.command("mariadb")
    }

    /// One of MariaDB's client programs as root, such as `mariadb-dump`.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Only the protocol's charset is set: what is stored and shown must not depend on the
        // machine's locale.
        command
            .arg("--no-defaults")
            .arg("-uroot")
            .arg("-S")
            .arg(self.socket())
            .arg("--default-character-set=utf8mb4");
        command
    }

    /// Runs statements and gives back the rows, tab-separated without headings (`--batch` escapes
    /// special bytes).
    ///
    /// # Panics
    /// With the server's message when a statement fails.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> String {
        self.load("", statements.as_bytes())
    }

    /// Runs a dump, or any other statements, in `database`; blank for none.
    ///
    /// # Panics
    /// With the server's message when a statement fails.
    #[track_caller]
    pub fn load(&self, database: &str, statements: &[u8]) -> String {
        let mut command = self.client();
        command.args([
            "--batch",
            "--skip-column-names",
            "--binary-mode",
            "--max-allowed-packet=1G",
        ]);
        let output = fed(
            command.args(Some(database).filter(|name| !name.is_empty())),
            statements,
        );
        assert!(
            output.status.success(),
            "mariadb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Kills the server as a power failure would.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Stops the server in order.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// Starts the stopped server again, on the same port.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn resume(&mut self) {
        let dir = self.dir.path();
        let log = dir.join("err.log");
        let mut command = as_mysql("mariadbd");
        command
            .arg("--no-defaults")
            .arg(format!("--datadir={}", dir.join("data").display()))
            .arg(tmpdir(dir))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", dir.join("pid").display()))
            .arg(format!("--log-error={}", log.display()))
            .arg(format!("--port={}", self.port))
            .args([
                "--bind-address=127.0.0.1",
                "--skip-log-bin",
                "--skip-name-resolve",
            ])
            .args([
                "--innodb-log-file-size=4M",
                "--innodb-flush-method=nosync",
                "--performance-schema=off",
            ])
            .arg("--max-allowed-packet=1G")
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = command
            .spawn()
            .unwrap_or_else(|e| panic!("start mariadbd: {e}"));
        self.server = Some(server);
        self.wait_until_ready(&log);
    }

    fn install(&self) {
        let dir = self.dir.path();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).expect("the directory is ours");
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = mysql_account();
            std::os::unix::fs::chown(dir, Some(uid), Some(gid))
                .expect("root may give a directory away");
        }
        let output = as_mysql("mariadb-install-db")
            .args(["--no-defaults", "--force"])
            .arg(format!("--datadir={}", dir.join("data").display()))
            .arg(tmpdir(dir))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--innodb-log-file-size=4M", "--innodb-flush-method=nosync"])
            .output()
            .unwrap_or_else(|e| {
                panic!("mariadb-install-db: {e}; install it: apt-get install mariadb-server")
            });
        assert!(
            output.status.success(),
            "mariadb-install-db: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn wait_until_ready(&mut self, log: &Path) {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.answers() {
            let exited = self
                .server
                .as_mut()
                .and_then(|server| server.try_wait().ok().flatten());
            if exited.is_some() || Instant::now() > deadline {
                let text = fs::read_to_string(log).unwrap_or_default();
                panic!("mariadbd did not come up ({exited:?}):\n{text}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let output = self
            .command("mariadb-admin")
            .arg("ping")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        output
            .expect("mariadb-admin is installed with the server")
            .success()
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let pid = Pid::from_child(&server);
        // It may have ended by itself, which is what is wanted.
        let _ = kill_process(pid, signal);
        let _ = server.wait();
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // Nothing in its directory is kept, so it need not write its pages.
        self.kill();
    }
}

/// `mariadbd` refuses to run as root, so root becomes `mysql` for it.
fn as_mysql(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/");
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = mysql_account();
        command.uid(uid).gid(gid);
    }
    command
}

fn mysql_account() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let line = passwd.lines().find(|line| line.starts_with("mysql:"));
    let line = line.expect("no user `mysql`; install MariaDB: apt-get install mariadb-server");
    let mut numbers = line
        .split(':')
        .skip(2)
        .map(|field| field.parse().expect("passwd has numbers"));
    (
        numbers.next().expect("passwd has a user number"),
        numbers.next().expect("passwd has a group number"),
    )
}

/// A port that was free a moment ago, below those that the kernel gives to clients: no connection
/// takes it meanwhile. A process gets none twice, since a server may ask for several before it
/// takes one.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 10_000..20_000;
    static NEXT: OnceLock<AtomicUsize> = OnceLock::new();
    // Each process begins elsewhere.
    let random = || {
        usize::try_from(RandomState::new().build_hasher().finish() % 10_000).expect("it is small")
    };
    let next = NEXT.get_or_init(|| AtomicUsize::new(random()));
    let numbers = (0..PORTS.len()).map(|_| next.fetch_add(1, Ordering::Relaxed) % PORTS.len());
    let mut ports = numbers
        .map(|number| PORTS.start + u16::try_from(number).expect("it is less than a range of u16"));
    ports
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("loopback has a free port")
}

/// Servers that start at the same time must not share a directory of temporary tables.
fn tmpdir(dir: &Path) -> String {
    format!("--tmpdir={}", dir.display())
}

/// Runs `command` with `input` on its stdin. All goes through files: neither side waits for the
/// other.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn fed(command: &mut Command, input: &[u8]) -> Output {
    let spool = |content: &[u8]| -> File {
        let mut file = tempfile::tempfile().expect("a temporary file can be made");
        file.write_all(content)
            .expect("a temporary file can be written");
        std::io::Seek::rewind(&mut file).expect("a file can be read from its start");
        file
    };
    let output = command.stdin(spool(input)).output();
    output.unwrap_or_else(|e| panic!("run {}: {e}", command.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_restarts_and_goes() {
        let mut server = MariaDb::start();
        server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY)");
        server.sql("INSERT INTO d.t VALUES (1), (2)");
        assert_eq!(server.sql("SELECT a FROM d.t ORDER BY a"), "1\n2\n");
        server.kill();
        server.resume();
        assert_eq!(server.load("d", b"SELECT COUNT(*) FROM t"), "2\n");
        let dir = server.dir().to_owned();
        drop(server);
        assert!(!dir.exists());
    }
}
