//! What a forged set costs whoever looks at it: memory, where digests, manifest and checksums
//! agree; and time, where something else stands in the place of a file.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "what is put in the way is not a stored file"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::host::Host;
use mail_tests::run::{Tool, binary};
use mail_tests::set::assert_checksums;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

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
    check(310_000, 160 << 20);
}

/// What may stand in the place of a file of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Pipe,
    Socket,
    Directory,
    /// `/dev/zero`.
    Device,
    /// A link to the very file.
    Link,
}

impl Planted {
    const ALL: [Self; 5] = [
        Self::Pipe,
        Self::Socket,
        Self::Directory,
        Self::Device,
        Self::Link,
    ];

    fn put(self, path: &Path, file: &Path) {
        let node = |kind, device| mknodat(CWD, path, kind, Mode::from(0o600), device).unwrap();
        match self {
            Self::Pipe => node(FileType::Fifo, 0),
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Directory => fs::create_dir(path).unwrap(),
            Self::Device => node(FileType::CharacterDevice, makedev(1, 5)),
            Self::Link => symlink(file, path).unwrap(),
        }
    }

    fn take_away(self, path: &Path) {
        match self {
            Self::Directory => fs::remove_dir(path).unwrap(),
            Self::Pipe | Self::Socket | Self::Device | Self::Link => fs::remove_file(path).unwrap(),
        }
    }
}

/// A host with one set.
struct Whole {
    host: Host,
    set: PathBuf,
}

impl Whole {
    fn tool(&self, name: &str, arguments: &[&str]) -> Tool {
        let settings = self.host.server.settings().into_iter();
        let tool = settings.fold(Tool::new(name), |tool, (name, value)| tool.env(name, value));
        tool.args(arguments)
    }

    /// Every file of the set but those of all mailboxes after the first.
    fn files(&self) -> Vec<String> {
        let mut find = Command::new("find");
        find.args([".", "-type", "f", "-printf", "%P\\n"]);
        let output = find.current_dir(&self.set).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut files: Vec<String> = text.lines().map(str::to_owned).collect();
        files.sort();
        let mailbox = |file: &str| {
            let directory = file
                .rsplit_once('/')
                .map(|(directory, _)| directory.to_owned());
            directory.filter(|directory| directory.matches('/').count() == 2)
        };
        let first = files.iter().find_map(|file| mailbox(file));
        files.retain(|file| mailbox(file).is_none() || mailbox(file) == first);
        files
    }

    /// Every tool that reads the set ends, and names the file. The next backup is whole.
    fn look(&self, file: &str, planted: Planted) {
        let name = self.set.strip_prefix(self.host.server.root()).unwrap();
        let set = name.to_str().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (to, state) = (path("to"), path("state"));
        let store = format!("file://{}", dir.path().display());
        let clamd = self.host.clamd.unix();
        let readers: [(&str, &[&str]); 6] = [
            ("mail-restore", &["--from", set, "--verify"]),
            ("mail-restore", &["--from", set, "--to", &to, "--dry-run"]),
            ("mail-restore", &["--from", set, "--to", &to]),
            ("mail-check", &["--state", &state, "set", set]),
            ("mail-s3sync", &["push", "--set", set, "--to", &store]),
            ("mail-scan", &["--clamd", &clamd, "--no-cache", set]),
        ];
        let is_first = planted == Planted::Pipe;
        for (tool, arguments) in readers.iter().take(if is_first { 6 } else { 1 }) {
            let outcome = self.tool(tool, arguments).run();
            let said = format!("{}{}", outcome.stderr, outcome.text());
            let what = format!("{file}, {planted:?}, {tool} {arguments:?}: {said}");
            assert!(!said.contains("panicked"), "{what}");
            let base = file.rsplit('/').next().unwrap();
            // Nothing is restored from the log; the accounts, only where they are asked for.
            let is_restore = *tool == "mail-restore";
            let is_read = file != "backup.log" && !(is_restore && base.starts_with("_accounts"));
            assert!(
                !is_read || outcome.code() != 0 && said.contains(base),
                "{what}"
            );
        }
        if is_first && (file.starts_with("mailboxes") || !file.contains('/')) {
            let outcome = self.tool("mail-backup", &["--hourly", "--no-prune"]).run();
            let outcome = outcome.assert_code(0);
            let begin = &outcome.data("begin")[0]["set"];
            let next = self.host.server.root().join(begin.as_str().unwrap());
            assert_checksums(&next);
            fs::remove_dir_all(next).unwrap();
        }
    }
}

#[test]
fn what_is_no_file_in_the_place_of_a_stored_file_holds_nobody_up_and_is_named() {
    let host = Host::new(30);
    host.server.backup().arg("--daily").run().assert_code(0);
    let set = host.server.root().join(host.server.latest());
    let whole = Whole { host, set };
    let apart = whole.host.server.dir().join("apart");
    for file in whole.files() {
        let path = whole.set.join(&file);
        fs::rename(&path, &apart).unwrap();
        for planted in Planted::ALL {
            planted.put(&path, &apart);
            whole.look(&file, planted);
            planted.take_away(&path);
        }
        fs::rename(&apart, &path).unwrap();
    }
    assert_checksums(&whole.set);
}
