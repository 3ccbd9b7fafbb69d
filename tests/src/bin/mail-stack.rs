//! A whole private mail server on loopback, for benchmarks and for looking around: Postfix,
//! Dovecot, MariaDB, clamd, Docker, a page.
//!
//! `mail-stack DIR` writes `DIR/check.toml` and `DIR/backup.conf`, says `ready`, and then does what
//! each line on stdin says: `stop`, `pause` or `resume` with `postfix` or `dovecot`; `kill` or
//! `resume` with `clamd` or `mariadb`; `lose` or `find` `mail`; `container-stop` or
//! `container-start` with the name of a service. It answers each with `done`, and everything ends
//! with stdin.
#![expect(
    clippy::disallowed_methods,
    reason = "settings of a private server are not stored files"
)]

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use mail_tests::clamd::Clamd;
use mail_tests::docker::Docker;
use mail_tests::mail_server::{Half, MailServer};
use mail_tests::mariadb::MariaDb;
use mail_tests::talker::{Manner, Talker};

const PROJECT: &str = "mailserver";
const CONTAINERS: [&str; 4] = ["postfix", "dovecot", "rspamd", "nginx"];
const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\npong";

const SIGNATURES_VERSION: u32 = 27_345;

struct Stack {
    mail: MailServer,
    database: MariaDb,
    clamd: Clamd,
    docker: Docker,
    page: Talker,
}

fn main() -> io::Result<()> {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: mail-stack DIR"));
    };
    let mut stack = Stack::start();
    stack.describe(&dir)?;
    say("ready")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some((verb, name)) if stack.obey(verb, name) => say("done")?,
            _ => say("not understood")?,
        }
    }
    stack.docker.remove(PROJECT);
    Ok(())
}

impl Stack {
    fn start() -> Self {
        let docker = Docker::start();
        let healthy = [
            "--health-cmd",
            "/bin/busybox true",
            "--health-interval",
            "1s",
            "--health-start-period",
            "0s",
        ];
        for service in CONTAINERS {
            let name = docker.service(PROJECT, service, &healthy, "while :; do sleep 1; done");
            docker.wait(&name, "{{.State.Health.Status}}", "healthy");
        }
        let database = MariaDb::start();
        let _ = database.sql(
            "CREATE DATABASE usermgmt; CREATE TABLE usermgmt.users (email VARCHAR(255), quota BIGINT, enabled BOOL);
             INSERT INTO usermgmt.users VALUES ('alice@example.org', 0, 1), ('bob@example.org', 0, 1);",
        );
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        Self {
            mail: MailServer::start(),
            database,
            clamd: Clamd::start_dated("", SIGNATURES_VERSION, i64::try_from(now).unwrap_or(0)),
            docker,
            page: Talker::start(Manner::Closes(PAGE.to_vec())),
        }
    }

    fn describe(&self, dir: &Path) -> io::Result<()> {
        let ports = self.mail.ports();
        let password = dir.join("probe.password");
        fs::write(&password, MailServer::PASSWORD)?;
        private(&password)?;
        fs::write(
            dir.join("addresses"),
            format!(
                "SMTP={}\nSUBMISSION={}\nIMAP={}\nIMAPS={}\nPAGE={}\nMYSQL={}\nMYSQL_SOCKET={}\nCLAMD={}\nCLAMD_PORT={}\nDOCKER={}\nCA={}\nCERTIFICATE={}\nPOSTFIX={}\nLOG={}\n",
                ports.smtp,
                ports.submission,
                ports.imap,
                ports.imaps,
                self.page.port(),
                self.database.port(),
                self.database.socket().display(),
                self.clamd.unix().trim_start_matches("unix:"),
                self.clamd.tcp().trim_start_matches("tcp:127.0.0.1:"),
                self.docker.socket().display(),
                self.mail.authority().display(),
                self.mail.certificate().display(),
                self.mail.postfix_config().display(),
                self.mail.postfix_log().display(),
            ),
        )?;
        fs::write(
            dir.join("backup.conf"),
            format!(
                "MAILSERVER_ROOT={0}/server\nBACKUP_ROOT={0}/backup\nMAIL_DATA_DIR={1}\nMYSQL_SOCKET={2}\nMYSQL_USER=root\nCLAMD_ADDRESS={3}\n",
                dir.display(),
                self.mail.mail().display(),
                self.database.socket().display(),
                self.clamd.unix(),
            ),
        )?;
        fs::write(dir.join("check.toml"), self.checks(dir, &password))
    }

