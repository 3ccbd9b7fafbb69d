//! A private MariaDB: temporary directory, loopback, its own port and socket, killed by process id when dropped.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server. Its `root` has no password.
pub(super) struct MariaDb {
    dir: TempDir,
    port: u16,
    child: Child,
}

impl MariaDb {
    /// Installs and starts one with `extra` server options.
    pub(super) fn start(extra: &[&str]) -> Self {
        assert!(Path::new("/usr/sbin/mariadbd").exists(), "mariadbd is not installed; run scripts/test");
        let dir = tempfile::Builder::new().prefix("mdb").tempdir().expect("make a temporary directory");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("open the directory");
        if let Some(uid) = server_uid() {
            chown(dir.path(), Some(uid), None).expect("give the directory to the server");
        }
        install(dir.path());
        let port = free_port();
        let child = spawn(dir.path(), port, extra);
        let mut server = Self { dir, port, child };
        server.wait_until_ready();
        server
    }

    /// Where it listens on loopback.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens on a unix socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("s.sock")
    }

    /// Runs `sql` by the stock client as root, with comments kept, and returns what it printed.
    pub(super) fn sql(&self, sql: &str) -> String {
        text(&self.client(&["--comments"], sql.as_bytes()))
    }

    /// Loads `sql` as an administrator would: `mariadb < FILE`.
    pub(super) fn load(&self, sql: &[u8]) {
        text(&self.client(&[], sql));
    }

    /// Runs the stock client as root with `arguments` and `input`.
    pub(super) fn client(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new("mariadb");
        command.args([
            "--no-defaults",
            "--default-character-set=utf8mb4",
            "--batch",
            "--skip-column-names",
            "-uroot",
            "-S",
        ]);
        pipe(command.arg(self.socket()).args(arguments), input)
    }

    /// What the stock dump says of everything, with its date removed.
    pub(super) fn stock_dump(&self, database: &str) -> String {
        let mut command = Command::new("mariadb-dump");
        command
            .args([
                "--no-defaults",
                "--skip-dump-date",
                "--skip-comments",
                "--hex-blob",
                "--single-transaction",
                "-uroot",
                "-S",
            ])
            .arg(self.socket());
        text(&pipe(command.args(["--routines", "--triggers", "--events", "--databases", database]), b""))
    }

    /// Ends the server at once, as a power cut would.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        while !self.client(&[], b"SELECT 1").status.success() {
            let ended = self.child.try_wait().expect("ask for the server's state");
            let log = || std::fs::read_to_string(self.dir.path().join("err.log")).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < START_TIMEOUT, "mariadbd does not start: {}", log());
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.kill();
    }
}

fn install(dir: &Path) {
    let mut command = as_server_user("mariadb-install-db");
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    command.args(["--innodb-log-file-size=4M", "--innodb-flush-method=nosync"]);
    // Two servers that are installed at the same time must not share temporary tables.
    command.arg(format!("--tmpdir={}", dir.display())).arg(format!("--datadir={}", dir.join("data").display()));
    text(&pipe(&mut command, b""));
}

fn spawn(dir: &Path, port: u16, extra: &[&str]) -> Child {
    let path = |option: &str, file: &str| format!("--{option}={}", dir.join(file).display());
    as_server_user("mariadbd")
        .arg("--no-defaults")
        .args([path("datadir", "data"), path("socket", "s.sock"), path("log-error", "err.log")])
        .arg(format!("--tmpdir={}", dir.display()))
        .args(["--bind-address=127.0.0.1", "--skip-log-bin", "--skip-name-resolve", "--innodb-log-file-size=4M"])
        .args(["--innodb-flush-method=nosync", "--performance-schema=off"])
        .arg(format!("--port={port}"))
        .args(extra)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start mariadbd")
}

/// mariadbd refuses to run as root.
fn as_server_user(program: &str) -> Command {
    let Some(uid) = server_uid() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid=mysql", "--clear-groups", program]);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/nonexistent");
    command
}

/// The user mysql, when this process is root.
fn server_uid() -> Option<u32> {
    let number = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    (number(&["-u"])? == 0).then(|| number(&["-u", "mysql"]).expect("there is a user mysql"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind loopback");
    listener.local_addr().expect("the address of a bound socket").port()
}

fn pipe(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("run {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    std::thread::scope(|scope| {
        // A client that fails early closes its end: its status tells.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("wait for the client")
    })
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
