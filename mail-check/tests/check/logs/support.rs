//! A directory of logs, a file of checks, a directory of state, and runs over them.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use mail_tests::run::{Outcome, Tool};
use mail_tests::schema::Schema;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BOUNCED: &str = "Nov 25 08:00:01 mx postfix/smtp[7]: 4BC: to=<x@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1, \
     dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 <x@example.net>: User unknown)\n";

pub(crate) const NOT_DELIVERED: &str = "Nov 25 08:19:48 mail postfix/lmtp[19228]: 63FD299699C: to=<bob@example.org>, relay=none, delay=0, \
     delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to mail.test[private/dovecot-lmtp]: Connection refused)\n";

pub(crate) struct Logs {
    dir: TempDir,
}

/// What a run found.
pub(crate) struct Checks {
    pub(crate) outcome: Outcome,
    pub(crate) found: Vec<Value>,
}

impl Logs {
    /// One source, `mail`, of kind postfix; `more` is added to the file of checks.
    pub(crate) fn new(more: &str) -> Self {
        let logs = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let log = logs.path("mail.log");
        logs.configure(&format!(
            "{more}\n[[logs.source]]\nname = \"mail\"\nkind = \"postfix\"\nfile = {log:?}\n"
        ));
        logs
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn configure(&self, checks: &str) {
        // Other tests load the machine, and its disks are as they are.
        let resources = "[resources]\nload_per_core = { warning = 1000 }\ndisk = { warning = 101 }\ninodes = { warning = 101 }\n";
        fs::write(self.path("check.toml"), format!("{resources}{checks}")).unwrap();
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn tool(&self, args: &[&str]) -> Tool {
        let tool = Tool::new("mail-check")
            .arg("--state")
            .arg(self.path("state"));
        tool.arg("--checks").arg(self.path("check.toml")).args(args)
    }

    pub(crate) fn run(&self) -> Checks {
        Checks::of(self.tool(&["logs"]).run())
    }
}

impl Checks {
    #[track_caller]
    pub(crate) fn of(outcome: Outcome) -> Self {
        Schema::open().assert_valid(&outcome.records());
        let found = outcome.data("check");
        Self { outcome, found }
    }

    /// Only the checks of one target: sources are read side by side, so their order is any.
    pub(crate) fn about(mut self, target: &str) -> Self {
        self.found.retain(|check| check["target"] == target);
        self
    }

    /// Asserts the status of the first check of that name, and that its message has `part`.
    #[track_caller]
    pub(crate) fn assert(&self, name: &str, status: &str, part: &str) -> &Self {
        let check = self.found.iter().find(|check| check["name"] == name);
        let check = check
            .unwrap_or_else(|| panic!("no {name} in {:#?}\n{}", self.found, self.outcome.stderr));
        assert_eq!(check["status"], status, "{check:#}");
        assert!(
            check["message"].as_str().unwrap().contains(part),
            "no {part:?} in {check:#}"
        );
        self
    }
}

/// Waits until a log holds `words`.
#[track_caller]
pub(crate) fn wait_for(words: &str, log: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !log().contains(words) {
        assert!(Instant::now() < deadline, "no {words:?} in {}", log());
        thread::sleep(Duration::from_millis(20));
    }
}
