//! What others write acts on no terminal and forges no line, in whatever is checked and in every
//! output: records, table, monitoring line, stderr, metrics, page, letter, webhooks.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use mail_tests::planted::{ACTS, RAW, acts_on_one_line, assert_inert};
use mail_tests::run::Tool;
use mail_tests::schema::Schema;
use mail_tests::talker::{Manner, Talker};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::alerts::http::{Answer, Web};

/// A machine whose alerts go everywhere, and what goes there.
struct Site {
    dir: TempDir,
    web: Web,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let web = Web::start(Answer::Status(200));
        let site = Self { dir, web };
        site.put("url", site.web.url("http", "/"));
        let program = site.put("sendmail", "#!/bin/sh\ncat >>\"$0.letters\"\n");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Every channel there is.
    fn channels(&self) -> String {
        let mut text = format!(
            "\n[notify.mail]\nto = ['admin@example.com']\nfrom = 'check@example.com'\nsendmail = {:?}\n",
            self.path("sendmail")
        );
        for template in ["json", "slack", "discord", "ntfy"] {
            let url = self.path("url");
            write!(
                text,
                "[[notify.webhook]]\nname = '{template}'\ntemplate = '{template}'\nurl_file = {url:?}\n"
            )
            .unwrap();
        }
        text
    }

    fn tool(&self, operands: &[&str], settings: &str, format: &str) -> Tool {
        let checks = self.put("check.toml", format!("{settings}{}", self.channels()));
        Tool::new("mail-check")
            .args(["--format", format, "-vv", "--notify", "--state"])
            .arg(self.path(&format!("state-{format}")))
            .arg("--checks")
            .arg(checks)
            .arg("--prometheus")
            .arg(self.path("metrics"))
            .arg("--report")
            .arg(self.path("page.html"))
            .env("BACKUP_ROOT", self.path("backup"))
            .env("MAILSERVER_ROOT", self.path("server"))
            .args(operands)
    }

    /// Checks in each format; `part` is to be found, so that something was said of what is planted.
    #[track_caller]
    fn check(&self, operands: &[&str], settings: &str, stdin: &[u8], part: &str) {
        for format in ["text", "nagios"] {
            self.check_in(format, operands, settings, stdin, part);
        }
        self.check_records(operands, settings, stdin, part);
    }

    /// The same with records on stdout alone.
    #[track_caller]
    fn check_records(&self, operands: &[&str], settings: &str, stdin: &[u8], part: &str) {
        self.check_in("jsonl", operands, settings, stdin, part);
    }

    #[track_caller]
    fn check_in(&self, format: &str, operands: &[&str], settings: &str, stdin: &[u8], part: &str) {
        let tool = self.tool(operands, settings, format).stdin(stdin);
        let outcome = tool.args(["--timeout", "5"]).run();
        let said = String::from_utf8_lossy(&outcome.stdout).into_owned() + &outcome.stderr;
        assert!(said.contains(part), "no {part:?} in {format}:\n{said}");
        assert_inert(format, &outcome.stdout);
        assert_inert("stderr", &outcome.stderr);
        self.check_files();
    }

    #[track_caller]
    fn check_files(&self) {
        for name in ["metrics", "page.html"] {
            assert_inert(name, fs::read(self.path(name)).unwrap());
        }
        let letters = fs::read_to_string(self.path("sendmail.letters")).unwrap_or_default();
        assert_inert("letters", letters.replace("=\n", ""));
        assert_inert("letters, decoded", decoded(letters.as_bytes()));
        for request in self.web.kept.take() {
            assert_inert("a webhook", &request.body);
            for (_, value) in request.headers {
                assert_inert("a header of a webhook", value);
            }
        }
    }
}

