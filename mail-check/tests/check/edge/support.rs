//! Running `mail-check`, and reading what it found.

use std::fs;
use std::path::PathBuf;

use mail_tests::run::{Outcome, Tool};
use tempfile::TempDir;

pub(crate) use mail_tests::run::shell;
pub(crate) use mail_tests::schema::checked;
pub(crate) use mail_tests::server::{Server, TREES};

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
