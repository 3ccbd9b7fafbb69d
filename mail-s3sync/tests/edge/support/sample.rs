//! A backup root whose sets are written by hand and closed by `sha256sum`, so that nothing of what
//! is tested takes part in making them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::run::Tool;
use serde_json::json;
use tempfile::TempDir;

pub(crate) const DAY_1: &str = "2026-11-23";
pub(crate) const DAY_2: &str = "2026-11-24";

/// Files by path.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// A backup root, and a directory that can be a store.
pub(crate) struct SampleRoot {
    dir: TempDir,
}

impl SampleRoot {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["backup", "store"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where a `file://` store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// The directory of a set.
    pub(crate) fn set(&self, name: &str) -> PathBuf {
        self.dir.path().join("backup").join(name)
    }

    /// Makes, or replaces, a daily set of these files.
    pub(crate) fn make_daily(&self, date: &str, files: &[(&str, &[u8])]) -> PathBuf {
        self.make(&format!("daily/{date}"), files)
    }

    pub(crate) fn make(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let set = self.set(name);
        let _ = fs::remove_dir_all(&set);
        fs::create_dir_all(&set).unwrap();
        for (path, content) in files {
            put(&set, path, content);
        }
        put(&set, "backup.log", b"mail-backup: made by hand\n");
        close(&set, name, files);
        set
    }

    /// `mail-s3sync` with this root.
    pub(crate) fn tool(&self) -> Tool {
        Tool::new("mail-s3sync").env("BACKUP_ROOT", self.dir.path().join("backup"))
    }

    /// `mail-s3sync push` of a daily set to the directory.
    pub(crate) fn push_to_file(&self, date: &str) -> Tool {
        self.tool()
            .args(["push", "--date", date, "--to"])
            .arg(self.file_url())
    }

    pub(crate) fn file_url(&self) -> String {
        format!("file://{}", self.store().display())
    }
}

fn put(set: &Path, path: &str, content: &[u8]) {
    let path = set.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Writes manifest and checksums.
fn close(set: &Path, name: &str, files: &[(&str, &[u8])]) {
    let digests = sha256sum(set);
    let mut lines = vec![json!({"type": "begin", "data": {
        "v": 1, "tool": "mail-backup", "version": "0", "host": "mx", "time": "2026-11-23T03:00:00+00:00", "args": [],
        "set": name}})];
    for (path, content) in files {
        lines.push(json!({"type": "artifact", "data": {
            "root": set.parent().unwrap().parent().unwrap(), "set": name,
            "component": path.split('/').next().unwrap(), "path": path, "bytes": content.len(),
            "sha256": digests[*path], "entries": 1, "source_bytes": content.len(), "reused": false}}));
    }
    lines.push(json!({"type": "end", "data": {
        "tool": "mail-backup", "status": "ok", "exit": 0, "seconds": 1.0, "totals": {}}}));
    let manifest: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(set.join("manifest.jsonl"), manifest).unwrap();
    let output = Command::new("bash")
        .args(["-c", "find . -type f ! -name checksums.sha256 -printf '%P\\0' | sort -z | xargs -0 sha256sum --"])
        .current_dir(set)
        .output()
        .unwrap();
    assert!(output.status.success());
    fs::write(set.join("checksums.sha256"), output.stdout).unwrap();
}

/// The digest of each file, by its name.
fn sha256sum(set: &Path) -> BTreeMap<String, String> {
    let output = Command::new("bash")
        .args([
            "-c",
            "find . -type f -printf '%P\\0' | xargs -0 sha256sum --zero --",
        ])
        .current_dir(set)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.split('\0').filter(|line| !line.is_empty());
    lines
        .map(|line| line.split_once("  ").unwrap())
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect()
}

/// Asserts that `sha256sum` finds every file of the set as its checksums say.
#[track_caller]
pub(crate) fn assert_sums(set: &Path) {
    let mut command = Command::new("sha256sum");
    let output = command
        .args(["--quiet", "--strict", "-c", "checksums.sha256"])
        .current_dir(set)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// All files below `directory`, hidden ones too.
pub(crate) fn tree(directory: &Path) -> Tree {
    let mut found = Tree::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().as_os_str();
                found.insert(
                    OsStr::to_string_lossy(name).into_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}
