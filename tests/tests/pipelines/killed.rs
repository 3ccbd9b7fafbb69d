//! A run that is killed at any moment leaves every set whole, and nothing that the next run does
//! not clear. One that is asked to stop clears up itself.
#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mail_tests::maildir::{DayPlan, Dice, TreePlan, age};
use mail_tests::mariadb::MariaDb;
use mail_tests::run::{Outcome, Running, Tool, binary};
use mail_tests::schema::Schema;
use mail_tests::server::Server;
use mail_tests::set::assert_checksums;
use rustix::fs::FlockOperation;
use rustix::process::Signal;

const DAY_1: &str = "2026-11-22";
const DAY_2: &str = "2026-11-23";
/// Old enough to be removed.
const OLD: [&str; 3] = ["2026-09-01", "2026-09-02", "2026-09-03"];
const KILLS: usize = 105;

fn small_server() -> Server {
    let plan = TreePlan {
        mean_bytes: 3_000,
        ..TreePlan::new(300, 3, 31)
    };
    Server::new(&plan).with_database(MariaDb::shared())
}

fn backup(server: &Server, date: &str) -> Tool {
    server
        .backup()
        .env("DAILY_RETENTION_DAYS", "2")
        .args(["--date", date])
}

/// What the second day finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// No set of the day.
    First,
    /// One that it replaces.
    Again,
    /// Old sets that it removes.
    Prune,
}

impl Case {
    const ALL: [Self; 3] = [Self::First, Self::Again, Self::Prune];

    fn prepare(self, server: &Server) {
        if self != Self::Again {
            fs::remove_dir_all(server.daily(DAY_2)).expect("the last run made it");
            fs::remove_file(server.root().join("latest")).expect("the last run made it");
            symlink(Path::new("daily").join(DAY_1), server.root().join("latest"))
                .expect("the root is writable");
        }
        for date in OLD.iter().filter(|_| self == Self::Prune) {
            let copied = Command::new("cp")
                .arg("-al")
                .arg(server.daily(DAY_1))
                .arg(server.daily(date))
                .status();
            assert!(copied.expect("cp runs").success());
        }
    }
}

/// When to kill.
enum Moment {
    After(Duration),
    /// So long after the set of the day was made visible, where old trees are removed.
    AfterCommit(Duration),
}

fn kill(server: &Server, mut running: Running, moment: &Moment) -> Outcome {
    match moment {
        Moment::After(delay) => thread::sleep(*delay),
        Moment::AfterCommit(delay) => {
            let inode = || {
                fs::metadata(server.daily(DAY_2))
                    .map(|metadata| metadata.ino())
                    .ok()
            };
            let before = inode();
            while inode() == before && running.is_running() {
                thread::sleep(Duration::from_micros(50));
            }
            thread::sleep(*delay);
        }
    }
    running.signal(Signal::KILL);
    running.wait()
}

/// Every set that can be seen is whole, and `latest` leads to one.
fn check_sets(server: &Server) {
    let names = server.daily_names();
    assert!(
        names.iter().any(|name| name == DAY_1),
        "day 1 is gone: {names:?}"
    );
    assert!(
        names
            .iter()
            .all(|name| [DAY_1, DAY_2].contains(&name.as_str()) || OLD.contains(&name.as_str())),
        "{names:?}"
    );
    for name in &names {
        assert_checksums(&server.daily(name));
    }
    let latest = server.latest();
    let is_seen = |name: &&String| *latest == Path::new("daily").join(name);
    assert!(
        names.iter().any(|name| is_seen(&name)) && !OLD.iter().any(|old| latest.ends_with(old)),
        "{names:?}, {}",
        latest.display()
    );
}