    fn checks(&self, dir: &Path, password: &Path) -> String {
        let ports = self.mail.ports();
        let services = CONTAINERS.map(|name| format!("{name:?}")).join(", ");
        format!(
            r#"[resources]
time_sync = false
# The machine of a benchmark is busy by itself.
cpu = {{ critical = 1000 }}
load_per_core = {{ critical = 1000 }}
disk = {{ warning = 98 }}
[docker]
socket = {socket:?}
project = "{PROJECT}"
[containers]
services = [{services}]
ageless = [{services}]
[services]
name = "mail.test"
smtp = ["127.0.0.1:{smtp}"]
submission = ["127.0.0.1:{submission}"]
smtps = ["127.0.0.1:{smtps}"]
imap = ["127.0.0.1:{imap}"]
imaps = ["127.0.0.1:{imaps}"]
pop3s = ["127.0.0.1:{pop3s}"]
lmtp = ["127.0.0.1:{lmtp}"]
mysql = true
[services.postfix]
config_dir = {postfix:?}
myhostname = "mail.test"
[[services.http]]
url = "http://127.0.0.1:{page}/ping"
text = "pong"
[mailflow]
submit = "submission://127.0.0.1:{submission}"
read = "imaps://127.0.0.1:{imaps}"
user = "alice@example.org"
password_file = {password:?}
[[logs.source]]
name = "postfix"
kind = "postfix"
file = {postfix_log:?}
[[logs.source]]
name = "dovecot"
kind = "dovecot"
file = {dovecot_log:?}
[logs]
auth_failures = {{ per_hour = {{ warning = 100000 }} }}
[backups]
components = ["mailboxes"]
weekly = false
[scans]
records = {scan:?}
[s3]
records = [{list:?}]
[tls]
files = [{certificate:?}]
ca_file = {authority:?}
days = {{ warning = 1, critical = 0 }}
[users]
database = "usermgmt"
"#,
            socket = self.docker.socket(),
            smtp = ports.smtp,
            submission = ports.submission,
            smtps = ports.smtps,
            imap = ports.imap,
            imaps = ports.imaps,
            pop3s = ports.pop3s,
            lmtp = ports.lmtp,
            postfix = self.mail.postfix_config(),
            page = self.page.port(),
            postfix_log = self.mail.postfix_log(),
            dovecot_log = self.mail.dovecot_log(),
            scan = dir.join("scan.jsonl"),
            list = dir.join("list.jsonl"),
            certificate = self.mail.certificate(),
            authority = self.mail.authority(),
        )
    }

    /// Whether the order was understood.
    fn obey(&mut self, verb: &str, name: &str) -> bool {
        let half = match name {
            "postfix" => Some(Half::Postfix),
            "dovecot" => Some(Half::Dovecot),
            _ => None,
        };
        match (verb, name, half) {
            ("stop", _, Some(half)) => self.mail.stop(half),
            ("pause", _, Some(half)) => self.mail.pause(half),
            ("resume", _, Some(half)) => self.mail.resume(half),
            ("lose", "mail", _) => self
                .mail
                .set_postfix("virtual_transport = lmtp:inet:127.0.0.1:1"),
            ("find", "mail", _) => {
                self.mail
                    .set_postfix("virtual_transport = lmtp:unix:private/dovecot-lmtp");
                self.mail.flush();
            }
            ("kill", "clamd", _) => self.clamd.kill(),
            ("resume", "clamd", _) => self.clamd.resume(),
            ("kill", "mariadb", _) => self.database.kill(),
            ("resume", "mariadb", _) => self.database.resume(),
            ("container-stop" | "container-start", name, _) => {
                let verb = verb.trim_start_matches("container-");
                let time: &[&str] = if verb == "stop" { &["--time=0"] } else { &[] };
                let container = format!("{PROJECT}-{name}");
                let arguments = [&[verb], time, &[container.as_str()]].concat();
                let _ = self.docker.docker(&arguments);
                if verb == "start" {
                    self.docker
                        .wait(&container, "{{.State.Health.Status}}", "healthy");
                }
            }
            _ => return false,
        }
        true
    }
}

fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

fn say(word: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{word}")?;
    stdout.flush()
}
