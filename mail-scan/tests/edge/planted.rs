//! What others write acts on no terminal and forges no line: names of files and of what is in
//! archives, headers, what clamd says, records of other tools.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mail_tests::clamd::eicar;
use mail_tests::planted::{ACTS, RAW, acts_on_one_line, assert_inert};
use mail_tests::run::{Outcome, Tool};

use crate::clamds::INTRODUCTION;
use crate::meddler::{Meddler, Mischief};
use crate::support::{Bench, infected_mail, mail_with, put, tool};

fn assert_all_inert(outcome: &Outcome) {
    assert_inert("stderr", &outcome.stderr);
    assert_inert("stdout", &outcome.stdout);
}

/// In each format, with all that can be said.
#[track_caller]
fn check(tool: impl Fn() -> Tool) {
    for format in ["jsonl", "text"] {
        let outcome = tool().args(["--format", format, "-vv"]).run();
        assert_ne!(outcome.code(), 0, "{}", outcome.stderr);
        assert_all_inert(&outcome);
    }
}

/// Files of every kind with names that act, in directories with names that act.
fn plant(dir: &Path) {
    let line = acts_on_one_line();
    let dir = dir.join(format!("box{ACTS}"));
    let mail = mail_with(
        &eicar(),
        &format!("Message-ID: <{line}@x>\r\nSubject: {line}\r\nFrom: {line}\r\n"),
    );
    put(&dir.join(format!("cur/1.a{ACTS}:2,S")), mail);
    put(&dir.join("cur/2.b:2,S"), infected_mail());
    put(&dir.join(OsStr::from_bytes(RAW)), eicar());
    let file = put(&dir.join(format!("file{ACTS}")), eicar());
    fs::hard_link(&file, dir.join("file")).unwrap();
    fs::create_dir_all(dir.join("new")).unwrap();
    fs::create_dir_all(dir.join("tmp")).unwrap();
    let script = "for format in ustar pax gnu; do tar -H$format -cf $format.tar box*; done
        zip -qr box.zip box*; cd box*/; printf damaged >damaged.zip; mkfifo \"$0\"";
    let status = std::process::Command::new("bash")
        .args(["-euc", script, &format!("pipe{ACTS}")])
        .current_dir(dir.parent().unwrap())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn nothing_that_is_shown_acts() {
    let bench = Bench::new();
    plant(bench.dir());
    let meddler = Meddler::before(&bench.clamd.tcp());
    let painted = [
        (0, Mischief::None),
        (0, Mischief::Paint),
        (INTRODUCTION, Mischief::Paint),
    ];
    for (after, mischief) in painted {
        check(|| {
            meddler.after(after, mischief);
            tool(&[&meddler.address()])
                .arg("--no-cache")
                .arg(bench.dir())
        });
    }
}

#[test]
fn the_note_beside_a_message_in_quarantine_does_not_act() {
    let bench = Bench::new();
    plant(bench.dir());
    let quarantine = tempfile::tempdir().unwrap();
    let meddler = Meddler::before(&bench.clamd.tcp());
    let scan = || {
        meddler.after(INTRODUCTION, Mischief::Paint);
        let scan = tool(&[&meddler.address()]).args(["--no-cache", "--quarantine"]);
        scan.arg(quarantine.path()).arg(bench.dir())
    };
    check(scan);
    let mut notes = 0;
    for entry in fs::read_dir(quarantine.path()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            assert_inert("a note", fs::read(path).unwrap());
            notes += 1;
        }
    }
    assert!(notes > 0, "nothing was moved");
}

/// Why somebody let a content pass, and who: said each time.
#[test]
fn a_reason_to_accept_does_not_act() {
    let bench = Bench::new();
    let armor = "-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----\n";
    let message = format!("From: a@example.org\nSubject: x\n\n{armor}");
    let file = bench.put("box/cur/1.pgp:2,S", message);
    fs::create_dir_all(bench.path("box/new")).unwrap();
    fs::create_dir_all(bench.path("box/tmp")).unwrap();
    let list = bench.path("list");
    let accept = || {
        let accept = tool(&[&bench.clamd.unix()]).arg("--accepted").arg(&list);
        accept.args(["--accept", &crate::support::sha256(&file), ACTS])
    };
    for format in ["jsonl", "text"] {
        let outcome = accept().args(["--format", format, "-vv"]).run();
        assert_all_inert(&outcome.assert_code(0));
    }
    assert_inert("the list", fs::read(&list).unwrap());
    for format in ["jsonl", "text"] {
        let scan = bench.tool().arg("--accepted").arg(&list);
        let scan = scan.args(["--format", format, "-vv"]);
        let outcome = scan.arg(bench.path("box")).run().assert_code(0);
        assert!(outcome.text().contains("FORGED"), "{}", outcome.text());
        assert_all_inert(&outcome);
    }
}

#[test]
fn records_that_are_passed_on_do_not_act() {
    let bench = Bench::new();
    let json = serde_json::to_string(ACTS).unwrap();
    let records = format!(
        "{{\"type\":\"begin\",\"data\":{{\"v\":1,\"tool\":{json},\"version\":{json},\"host\":{json},\
         \"time\":{json},\"args\":[{json}],\"root\":{json},\"set\":\"daily/2026-11-23\"}}}}\n\
         {{\"type\":\"later\",\"data\":{json},{json}:1}}\n\
         {{\"type\":\"error\",\"data\":{{\"message\":{json},\"causes\":[{json}],\"path\":{json}}}}}\n\
         {{\"type\":\"end\",\"data\":{{\"tool\":{json},\"status\":\"failed\",\"exit\":3,\"seconds\":1,\
         \"totals\":{{{json}:1}}}}}}\n"
    );
    check(|| bench.tool().arg("-").stdin(records.clone()));
    let cut = records.lines().take(2).collect::<Vec<_>>().join("\n");
    check(|| bench.tool().arg("-").stdin(cut.clone()));
    let unknown = records.replace(&json, "\"\u{9b}2J\u{202e}\"");
    check(|| bench.tool().arg("-").stdin(unknown.clone()));
}