#[test]
fn a_killed_run_harms_no_set_and_the_next_one_clears_up() {
    let server = small_server();
    let mut dice = Dice::new(32, 1);
    for date in [DAY_1, DAY_2] {
        let _ = backup(&server, date).run().assert_code(0);
    }
    let (mut kills, mut left_hidden, mut after_commit) = (0, 0, 0);
    let mut usual = Duration::ZERO;
    for round in 0..KILLS * 3 {
        if kills == KILLS {
            break;
        }
        let case = Case::ALL[round % 3];
        case.prepare(&server);
        let day = DayPlan {
            mean_bytes: 3_000,
            ..DayPlan::new(round as u32 + 1, 33)
        };
        age(&server.mail(), &day).expect("the mail tree is ours");
        let moment = match (round / 3) % 3 {
            // Some of them just before it would have ended, or too late.
            _ if usual.is_zero() => Moment::After(Duration::from_millis(50)),
            2 => Moment::AfterCommit(Duration::from_micros(u64::from(dice.below(3_000)))),
            _ => Moment::After(usual.mul_f64(dice.unit())),
        };
        let killed = kill(&server, backup(&server, DAY_2).spawn(), &moment).code() == 128 + 9;
        kills += usize::from(killed);
        left_hidden += usize::from(!server.hidden().is_empty());
        after_commit +=
            usize::from(killed && server.latest().ends_with(DAY_2) && case != Case::Again);
        check_sets(&server);

        let started = Instant::now();
        let is_there = || server.daily(DAY_2).join("checksums.sha256").exists();
        let was_there = is_there();
        assert!(
            was_there || case != Case::Again,
            "the set of the day went before its successor came"
        );
        let mut running = backup(&server, DAY_2).spawn();
        while running.is_running() {
            assert!(
                is_there() || !was_there,
                "for a moment there was no set of the day"
            );
            thread::sleep(Duration::from_micros(50));
        }
        let _ = running.wait().assert_code(0);
        usual = started.elapsed();
        assert_eq!(server.hidden(), [""; 0], "left by round {round}, {case:?}");
        assert_eq!(server.daily_names(), [DAY_1, DAY_2]);
        assert_eq!(server.latest(), Path::new("daily").join(DAY_2));
        check_sets(&server);
    }
    assert_eq!(kills, KILLS, "most runs ended before they were killed");
    // Otherwise the moments were not spread over the run.
    assert!(
        left_hidden > KILLS / 4 && after_commit > 3,
        "{left_hidden} with work left, {after_commit} after commit"
    );
}

/// A server with a set of day 1, and so much work that a run is under way for seconds.
fn slow_server() -> Server {
    let plan = TreePlan {
        mean_bytes: 12_000,
        ..TreePlan::new(3_000, 3, 34)
    };
    let server = Server::new(&plan).with_database(MariaDb::shared());
    let _ = backup(&server, DAY_1)
        .args(["--level", "1"])
        .run()
        .assert_code(0);
    server
}

fn slow_backup(server: &Server) -> Tool {
    backup(server, DAY_2).args(["--full", "--level", "12"])
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no {what} after a minute"
        );
        thread::sleep(Duration::from_millis(2));
    }
}

/// A run that was asked to stop says so, soon, and has cleared up.
fn check_interrupted(server: &Server, mut running: Running, signal: Signal) {
    running.signal(signal);
    let asked = Instant::now();
    wait_for("end of the run", || !running.is_running());
    let elapsed = asked.elapsed();
    let outcome = running.wait().assert_code(3);
    assert!(elapsed < Duration::from_secs(2), "it took {elapsed:?}");
    let records = outcome.records();
    Schema::open().assert_valid(&records);
    assert_eq!(records.last().expect("there is an end")["data"]["exit"], 3);
    assert_eq!(outcome.data("error")[0]["kind"], "interrupted");
    assert_eq!(outcome.data("artifact").len(), 0);
    assert_eq!(server.hidden(), [""; 0]);
    check_sets(server);
}

#[test]
fn a_run_that_is_asked_to_stop_clears_up_at_once() {
    let server = slow_server();
    let staging = server.root().join("daily").join(format!(".{DAY_2}.new"));
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        for delay_ms in [0, 100, 250] {
            let running = slow_backup(&server).spawn();
            wait_for("staging", || staging.join("mailboxes").exists());
            thread::sleep(Duration::from_millis(delay_ms));
            check_interrupted(&server, running, signal);
            assert_eq!(server.daily_names(), [DAY_1]);
            assert_eq!(server.latest(), Path::new("daily").join(DAY_1));
        }
    }
}

