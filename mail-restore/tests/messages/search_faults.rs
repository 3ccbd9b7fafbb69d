//! Damage is named and the others are still searched; a question that means nothing is refused.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::fs;
use std::path::Path;

use crate::support::{DELIVERED, Site};
use mail_tests::run::Outcome;
use serde_json::{Value, json};

const ALICE: &str = "example.com/alice/cur/1.a:2,S";
const BOB: &str = "example.com/bob/cur/2.b:2,S";

/// Two mailboxes, saved on two days and by a week, which has archives of its own.
fn sample() -> Site {
    let site = Site::empty();
    for (path, name) in [(ALICE, "alice"), (BOB, "bob")] {
        let text = format!(
            "From: {name}@mx\nSubject: the estimate of {name}\n\nto be found in the text\n"
        );
        site.put_at(path, DELIVERED, text);
    }
    site.save_day(21);
    site.save_day(22);
    site
}

fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    fs::write(path, content).unwrap();
}

#[track_caller]
fn check(site: &Site, flags: &[&str], paths: &[&str], stderr: &str) -> Outcome {
    let outcome = site.restore(&[&["--list"], flags].concat()).assert_code(1);
    let listed = outcome.data("message");
    let listed: Vec<&str> = listed
        .iter()
        .map(|message| message["path"].as_str().unwrap())
        .collect();
    assert_eq!(listed, paths, "{flags:?}\n{}", outcome.stderr);
    outcome.assert_stderr(stderr)
}

#[test]
fn a_damaged_index_or_state_is_named_and_the_others_are_searched() {
    for (name, of_one_set) in [("0001.jsonl.zst", false), ("state.jsonl.zst", true)] {
        let site = sample();
        let set = site.server.daily("2026-11-22");
        let name = format!("mailboxes/example.com/alice/{name}");
        flip(&set.join(&name));
        // The index is a file of both days; the state may be.
        let found: &[&str] =
            if of_one_set && site.listed(&["--from", "daily/2026-11-21"]).len() == 2 {
                &[ALICE, BOB]
            } else {
                &[BOB]
            };
        let outcome = check(
            &site,
            &["--from", "all", "--subject", "estimate"],
            found,
            &name,
        );
        assert_eq!(
            outcome.data("error").len(),
            if found.len() == 2 {
                1
            } else {
                outcome.data("error").len()
            }
        );
        let _ = outcome
            .assert_failure("damaged")
            .assert_stderr("in daily/2026-11-22");
        let _ = check(
            &site,
            &["--from", "all", "--sender", "alice@", "--sender", "bob@"],
            found,
            &name,
        );
    }
}

#[test]
fn a_damaged_segment_matters_where_it_has_to_be_read() {
    let site = sample();
    let name = "mailboxes/example.com/alice/0001.tar.zst";
    flip(&site.server.daily("2026-11-22").join(name));
    assert_eq!(
        site.listed(&["--from", "all", "--subject", "estimate"])
            .len(),
        2
    );
    let text = ["--from", "all", "--text", "found in the text"];
    let _ = check(&site, &text, &[BOB], name).assert_failure("damaged");
    // Restored is what can be.
    fs::remove_file(site.live(ALICE)).unwrap();
    fs::remove_file(site.live(BOB)).unwrap();
    let restored = site.restore(&["--from", "all", "--missing"]).assert_code(1);
    assert_eq!(restored.data("restored").len(), 1);
    let _ = restored.assert_failure("damaged");
}

#[test]
fn sets_that_are_not_whole_are_named_and_the_others_are_searched() {
    let site = sample();
    let (one, two) = (
        site.server.daily("2026-11-21"),
        site.server.daily("2026-11-22"),
    );
    fs::remove_file(one.join("checksums.sha256")).unwrap();
    let outcome = check(
        &site,
        &["--from", "daily"],
        &[ALICE, BOB],
        "daily/2026-11-21 cannot be searched",
    );
    let _ = outcome.assert_failure("missing");
    // Gone while it is searched: as somebody who removes it by hand.
    fs::remove_dir_all(two.join("mailboxes/example.com/bob")).unwrap();
    let _ = check(
        &site,
        &["--from", "latest"],
        &[ALICE],
        "mailboxes/example.com/bob",
    );
    fs::remove_dir_all(&two).unwrap();
    let refused = site.restore(&["--list", "--from", "daily"]).assert_code(2);
    let _ = refused.assert_failure("no_such").assert_stderr("no set");
    fs::remove_dir_all(&one).unwrap();
    let _ = site
        .restore(&["--list", "--from", "all"])
        .assert_code(2)
        .assert_failure("no_such");
    let _ = site.restore(&["--list", "--from", "latest"]).assert_code(2);
}

