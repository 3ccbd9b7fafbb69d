//! A stream that does not prove a set clean is refused by whoever is asked to use only what is
//! clean: `mail-s3sync push --require-clean` and `mail-restore --require-scan` refuse the same.
#![expect(
    clippy::disallowed_methods,
    reason = "a message that is made by hand is not a stored file"
)]

use std::fs;
use std::path::Path;

use mail_tests::clamd::{Clamd, eicar};
use mail_tests::run::Tool;
use mail_tests::tree::snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A backup root with one set, and the records of the run that made it.
struct Site {
    dir: TempDir,
    backup: Vec<Value>,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let mailbox = dir.path().join("mail/example.com/a");
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(mailbox.join(name)).expect("it can be made");
        }
        fs::create_dir(dir.path().join("root")).expect("it can be made");
        let message = "Message-ID: <a@x>\nSubject: a\n\nx\n";
        fs::write(mailbox.join("cur/1.M1P1.h:2,S"), message).expect("it can be written");
        let outcome = Tool::new("mail-backup")
            .args(["--component", "mailboxes", "-q", "--root"])
            .arg(dir.path().join("root"))
            .arg("--mail-dir")
            .arg(dir.path().join("mail"))
            .run()
            .assert_code(0);
        Self {
            backup: outcome.records(),
            dir,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn artifacts(&self) -> impl Iterator<Item = &Value> {
        let artifacts = self
            .backup
            .iter()
            .filter(|record| record["type"] == "artifact");
        artifacts.map(|record| &record["data"])
    }

    fn set_name(&self) -> &str {
        let first = self.artifacts().next().expect("a set has files");
        first["set"].as_str().expect("it is in a set")
    }

    /// A clean verdict on each file of the set.
    fn verdicts(&self) -> Vec<Value> {
        self.artifacts()
            .map(|file| {
                json!({"type": "verdict", "data": {
                    "root": file["root"], "set": file["set"], "path": file["path"],
                    "sha256": file["sha256"], "status": "clean", "engine": "e"}})
            })
            .collect()
    }

    /// The verdicts with `change` made to the first.
    fn changed(&self, change: impl Fn(&mut Value)) -> Vec<Value> {
        let mut verdicts = self.verdicts();
        change(&mut verdicts[0]["data"]);
        verdicts
    }

    /// Whether both tools take the set by what the stream says. They must agree.
    fn is_taken(&self, stream: &[Vec<Value>]) -> bool {
        let text: String = stream
            .concat()
            .iter()
            .map(|record| format!("{record}\n"))
            .collect();
        let (store, to) = (self.path("store"), self.path("to"));
        fs::create_dir(&store).expect("it can be made");
        let push = Tool::new("mail-s3sync")
            .args(["push", "-", "-q", "--require-clean", "--to"])
            .arg(format!("file://{}", store.display()))
            .stdin(text.clone())
            .run();
        let restore = Tool::new("mail-restore")
            .args(["-", "-q", "--require-scan", "--root"])
            .arg(self.path("root"))
            .args(["--from", self.set_name(), "--to"])
            .arg(&to)
            .stdin(text)
            .run();
        let pushed = is_taken(push.code(), 1, &store);
        let restored = is_taken(restore.code(), 3, &to.join("mailboxes"));
        assert_eq!(
            pushed, restored,
            "{stream:#?}\n{}\n{}",
            push.stderr, restore.stderr
        );
        fs::remove_dir_all(store).expect("it is there");
        let _ = fs::remove_dir_all(to);
        pushed
    }
}

/// Whether the run went well and left something; a refusal has its code and leaves nothing.
fn is_taken(code: i32, refused: i32, target: &Path) -> bool {
    let is_empty = fs::read_dir(target).map_or(true, |mut entries| entries.next().is_none());
    assert_eq!(is_empty, code != 0, "{}", target.display());
    assert!([0, refused].contains(&code), "exit code {code}");
    code == 0
}

fn run_of(tool: &str, exit: u8, records: Vec<Value>) -> Vec<Value> {
    let begin = json!({"type": "begin", "data": {
        "v": 1, "tool": tool, "version": "0", "host": "mx", "time": "t", "args": []}});
    let end = json!({"type": "end", "data": {
        "tool": tool, "status": "ok", "exit": exit, "seconds": 1.0, "totals": {}}});
    [vec![begin], records, vec![end]].concat()
}

