//! A directory, a file of checks, and what `mail-check` finds.

use std::fs;
use std::path::{Path, PathBuf};

use mail_tests::run::Tool;
use mail_tests::schema::Schema;
use serde_json::Value;
use tempfile::TempDir;

/// Where one test works.
pub(crate) struct Bench {
    dir: TempDir,
}

/// What was found, by name and target.
#[derive(Debug)]
pub(crate) struct Found(Vec<Value>);

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and the directories above it.
    pub(crate) fn put(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// `mail-check GROUP` with the file of checks `settings`; everything of the server is in the
    /// bench.
    pub(crate) fn tool(&self, group: &str, settings: &str) -> Tool {
        let checks = self.put("check.toml", settings);
        Tool::new("mail-check")
            .arg(group)
            .arg("--checks")
            .arg(checks)
            .arg("--state")
            .arg(self.path("state"))
            .env("MAILSERVER_ROOT", self.path("mail-server"))
            .env("BACKUP_ROOT", self.path("backup"))
    }

    pub(crate) fn check(&self, group: &str, settings: &str) -> Found {
        Found::of(self.tool(group, settings).args(["--timeout", "60"]))
    }
}

impl Found {
    /// Runs the tool; its records follow the schema, and its exit code is that of the worst
    /// finding.
    #[track_caller]
    pub(crate) fn of(tool: Tool) -> Self {
        let outcome = tool.run();
        Schema::open().assert_valid(&outcome.records());
        let checks = outcome.data("check");
        let any = |status: &str| checks.iter().any(|check| check["status"] == status);
        let expected = [("critical", 2), ("warning", 1), ("unknown", 3)]
            .into_iter()
            .find(|(status, _)| any(status));
        assert_eq!(
            outcome.code(),
            expected.map_or(0, |(_, code)| code),
            "{checks:#?}\n{}",
            outcome.stderr
        );
        assert!(
            !checks.is_empty(),
            "nothing was checked: {}",
            outcome.stderr
        );
        Self(checks)
    }

    /// The findings that are not ok.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let troubles = self.0.iter().filter(|check| check["status"] != "ok");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        troubles
            .map(|check| format!("{} {}", text(&check["name"]), text(&check["target"])))
            .collect()
    }

    pub(crate) fn get(&self, name: &str, target: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|check| check["name"] == name && check["target"] == target)
    }

    /// Asserts the status of one finding and what its message says.
    #[track_caller]
    pub(crate) fn assert(&self, name: &str, target: &str, status: &str, words: &str) -> &Self {
        let check = self
            .get(name, target)
            .unwrap_or_else(|| panic!("no {name} of {target} in {:#?}", self.0));
        assert_eq!(check["status"], status, "{check:#}");
        assert!(
            check["message"].as_str().unwrap().contains(words),
            "{words:?} is not in {check:#}"
        );
        self
    }
}