/// Letters as their readers see them: encoded words and quoted-printable bodies.
fn decoded(letters: &[u8]) -> Vec<u8> {
    let script = "import sys,email,email.policy
for text in sys.stdin.buffer.read().split(b'From: check@')[1:]:
    letter = email.message_from_bytes(b'From: check@' + text, policy=email.policy.default)
    print(letter['Subject'], letter.get_content(), sep='\\n')";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(letters).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// A record of which the fields of `texts` act.
fn record(kind: &str, texts: &[&str], more: Value) -> Value {
    let mut data = more;
    for name in texts {
        data[name] = json!(ACTS);
    }
    json!({"type": kind, "data": data})
}

/// Those of types that the schema has.
fn known_of(records: &str) -> Vec<Value> {
    let lines = records.lines().filter(|line| !line.contains("\"later\""));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a found message says.
const MESSAGE: [&str; 11] = [
    "first_set",
    "last_set",
    "mailbox",
    "path",
    "delivered",
    "date",
    "from",
    "to",
    "cc",
    "subject",
    "message_id",
];

/// A run of `tool` with records of every type.
fn run_of(tool: &str, command: &str) -> String {
    let set = "daily/2026-11-23";
    let digest = "0".repeat(64);
    let start = json!({"v": 1, "tool": tool, "set": set, "args": [command, ACTS]});
    let artifact = json!({"set": set, "component": "ssl", "bytes": 1, "sha256": digest,
        "entries": 1, "source_bytes": 1, "reused": false});
    let transfer = json!({"set": set, "action": "uploaded", "bytes": 1, "sha256": digest});
    let stored = json!({"objects": 1, "bytes": 1, "complete": false, "missing": 1,
        "encrypted": false, "age_seconds": 9});
    let usage = json!({"objects": 1, "bytes": 1, "monthly_usd": 1.0, "not_listed": [ACTS],
        "by_storage_class": {ACTS: {"objects": 1, "bytes": 1, "monthly_usd": 1.0}}});
    let check = json!({"status": "critical", "value": 1.0});
    let end = json!({"tool": tool, "status": "incomplete", "exit": 3, "seconds": 1.0,
        "totals": {ACTS: 1}});
    let infected = json!({"status": "infected"});
    let counts = json!({"before": 1, "new": 0, "renamed": 0, "vanished": 1, "replaced": 0,
        "headless": 0, "spoiled": 0, "mailboxes": 1, "not_compared": 0});
    let mut mailbox = counts.clone();
    mailbox["mailbox"] = json!(ACTS);
    let mut alarm = alarm_of_daily();
    alarm["mailboxes"] = json!([mailbox.clone()]);
    let watched = json!({"component": "ssl", "role": "key", "sha256": digest, "archive": ACTS});
    let found = json!({"bytes": 1, "sha256": digest});
    let restored = json!({"component": "ssl", "bytes": 1, "entries": 1, "dry_run": false});
    let records = [
        record("begin", &["version", "host", "time", "root"], start),
        record(
            "verdict",
            &["path", "signature", "engine", "member"],
            infected.clone(),
        ),
        record(
            "verdict",
            &["path", "signature", "engine", "root"],
            infected,
        ),
        record(
            "verdict",
            &["path", "reason", "engine"],
            json!({"status": "unscanned"}),
        ),
        record("check", &["name", "target", "message", "unit"], check),
        record("artifact", &["path", "root"], artifact),
        record(
            "transfer",
            &["path", "url", "root", "locked_until"],
            transfer,
        ),
        record("set", &["set", "url", "stored", "locked_until"], stored),
        record("usage", &["url"], usage),
        record("changes", &[], counts),
        record("mailbox", &[], mailbox),
        record("alarm", &["rule", "message"], alarm),
        record(
            "accepted",
            &["time", "user", "reason"],
            json!({"alarms": []}),
        ),
        record(
            "canary",
            &["path"],
            json!({"sha256": digest, "state": "gone"}),
        ),
        record("database", &["database"], json!({"tables": {ACTS: 1}})),
        record("watched", &["path"], watched),
        record("message", &MESSAGE, found),
        record("restored", &["path", "target"], restored),
        record("error", &["message", "path"], json!({"causes": [ACTS]})),
        record("later", &["path", "message"], json!({})),
        record("end", &[], end),
    ];
    records.map(|record| format!("{record}\n")).concat()
}

#[test]
fn records_on_stdin_and_in_files() {
    let site = Site::new();
    for tool in ["mail-backup", "mail-scan", "mail-s3sync", ACTS] {
        let run = run_of(tool, "push");
        site.check_records(&["-"], "", run.as_bytes(), "FORGED");
    }
    let scan = run_of("mail-scan", "latest");
    Schema::open().assert_valid(&known_of(&scan));
    site.check(&["-"], "", scan.as_bytes(), "FORGED");
    let copies = ["push", "list", "usage"].map(|command| run_of("mail-s3sync", command));
    let (scan, copies) = (
        site.put("scan.jsonl", scan),
        site.put("s3.jsonl", copies.concat()),
    );
    let settings = format!("[scans]\nrecords = {scan:?}\n[s3]\nrecords = [{copies:?}]\n");
    site.check(&["scans", "s3"], &settings, b"", "FORGED");
    for not_records in [ACTS.as_bytes(), RAW] {
        site.check_records(&["-"], "", not_records, "line 1");
    }
}

#[test]
fn what_servers_say() {
    let site = Site::new();
    let line = acts_on_one_line();
    let greetings: [Vec<u8>; 9] = [
        format!("220 {ACTS}\r\n").into_bytes(),
        format!("554 {line}\r\n").into_bytes(),
        format!("* BYE {line}\r\n").into_bytes(),
        format!("* OK {line}\r\n").into_bytes(),
        format!("-ERR {line}\r\n").into_bytes(),
        format!("HTTP/1.1 500 {line}\r\nLocation: {line}\r\n\r\n{ACTS}").into_bytes(),
        format!("ClamAV {line}\0").into_bytes(),
        mysql_error(&line),
        [RAW, b"\r\n"].concat(),
    ];
    for greeting in greetings {
        let talker = Talker::start(Manner::Closes(greeting));
        let port = talker.port();
        let mut settings = "[services]\nmysql = true\n".to_owned();
        for protocol in [
            "smtp",
            "submission",
            "imap",
            "pop3",
            "lmtp",
            "smtps",
            "imaps",
            "clamd",
        ] {
            writeln!(settings, "{protocol} = ['127.0.0.1:{port}']").unwrap();
        }
        write!(
            settings,
            "[[services.http]]\nurl = 'http://127.0.0.1:{port}/'\n"
        )
        .unwrap();
        let users = format!("[users]\ndatabase = 'x'\napi_url = 'http://127.0.0.1:{port}/'\n");
        let config =
            format!("MYSQL_HOST=127.0.0.1\nMYSQL_PORT={port}\nMYSQL_USER=x\nMYSQL_PASSWORD=x\n");
        let config = site.put("config", config);
        let operands = ["services", "users", "--config", config.to_str().unwrap()];
        site.check_records(
            &operands,
            &format!("{settings}{users}"),
            b"",
            &port.to_string(),
        );
    }
}

/// A server of MariaDB that refuses each connection: length, number, 0xff, code, text.
fn mysql_error(text: &str) -> Vec<u8> {
    let mut body = vec![0xff, 0x10, 0x04];
    body.extend(text.as_bytes());
    let length = u8::try_from(body.len()).unwrap();
    [&[length, 0, 0, 0], &body[..]].concat()
}

#[test]
fn lines_of_logs_and_names_of_files() {
    let site = Site::new();
    let line = acts_on_one_line();
    let log = format!(
        "Nov 25 08:00:01 mx postfix/smtp[7]: 4BC: to=<x{line}@example.net>, relay={line}, delay=1, dsn=5.1.1, status=bounced (said: {line})\n\
         Nov 25 08:00:02 {line} postfix/smtpd[7]: NOQUEUE: reject: RCPT from {line}[192.0.2.1]: 554 {line}; from=<{line}>\n\
         Nov 25 08:00:03 mx dovecot: imap-login: Disconnected (auth failed, 1 attempts): user=<{line}>, method={line}, rip=192.0.2.2\n\
         Nov 25 08:00:04 mx postfix/lmtp[1]: 63F: to=<b@example.org>, relay=none, status=deferred ({line})\n\
         192.0.2.3 - {line} [25/Nov/2026:08:00:05 +0000] \"POST /admin/{line} HTTP/1.1\" 500 1 \"{line}\" \"{line}\"\n\
         [2026-11-25T08:00:06+0000] [ERROR] [{line}] {line}\n"
    );
    let mut settings = "[logs]\nbounced = { per_run = { warning = 1 } }\nhttp_5xx = { per_run = { warning = 1 } }\n".to_owned();
    for kind in ["postfix", "dovecot", "nginx", "inbound-api", "tools"] {
        let file = site.put(
            &format!("{kind}.log"),
            [log.as_bytes(), RAW, b"\n"].concat(),
        );
        write!(
            settings,
            "[[logs.source]]\nname = '{kind}'\nkind = '{kind}'\nfile = {file:?}\n"
        )
        .unwrap();
        write!(
            settings,
            "[[logs.pattern]]\nname = 'p-{kind}'\nsource = '{kind}'\nregex = '.'\n"
        )
        .unwrap();
    }
    site.check(&["logs"], &settings, b"", "postfix");
    let checks = site.put("diagnose.toml", &settings);
    for format in ["jsonl", "text", "nagios"] {
        let tool = Tool::new("mail-check").args(["--diagnose", "send", "--format", format, "-vv"]);
        let outcome = tool.arg("--checks").arg(&checks).run();
        assert_inert(format, &outcome.stdout);
        assert_inert("stderr", &outcome.stderr);
    }

    let name = format!("daily/2026-11-23{ACTS}");
    site.put(&format!("backup/{name}/checksums.sha256"), ACTS);
    site.put("backup/daily/2026-11-22/checksums.sha256", ACTS);
    site.put("backup/daily/2026-11-22/manifest.jsonl", run_of(ACTS, ACTS));
    site.put(&format!("server/config/{ACTS}"), ACTS);
    site.put(&format!("server/vhosts/{ACTS}/{ACTS}/cur/{ACTS}"), ACTS);
    let odd = site.put(&format!("secret{ACTS}"), "x");
    let files = format!("[credentials]\nfiles = [{}]\n", toml_text(&odd));
    site.check(&["backups"], "", b"", "2026-11-22");
    site.check(&["credentials"], &files, b"", "FORGED");
    let hold = record("alarm", &["rule", "message"], alarm_of_daily());
    site.put("backup/HOLD", format!("{hold}\n"));
    site.check(&["backups"], "", b"", "FORGED");
    site.put("backup/HOLD", ACTS);
    site.check(&["backups"], "", b"", "cannot be read");
    let set = site.path("backup/daily/2026-11-22");
    site.check(&["set", set.to_str().unwrap()], "", b"", "2026-11-22");
}

/// What an alarm has beside its words.
fn alarm_of_daily() -> Value {
    json!({"level": "alarm", "set": "daily/2026-11-22", "time": "2026-11-22T03:00:00+00:00"})
}

fn toml_text(path: &Path) -> String {
    serde_json::to_string(path.to_str().unwrap())
        .unwrap()
        .replace('\u{7f}', "\\u007f")
}

#[test]
fn names_in_certificates() {
    let site = Site::new();
    let line = acts_on_one_line();
    let (file, key) = (site.path("cert.pem"), site.path("key.pem"));
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-utf8",
            "-days",
            "1",
            "-subj",
        ])
        .arg(format!("/CN={}", line.replace('\\', "")))
        .args([
            "-addext",
            "subjectAltName=DNS:a\u{1b}[2J\u{7}.test,DNS:b\u{7f}.test",
            "-out",
        ])
        .arg(&file)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let settings = format!("[services]\nname = 'mail.test'\n[tls]\nfiles = [{file:?}]\n");
    site.check(&["tls"], &settings, b"", "cert.pem");
}

