//! What a forged set costs whoever looks at it, where digests, manifest and checksums agree.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use mail_tests::run::binary;

/// Writes a set of which no file is there, by another program than ours.
const FORGE: &str = r#"
import hashlib, json, sys
root, files = sys.argv[1], int(sys.argv[2])
name = "daily/2026-11-23"
digest = "0" * 64
def line(kind, data): return json.dumps({"type": kind, "data": data}).encode() + b"\n"
with open("manifest.jsonl", "wb") as manifest, open("checksums.sha256", "wb") as checksums:
    manifest.write(line("begin", {"v": 1, "tool": "mail-backup", "version": "0", "host": "h",
        "time": "2026-11-23T03:00:00+00:00", "args": [], "root": root, "set": name}))
    for number in range(files):
        path = "mailboxes/example.com/user%07d/0001.tar.zst" % number
        manifest.write(line("artifact", {"root": root, "set": name, "component": "mailboxes",
            "path": path, "bytes": 1, "sha256": digest, "entries": 1, "source_bytes": 1,
            "reused": False}))
        checksums.write(("%s  %s\n" % (digest, path)).encode())
    manifest.write(line("end", {"tool": "mail-backup", "status": "ok", "exit": 0, "seconds": 1,
        "totals": {}}))
with open("checksums.sha256", "ab") as checksums:
    whole = hashlib.sha256(open("manifest.jsonl", "rb").read()).hexdigest()
    checksums.write(("%s  manifest.jsonl\n" % whole).encode())
"#;

/// Runs a command; the most memory that it had, in bytes.
const PEAK: &str = "
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, done.returncode)
sys.stderr.buffer.write(done.stderr[:2000])";

fn forge(root: &Path, files: u32) {
    let set = root.join("daily/2026-11-23");
    fs::create_dir_all(&set).unwrap();
    let mut python = Command::new("python3");
    python.args(["-c", FORGE]).arg(root).arg(files.to_string());
    assert!(python.current_dir(set).status().unwrap().success());
}

/// Peak and exit code of a tool.
#[track_caller]
fn peak(root: &Path, tool: &str, arguments: &[&str]) -> (u64, i32) {
    let mut python = Command::new("python3");
    python.args(["-c", PEAK]).arg(binary(tool)).args(arguments);
    let output = python.env("BACKUP_ROOT", root).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (bytes, code) = text.trim().split_once(' ').unwrap();
    (bytes.parse().unwrap(), code.parse().unwrap())
}

/// A tool that looks at a set of so many files fails, and takes no more than so many bytes.
#[track_caller]
fn check(files: u32, most: u64) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("backup");
    forge(&root, files);
    let set = root.join("daily/2026-11-23");
    let (set, state) = (set.to_str().unwrap(), dir.path().join("state"));
    let state = state.to_str().unwrap();
    let to = format!("file://{}", dir.path().display());
    let commands: [(&str, &[&str]); 5] = [
        ("mail-restore", &["--from", set, "--verify", "-q"]),
        ("mail-restore", &["--from", set, "--dry-run", "--to", state]),
        ("mail-check", &["set", set, "--state", state]),
        ("mail-check", &["backups", "--state", state]),
        (
            "mail-s3sync",
            &["push", "--set", "daily/2026-11-23", "--to", &to],
        ),
    ];
    for (tool, arguments) in commands {
        let (bytes, code) = peak(&root, tool, arguments);
        assert_ne!(code, 0, "{tool} {arguments:?}");
        assert!(bytes < most, "{tool} {arguments:?}: {bytes} bytes");
    }
}

#[test]
fn a_forged_set_of_many_files_is_read_in_little_memory() {
    check(30_000, 40 << 20);
}

#[test]
fn a_forged_set_of_more_files_than_a_set_can_have_is_refused_before_it_fills_the_memory() {
    check(310_000, 90 << 20);
}