#[test]
fn what_cannot_be_compared_is_not_listed() {
    let site = sample();
    site.put_at(
        "example.com/alice/cur/3.c:2,S",
        DELIVERED,
        "From: new@mx\n\n",
    );
    site.put_at("example.com/bob/cur/4.d:2,S", DELIVERED, "From: new@mx\n\n");
    site.save_day(23);
    flip(
        &site
            .server
            .daily("2026-11-21")
            .join("mailboxes/example.com/alice/state.jsonl.zst"),
    );
    let flags = ["--from", "daily/2026-11-23", "--not-in", "daily/2026-11-21"];
    let outcome = check(
        &site,
        &flags,
        &["example.com/bob/cur/4.d:2,S"],
        "cannot tell",
    );
    let _ = outcome
        .assert_failure("damaged")
        .assert_stderr("alice@example.com");
}

/// As a set whose index could not be written: its records and its checksums do not have it.
fn forget(set: &Path, is_forgotten: impl Fn(&str) -> bool) {
    for name in ["checksums.sha256", "manifest.jsonl"] {
        let text = fs::read_to_string(set.join(name)).unwrap();
        let lines = text.lines().filter(|line| !is_forgotten(line));
        let text: String = lines.map(|line| line.to_owned() + "\n").collect();
        if name == "manifest.jsonl" {
            crate::support::replace(set, name, text.as_bytes());
        } else {
            fs::write(set.join(name), text).unwrap();
        }
    }
}

#[test]
fn a_mailbox_that_lost_its_index_is_not_taken_for_an_empty_one() {
    let site = sample();
    let new = "example.com/bob/cur/4.d:2,S";
    site.put_at(new, DELIVERED, "From: new@mx\n\n");
    site.save_day(23);
    let older = site.server.daily("2026-11-21");
    forget(&older, |line| {
        line.contains("example.com/alice/") && !line.contains(".tar.zst")
    });
    let flags = ["--from", "daily/2026-11-23", "--not-in", "daily/2026-11-21"];
    let outcome = check(&site, &flags, &[new], "lost its index");
    let _ = outcome
        .assert_failure("damaged")
        .assert_stderr("alice@example.com");
    // What contradicts itself cannot be compared with at all.
    forget(&older, |line| {
        line.contains("example.com/bob/state.jsonl.zst")
    });
    let refused = site
        .restore(&[&["--list"], &flags[..]].concat())
        .assert_code(3);
    assert!(refused.data("message").is_empty());
    let _ = refused.assert_stderr("nothing is listed");
}