/// A daemon that answers everything with the same.
fn docker(socket: &Path, status: &str, body: &str) {
    let listener = UnixListener::bind(socket).unwrap();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nApi-Version: 1.41\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                line.clear();
            }
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
}

#[test]
fn what_docker_says() {
    let json = serde_json::to_string(ACTS).unwrap();
    let container = format!(
        "{{\"Id\":{json},\"Names\":[{json}],\"Image\":{json},\"ImageID\":{json},\"State\":\"running\",\"Status\":{json},\
         \"Labels\":{{\"com.docker.compose.service\":{json},\"com.docker.compose.project\":\"x\",\"com.docker.compose.oneoff\":\"False\"}}}}"
    );
    let answers = [
        ("500 Internal", format!("{{\"message\":{json}}}")),
        ("404 Not Found", ACTS.to_owned()),
        ("200 OK", ACTS.to_owned()),
        ("200 OK", format!("[{container}]")),
        ("200 OK", "[]".to_owned()),
    ];
    for (number, (status, body)) in answers.iter().enumerate() {
        let site = Site::new();
        let socket = site.path(&format!("{number}.sock"));
        docker(&socket, status, body);
        let settings = format!(
            "[docker]\nsocket = {socket:?}\nproject = 'x'\n[containers]\nservices = [{json}]\n\
             [services.postfix]\ncontainer = 'x'\n[[logs.source]]\nname = 'l'\nkind = 'postfix'\ncontainer = 'x'\n"
        )
        .replace('\u{7f}', "\\u007f");
        site.check_records(
            &["containers", "services", "logs"],
            &settings,
            b"",
            "checks",
        );
    }
}
