//! A private Postfix with Dovecot behind it: all the mail protocols on loopback, gone when dropped.
//!
//! Mail comes in by SMTP, goes by LMTP into the Maildir `vhosts/DOMAIN/USER`, and is read by IMAP
//! and POP3. Nothing leaves the machine. Postfix has to be started by root.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process_group, test_kill_process_group};
use tempfile::TempDir;

use crate::certificate::{Authority, Certificate};
use crate::dovecot::{Imap, MAIL_USER, PASSWORD, program, write};
use crate::mariadb::free_port;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running mail server for `alice@example.org` and `bob@example.org`, who both have
/// [`MailServer::PASSWORD`].
#[derive(Debug)]
pub struct MailServer {
    dir: TempDir,
    ports: Ports,
    authority: Authority,
}

/// Where it listens, on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// SMTP as other servers speak it; STARTTLS and AUTH are offered.
    pub smtp: u16,
    /// Submission: AUTH only after STARTTLS.
    pub submission: u16,
    /// SMTP inside TLS.
    pub smtps: u16,
    /// IMAP, with STARTTLS.
    pub imap: u16,
    /// IMAP inside TLS.
    pub imaps: u16,
    /// POP3, with STLS.
    pub pop3: u16,
    /// POP3 inside TLS.
    pub pop3s: u16,
    /// LMTP; the unix socket is [`MailServer::lmtp_socket`].
    pub lmtp: u16,
}

/// One of its two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// SMTP and the queue.
    Postfix,
    /// IMAP, POP3, LMTP and the passwords.
    Dovecot,
}

impl MailServer {
    /// The password of both users.
    pub const PASSWORD: &str = PASSWORD;