#[test]
fn a_question_that_means_nothing_is_refused() {
    let site = sample();
    let check = |flags: &[&str], stderr: &str| {
        let outcome = site.server.restore().args(flags).run().assert_code(2);
        let _ = outcome.assert_stderr(stderr);
    };
    let all = |flags: &[&'static str]| [&["--from", "all", "--list"], flags].concat();
    check(&all(&["--text", ""]), "is empty");
    check(&all(&["--subject", " \u{200b}"]), "is empty");
    check(
        &all(&["--regex", "--subject", "a("]),
        "not a regular expression: \"a(\"",
    );
    check(&all(&["--regex"]), "--regex is about messages");
    check(&all(&["--larger", "huge"]), "not a size: \"huge\"");
    check(&all(&["--until", "June"]), "not a time: \"June\"");
    check(&all(&["--attachment", "***"]), "not a pattern");
    check(&all(&["--limit", "0"]), "--limit");
    check(&["--from", "all", "--limit", "3", "--text", "x"], "--list");
    check(&all(&["--dry-run"]), "--dry-run");
    check(&all(&["--verify"]), "--verify");
    check(&all(&["--component", "mysql"]), "leave out --component");
    check(
        &all(&["--mailbox", "alcie@example.com"]),
        "there is alice@example.com",
    );
    check(&all(&["--not-in", "daily/2026-01-01"]), "daily/2026-01-01");
    check(
        &["--from", "daily/2026-01-01", "--list"],
        "daily/2026-01-01",
    );
    check(&["--list"], "--from");
    check(
        &["--from", "daily/2026-11-21", "--from", "latest"],
        "2 sets are named",
    );
    check(&["--from", "all"], "all");
}

/// The records of a set, and of a scan of it that has `verdicts` of each file.
fn scanned(site: &Site, set: &Path, verdicts: impl Fn(&str) -> Vec<Value>) -> String {
    let mut stream = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    let records: Vec<Value> = stream
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut add = |kind: &str, data: Value| {
        stream += &(json!({"type": kind, "data": data}).to_string() + "\n");
    };
    add(
        "begin",
        json!({"v": 1, "tool": "mail-scan", "version": "1", "host": "mx",
               "time": "2026-11-23T05:00:00+09:00", "args": []}),
    );
    for record in records.iter().filter(|record| record["type"] == "artifact") {
        let artifact = &record["data"];
        for mut verdict in verdicts(artifact["path"].as_str().unwrap()) {
            for field in ["set", "path", "sha256"] {
                verdict[field] = artifact[field].clone();
            }
            verdict["root"] = json!(site.server.root());
            verdict["engine"] = json!("ClamAV 1.4");
            add("verdict", verdict);
        }
    }
    add(
        "end",
        json!({"tool": "mail-scan", "status": "ok", "exit": 0, "seconds": 1.0, "totals": {}}),
    );
    stream
}

fn restore_scanned(site: &Site, records: &str, flags: &[&str]) -> Outcome {
    let tool = site.server.restore().args(["--require-scan"]).args(flags);
    tool.arg("-").stdin(records).run()
}

fn restored(outcome: &Outcome) -> Vec<String> {
    let restored = outcome.data("restored");
    let paths = restored.iter().map(|one| one["path"].as_str());
    paths.map(|path| path.unwrap().to_owned()).collect()
}

/// One set is not known to be clean, and messages of another are restored: this is no run that did
/// nothing.
#[test]
fn a_search_that_is_refused_in_part_does_not_say_that_nothing_was_restored() {
    let site = sample();
    fs::remove_file(site.live(BOB)).unwrap();
    let newest = site.save_day(23);
    fs::remove_file(site.live(ALICE)).unwrap();
    let clean = |_: &str| vec![json!({"status": "clean"})];
    let flags = ["--from", "all", "--subject", "estimate"];
    let outcome = restore_scanned(&site, &scanned(&site, &newest, clean), &flags);
    let outcome = outcome.assert_code(1).assert_failure("unscanned");
    assert_eq!(outcome.data("end").last().unwrap()["status"], "incomplete");
    let outcome = outcome.assert_stderr("1 files of daily/2026-11-22 are not known to be clean");
    assert_eq!(restored(&outcome), [ALICE]);
    fs::remove_dir_all(site.live("example.com/alice")).unwrap();
    let outcome = restore_scanned(&site, &scanned(&site, &newest, |_| Vec::new()), &flags);
    let outcome = outcome.assert_code(3).assert_failure("unscanned");
    assert!(restored(&outcome).is_empty());
    assert!(!site.live("example.com/alice").exists());
}

#[test]
fn a_message_is_left_out_by_the_name_that_it_has_in_its_archive() {
    let site = sample();
    let flagged = ALICE.replace(":2,S", ":2,FS");
    fs::rename(site.live(ALICE), site.live(&flagged)).unwrap();
    let set = site.save_day(23);
    assert_eq!(
        site.listed(&["--from", "latest", "--sender", "alice@"]),
        [&*flagged]
    );
    fs::remove_file(site.live(&flagged)).unwrap();
    fs::remove_file(site.live(BOB)).unwrap();
    for member in [ALICE, &flagged] {
        let verdicts = |path: &str| {
            if path != "mailboxes/example.com/alice/0001.tar.zst" {
                return vec![json!({"status": "clean"})];
            }
            let of_file = json!({"status": "infected", "signature": "Eicar"});
            let mut of_member = of_file.clone();
            of_member["member"] = json!(member);
            vec![of_member, of_file]
        };
        let stream = scanned(&site, &set, verdicts);
        let flags = [
            "--from",
            "latest",
            "--path",
            "**",
            "--leave-out",
            "infected",
        ];
        let outcome = restore_scanned(&site, &stream, &flags).assert_code(1);
        let outcome = outcome.assert_failure("infected").assert_stderr("left out");
        assert_eq!(restored(&outcome), [BOB], "{member}");
        fs::remove_dir_all(site.live("example.com/bob")).unwrap();
    }
}
