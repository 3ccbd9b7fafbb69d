//! A clamd, a directory to be scanned, the scan, and its verdicts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::clamd::{Clamd, eicar};
use mail_tests::maildir::TreePlan;
use mail_tests::run::{Outcome, Tool};
use mail_tests::schema::Schema;
use mail_tests::server::Server;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use mail_tests::run::shell;

/// The day of the sets of these tests.
pub(crate) const DAY: &str = "2026-11-23";

/// A directory with a scanner for it.
pub(crate) struct Bench {
    pub(crate) clamd: Clamd,
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Clamd::start())
    }

    pub(crate) fn with(clamd: Clamd) -> Self {
        Self {
            clamd,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        put(&self.path(name), content)
    }

    /// Scans `operand` without a cache.
    pub(crate) fn scan(&self, operand: impl AsRef<Path>) -> Outcome {
        self.tool().arg(operand.as_ref()).run()
    }

    pub(crate) fn tool(&self) -> Tool {
        tool(&[&self.clamd.unix()]).arg("--no-cache")
    }

    /// Runs a shell script in the directory.
    pub(crate) fn shell(&self, script: &str) {
        shell(self.dir(), script);
    }
}

/// `mail-scan` with these clamds.
pub(crate) fn tool(clamds: &[&str]) -> Tool {
    clamds.iter().fold(Tool::new("mail-scan"), |tool, clamd| {
        tool.args(["--clamd", clamd])
    })
}

pub(crate) fn put(path: &Path, content: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    path.to_owned()
}

/// A message with `attachment` in base64, as a mail program makes it.
pub(crate) fn mail_with(attachment: &[u8], head: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("a"), attachment);
    let encoded = Command::new("base64")
        .arg(dir.path().join("a"))
        .output()
        .unwrap()
        .stdout;
    let encoded = String::from_utf8(encoded).unwrap();
    format!(
        "From: a@example.com\r\n{head}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\nsee attachment\r\n--b\r\nContent-Type: application/octet-stream\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=x.com\r\n\r\n{encoded}\r\n--b--\r\n"
    )
    .into_bytes()
}

pub(crate) fn infected_mail() -> Vec<u8> {
    mail_with(
        &eicar(),
        "Message-ID: <bad@example.com>\r\nSubject: invoice\r\n",
    )
}

/// Verdicts as `path[: member] status`, with the path relative to `base`, sorted.
#[track_caller]
pub(crate) fn verdicts(outcome: &Outcome, base: &Path) -> Vec<String> {
    Schema::open().assert_valid(&outcome.records());
    let prefix = format!("{}/", base.display());
    let line = |verdict: &Value| {
        let path = verdict["path"].as_str().unwrap();
        let path = path.strip_prefix(&prefix).unwrap_or(path);
        let member = verdict["member"]
            .as_str()
            .map(|member| format!(": {member}"))
            .unwrap_or_default();
        format!("{path}{member} {}", verdict["status"].as_str().unwrap())
    };
    let mut lines: Vec<String> = outcome.data("verdict").iter().map(line).collect();
    lines.sort();
    lines
}

/// The one verdict on a whole file whose path ends so.
#[track_caller]
pub(crate) fn verdict_on(outcome: &Outcome, path: &str) -> Value {
    let ends = |verdict: &Value| {
        verdict["path"].as_str().unwrap().ends_with(path) && verdict["member"].is_null()
    };
    let found: Vec<Value> = outcome.data("verdict").into_iter().filter(ends).collect();
    assert_eq!(
        found.len(),
        1,
        "verdicts on {path}: {found:#?}\n{}",
        outcome.stderr
    );
    found.into_iter().next().unwrap()
}

#[track_caller]
pub(crate) fn total(outcome: &Outcome, name: &str) -> u64 {
    let end = outcome.data("end").pop().unwrap();
    end["totals"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("no total {name}: {end}"))
}

/// The sha256 of a file, by `sha256sum`.
pub(crate) fn sha256(path: &Path) -> String {
    mail_tests::tree::file_digests(&[path.to_owned()]).remove(0)
}

/// A mail server with `messages`, of which `change` makes what it wants, and its set of [`DAY`].
pub(crate) fn backed_up(messages: u64, change: impl FnOnce(&Path)) -> Server {
    let server = Server::new(&TreePlan {
        mean_bytes: 3_000,
        ..TreePlan::new(messages, 3, 5)
    });
    change(&server.mail());
    let components = ["mailboxes", "config", "ssl", "dkim"]
        .iter()
        .flat_map(|name| ["--component", name]);
    let _ = server
        .backup()
        .args(["--date", DAY])
        .args(components)
        .run()
        .assert_code(0);
    server
}

/// Some message of a mail tree.
pub(crate) fn some_message(mail: &Path) -> PathBuf {
    let folders = mail_tests::maildir::folders(mail).unwrap();
    let folder = folders
        .iter()
        .find(|folder| !folder.messages.is_empty())
        .unwrap();
    folder.path_of(&folder.messages[0])
}