    /// Starts one whose certificate is in order: see [`MailServer::authority`].
    ///
    /// # Panics
    /// When Postfix or Dovecot is not installed (`scripts/test` installs them), does not come up,
    /// or root is wanting.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Certificate::default())
    }

    /// Starts one with another certificate.
    ///
    /// # Panics
    /// As [`MailServer::start`].
    #[must_use]
    pub fn start_with(certificate: &Certificate) -> Self {
        assert!(
            geteuid().is_root(),
            "a private Postfix has to be started by root"
        );
        let dir = tempfile::Builder::new()
            .prefix("mail-")
            .tempdir()
            .expect("a temporary directory can be made");
        let authority = Authority::new(&dir.path().join("authority"));
        let server = Self {
            ports: Ports::free(),
            authority,
            dir,
        };
        server.prepare();
        server.set_certificate(certificate);
        server.run_postfix("check");
        server.resume(Half::Dovecot);
        server.resume(Half::Postfix);
        server
    }

    fn prepare(&self) {
        for name in ["pf", "dc", "vhosts", "q", "pfdata", "run"] {
            fs::create_dir(self.path(name)).expect("a directory can be made");
        }
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755))
            .expect("the directory is ours");
        give(&self.path("pfdata"), "postfix");
        give(&self.path("vhosts"), &format!("{MAIL_USER}:{MAIL_USER}"));
        let users = format!(
            "alice@example.org:{{PLAIN}}{PASSWORD}::::::\n\
             bob@example.org:{{PLAIN}}{PASSWORD}::::::\n"
        );
        write(&self.path("dc/users"), &users);
        write(
            &self.path("dc/dovecot.conf"),
            &dovecot_conf(self.dir.path(), self.ports),
        );
        write(&self.path("pf/main.cf"), &main_cf(self.dir.path()));
        write(&self.path("pf/master.cf"), &master_cf(self.ports));
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The certificate, in PEM, that a client must trust to trust this server.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.authority.file()
    }

    /// The certificate on disk.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    /// Puts another certificate on disk. What runs goes on with the old one until it is stopped and
    /// resumed.
    ///
    /// # Panics
    /// With what openssl says when it cannot be made.
    pub fn set_certificate(&self, certificate: &Certificate) {
        self.authority
            .issue(certificate, &self.certificate(), &self.key());
    }

    /// The socket on which Dovecot takes mail by LMTP.
    #[must_use]
    pub fn lmtp_socket(&self) -> PathBuf {
        self.path("q/private/dovecot-lmtp")
    }

    /// The configuration directory of Postfix, for `postqueue -c` and `postconf -c`.
    #[must_use]
    pub fn postfix_config(&self) -> PathBuf {
        self.path("pf")
    }

    /// The queue directory of Postfix.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.path("q")
    }

    /// The root of the Maildirs.
    #[must_use]
    pub fn mail(&self) -> PathBuf {
        self.path("vhosts")
    }

    /// The log of Postfix.
    #[must_use]
    pub fn postfix_log(&self) -> PathBuf {
        self.path("postfix.log")
    }

    /// The log of Dovecot.
    #[must_use]
    pub fn dovecot_log(&self) -> PathBuf {
        self.path("dovecot.log")
    }

    /// Logs in by IMAP, such as `alice@example.org`.
    ///
    /// # Panics
    /// When that is refused.
    #[must_use]
    pub fn imap(&self, user: &str) -> Imap {
        Imap::login(self.ports.imap, user)
    }

    /// Sets a parameter of Postfix and lets it reload.
    ///
    /// # Panics
    /// When Postfix refuses.
    pub fn set_postfix(&self, parameter: &str) {
        let mut command = Command::new(program("postconf"));
        command
            .arg("-c")
            .arg(self.postfix_config())
            .args(["-e", parameter]);
        assert!(
            command.status().expect("postconf runs").success(),
            "postconf -e {parameter}"
        );
        self.run_postfix("reload");
    }

    /// Delivers now what waits in the queue.
    ///
    /// # Panics
    /// When Postfix refuses.
    pub fn flush(&self) {
        let mut command = Command::new(program("postqueue"));
        command.arg("-c").arg(self.postfix_config()).arg("-f");
        assert!(
            command.status().expect("postqueue runs").success(),
            "postqueue -f"
        );
    }

    /// Ends one half, at once and with all its processes.
    pub fn stop(&self, half: Half) {
        let Some(group) = self.group(half) else {
            return;
        };
        // It may have ended by itself, which is what is wanted.
        let _ = kill_process_group(group, Signal::KILL);
        let start = Instant::now();
        while test_kill_process_group(group).is_ok() && start.elapsed() < READY_WITHIN {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = fs::remove_file(self.pid_file(half));
    }

    /// Makes one half hang: the kernel still accepts connections, and nobody answers.
    /// [`MailServer::resume`] ends it.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self, half: Half) {
        let group = self.group(half).expect("it runs");
        kill_process_group(group, Signal::STOP).expect("it is ours");
    }

    /// Starts one half that was stopped, lets go on one that was paused, and waits until it
    /// answers.
    ///
    /// # Panics
    /// With its log when it does not come up.
    pub fn resume(&self, half: Half) {
        match (self.group(half), half) {
            (Some(group), _) => kill_process_group(group, Signal::CONT).expect("it is ours"),
            (None, Half::Postfix) => self.run_postfix("start"),
            (None, Half::Dovecot) => {
                self.run(
                    Command::new(program("dovecot"))
                        .arg("-c")
                        .arg(self.path("dc/dovecot.conf")),
                );
            }
        }
        let start = Instant::now();
        while !self.is_up(half) {
            assert!(
                start.elapsed() < READY_WITHIN,
                "{half:?} does not come up:\n{}",
                self.logs()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Both logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        [
            read(self.path("start.log")),
            read(self.postfix_log()),
            read(self.dovecot_log()),
        ]
        .concat()
    }

    fn is_up(&self, half: Half) -> bool {
        match half {
            Half::Postfix => {
                greets(self.ports.smtp, "220 ") && greets(self.ports.submission, "220 ")
            }
            Half::Dovecot => {
                greets(self.ports.imap, "* OK")
                    && greets(self.ports.pop3, "+OK")
                    && greets(self.ports.lmtp, "220 ")
            }
        }
    }

    /// Both masters lead a process group, in which all their children are.
    fn group(&self, half: Half) -> Option<Pid> {
        let text = fs::read_to_string(self.pid_file(half)).ok()?;
        let group = Pid::from_raw(text.trim().parse().ok()?)?;
        test_kill_process_group(group).is_ok().then_some(group)
    }

    fn pid_file(&self, half: Half) -> PathBuf {
        match half {
            Half::Postfix => self.path("q/pid/master.pid"),
            Half::Dovecot => self.path("run/master.pid"),
        }
    }

    fn run_postfix(&self, verb: &str) {
        self.run(
            Command::new(program("postfix"))
                .arg("-c")
                .arg(self.postfix_config())
                .arg(verb),
        );
    }

    /// Servers hold what they are started with: it must not be a pipe that somebody waits for.
    fn run(&self, command: &mut Command) {
        let log = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("start.log"));
        let log = log.expect("a log can be made");
        let twin = log.try_clone().expect("a file can be opened twice");
        let status = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(twin)
            .status();
        let status = status.unwrap_or_else(|e| {
            panic!(
                "start {} (is it installed?): {e}",
                command.get_program().display()
            )
        });
        assert!(status.success(), "{command:?}: {status}\n{}", self.logs());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop(Half::Postfix);
        self.stop(Half::Dovecot);
    }
}

