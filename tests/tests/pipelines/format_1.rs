//! A set of format 1, as mail-backup 0.1.0 made it: every tool and stock tar read it for ever. The
//! fixture is never edited.
#![allow(clippy::disallowed_methods, reason = "sample files")]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::clamd::Clamd;
use mail_tests::run::{Outcome, Tool, repository};
use mail_tests::set::{assert_checksums, unpack_by_guide};
use mail_tests::tree::{Kind, Snapshot, snapshot};
use tempfile::TempDir;

const SET: &str = "daily/2026-11-23";

/// A copy of the fixture: locks are taken on it.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = directory().join("daily");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(source)
            .arg(dir.path())
            .status();
        assert!(copied.unwrap().success());
        Self { dir }
    }

    fn set(&self) -> PathBuf {
        self.path(SET)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tool(&self, name: &str) -> Tool {
        Tool::new(name).env("BACKUP_ROOT", self.dir.path())
    }

    fn restore_to(&self, target: &str, arguments: &[&str]) -> Outcome {
        let tool = self.tool("mail-restore").args(["--from", SET, "--to"]);
        tool.arg(self.path(target)).args(arguments).run()
    }
}

fn directory() -> PathBuf {
    repository().join("tests/fixtures/format-1")
}

/// A line for each entry, as `tree.txt` has it. Who is not root cannot give files away.
fn lines(tree: &Snapshot) -> Vec<String> {
    let is_root = rustix::process::geteuid().is_root();
    let mut lines = Vec::new();
    for (path, entry) in tree.entries() {
        let kind = format!("{:?}", entry.kind).to_lowercase();
        let (uid, gid) = if is_root {
            (entry.uid, entry.gid)
        } else {
            (5000, 5000)
        };
        let sha256 = entry.sha256.as_deref().unwrap_or("-");
        let mut line = format!(
            "{kind} {:o} {uid}:{gid} {} {} {sha256} {path:?}",
            entry.mode, entry.size_bytes, entry.mtime_ns
        );
        if let Some(target) = &entry.target {
            write!(line, " -> {target:?}").unwrap();
        }
        lines.push(line);
    }
    lines.sort();
    lines
}

/// What GNU tar and find printed of the tree on the day of the set.
fn expected() -> Vec<String> {
    let text = std::fs::read_to_string(directory().join("tree.txt")).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Unpacks the mail: messages before directories, what lies above the mailboxes last.
fn unpack(set: &Path, flags: &str) -> TempDir {
    let target = tempfile::tempdir().unwrap();
    let script = r#"
        cd "$1"
        { find mailboxes -name '*.tar.zst' | sort -r; echo mailboxes/_root/0000.tar.zst; } |
        while read -r archive; do
            tar --zstd $3 -xpf "$archive" -C "$2"
        done"#;
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .arg(set)
        .arg(target.path())
        .arg(flags)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    target
}

#[test]
fn stock_tar_unpacks_it() {
    assert_checksums(&directory().join(SET));
    // The commands for format 2 are right for it too: an archive without dumpdirs deletes nothing.
    for flags in ["", "--incremental"] {
        let unpacked = unpack(&directory().join(SET), flags);
        assert_eq!(lines(&snapshot(unpacked.path())), expected(), "{flags}");
    }
    let unpacked = unpack_by_guide(&directory().join(SET));
    assert_eq!(lines(&snapshot(unpacked.path())), expected());
}

#[test]
fn it_is_restored_whole() {
    let fixture = Fixture::new();
    let _ = fixture.restore_to("to", &[]).assert_code(0);
    let restored = snapshot(&fixture.path("to/mailboxes"));
    assert_eq!(lines(&restored), expected());
    let seen = restored.entries()[Path::new("example.com/bob/new/1793610007.M7P1.mx")].clone();
    let first = Path::new("example.com/bob/cur/1793610007.M7P1.mx:2,T");
    assert_eq!(seen.same_file_as.as_deref(), Some(first));
    let noted =
        &restored.entries()[Path::new("example.com/alice/cur/1793610001.M1P1.mx,S=230:2,S")];
    let note = noted.xattrs.get(std::ffi::OsStr::new("user.note"));
    assert_eq!(note.unwrap(), b"kept\0with bytes\xff");
    for component in [
        "config/postfix/main.cf",
        "ssl/live/mx.example.com/fullchain.pem",
    ] {
        assert!(fixture.path("to").join(component).is_file(), "{component}");
    }
}

#[test]
fn a_dry_run_reads_all_of_it() {
    let fixture = Fixture::new();
    let outcome = fixture.restore_to("to", &["--dry-run"]).assert_code(0);
    // Two archives of alice's, two of bob's, that of what lies above, and five other files.
    assert_eq!(outcome.data("restored").len(), 10);
    let entries = |record: &serde_json::Value| record["entries"].as_u64().unwrap();
    let mail = |record: &&serde_json::Value| record["component"] == "mailboxes";
    let records = outcome.data("restored");
    assert_eq!(records.iter().filter(mail).map(entries).sum::<u64>(), 33);
    assert!(!fixture.path("to").exists());
}

#[test]
fn single_messages_are_found_in_it() {
    let fixture = Fixture::new();
    for (target, arguments, found) in [
        ("mailbox", &["--mailbox", "alice@example.com"][..], 6),
        ("id", &["--message-id", "6@example.org"], 1),
        ("path", &["--path", "example.com/bob/*/*M7P1*"], 2),
    ] {
        let _ = fixture.restore_to(target, arguments).assert_code(0);
        let messages = snapshot(&fixture.path(target));
        let is_file = |entry: &&mail_tests::tree::Entry| entry.kind == Kind::File;
        assert_eq!(
            messages.entries().values().filter(is_file).count(),
            found,
            "{target}"
        );
    }
    let _ = fixture
        .restore_to("none", &["--message-id", "9@example.org"])
        .assert_code(1);
}

#[test]
fn it_is_scanned() {
    let fixture = Fixture::new();
    let clamd = Clamd::start();
    let tool = fixture
        .tool("mail-scan")
        .args(["--no-cache", "--clamd", &clamd.unix(), SET]);
    let outcome = tool.run().assert_code(0);
    assert_eq!(outcome.data("verdict").len(), 13);
}

#[test]
fn it_is_checked() {
    let fixture = Fixture::new();
    let state = fixture.path("state");
    let tool = fixture.tool("mail-check").arg("--state").arg(state);
    let outcome = tool.args(["set", SET]).run().assert_code(0);
    let check = &outcome.data("check")[0];
    assert_eq!(check["status"], "ok", "{check}");
}

#[test]
fn it_goes_away_and_comes_back() {
    let fixture = Fixture::new();
    let away = format!("file://{}", fixture.path("away").display());
    std::fs::create_dir(fixture.path("away")).unwrap();
    let push = fixture
        .tool("mail-s3sync")
        .args(["push", "--set", SET, "--to", &away]);
    let _ = push.run().assert_code(0);
    let pull = fixture
        .tool("mail-s3sync")
        .args(["pull", "--from", &away, "--to"]);
    let _ = pull.arg(fixture.path("back")).run().assert_code(0);
    let same = Command::new("diff")
        .arg("-r")
        .args([fixture.set(), fixture.path("back")])
        .status();
    assert!(same.unwrap().success());
}
