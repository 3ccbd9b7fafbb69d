//! A private clamd: temporary directory, own small signatures, unix socket and loopback port, gone
//! when dropped.
#![expect(
    clippy::disallowed_methods,
    reason = "signatures and settings of a test are not stored files"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::mariadb::free_port;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// The EICAR test file in pieces: no file of this project is a hit.
const EICAR: [&str; 3] = [
    r"X5O!P%@AP[4\PZX54(P^)7CC)7}",
    r"$EICAR-STANDARD-ANTIVIRUS",
    r"-TEST-FILE!$H+H*",
];

/// What the signature `Local.Test.Marker` finds wherever it stands, in the middle of a file too.
pub const MARKER: &str = "MAIL-TOOLS-TEST-MARKER-4f1d2c9a";

/// A running clamd that knows EICAR and [`MARKER`].
#[derive(Debug)]
pub struct Clamd {
    dir: TempDir,
    port: u16,
    server: Option<Child>,
}

/// What every scanner is meant to find.
#[must_use]
pub fn eicar() -> Vec<u8> {
    EICAR.concat().into_bytes()
}

impl Clamd {
    /// Starts a clamd that names encrypted archives and the limits that it meets.
    ///
    /// # Panics
    /// When ClamAV is not installed (`scripts/test` installs it) or does not come up.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("AlertEncrypted yes\nAlertExceedsMax yes\n")
    }

    /// Starts a clamd with further lines of clamd.conf.
    ///
    /// # Panics
    /// As [`Clamd::start`].
    #[must_use]
    pub fn start_with(settings: &str) -> Self {
        let mut clamd = Self::prepare(settings);
        clamd.write_signatures();
        clamd.resume();
        clamd
    }

    /// Starts a clamd whose signatures have a version and a date, as those of freshclam have.
    ///
    /// # Panics
    /// As [`Clamd::start`].
    #[must_use]
    pub fn start_dated(settings: &str, version: u32, epoch_seconds: i64) -> Self {
        let mut clamd = Self::prepare(settings);
        clamd.date_signatures(version, epoch_seconds);
        clamd.resume();
        clamd
    }

    fn prepare(settings: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("clamd-")
            .tempdir()
            .expect("a temporary directory can be made");
        let clamd = Self {
            dir,
            port: free_port(),
            server: None,
        };
        for name in ["db", "tmp"] {
            fs::create_dir(clamd.path(name)).expect("a directory can be made");
        }
        fs::write(clamd.path("clamd.conf"), clamd.config(settings))
            .expect("a configuration can be written");
        clamd
    }

    /// The directory of its signatures.
    #[must_use]
    pub fn signatures(&self) -> PathBuf {
        self.path("db")
    }

    /// Its configuration file, for `clamdscan -c`.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.path("clamd.conf")
    }

    /// Its address on its unix socket, as `--clamd` takes it.
    #[must_use]
    pub fn unix(&self) -> String {
        format!("unix:{}", self.path("clamd.sock").display())
    }

    /// Its address on loopback.
    #[must_use]
    pub fn tcp(&self) -> String {
        format!("tcp:127.0.0.1:{}", self.port)
    }

    /// Its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.server.as_ref().expect("it runs"))
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("clamd.log")).unwrap_or_default()).into_owned()
    }

    /// Kills it as the kernel does when memory is short.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        // It may have ended by itself, which is what is wanted.
        let _ = kill_process(Pid::from_child(&server), Signal::KILL);
        let _ = server.wait();
    }

    /// Replaces its signatures by dated ones of another version; restart it then.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn date_signatures(&self, version: u32, epoch_seconds: i64) {
        let db = self.path("db");
        let plain = self.path("daily.ndb");
        fs::write(&plain, signatures()).expect("signatures can be written");
        let _ = fs::remove_file(db.join("test.ndb"));
        let made = dated(self.dir.path(), &plain, version, epoch_seconds);
        fs::write(db.join("daily.cud"), made).expect("signatures can be written");
    }

    /// Starts it, or starts it again after it was killed, on the same addresses.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn resume(&mut self) {
        self.give_away();
        let mut command = Command::new("clamd");
        command
            .arg("-c")
            .arg(self.path("clamd.conf"))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin")
            .current_dir("/");
        if let Some((uid, gid)) = account() {
            command.uid(uid).gid(gid);
        }
        let output = fs::File::create(self.path("out.log")).expect("a log can be made");
        let twin = output.try_clone().expect("a file can be opened twice");
        let started = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(twin)
            .spawn();
        self.server =
            Some(started.unwrap_or_else(|e| {
                panic!("clamd: {e}; install it: apt-get install clamav-daemon")
            }));
        let start = Instant::now();
        while !self.answers() {
            let ended = self
                .server
                .as_mut()
                .and_then(|server| server.try_wait().ok().flatten());
            if ended.is_some() || start.elapsed() > READY_WITHIN {
                let printed = fs::read_to_string(self.path("out.log")).unwrap_or_default();
                panic!(
                    "clamd did not come up ({ended:?}):\n{printed}\n{}",
                    self.log()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut socket) = UnixStream::connect(self.path("clamd.sock")) else {
            return false;
        };
        let mut reply = Vec::new();
        socket.write_all(b"zPING\0").is_ok()
            && socket.read_to_end(&mut reply).is_ok()
            && reply == b"PONG\0"
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, settings: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            "Foreground yes\nLocalSocket {dir}/clamd.sock\nLocalSocketMode 666\nFixStaleSocket yes\nTCPSocket {}\n\
             TCPAddr 127.0.0.1\nDatabaseDirectory {dir}/db\nTemporaryDirectory {dir}/tmp\nLogFile {dir}/clamd.log\n\
             SelfCheck 600\n{settings}",
            self.port
        )
    }

    fn write_signatures(&self) {
        fs::write(self.path("db/test.ndb"), signatures()).expect("signatures can be written");
    }

    /// clamd gives its files to nobody but its own account.
    fn give_away(&self) {
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755))
            .expect("the directory is ours");
        let Some((uid, gid)) = account() else { return };
        for name in ["", "db", "tmp"] {
            chown(self.path(name), Some(uid), Some(gid)).expect("root may give a directory away");
        }
        let entries = fs::read_dir(self.path("db")).expect("the directory is ours");
        for entry in entries.flatten() {
            chown(entry.path(), Some(uid), Some(gid)).expect("root may give a file away");
        }
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// EICAR at the beginning of a file of any kind, and the marker anywhere.
fn signatures() -> String {
    let hex = |text: &[u8]| {
        text.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    format!(
        "Eicar-Test-Signature:0:0:{}\nLocal.Test.Marker:0:*:{}\n",
        hex(&eicar()),
        hex(MARKER.as_bytes())
    )
}

/// A container of signatures, unsigned, as `sigtool` would build it: a header of 512 bytes, then a
/// `.tar.gz`.
fn dated(dir: &Path, signatures: &Path, version: u32, epoch_seconds: i64) -> Vec<u8> {
    let date = shell(
        dir,
        &format!("TZ=UTC LC_ALL=C date -d @{epoch_seconds} '+%d %b %Y %H-%M +0000'"),
    );
    let date = String::from_utf8(date)
        .expect("date writes text")
        .trim()
        .to_owned();
    let size = fs::metadata(signatures)
        .expect("signatures were written")
        .len();
    let sum = String::from_utf8(shell(dir, "sha256sum daily.ndb")).expect("sha256sum writes text");
    let info = format!(
        "ClamAV-VDB:{date}:{version}:2:90:X:X:tests:{epoch_seconds}\ndaily.ndb:{size}:{}\n",
        sum.split(' ').next().unwrap_or_default()
    );
    fs::write(dir.join("daily.info"), info).expect("a file can be written");
    fs::write(dir.join("COPYING"), "").expect("a file can be written");
    let tar = shell(
        dir,
        "tar --format=ustar -czf - COPYING daily.info daily.ndb",
    );
    fs::write(dir.join("daily.tar.gz"), &tar).expect("a file can be written");
    let md5 = String::from_utf8(shell(dir, "md5sum daily.tar.gz")).expect("md5sum writes text");
    let md5 = md5.split(' ').next().unwrap_or_default();
    let header = format!("ClamAV-VDB:{date}:{version}:2:90:{md5}:X:tests:{epoch_seconds}");
    [format!("{header:<512}").into_bytes(), tar].concat()
}

fn shell(dir: &Path, script: &str) -> Vec<u8> {
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(dir)
        .output()
        .expect("sh runs");
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Whom clamd works as when root starts it.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let line = passwd.lines().find(|line| line.starts_with("clamav:"));
    let line = line.expect("no user `clamav`; install ClamAV: apt-get install clamav-daemon");
    let mut numbers = line
        .split(':')
        .skip(2)
        .map(|field| field.parse().expect("passwd has numbers"));
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clamdscan(clamd: &Clamd, content: &[u8]) -> String {
        let file = clamd.path("sample");
        fs::write(&file, content).unwrap();
        let mut command = Command::new("clamdscan");
        command
            .args(["--no-summary", "--fdpass", "-c"])
            .arg(clamd.config_file())
            .arg(file);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    #[test]
    fn it_finds_what_it_should_and_comes_back_after_a_kill() {
        let mut clamd = Clamd::start();
        assert!(clamdscan(&clamd, &eicar()).contains("Eicar-Test-Signature"));
        let row = format!("INSERT INTO t VALUES ('{MARKER}');");
        assert!(clamdscan(&clamd, row.as_bytes()).contains("Local.Test.Marker"));
        assert!(clamdscan(&clamd, b"harmless").contains("OK"));
        clamd.kill();
        assert!(!clamd.answers());
        clamd.resume();
        assert!(clamdscan(&clamd, &eicar()).contains("FOUND"));
    }

    #[test]
    fn dated_signatures_tell_their_version() {
        let clamd = Clamd::start_dated("", 27_345, 1_784_104_194);
        let mut socket = UnixStream::connect(clamd.path("clamd.sock")).unwrap();
        socket.write_all(b"zVERSION\0").unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        assert!(reply.contains("/27345/Wed Jul 15 "), "{reply}");
        assert!(clamdscan(&clamd, &eicar()).contains("FOUND"));
    }
}