impl Ports {
    fn free() -> Self {
        Self {
            smtp: free_port(),
            submission: free_port(),
            smtps: free_port(),
            imap: free_port(),
            imaps: free_port(),
            pop3: free_port(),
            pop3s: free_port(),
            lmtp: free_port(),
        }
    }
}

fn greets(port: u16, beginning: &str) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut line = String::new();
    let limited = stream.set_read_timeout(Some(Duration::from_secs(5)));
    limited.is_ok()
        && BufReader::new(stream).read_line(&mut line).is_ok()
        && line.starts_with(beginning)
}

fn give(path: &Path, owner: &str) {
    let given = Command::new("chown")
        .arg("-R")
        .arg(owner)
        .arg(path)
        .status()
        .expect("chown runs");
    assert!(
        given.success(),
        "{} can be given to {owner}",
        path.display()
    );
}

/// Logins that are refused are answered at once: without the penalty, each address would wait
/// longer for each.
fn dovecot_conf(dir: &Path, ports: Ports) -> String {
    let dir = dir.display();
    let Ports {
        imap,
        imaps,
        pop3,
        pop3s,
        lmtp,
        ..
    } = ports;
    format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/run\ninstance_name = test-{imap}\nlog_path = {dir}/dovecot.log\n\
         listen = 127.0.0.1\nprotocols = imap pop3 lmtp\nssl = yes\nssl_cert = <{dir}/cert.pem\n\
         ssl_key = <{dir}/key.pem\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\n\
         auth_failure_delay = 0\n\
         service anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n\
         mail_location = maildir:{dir}/vhosts/%d/%n\nmail_uid = {MAIL_USER}\nmail_gid = {MAIL_USER}\n\
         first_valid_uid = 1\nfirst_valid_gid = 1\n\
         passdb {{\n  driver = passwd-file\n  args = username_format=%u {dir}/dc/users\n}}\n\
         userdb {{\n  driver = static\n  args = uid={MAIL_USER} gid={MAIL_USER} home={dir}/vhosts/%d/%n\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  \
         inet_listener imaps {{\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n\
         service pop3-login {{\n  inet_listener pop3 {{\n    port = {pop3}\n  }}\n  \
         inet_listener pop3s {{\n    port = {pop3s}\n    ssl = yes\n  }}\n}}\n\
         service lmtp {{\n  inet_listener lmtp {{\n    address = 127.0.0.1\n    port = {lmtp}\n  }}\n  \
         unix_listener {dir}/q/private/dovecot-lmtp {{\n    mode = 0600\n    user = postfix\n    group = postfix\n  }}\n}}\n\
         service auth {{\n  unix_listener {dir}/q/private/auth {{\n    mode = 0660\n    user = postfix\n    group = postfix\n  }}\n}}\n"
    )
}

fn main_cf(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {dir}/q\ndata_directory = {dir}/pfdata\n\
         command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
         setgid_group = postdrop\nmaillog_file_prefixes = /var, /dev/stdout, {dir}\nmaillog_file = {dir}/postfix.log\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mail.test\nmydestination =\n\
         mynetworks = 127.0.0.0/8\ndefault_database_type = hash\nalias_maps =\nalias_database =\n\
         smtputf8_enable = no\nvirtual_mailbox_domains = example.org\n\
         virtual_mailbox_maps = inline:{{ {{ alice@example.org = x }}, {{ bob@example.org = x }} }}\n\
         virtual_transport = lmtp:unix:private/dovecot-lmtp\ndefault_transport = error:outbound mail is off in tests\n\
         relay_transport = error:outbound mail is off in tests\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\n\
         smtpd_tls_cert_file = {dir}/cert.pem\nsmtpd_tls_key_file = {dir}/key.pem\nsmtpd_tls_security_level = may\n\
         smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n\
         smtpd_tls_session_cache_database =\n"
    )
}

fn master_cf(ports: Ports) -> String {
    let Ports {
        smtp,
        submission,
        smtps,
        ..
    } = ports;
    format!(
        "127.0.0.1:{smtp} inet n - n - - smtpd\n\
         127.0.0.1:{submission} inet n - n - - smtpd\n  -o smtpd_tls_security_level=encrypt\n\
         127.0.0.1:{smtps} inet n - n - - smtpd\n  -o smtpd_tls_wrappermode=yes\n\
         pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nverify unix - - n - 1 verify\n\
         flush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\nerror unix - - n - - error\n\
         retry unix - - n - - error\ndiscard unix - - n - - discard\nlmtp unix - - n - - lmtp\n\
         anvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\nshowq unix n - n - - showq\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(server: &MailServer, subject: &str) {
        let mut command = Command::new(program("sendmail"));
        command.arg("-C").arg(server.postfix_config()).args([
            "-f",
            "bob@example.org",
            "alice@example.org",
        ]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let text = format!("Subject: {subject}\n\nhello\n");
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[track_caller]
    fn wait_for(what: &str, server: &MailServer, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < READY_WITHIN, "{what}:\n{}", server.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn queued(server: &MailServer) -> String {
        let output = Command::new(program("postqueue"))
            .arg("-c")
            .arg(server.postfix_config())
            .arg("-j")
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    #[test]
    fn mail_arrives_and_waits_in_the_queue_while_dovecot_is_down() {
        let server = MailServer::start();
        let arrived = |server: &MailServer| {
            let mut imap = server.imap("alice@example.org");
            let lines = imap.command("STATUS INBOX (MESSAGES)");
            lines.iter().any(|line| line.contains("MESSAGES 2"))
        };
        send(&server, "one");
        send(&server, "two");
        wait_for("mail arrives", &server, || arrived(&server));
        server.stop(Half::Dovecot);
        assert!(!greets(server.ports().imap, "* OK"));
        send(&server, "three");
        wait_for("mail is deferred", &server, || {
            queued(&server).contains("\"delay_reason\"")
        });
        server.resume(Half::Dovecot);
        server.flush();
        wait_for("the queue is empty", &server, || queued(&server).is_empty());
    }

    #[test]
    fn a_half_that_is_paused_accepts_and_says_nothing() {
        let server = MailServer::start();
        for (half, port) in [
            (Half::Postfix, server.ports().submission),
            (Half::Dovecot, server.ports().imaps),
        ] {
            server.pause(half);
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            assert!(BufReader::new(stream).fill_buf().is_err(), "{half:?} hangs");
            server.resume(half);
        }
    }
}
