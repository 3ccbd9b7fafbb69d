//! The records of the other tools, judged: on stdin, and in files.

use std::fs;

use mail_tests::clamd::{Clamd, eicar};
use mail_tests::run::{Outcome, Tool};

use super::support::{Checker, Server, TREES, assert_found, checked, found};

/// The judgement of a stream.
#[track_caller]
fn judged(records: &[u8]) -> Outcome {
    let checker = Checker::new("");
    checked(checker.tool().arg("-").stdin(records))
}

fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[test]
fn a_good_stream_is_ok_and_is_passed_on() {
    let (server, _) = Server::saved(10);
    let backup = server.backup().args(TREES).run().assert_code(0);
    let outcome = judged(&backup.stdout).assert_code(0);
    assert_found(&outcome, "mail-backup", &host(), "ok", "done in");
    // Every line of the upstream, in order and untouched, after our own begin.
    let ours = outcome.text();
    let theirs = backup.text();
    assert!(
        ours.split_once('\n').unwrap().1.starts_with(&theirs),
        "{ours}"
    );
}

#[test]
fn a_backup_that_failed_in_part_is_critical() {
    let (server, _) = Server::saved(10);
    fs::rename(server.dir().join("opendkim"), server.dir().join("gone")).unwrap();
    let backup = server.backup().args(TREES).run().assert_code(1);
    let outcome = judged(&backup.stdout).assert_code(2);
    assert_found(&outcome, "mail-backup", &host(), "critical", "opendkim");
}

#[test]
fn a_backup_that_died_is_not_ok() {
    let (server, _) = Server::saved(10);
    let backup = server.backup().args(TREES).run().assert_code(0).text();
    let cut = backup
        .lines()
        .take(3)
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let outcome = judged(cut.as_bytes()).assert_code(3);
    assert_found(
        &outcome,
        "stream",
        "stdin",
        "unknown",
        "mail-backup has ended without its `end` record",
    );
    // What it said by then counts all the same.
    let error = r#"{"type":"verdict","data":{"path":"/m/1","status":"infected","signature":"X","engine":"e"}}"#;
    let outcome = judged(format!("{cut}{error}\n").as_bytes()).assert_code(2);
    assert_found(&outcome, "infected", "/m/1", "critical", "X in /m/1");
    let outcome = judged(b"rubbish").assert_code(3);
    assert_found(&outcome, "stream", "stdin", "unknown", "line 1");
    let outcome = judged(b"").assert_code(3);
    assert_found(&outcome, "stream", "stdin", "unknown", "no `begin` record");
}

#[test]
fn checks_of_others_count() {
    let theirs =
        Checker::new("[resources]\nmounts = [\"/\"]\ntime_sync = false\ndisk = { critical = 0 }\n");
    let outcome = theirs.run(&["resources"]).assert_code(2);
    let merged = judged(&outcome.stdout).assert_code(2);
    assert_eq!(
        merged
            .data("check")
            .iter()
            .filter(|check| check["name"] == "disk")
            .count(),
        1,
        "reported once"
    );
}

#[test]
fn the_newest_scan_is_judged_by_its_records() {
    let clamd = Clamd::start();
    let checker = Checker::new("");
    let records = checker.path("scan.jsonl");
    fs::write(
        checker.path("check.toml"),
        format!("[scans]\nrecords = {records:?}\n"),
    )
    .unwrap();
    let target = records.to_str().unwrap().to_owned();
    let scan = |content: &[u8], code: i32| {
        let message = checker.path("message");
        fs::write(&message, content).unwrap();
        let tool = Tool::new("mail-scan")
            .args(["--no-cache", "--clamd", &clamd.unix()])
            .arg(&message);
        fs::write(&records, tool.run().assert_code(code).stdout).unwrap();
    };
    let outcome = checker.run(&["scans"]).assert_code(3);
    assert_found(&outcome, "scan", &target, "unknown", "cannot be read");
    scan(b"hello", 0);
    let outcome = checker.run(&["scans"]).assert_code(0);
    assert_found(&outcome, "scan", &target, "ok", "all was scanned and clean");
    scan(&eicar(), 1);
    let outcome = checker.run(&["scans"]).assert_code(2);
    assert_found(&outcome, "scan", &target, "critical", "1 infected");
    let infected = checker.path("message");
    assert_found(
        &outcome,
        "infected",
        infected.to_str().unwrap(),
        "critical",
        "Eicar",
    );
    let whole = fs::read_to_string(&records).unwrap();
    fs::write(&records, whole.replace(&this_year(), "2020-")).unwrap();
    let outcome = checker.run(&["scans"]).assert_code(2);
    let (_, message) = found(&outcome, "scan", &target);
    assert!(message.contains("nothing was scanned since"), "{message}");
}

/// `2026-`, as records of now begin their times.
fn this_year() -> String {
    format!("{}-", jiff::ZonedDateTime::now().year())
}

#[test]
fn the_copy_elsewhere_is_asked_or_read() {
    let (server, set) = Server::saved(10);
    let store = server.dir().join("store");
    fs::create_dir(&store).unwrap();
    let url = format!("file://{}", store.display());
    let s3sync = |words: &[&str]| {
        Tool::new("mail-s3sync")
            .args(words)
            .args(["--format", "jsonl"])
            .run()
    };
    let program = mail_tests::run::binary("mail-s3sync");
    let checker = Checker::new(&format!(
        "[s3]\nask = true\nfrom = {url:?}\nprogram = {program:?}\n"
    ));

    let outcome = checker.run(&["s3"]).assert_code(2);
    assert_found(
        &outcome,
        "offsite",
        "newest",
        "critical",
        "no complete set in the store",
    );
    let push = s3sync(&["push", "--set", set.to_str().unwrap(), "--to", &url]).assert_code(0);
    let outcome = checker.run(&["s3"]).assert_code(0);
    assert_found(
        &outcome,
        "offsite",
        "newest",
        "ok",
        "daily/2026-11-23 is complete",
    );
    assert_found(&outcome, "offsite-cost", &url, "ok", "US dollars a month");

    let file = checker.path("push.jsonl");
    fs::write(&file, &push.stdout).unwrap();
    let settings =
        format!("[s3]\nask = true\nfrom = {url:?}\nprogram = {program:?}\nrecords = [{file:?}]\n");
    fs::write(checker.path("check.toml"), settings).unwrap();
    let outcome = checker.run(&["s3"]).assert_code(0);
    assert_found(
        &outcome,
        "offsite",
        file.to_str().unwrap(),
        "ok",
        "push went well",
    );

    // A set without its checksums is no set.
    fs::remove_file(store.join("daily/2026-11-23/checksums.sha256")).unwrap();
    let outcome = checker.run(&["s3"]).assert_code(2);
    assert_found(
        &outcome,
        "offsite",
        "newest",
        "critical",
        "no complete daily set in the store",
    );
}