fn scan(exit: u8, records: Vec<Value>) -> Vec<Value> {
    run_of("mail-scan", exit, records)
}

#[test]
fn both_tools_take_the_same_streams() {
    let site = Site::new();
    let backup = || site.backup.clone();
    let taken = |stream: &[Vec<Value>]| assert!(site.is_taken(stream), "{stream:#?}");
    taken(&[backup(), scan(0, site.verdicts())]);
    taken(&[backup(), scan(1, site.verdicts())]);
    // As a pipeline has it: the scan began before it passed the backup on.
    taken(&[scan(0, [backup(), site.verdicts()].concat())]);
    taken(&[scan(0, site.verdicts())]);
    let other_content = site.changed(|verdict| verdict["sha256"] = "0".repeat(64).into());
    taken(&[backup(), scan(0, other_content), scan(0, site.verdicts())]);
}

#[test]
fn both_tools_refuse_the_same_streams() {
    let site = Site::new();
    let backup = || site.backup.clone();
    let refused = |stream: &[Vec<Value>]| assert!(!site.is_taken(stream), "{stream:#?}");
    refused(&[backup()]);
    refused(&[backup(), scan(0, Vec::new())]);
    refused(&[backup(), scan(0, site.verdicts()[1..].to_vec())]);
    let changes: [fn(&mut Value); 8] = [
        |verdict| verdict["sha256"] = "0".repeat(64).into(),
        |verdict| drop(verdict.as_object_mut().expect("an object").remove("sha256")),
        |verdict| verdict["member"] = "cur/1".into(),
        |verdict| verdict["root"] = "/nowhere".into(),
        |verdict| drop(verdict.as_object_mut().expect("an object").remove("root")),
        |verdict| verdict["path_b64"] = "eA==".into(),
        |verdict| verdict["status"] = "unscanned".into(),
        |verdict| verdict["status"] = "infected".into(),
    ];
    for change in changes {
        refused(&[backup(), scan(0, site.changed(change))]);
    }
    let infected_member = site.changed(|verdict| {
        verdict["status"] = "infected".into();
        verdict["member"] = "cur/1".into();
    });
    refused(&[
        backup(),
        scan(1, [site.verdicts(), infected_member].concat()),
    ]);
    // Scans that could not finish, alone or beside one that could.
    for exit in [2, 3, 4, 137] {
        refused(&[backup(), scan(exit, site.verdicts())]);
    }
    refused(&[backup(), scan(3, Vec::new()), scan(0, site.verdicts())]);
    refused(&[backup(), scan(0, site.verdicts()), scan(3, Vec::new())]);
    // Verdicts that no scan gave.
    refused(&[backup(), run_of("mail-other", 0, site.verdicts())]);
    refused(&[backup(), site.verdicts(), scan(0, Vec::new())]);
    refused(&[backup(), scan(0, Vec::new()), site.verdicts()]);
    // A file of the set that the stream does not name is used as well.
    let first = site.artifacts().next().expect("a set has files")["path"].clone();
    let unnamed = |records: Vec<Value>| -> Vec<Value> {
        let mut records = records;
        records.retain(|record| record["data"]["path"] != first);
        records
    };
    refused(&[unnamed(backup()), scan(0, unnamed(site.verdicts()))]);
}

