//! What a run says when its output cannot be written, and when nobody has sent it a signal: the
//! exit code and the last words are true, and what was done is said.
#![expect(
    clippy::disallowed_methods,
    reason = "mail that is planted is not a stored file"
)]

use std::fs;
use std::thread;
use std::time::Duration;

use mail_tests::clamd::eicar;
use mail_tests::held::HeldLock;
use mail_tests::host::{Host, TOOLS};
use mail_tests::run::{Outcome, Tool, binary};
use rustix::process::Signal;

/// A full stdout, and one whose reader has gone.
const UNWRITABLE: [&str; 2] = [r#""$@" >/dev/full"#, r#"{ sleep 0.2; "$@"; } | :"#];

/// A host with a set, a store, and a message for the quarantine.
struct Site {
    host: Host,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            host: Host::new(20),
        };
        fs::create_dir(site.host.server.dir().join("store")).expect("a directory can be made");
        let _ = site.host.server.backup().run().assert_code(0);
        site
    }

    fn tool(&self, name: &str) -> Tool {
        let settings = self.host.server.settings().into_iter();
        let tool = Tool::new(name).env("CLAMD_ADDRESS", self.host.clamd.unix());
        let tool = match name {
            "mail-check" => tool.arg("--state").arg(self.path("state")),
            _ => tool,
        };
        settings.fold(tool, |tool, (name, value)| tool.env(name, value))
    }

    fn path(&self, name: &str) -> String {
        let path = self.host.server.dir().join(name);
        path.to_str().expect("a path of ours").to_owned()
    }

    fn store(&self) -> String {
        format!("file://{}", self.path("store"))
    }

    /// A run of each tool that changes something, and what it has done then.
    fn runs(&self) -> Vec<(Tool, String)> {
        let server = &self.host.server;
        fs::write(server.mail().join("example.com/alice/cur/1.bad"), eicar())
            .expect("mail comes in");
        let run = |name: &str, args: &[&str]| self.tool(name).args(args);
        let (store, pulled, quarantine) =
            (self.store(), self.path("pulled"), self.path("quarantine"));
        let mail = server.mail();
        let mail = mail.to_str().expect("a path of ours");
        let scan = ["--no-cache", "--quarantine", &quarantine, mail];
        vec![
            (
                run("mail-backup", &["--hourly"]),
                "made ".to_owned() + &self.path("backup/hourly"),
            ),
            (
                run("mail-scan", &scan),
                format!("1 messages moved to {quarantine}"),
            ),
            (
                run("mail-s3sync", &["push", "--to", &store]),
                "pushed ".to_owned() + &store,
            ),
            (
                run("mail-s3sync", &["pull", "--from", &store, "--to", &pulled]),
                "pulled ".to_owned(),
            ),
            (
                run(
                    "mail-restore",
                    &["--from", "latest", "--component", "config"],
                ),
                "in place:".to_owned(),
            ),
        ]
    }
}

/// Nobody has sent a signal.
#[track_caller]
fn assert_no_signal(outcome: &Outcome) {
    for word in ["signal", "interrupted", "panicked"] {
        assert!(!outcome.stderr.contains(word), "{}", outcome.stderr);
    }
}

#[test]
fn what_was_done_is_said_when_no_record_can_be_written() {
    for script in UNWRITABLE {
        let site = Site::new();
        for (tool, done) in site.runs() {
            let outcome = tool.arg("-q").in_shell(script).run().assert_code(3);
            assert_no_signal(&outcome);
            let last = outcome.stderr.lines().last().unwrap_or_default();
            assert!(last.contains(&done), "{script} {done}: {}", outcome.stderr);
        }
    }
}

#[test]
fn what_only_looks_says_that_it_could_not_be_read() {
    let site = Site::new();
    for format in ["jsonl", "text"] {
        for script in UNWRITABLE {
            for (name, args) in [
                ("mail-backup", &["--dry-run"][..]),
                ("mail-restore", &["--from", "latest", "--verify"]),
                ("mail-restore", &["--from", "latest", "--dry-run"]),
                ("mail-s3sync", &["list", "--from", &site.store()]),
                ("mail-check", &["set", "latest"]),
                ("mail-check", &["backups"]),
            ] {
                let tool = site.tool(name).args(args).args(["--format", format]);
                let outcome = tool.in_shell(script).run().assert_code(3);
                assert_no_signal(&outcome);
                assert!(outcome.stderr.contains("error: "), "{}", outcome.stderr);
            }
        }
    }
}

/// Help is no success that nobody could read.
#[test]
fn help_that_cannot_be_written_is_no_success() {
    for name in TOOLS {
        for args in [&["--help"][..], &["--version"], &["--generate", "man"]] {
            let outcome = Tool::new(name).args(args).in_shell(UNWRITABLE[0]).run();
            assert_ne!(outcome.code(), 0, "{name} {args:?}");
            assert_no_signal(&outcome);
        }
    }
}

/// Who cannot be told on stderr is told by the exit code and by the records.
#[test]
fn a_stderr_that_cannot_be_written_changes_nothing_else() {
    let site = Site::new();
    let _ = site
        .tool("mail-s3sync")
        .args(["push", "--to", &site.store()])
        .run()
        .assert_code(0);
    let damaged = site.host.server.latest();
    let damaged = site
        .host
        .server
        .root()
        .join(damaged)
        .join("dkim/dkim.tar.zst");
    for (round, code_of_damage) in [(0, 0), (1, 1)] {
        for script in [r#""$@" 2>/dev/full"#, r#""$@" 2>&-"#] {
            for (name, args, code) in [
                (
                    "mail-restore",
                    &["--from", "latest", "--verify"][..],
                    code_of_damage,
                ),
                ("mail-check", &["set", "latest"], 2 * code_of_damage),
                ("mail-s3sync", &["verify", "--from", &site.store()], 0),
                ("mail-backup", &["--component", "dkim", "--hourly"], 0),
            ] {
                let tool = site.tool(name).args(args).arg("-v").in_shell(script);
                let outcome = tool.run().assert_code(code);
                let end = outcome.data("end");
                assert_eq!(end.len(), 1, "{name} {script} {round}");
                assert_eq!(end[0]["exit"], code, "{name} {script} {round}");
            }
        }
        fs::write(&damaged, "damage").expect("it can be damaged");
    }
}

/// The terminal is gone, and the run was started so that it may go on: it does. A reader of the set
/// that it replaces keeps it from its end meanwhile.
#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let site = Site::new();
    let root = site.host.server.root();
    let set = site.host.server.latest();
    let reader = HeldLock::shared(&root.join(&set).join("manifest.jsonl"));
    let script = r#"trap "" HUP; exec "$0" "$@""#;
    let bash = Tool::program("bash".as_ref()).args(["-c", script]);
    let bash = bash.arg(binary("mail-backup")).arg("--daily");
    let settings = site.host.server.settings().into_iter();
    let tool = settings.fold(bash, |tool, (name, value)| tool.env(name, value));
    let mut running = tool.spawn();
    let day = set.file_name().expect("a set has a name").to_string_lossy();
    let staging = root.join(format!("daily/.{day}.new/checksums.sha256"));
    while running.is_running() && !staging.exists() {
        thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::HUP);
    thread::sleep(Duration::from_millis(300));
    assert!(running.is_running(), "it ended with its terminal");
    drop(reader);
    let _ = running.wait().assert_code(0);
}
