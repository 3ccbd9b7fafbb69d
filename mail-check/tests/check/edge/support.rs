//! Running `mail-check`, and reading what it found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::maildir::TreePlan;
use mail_tests::run::{Outcome, Tool};
use mail_tests::schema::Schema;
use mail_tests::server::Server;
use tempfile::TempDir;

/// The components that need no database.
pub(crate) const TREES: [&str; 8] = [
    "--component",
    "mailboxes",
    "--component",
    "config",
    "--component",
    "ssl",
    "--component",
    "dkim",
];

/// A place for state and settings, and the runs that use it.
pub(crate) struct Checker {
    dir: TempDir,
}

impl Checker {
    /// With a file of checks.
    pub(crate) fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("check.toml"), settings).unwrap();
        Self { dir }
    }

    /// Where settings, state and whatever a test needs beside them lie.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The tool, to be given operands.
    pub(crate) fn tool(&self) -> Tool {
        Tool::new("mail-check")
            .arg("--state")
            .arg(self.path("state"))
            .arg("--checks")
            .arg(self.path("check.toml"))
    }

    /// Makes checks; the records match the schema.
    #[track_caller]
    pub(crate) fn run(&self, operands: &[&str]) -> Outcome {
        checked(self.tool().args(operands))
    }
}

/// Runs a tool; its records match the schema.
#[track_caller]
pub(crate) fn checked(tool: Tool) -> Outcome {
    let outcome = tool.run();
    Schema::open().assert_valid(&outcome.records());
    outcome
}

/// The status and the message of the check `name` of `target`.
#[track_caller]
pub(crate) fn found(outcome: &Outcome, name: &str, target: &str) -> (String, String) {
    let checks = outcome.data("check");
    let found = checks
        .iter()
        .find(|check| check["name"] == name && check["target"] == target);
    let found = found.unwrap_or_else(|| {
        panic!(
            "no check {name} {target} in {checks:#?}\n{}",
            outcome.stderr
        )
    });
    (
        found["status"].as_str().unwrap().to_owned(),
        found["message"].as_str().unwrap().to_owned(),
    )
}

/// Asserts status and a part of the message.
#[track_caller]
pub(crate) fn assert_found(outcome: &Outcome, name: &str, target: &str, status: &str, part: &str) {
    let (found_status, message) = found(outcome, name, target);
    assert!(
        found_status == status && message.contains(part),
        "{name} {target} is {found_status}: {message}"
    );
}

/// A server without database, and the directory of a set of it.
pub(crate) fn saved_server(messages: u64) -> (Server, PathBuf) {
    let server = Server::new(&TreePlan {
        mean_bytes: 3_000,
        ..TreePlan::new(messages, 4, 11)
    });
    let _ = server
        .backup()
        .args(TREES)
        .args(["--date", "2026-11-23"])
        .run()
        .assert_code(0);
    let set = server.root().join("daily/2026-11-23");
    (server, set)
}

/// Runs a shell script in `dir`, as an administrator or an old script would.
#[track_caller]
pub(crate) fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
