//! Backup sets: every artifact has one verdict, and what is wrong with a set is no clean verdict.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use mail_tests::clamd::{Clamd, MARKER, eicar};
use mail_tests::run::Outcome;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::support::{
    Bench, DAY, backed_up, infected_mail, put, sha256, shell, some_message, tool, total,
    verdict_on, verdicts,
};

fn scan(clamd: &Clamd, operand: &Path) -> Outcome {
    tool(&[&clamd.unix()]).arg("--no-cache").arg(operand).run()
}

/// Each artifact's digest by its path, from the manifest.
fn artifacts(set: &Path) -> BTreeMap<String, String> {
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    let records = manifest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = records.filter(|record| record["type"] == "artifact");
    of.map(|record| {
        (
            text(&record["data"]["path"]),
            text(&record["data"]["sha256"]),
        )
    })
    .collect()
}

/// Asserts one verdict without member for each artifact, with its digest and its set.
#[track_caller]
fn assert_covers(outcome: &Outcome, root: &Path, set: &str) {
    let whole = |verdict: &Value| verdict["member"].is_null();
    let verdicts: Vec<Value> = outcome.data("verdict").into_iter().filter(whole).collect();
    let mut found = BTreeMap::new();
    for verdict in &verdicts {
        assert_eq!(
            (verdict["root"].as_str(), verdict["set"].as_str()),
            (root.to_str(), Some(set)),
            "{verdict}"
        );
        let text = |name: &str| verdict[name].as_str().unwrap().to_owned();
        assert!(
            found.insert(text("path"), text("sha256")).is_none(),
            "twice: {verdict}"
        );
    }
    assert_eq!(found, artifacts(&root.join(set)));
}

#[test]
fn one_infected_message_in_a_set_is_found_and_named() {
    let clamd = Clamd::start();
    let mut bad = String::new();
    let server = backed_up(600, |mail| {
        let message = some_message(mail);
        put(&message, infected_mail());
        bad = message
            .strip_prefix(mail)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
    });
    let outcome = scan(&clamd, &server.daily(DAY)).assert_code(1);
    assert_covers(&outcome, &server.root(), &format!("daily/{DAY}"));
    let infected: Vec<Value> = outcome
        .data("verdict")
        .into_iter()
        .filter(|v| v["status"] != "clean")
        .collect();
    assert_eq!(infected.len(), 2, "{infected:#?}");
    assert_eq!(
        (
            infected[0]["member"].as_str(),
            infected[0]["message_id"].as_str()
        ),
        (Some(&*bad), Some("<bad@example.com>"))
    );
    assert_eq!(
        (&infected[1]["member"], &infected[1]["path"]),
        (&Value::Null, &infected[0]["path"])
    );
    assert!(total(&outcome, "members") >= 600);
    outcome.assert_stderr(&bad);
}

#[test]
fn a_clean_set_is_clean_by_each_of_its_names() {
    let clamd = Clamd::start();
    let server = backed_up(60, |_| {});
    let link = server.dir().join("link");
    std::os::unix::fs::symlink(server.daily(DAY), &link).unwrap();
    for operand in [
        Path::new("latest"),
        Path::new(&format!("daily/{DAY}")),
        &server.daily(DAY),
        &link,
    ] {
        let outcome = tool(&[&clamd.unix()])
            .arg("--no-cache")
            .env("BACKUP_ROOT", server.root())
            .arg(operand)
            .run()
            .assert_code(0);
        assert_covers(&outcome, &server.root(), &format!("daily/{DAY}"));
        assert_eq!(outcome.data("begin")[0]["set"], format!("daily/{DAY}"));
    }
    let moved = server.dir().join("moved");
    shell(server.dir(), &format!("cp -a backup/daily/{DAY} moved"));
    let outcome = scan(&clamd, &moved).assert_code(0);
    assert_covers(&outcome, server.dir(), "moved");
}

#[test]
fn a_set_of_the_old_scripts_is_scanned() {
    let bench = Bench::new();
    bench.put(
        "set/mail/example.com/a/cur/1.mx.gz:2,S",
        "Subject: x\r\n\r\nhello\r\n",
    );
    bench.put("set/mail/example.com/a/cur/2.mx.gz", infected_mail());
    bench.put(
        "set/mysql/mailserver.sql",
        format!("INSERT INTO t VALUES ('{MARKER}');\n"),
    );
    bench.put("set/config/main.cf", eicar());
    bench.shell(
        "cd set; gzip mysql/mailserver.sql; tar -C config --remove-files -czf config/config.tar.gz main.cf
        mkdir ssl; tar -czf ssl/certbot.tar.gz -T /dev/null
        find . -type f ! -name checksums.sha256 -exec sha256sum {} + > ../sums; mv ../sums checksums.sha256",
    );
    let outcome = bench.scan(bench.path("set")).assert_code(1);
    let expected = [
        "config/config.tar.gz infected",
        "config/config.tar.gz: main.cf infected",
        "mail/example.com/a/cur/1.mx.gz:2,S clean",
        "mail/example.com/a/cur/2.mx.gz infected",
        "mysql/mailserver.sql.gz infected",
        "ssl/certbot.tar.gz clean",
    ];
    assert_eq!(verdicts(&outcome, bench.dir()), expected);
    let dump = verdict_on(&outcome, "mailserver.sql.gz");
    assert_eq!(
        (dump["set"].as_str(), dump["sha256"].as_str()),
        (
            Some("set"),
            Some(&*sha256(&bench.path("set/mysql/mailserver.sql.gz")))
        )
    );
}

