//! A machine of which one check can be turned: the space of `/`, by its limits.

use std::path::{Path, PathBuf};

use mail_tests::run::{Outcome, Tool};
use mail_tests::schema::Schema;
use serde_json::Value;
use tempfile::TempDir;

/// How the space of `/` is judged.
#[derive(Clone, Copy)]
pub(crate) enum Disk {
    Ok,
    Warning,
    Critical,
}

/// A machine.
pub(crate) struct Machine {
    dir: TempDir,
    notify: String,
}

impl Machine {
    /// With this `[notify]`.
    pub(crate) fn new(notify: &str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            notify: notify.to_owned(),
        }
    }

    /// The same with other settings: what was kept stays.
    pub(crate) fn with(self, notify: &str) -> Self {
        Self {
            notify: notify.to_owned(),
            ..self
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: &str) -> PathBuf {
        write(&self.path(name), text)
    }

    pub(crate) fn tool(&self, disk: Disk) -> Tool {
        let limit = match disk {
            Disk::Ok => "warning = 101",
            Disk::Warning => "warning = 0",
            Disk::Critical => "critical = 0",
        };
        let text = format!(
            "[resources]\ncpu = {{ warning = 101 }}\nmemory = {{ warning = 101 }}\nswap = {{ warning = 101 }}\n\
             load_per_core = {{ warning = 100000 }}\ndisk = {{ {limit} }}\ninodes = {{ warning = 101 }}\nmounts = [\"/\"]\n\
             time_sync = false\n{}",
            self.notify
        );
        let checks = self.put("check.toml", &text);
        Tool::new("mail-check")
            .arg("resources")
            .arg("--checks")
            .arg(checks)
            .arg("--state")
            .arg(self.path("state"))
            .env("BACKUP_ROOT", self.path("backup"))
    }

    /// Makes the checks and tells.
    pub(crate) fn notify(&self, disk: Disk) -> Outcome {
        let outcome = self.tool(disk).arg("--notify").run();
        Schema::open().assert_valid(&outcome.records());
        outcome
    }
}

/// The finding `notify` of `target`.
#[track_caller]
pub(crate) fn notified(outcome: &Outcome, target: &str) -> Value {
    let is_it = |check: &Value| check["name"] == "notify" && check["target"] == target;
    let found: Vec<Value> = outcome.data("check").into_iter().filter(is_it).collect();
    assert_eq!(
        found.len(),
        1,
        "findings of notify {target}: {found:#?}\n{}",
        outcome.stderr
    );
    found.into_iter().next().unwrap()
}

/// A file with a secret in it, for a setting that ends in `_file`.
pub(crate) fn secret(dir: &Path, name: &str, text: &str) -> String {
    write(&dir.join(name), format!("{text}\n"))
        .display()
        .to_string()
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> PathBuf {
    std::fs::write(path, text).unwrap();
    path.to_owned()
}
