//! A private Dovecot over a mail tree: temporary directory, loopback, free port, gone when dropped.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::mariadb::free_port;

const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Where root runs the tests, mail belongs to this user of every system: Dovecot serves no mail of
/// root's.
pub(crate) const MAIL_USER: &str = "mail";
pub(crate) const PASSWORD: &str = "secret";

/// A running Dovecot: IMAP for `USER@DOMAIN` over the Maildir `DOMAIN/USER` of a tree.
#[derive(Debug)]
pub struct Dovecot {
    dir: TempDir,
    port: u16,
    server: Child,
}

/// An IMAP session (RFC 3501).
#[derive(Debug)]
pub struct Imap {
    stream: BufReader<TcpStream>,
    commands: u32,
}

impl Dovecot {
    /// Serves the tree `mail`, which is given to the user whose mail Dovecot serves.
    ///
    /// # Panics
    /// When Dovecot is not installed (`scripts/test` installs it) or does not come up.
    #[must_use]
    pub fn start(mail: &Path) -> Self {
        Self::start_with(mail, "")
    }

    /// The same with further lines of its configuration.
    ///
    /// # Panics
    /// As [`Dovecot::start`].
    #[must_use]
    pub fn start_with(mail: &Path, more: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("dovecot-")
            .tempdir()
            .expect("a temporary directory can be made");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))
            .expect("a directory of ours can be opened");
        if geteuid().is_root() {
            open_the_way(mail);
            give_to_mail_user(mail);
        }
        let port = free_port();
        write(
            &dir.path().join("dovecot.conf"),
            &(configuration(dir.path(), mail, port) + more),
        );
        let mut command = Command::new(program("dovecot"));
        command
            .arg("-F")
            .arg("-c")
            .arg(dir.path().join("dovecot.conf"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = command
            .spawn()
            .unwrap_or_else(|e| panic!("start dovecot (is it installed?): {e}"));
        let dovecot = Self { dir, port, server };
        dovecot.wait_until_ready();
        dovecot
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        while !self.greets() {
            assert!(
                start.elapsed() < READY_WITHIN,
                "dovecot does not come up:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn greets(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut line = String::new();
        let limited = stream.set_read_timeout(Some(Duration::from_secs(5)));
        limited.is_ok()
            && BufReader::new(stream).read_line(&mut line).is_ok()
            && line.starts_with("* OK")
    }

    /// What it wrote into its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What `doveadm` with these arguments says.
    ///
    /// # Panics
    /// With its message when it fails.
    #[track_caller]
    pub fn doveadm(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(program("doveadm"));
        command
            .arg("-c")
            .arg(self.dir.path().join("dovecot.conf"))
            .args(arguments)
            .stdin(Stdio::null());
        let output = command.output().expect("doveadm runs");
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "doveadm {arguments:?}: {printed}\n{}",
            self.log()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Logs in.
    ///
    /// # Panics
    /// When that is refused.
    #[must_use]
    pub fn imap(&self, user: &str) -> Imap {
        Imap::login(self.port, user)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // TERM lets the master end its processes; it is not reaped before, so the number is still
        // its own.
        let _ = kill_process(Pid::from_child(&self.server), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if self.server.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Imap {
    pub(crate) fn login(port: u16, user: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("dovecot listens");
        stream
            .set_read_timeout(Some(ANSWER_WITHIN))
            .expect("a socket has a time limit");
        let mut session = Self {
            stream: BufReader::new(stream),
            commands: 0,
        };
        session.line();
        session.command(&format!("LOGIN {user} {PASSWORD}"));
        session
    }

    /// Gives a command and returns the untagged lines of its answer.
    ///
    /// # Panics
    /// When the server says anything but OK.
    #[track_caller]
    pub fn command(&mut self, command: &str) -> Vec<String> {
        self.commands += 1;
        let tag = format!("a{} ", self.commands);
        self.stream
            .get_mut()
            .write_all(format!("{tag}{command}\r\n").as_bytes())
            .expect("dovecot reads");
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if let Some(result) = line.strip_prefix(&tag) {
                assert!(result.starts_with("OK"), "{command}: {result}");
                return lines;
            }
            lines.push(line);
        }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).expect("dovecot answers");
        assert!(read > 0, "dovecot closed the connection");
        line.trim_end().to_owned()
    }
}

fn configuration(dir: &Path, mail: &Path, port: u16) -> String {
    let (dir, mail) = (dir.display(), mail.display());
    let user = if geteuid().is_root() {
        MAIL_USER.to_owned()
    } else {
        own_name("-un")
    };
    let group = if geteuid().is_root() {
        MAIL_USER.to_owned()
    } else {
        own_name("-gn")
    };
    // Without root, all processes run as the one who starts them, and none can change its root
    // directory.
    let unprivileged = if geteuid().is_root() {
        String::new()
    } else {
        format!(
            "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n\
             service anvil {{\n  chroot =\n}}\nservice imap-login {{\n  chroot =\n}}\n"
        )
    };
    format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/run\nlog_path = {dir}/log\nlisten = 127.0.0.1\nprotocols = imap\n\
         ssl = no\ndisable_plaintext_auth = no\nmail_location = maildir:{mail}/%d/%n\nfirst_valid_uid = 1\n\
         first_valid_gid = 1\nmail_uid = {user}\nmail_gid = {group}\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  args = uid={user} gid={group} home={mail}/%d/%n\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {port}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         {unprivileged}"
    )
}

/// Lets Dovecot's users pass through the temporary directories that lead to `mail`.
fn open_the_way(mail: &Path) {
    for directory in mail
        .ancestors()
        .skip(1)
        .take_while(|directory| directory.starts_with(std::env::temp_dir()))
    {
        if directory != std::env::temp_dir() {
            let mode = fs::metadata(directory)
                .expect("it is there")
                .permissions()
                .mode()
                | 0o011;
            fs::set_permissions(directory, fs::Permissions::from_mode(mode))
                .expect("a directory of ours can be opened");
        }
    }
}

fn give_to_mail_user(mail: &Path) {
    let owner = format!("{MAIL_USER}:{MAIL_USER}");
    let given = Command::new("chown")
        .arg("-R")
        .arg(owner)
        .arg(mail)
        .status()
        .expect("chown runs");
    assert!(given.success(), "the mail tree can be given to {MAIL_USER}");
}

fn own_name(option: &str) -> String {
    let output = Command::new("id").arg(option).output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Servers lie in a directory that is not in everybody's PATH.
pub(crate) fn program(name: &str) -> PathBuf {
    let candidates = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .map(|dir| Path::new(dir).join(name));
    candidates
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| name.into())
}

pub(crate) fn write(path: &Path, text: &str) {
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path);
    written
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("a configuration can be written");
}