/// A set of the second day, on which a message has another name than its archive has for it, and
/// what a real scanner says of it.
fn scanned_with_bad_members(dir: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let mailbox = dir.join("mail/example.com/a");
    for name in [
        "mail/example.com/a/cur",
        "mail/example.com/a/new",
        "config",
        "root",
    ] {
        fs::create_dir_all(dir.join(name)).expect("it can be made");
    }
    let pgp = "-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----\n";
    let head = "Message-ID: <a@x>\nSubject: a\nContent-Type: text/plain\n\n";
    for (name, text) in [
        ("1.good:2,", format!("{head}hello\n").into_bytes()),
        ("2.bad:2,", eicar()),
        ("4.pgp:2,", format!("{head}{pgp}").into_bytes()),
    ] {
        fs::write(mailbox.join("cur").join(name), text).expect("it can be written");
    }
    let (first, second) = (mailbox.join("cur/2.bad:2,"), mailbox.join("cur/3.link:2,"));
    fs::hard_link(&first, second).expect("it can be linked");
    fs::write(dir.join("config/main.cf"), "x = y\n").expect("it can be written");
    fs::write(dir.join("config/evil.com"), eicar()).expect("it can be written");
    let save = |date: &str| {
        let backup = Tool::new("mail-backup").args(["--component", "mailboxes", "-q"]);
        let backup = backup.args(["--component", "config", "--date", date]);
        let settings = [
            ("BACKUP_ROOT", "root"),
            ("MAIL_DATA_DIR", "mail"),
            ("CONFIG_DIR", "config"),
        ];
        let backup = settings.into_iter().fold(backup, |backup, (name, value)| {
            backup.env(name, dir.join(value))
        });
        let backup = backup
            .env("DOCKER_COMPOSE_FILE", "none")
            .env("ENV_FILE", "none");
        let _ = backup.run().assert_code(0);
    };
    save("2026-11-23");
    fs::rename(first, mailbox.join("cur/2.bad:2,S")).expect("it can be flagged");
    save("2026-11-24");
    let set = dir.join("root/daily/2026-11-24");
    let clamd = Clamd::start();
    let scan = Tool::new("mail-scan").args(["--no-cache", "--clamd", &clamd.unix()]);
    let scanned = scan.arg("--accepted").arg(dir.join("none")).arg(&set).run();
    (set, scanned.assert_code(1).stdout)
}

#[test]
fn what_is_infected_or_unscanned_is_left_out_and_the_rest_comes_back() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let (set, records) = scanned_with_bad_members(dir.path());
    let to = dir.path().join("to");
    let restore = |args: &[&str]| {
        let _ = fs::remove_dir_all(&to);
        let restore = Tool::new("mail-restore")
            .args(["-", "--from"])
            .arg(&set)
            .args(args);
        restore.arg("--to").arg(&to).stdin(records.clone()).run()
    };
    for args in [
        &["--require-scan"][..],
        &["--leave-out", "infected"],
        &["--leave-out", "unscanned"],
    ] {
        let _ = restore(args).assert_code(3);
        assert!(
            !to.join("config").exists() && !to.join("mailboxes").exists(),
            "{args:?}"
        );
    }
    let both = ["--leave-out", "infected", "--leave-out", "unscanned"];
    let outcome = restore(&both)
        .assert_code(1)
        .assert_stderr("left out of the restore");
    let found = snapshot(&to);
    let files: Vec<&str> = found
        .entries()
        .keys()
        .filter_map(|path| path.to_str())
        .collect();
    let is_there = |name: &str| files.iter().any(|path| path.contains(name));
    assert!(
        is_there("cur/1.good:2,") && is_there("config/main.cf"),
        "{files:?}"
    );
    for name in ["2.bad", "3.link", "4.pgp", "evil"] {
        assert!(!is_there(name), "{files:?}");
    }
    let mut left_out: Vec<(String, String)> = outcome
        .data("error")
        .iter()
        .map(|error| {
            [&error["path"], &error["kind"]]
                .map(|text| text.as_str().unwrap_or_default().to_owned())
        })
        .map(|[path, kind]| (path, kind))
        .collect();
    left_out.sort();
    let expected = [
        ("evil.com", "infected"),
        ("example.com/a/cur/2.bad:2,S", "infected"),
        ("example.com/a/cur/3.link:2,", "infected"),
        ("example.com/a/cur/4.pgp:2,", "unscanned"),
    ];
    let expected = expected.map(|(path, kind)| (path.to_owned(), kind.to_owned()));
    assert_eq!(left_out, expected);
    let end = outcome.data("end").pop().expect("a run has an end");
    assert_eq!(
        (&end["tool"], &end["status"]),
        (&json!("mail-restore"), &json!("incomplete"))
    );

    let _ = restore(&[&both[..], &["--dry-run"]].concat()).assert_code(1);
    let good =
        restore(&[&both[..], &["--path", "example.com/a/cur/*good*"]].concat()).assert_code(0);
    assert_eq!(good.data("restored").len(), 1);
    let bad = restore(&[&both[..], &["--path", "example.com/a/cur/*bad*"]].concat()).assert_code(1);
    assert_eq!(bad.data("restored").len(), 0);
    assert_eq!(bad.data("error").len(), 1, "{}", bad.stderr);
    let _ = Tool::new("mail-restore")
        .args(["--from"])
        .arg(&set)
        .args(both)
        .run()
        .assert_code(2);
}
