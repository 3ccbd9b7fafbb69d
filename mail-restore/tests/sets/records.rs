//! Records: what comes down the pipeline is passed on, and what a scanner said is believed only for
//! what it saw.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

use std::fs;
use std::path::Path;

use crate::support::{SET, checked, live};
use mail_tests::run::Outcome;
use mail_tests::server::Server;
use serde_json::{Value, json};

/// What a scanner says of the artifacts of the set, as a stream: the records of the backup and its
/// own.
fn scanned(server: &Server, set: &Path, verdict: impl Fn(&Value) -> Option<Value>) -> Vec<Value> {
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    let backup: Vec<Value> = manifest
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let begin = |tool: &str| json!({"type": "begin", "data": {"v": 1, "tool": tool, "version": "1", "host": "mx", "time": "2026-11-23T05:00:00+09:00", "args": []}});
    let end = |tool: &str| json!({"type": "end", "data": {"tool": tool, "status": "ok", "exit": 0, "seconds": 1.0, "totals": {}}});
    let artifacts = backup
        .iter()
        .filter(|record| record["type"] == "artifact")
        .map(|record| record["data"].clone());
    let clean: Vec<Value> = artifacts
        .map(|artifact| {
            json!({"root": server.root(), "set": artifact["set"], "path": artifact["path"], "sha256": artifact["sha256"],
                   "status": "clean", "engine": "ClamAV 1.4"})
        })
        .collect();
    let verdicts = clean
        .iter()
        .filter_map(verdict)
        .map(|data| json!({"type": "verdict", "data": data}));
    let unknown = json!({"type": "novelty", "data": {"kept": "as it is"}});
    let stream = backup.iter().cloned().chain([begin("mail-scan"), unknown]);
    stream.chain(verdicts).chain([end("mail-scan")]).collect()
}

fn lines(records: &[Value]) -> String {
    records
        .iter()
        .map(|record| record.to_string() + "\n")
        .collect()
}

fn run(server: &Server, records: &str, args: &[&str]) -> Outcome {
    checked(server.restore().args(args).arg("-").stdin(records))
}

#[test]
fn a_clean_set_is_restored_and_its_records_are_passed_on() {
    let (server, set) = Server::saved(10);
    let records = scanned(&server, &set, |verdict| Some(verdict.clone()));
    let outcome = run(&server, &lines(&records), &["--require-scan"]).assert_code(0);
    let written = outcome.records();
    assert_eq!(written[1..=records.len()], records[..]);
    assert_eq!(written[0]["data"]["tool"], "mail-restore");
    assert!(!outcome.data("restored").is_empty());
}

#[test]
fn what_is_not_known_to_be_clean_is_refused() {
    let (server, set) = Server::saved(10);
    let before = live(&server);
    let check = |change: &dyn Fn(&mut Value), kind: &str| {
        let records = scanned(&server, &set, |verdict| {
            let mut verdict = verdict.clone();
            if verdict["path"] == "dkim/dkim.tar.zst" {
                change(&mut verdict);
            }
            (!verdict.is_null()).then_some(verdict)
        });
        let _ = run(
            &server,
            &lines(&records),
            &["--require-scan", "--from", SET],
        )
        .assert_code(3)
        .assert_failure(kind);
        let dry = run(
            &server,
            &lines(&records),
            &["--require-scan", "--from", SET, "--dry-run"],
        );
        let _ = dry.assert_code(1).assert_failure(kind);
        // What is not used need not be clean.
        let to = server.dir().join("backup/to");
        let args = [
            "--require-scan",
            "--from",
            SET,
            "--component",
            "ssl",
            "--to",
            to.to_str().unwrap(),
        ];
        let _ = run(&server, &lines(&records), &args).assert_code(0);
        fs::remove_dir_all(to).unwrap();
    };
    check(&|verdict| *verdict = Value::Null, "unscanned");
    let infected = |verdict: &mut Value| {
        verdict["status"] = "infected".into();
        verdict["signature"] = "Eicar".into();
    };
    check(&infected, "infected");
    check(
        &|verdict| verdict["status"] = "unscanned".into(),
        "unscanned",
    );
    check(
        &|verdict| verdict["sha256"] = "0".repeat(64).into(),
        "unscanned",
    );
    check(
        &|verdict| verdict["set"] = "daily/2026-11-22".into(),
        "unscanned",
    );
    check(
        &|verdict| verdict["member"] = "keys/mail.private".into(),
        "unscanned",
    );
    before.assert_same(&live(&server));
}

#[test]
fn a_scan_that_could_not_finish_makes_nothing_clean() {
    let (server, set) = Server::saved(10);
    let before = live(&server);
    let mut records = scanned(&server, &set, |verdict| Some(verdict.clone()));
    records.last_mut().unwrap()["data"]["exit"] = json!(3);
    let outcome = run(&server, &lines(&records), &["--require-scan"]).assert_code(3);
    let _ = outcome.assert_failure("unscanned");
    before.assert_same(&live(&server));
}

#[test]
fn a_stream_without_its_end_is_no_scan() {
    let (server, set) = Server::saved(5);
    let before = live(&server);
    let records = scanned(&server, &set, |verdict| Some(verdict.clone()));
    let cut = lines(&records[..records.len() - 1]);
    let _ = run(&server, &cut, &["--require-scan"])
        .assert_code(3)
        .assert_failure("upstream");
    let _ = run(&server, "", &["--require-scan", "--from", SET])
        .assert_code(3)
        .assert_failure("upstream");
    let half = &cut[..cut.len() - 40];
    let _ = run(&server, half, &["--require-scan"]).assert_code(3);
    before.assert_same(&live(&server));
}

#[test]
fn the_begin_record_names_the_set_below_its_root() {
    let (server, set) = Server::saved(1);
    let begin = |from: &Path| {
        checked(server.restore().arg("--verify").arg("--from").arg(from)).data("begin")[0].clone()
    };
    for from in [Path::new(SET), &set] {
        let begin = begin(from);
        assert_eq!(
            (begin["root"].as_str(), begin["set"].as_str()),
            (server.root().to_str(), Some(SET))
        );
    }
    let copy = server.dir().join("copy");
    crate::support::shell(server.dir(), &format!("cp -a {} copy", set.display()));
    let begin = begin(&copy);
    assert_eq!(
        (begin["root"].as_str(), begin["set"].as_str()),
        (None, copy.to_str())
    );
}

#[test]
fn the_command_line_is_explained() {
    let (server, _) = Server::saved(1);
    let run = |args: &[&str]| server.restore().args(args).run();
    let _ = run(&[]).assert_code(2).assert_stderr("--from <SET>");
    let _ = run(&["--from", SET, "--require-scan"]).assert_code(2);
    let _ = run(&["--from", SET, "--component", "mails"])
        .assert_code(2)
        .assert_stderr("possible values: mailboxes, mysql");
    let _ = run(&["--from", SET, "--component", "mysql"])
        .assert_code(2)
        .assert_failure("no_such");
    let help = run(&["--help"]).assert_code(0).text();
    for flag in [
        "--from",
        "--to",
        "--dry-run",
        "--mailbox",
        "--message-id",
        "--require-scan",
        "Examples:",
        "Exit codes",
    ] {
        assert!(help.contains(flag), "{flag} is not in --help");
    }
}
