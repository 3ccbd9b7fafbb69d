//! A backup set as stock programs see it: `tar`, `zstd` and `sha256sum` alone.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::maildir::MessageName;
use crate::run::repository;
use crate::tree::file_digests;

/// A message of a set, or of a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SavedMessage {
    /// Relative to the mail root.
    pub path: PathBuf,
    /// The part of its name that stays.
    pub unique: String,
    /// The sha256 of its content in hexadecimal, by `sha256sum`.
    pub sha256: String,
}

/// Asserts that `sha256sum -c` finds nothing wrong with the set in directory `set`.
///
/// # Panics
/// With what it printed when it does.
#[track_caller]
pub fn assert_checksums(set: &Path) {
    let mut command = Command::new("sha256sum");
    command
        .args(["--check", "--quiet", "--strict", "checksums.sha256"])
        .current_dir(set);
    let output = command.output().expect("sha256sum runs");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "sha256sum -c in {}:\n{printed}",
        set.display()
    );
}

/// The archives under `mailboxes/` of the set, sorted.
///
/// # Panics
/// When a directory of the set cannot be read.
#[must_use]
pub fn mail_archives(set: &Path) -> Vec<PathBuf> {
    files_below(&set.join("mailboxes"), ".tar.zst")
}

/// The paths of all that was in the mailboxes, sorted: by their indexes, and by their states where
/// they have some.
///
/// # Panics
/// When an index or a state is not what it should be.
#[must_use]
pub fn mail_index(set: &Path) -> Vec<String> {
    let mailboxes = set.join("mailboxes");
    let mut changes: BTreeMap<(PathBuf, u64, String), Option<String>> = BTreeMap::new();
    let mut paths = Vec::new();
    for state in files_below(&mailboxes, "state.jsonl.zst") {
        for line in lines_of(&state) {
            if let Some(stored) = line["stored"].as_str() {
                let segment = line["segment"].as_u64().expect("a change has a segment");
                let here = line["path"].as_str().unwrap_or(stored).to_owned();
                let present = line["gone_seconds"].is_null().then_some(here);
                let directory = directory_of(&state);
                changes.insert((directory, segment, stored.to_owned()), present);
            } else if line["format"].is_null() {
                paths.push(path_of(&line));
            }
        }
    }
    let indexes = files_below(&mailboxes, ".jsonl.zst").into_iter();
    for index in indexes.filter(|index| !index.ends_with("state.jsonl.zst")) {
        for line in lines_of(&index) {
            let segment = line["segment"].as_u64().expect("an entry has a segment");
            let stored = path_of(&line);
            let key = (directory_of(&index), segment, stored.clone());
            paths.extend(changes.remove(&key).unwrap_or(Some(stored)));
        }
    }
    assert!(changes.is_empty(), "of no member: {changes:?}");
    paths.sort();
    paths
}

fn lines_of(file: &Path) -> Vec<Value> {
    let lines = stdout(Command::new("zstd").arg("-dcq").arg(file));
    let lines = String::from_utf8(lines).expect("an index is UTF-8");
    let parse = |line: &str| serde_json::from_str(line).expect("a line of an index is JSON");
    lines.lines().map(parse).collect()
}

fn path_of(line: &Value) -> String {
    line["path"]
        .as_str()
        .expect("an entry has a path")
        .to_owned()
}

fn directory_of(file: &Path) -> PathBuf {
    file.parent().expect("it lies in a mailbox").to_owned()
}

/// Unpacks all archives of the mailboxes into one directory: messages first, each segment over
/// those before it, then directories and control files, which give the messages their names.
///
/// # Panics
/// When `tar` does not like one.
#[must_use]
pub fn unpack_mail(set: &Path) -> TempDir {
    // In memory where that can be: ext4 takes long to find inodes for files while many others are
    // being deleted.
    let target = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let target = target.expect("a temporary directory can be made");
    let mut archives = mail_archives(set);
    let is_control = |archive: &Path| archive.ends_with("0000.tar.zst");
    archives.sort_by_key(|archive| {
        (
            is_control(archive),
            archive
                .ancestors()
                .nth(1)
                .is_some_and(|dir| dir.ends_with("_root")),
        )
    });
    for archive in archives {
        stdout(
            Command::new("tar")
                .arg("-C")
                .arg(target.path())
                .args(["--zstd", "--incremental", "-xpf"])
                .arg(archive),
        );
    }
    target
}

/// Unpacks all mail of the set by the very commands of `docs/format.md`.
///
/// # Panics
/// When they are not there, or end with an error.
#[must_use]
pub fn unpack_by_guide(set: &Path) -> TempDir {
    let guide = fs::read_to_string(repository().join("docs/format.md")).expect("it is there");
    let taken = |from: &str, to: &str| {
        let start = guide.find(from).expect("the guide has the commands");
        let length = guide[start..].find(to).expect("they end");
        guide[start..start + length].replace("/srv/restored", "\"$TARGET\"")
    };
    let target = tempfile::tempdir().expect("a temporary directory can be made");
    let function = taken("unpack() {", "```");
    let commands = taken("unpack \"$SET/mailboxes\" /srv", "```");
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &(function + &commands)]);
    stdout(bash.env("SET", set).env("TARGET", target.path()));
    target
}

/// Every message in the `cur/` and `new/` of the mail tree at `dir`, sorted by path.
///
/// # Panics
/// When the tree cannot be read.
#[must_use]
pub fn messages(dir: &Path) -> Vec<SavedMessage> {
    let paths: Vec<PathBuf> = message_files(dir);
    let relative = |path: &PathBuf| {
        path.strip_prefix(dir)
            .expect("it was found below")
            .to_owned()
    };
    let unique = |path: &PathBuf| {
        MessageName::parse(&path.file_name().unwrap_or_default().to_string_lossy()).unique
    };
    let digests = file_digests(&paths);
    let mut messages: Vec<SavedMessage> = paths
        .iter()
        .zip(digests)
        .map(|(path, sha256)| SavedMessage {
            path: relative(path),
            unique: unique(path),
            sha256,
        })
        .collect();
    messages.sort();
    messages
}

/// How often each item is there, for those that are there more than once.
#[must_use]
pub fn repeated<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    counts.retain(|_, count| *count > 1);
    counts
}

/// A tree that was renamed while it was saved may have a `cur` without its `new`, so every
/// directory counts.
fn message_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        let holds_messages =
            [OsStr::new("cur"), OsStr::new("new")].contains(&dir.file_name().unwrap_or_default());
        for entry in fs::read_dir(&dir).expect("an unpacked tree can be read") {
            let path = entry.expect("an unpacked tree can be read").path();
            let metadata = path.symlink_metadata();
            if metadata.expect("an unpacked tree holds still").is_dir() {
                waiting.push(path);
            } else if holds_messages {
                found.push(path);
            }
        }
    }
    found
}

fn files_below(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in
            fs::read_dir(&dir).unwrap_or_else(|e| panic!("read directory {}: {e}", dir.display()))
        {
            let path = entry.expect("a set can be read").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn stdout(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("run {}: {e}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