#[test]
fn what_is_not_as_it_was_saved_is_not_clean() {
    let clamd = Clamd::start();
    let server = backed_up(30, |_| {});
    let set = server.daily(DAY);
    // Another whole archive, and another plain file, in place of those that were saved.
    shell(
        &set,
        "tar -cf x.tar config/env; zstd -qf x.tar -o config/config.tar.zst; rm x.tar; echo X=1 >> config/env; rm dkim/*",
    );
    put(&set.join("config/stray"), "not listed");
    let outcome = scan(&clamd, &set)
        .assert_code(1)
        .assert_stderr("not listed in its set")
        .assert_failure("missing");
    for path in ["config/config.tar.zst", "config/env"] {
        let verdict = verdict_on(&outcome, path);
        assert_eq!(verdict["status"], "unscanned", "{verdict}");
        assert!(
            verdict["reason"]
                .as_str()
                .unwrap()
                .contains("is not what its set has on record"),
            "{verdict}"
        );
    }
    assert_eq!(
        verdict_on(&outcome, "dkim/dkim.tar.zst")["status"],
        "unscanned"
    );
    assert_eq!(verdict_on(&outcome, "config/stray")["status"], "clean");
    assert_eq!(outcome.data("error").len(), 3);
}

#[test]
fn a_set_is_held_while_it_is_scanned() {
    let clamd = Clamd::start();
    let server = backed_up(30, |_| {});
    let try_lock = || {
        let manifest = server.daily(DAY).join("manifest.jsonl");
        Command::new("flock")
            .args(["--nonblock", "--exclusive"])
            .arg(manifest)
            .arg("true")
            .status()
            .unwrap()
            .success()
    };
    assert!(try_lock());
    let mut running = tool(&[&clamd.unix()])
        .arg("--no-cache")
        .arg(server.daily(DAY))
        .spawn();
    while !clamd.log().contains("Eicar-Test-Signature") {
        thread::sleep(Duration::from_millis(1));
    }
    // A clamd that stands still holds the scan, wherever it is.
    kill_process(clamd.pid(), Signal::STOP).unwrap();
    let mut was_held = false;
    for _ in 0..50 {
        kill_process(clamd.pid(), Signal::CONT).unwrap();
        thread::sleep(Duration::from_millis(4));
        kill_process(clamd.pid(), Signal::STOP).unwrap();
        was_held |= running.is_running() && !try_lock();
    }
    kill_process(clamd.pid(), Signal::CONT).unwrap();
    let _ = running.wait().assert_code(0);
    assert!(was_held && try_lock());
}

#[test]
fn a_signal_ends_the_reading_of_a_large_artifact() {
    let bench = Bench::new();
    let dump = bench.put("set/mysql/mailserver.sql.gz", "");
    // To read it to its end takes minutes.
    fs::File::options()
        .write(true)
        .open(&dump)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    bench.put(
        "set/checksums.sha256",
        format!("{}  mysql/mailserver.sql.gz\n", "0".repeat(64)),
    );
    let mut running = bench.tool().arg(bench.path("set")).spawn();
    let read_bytes = |pid: rustix::process::Pid| -> Option<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", pid.as_raw_nonzero())).ok()?;
        io.lines()
            .find_map(|line| line.strip_prefix("rchar: "))?
            .parse()
            .ok()
    };
    while running.is_running() && read_bytes(running.pid()).is_none_or(|bytes| bytes < 64 << 20) {
        thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::TERM);
    let outcome = running.wait().assert_code(3).assert_failure("interrupted");
    assert_eq!(
        verdict_on(&outcome, "mailserver.sql.gz")["reason"],
        "interrupted by a signal"
    );
    assert_eq!(outcome.data("error").len(), 1, "nothing is wrong with it");
}

#[test]
fn what_is_no_set_is_refused() {
    let clamd = Clamd::start();
    let server = backed_up(5, |_| {});
    let _ = scan(&clamd, Path::new("daily/2026-01-01"))
        .assert_code(2)
        .assert_failure("no_such");
    let hidden = server.root().join("daily/.2026-11-24.new");
    shell(
        &server.root(),
        &format!("cp -a daily/{DAY} daily/.2026-11-24.new"),
    );
    let _ = scan(&clamd, &hidden)
        .assert_code(3)
        .assert_failure("damaged");
    put(&server.daily(DAY).join("checksums.sha256"), "damaged\n");
    let _ = scan(&clamd, &server.daily(DAY))
        .assert_code(3)
        .assert_failure("damaged");
}