#[test]
fn a_run_that_waits_for_a_reader_can_be_asked_to_stop() {
    let server = small_server();
    for date in [DAY_1, DAY_2] {
        let _ = backup(&server, date).run().assert_code(0);
    }
    let manifest =
        fs::File::open(server.daily(DAY_2).join("manifest.jsonl")).expect("a set has a manifest");
    rustix::fs::flock(&manifest, FlockOperation::LockShared).expect("nobody else locks it");
    let running = backup(&server, DAY_2).spawn();
    let staging = server.root().join("daily").join(format!(".{DAY_2}.new"));
    wait_for("finished staging", || {
        staging.join("checksums.sha256").exists()
    });
    thread::sleep(Duration::from_millis(100));
    check_interrupted(&server, running, Signal::TERM);
}

#[test]
fn a_reader_that_died_is_no_success_and_costs_no_set() {
    let server = small_server();
    let _ = backup(&server, DAY_1).run().assert_code(0);
    let mut command = Command::new("bash");
    command
        .args(["-c", "\"$@\" | true; exit ${PIPESTATUS[0]}", "-"])
        .arg(binary("mail-backup"));
    command
        .args(["--date", DAY_2])
        .env("HOME", server.dir())
        .envs(server.settings());
    let output = command.output().expect("bash runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("error: "), "{stderr}");
    assert_eq!(server.hidden(), [""; 0]);
    assert_eq!(server.daily_names(), [DAY_1, DAY_2]);
    check_sets(&server);
}

/// A part of the campaign that `docs/proof.md` has in full.
#[test]
fn a_short_campaign_of_kills_and_failing_calls_breaks_no_promise() {
    if !rustix::process::geteuid().is_root() {
        return; // It restores owners.
    }
    // Threads take turns otherwise each time, so a call may not be made again.
    assert!(hits_of_campaign(&["--tries", "84"]) > 70);
}

/// The old tree has a hidden name for a moment: where no rename succeeded after the first, it kept
/// that, and was removed with what else was hidden.
#[test]
fn what_cannot_be_put_back_is_kept_and_named() {
    if !rustix::process::geteuid().is_root() {
        return; // It restores owners.
    }
    let renames = ["--part", "fail", "--kind", "renameat2", "--what", "EIO"];
    let all = [&renames[..], &["--case", "restore-whole", "--tries", "60"]].concat();
    assert!(hits_of_campaign(&all) >= 30);
}

/// A disk may give an error once: a mailbox that could not be looked at when the tree was divided
/// was in no set, and the run ended with 0.
#[test]
fn a_mailbox_that_cannot_be_looked_at_is_in_no_complete_set() {
    if !rustix::process::geteuid().is_root() {
        return; // The campaign restores owners.
    }
    let looks = [
        "--part",
        "fail",
        "--kind",
        "newfstatat",
        "--what",
        "EIO",
        "--first",
        "10",
    ];
    let all = [&looks[..], &["--case", "backup-daily", "--tries", "20"]].concat();
    assert_eq!(hits_of_campaign(&all), 20);
}

/// How often `scripts/prove` did harm, and no promise was broken by it.
#[track_caller]
fn hits_of_campaign(options: &[&str]) -> usize {
    let programs = binary("mail-backup");
    let report = tempfile::tempdir().expect("a temporary directory can be made");
    let outcome = Tool::script("prove")
        .args(options)
        .arg("--programs")
        .arg(programs.parent().expect("a program lies in a directory"))
        .arg("--report")
        .arg(report.path())
        .run();
    let printed = format!("{}\n{}", outcome.text(), outcome.stderr);
    assert_eq!(outcome.code(), 0, "{printed}");
    let tries = fs::read_to_string(report.path().join("tries.jsonl")).expect("there is a ledger");
    tries
        .lines()
        .filter(|line| line.contains("\"done\": true"))
        .count()
}
