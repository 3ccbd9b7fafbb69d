//! A clamd that is absent, hung, blind, killed, or one of several.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use mail_tests::clamd::{Clamd, MARKER, eicar};
use mail_tests::run::{Outcome, Running};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::meddler::{Meddler, Mischief, PICKED};
use crate::support::{Bench, put, tool, total, verdict_on, verdicts};
use crate::warden;

/// Connections that an introduction over TCP takes.
pub(crate) const INTRODUCTION: usize = 10;

#[track_caller]
pub(crate) fn assert_refused(outcome: Outcome, message: &str) {
    let outcome = outcome
        .assert_code(3)
        .assert_failure("scanner")
        .assert_stderr(message);
    assert_eq!(outcome.data("verdict"), Vec::<Value>::new());
    assert_eq!(outcome.data("end")[0]["status"], "incomplete");
}

#[test]
fn without_a_clamd_nothing_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("file"), "harmless");
    let none = format!("unix:{}/no.sock", dir.path().display());
    assert_refused(
        tool(&[&none]).arg(dir.path()).run(),
        "no clamd can be used; start one",
    );
    assert_refused(
        tool(&["tcp:127.0.0.1:1"]).arg(dir.path()).run(),
        "cannot be reached",
    );
}

#[test]
fn a_clamd_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", silent.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("file"), "harmless");
    let start = Instant::now();
    assert_refused(
        tool(&[&address])
            .args(["--timeout", "1"])
            .arg(dir.path())
            .run(),
        "no answer for 1 seconds",
    );
    assert!(start.elapsed() < Duration::from_secs(20));
    let bench = Bench::new();
    bench.put("file", "harmless");
    let outcome = tool(&[&address, &bench.clamd.unix()])
        .args(["--no-cache", "--timeout", "1"])
        .arg(bench.dir())
        .run();
    let outcome = outcome
        .assert_code(0)
        .assert_stderr("the others do its work");
    assert_eq!(verdicts(&outcome, bench.dir()), ["file clean"]);
}

/// A clamd with signatures, of which none finds EICAR.
fn blind() -> Clamd {
    let mut clamd = Clamd::start();
    put(
        &clamd.signatures().join("test.ndb"),
        "Other:0:*:6162636465666768696a6b6c6d\n",
    );
    clamd.kill();
    clamd.resume();
    clamd
}

/// A directory with EICAR twenty times, in contents that a clamd with `MaxFileSize 200K` says OK to
/// in silence.
fn with_large_eicar(clamd: Clamd) -> Bench {
    let bench = Bench::with(clamd);
    for number in 0..20 {
        bench.put(
            &format!("{number}"),
            [
                eicar(),
                format!("{number}").into_bytes(),
                vec![b' '; 300_000],
            ]
            .concat(),
        );
    }
    bench
}

#[test]
fn a_clamd_that_finds_nothing_is_no_scanner() {
    let blind = blind();
    let bench = Bench::new();
    bench.put("file", eicar());
    assert_refused(
        tool(&[&blind.unix()]).arg(bench.dir()).run(),
        "does not find the EICAR test file: a scanner",
    );
    assert_refused(
        tool(&[&bench.clamd.unix(), &blind.tcp()])
            .arg(bench.dir())
            .run(),
        "does not find the EICAR",
    );
    for (setting, how) in [
        ("ScanArchive no\n", "in an archive"),
        ("ScanMail no\n", "in the attachment of a message"),
    ] {
        let clamd = Clamd::start_with(setting);
        assert_refused(tool(&[&clamd.unix()]).arg(bench.dir()).run(), how);
    }
}

#[test]
fn another_service_is_no_clamd() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut client, &mut [0; 64]);
            let _ = std::io::Write::write_all(&mut client, b"220 mx.example.com ESMTP OK\r\n");
        }
    });
    let dir = tempfile::tempdir().unwrap();
    assert_refused(tool(&[&address]).arg(dir.path()).run(), "is not a clamd");
}

/// Scans 40 files through a proxy that breaks connections after the introduction and some of the
/// files.
fn scan_with(mischief: Mischief) -> Outcome {
    let bench = Bench::new();
    for number in 0..40 {
        bench.put(&format!("{number}"), format!("harmless {number}"));
    }
    let meddler = Meddler::before(&bench.clamd.tcp());
    meddler.after(INTRODUCTION + 8, mischief);
    let outcome = tool(&[&meddler.address()])
        .args(["--no-cache", "--timeout", "1", "--jobs", "2"])
        .arg(bench.dir())
        .run();
    assert!(meddler.connections() > INTRODUCTION + 8);
    outcome
}

#[test]
fn no_broken_answer_is_clean() {
    for (mischief, reason) in [
        (Mischief::Cut, "closed the connection without an answer"),
        (Mischief::Hang, "no answer for 1 seconds"),
        (Mischief::Nonsense, "not an answer of clamd"),
        (Mischief::Drip, "no answer for 1 seconds"),
    ] {
        let outcome = scan_with(mischief);
        let found = outcome.data("verdict");
        assert_eq!(found.len(), 40, "{mischief:?}");
        let unscanned: Vec<&Value> = found
            .iter()
            .filter(|verdict| verdict["status"] != "clean")
            .collect();
        assert!(
            (30..40).contains(&unscanned.len()),
            "{mischief:?}: {}",
            unscanned.len()
        );
        let has_reason = |verdict: &&Value| verdict["reason"].as_str().unwrap().contains(reason);
        assert!(
            unscanned.iter().all(has_reason),
            "{mischief:?}: {unscanned:#?}"
        );
        assert!(
            [1, 3].contains(&outcome.code()),
            "{mischief:?}: {}",
            outcome.code()
        );
        assert_eq!(outcome.data("end")[0]["status"], "incomplete");
    }
}

#[test]
fn a_clamd_that_takes_a_little_at_a_time_is_given_up() {
    let bench = Bench::new();
    // At the pace of the proxy it would take some minutes.
    bench.put("large", vec![b'x'; 90 << 20]);
    let meddler = Meddler::before(&bench.clamd.tcp());
    meddler.after(INTRODUCTION - 1, Mischief::Sip);
    let start = Instant::now();
    let outcome = tool(&[&meddler.address()])
        .args(["--no-cache", "--timeout", "2"])
        .arg(bench.dir())
        .run();
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "it was waited for"
    );
    assert_eq!(verdict_on(&outcome, "large")["status"], "unscanned");
    assert!([1, 3].contains(&outcome.code()));
}

/// Answers each connection at `socket` with `answer`, over and over, a piece in each `pause`.
fn lie(socket: &Path, answer: &'static [u8], pause: Duration) -> String {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                while client.write_all(answer).is_ok() {
                    thread::sleep(pause);
                }
            });
        }
    });
    format!("unix:{}", socket.display())
}

#[test]
fn what_answers_without_end_is_not_waited_for_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    put(&dir.path().join("mail/file"), "harmless");
    for (name, answer, pause) in [
        ("drip", &b"P"[..], Duration::from_secs(1)),
        ("flood", &[b'x'; 4096], Duration::ZERO),
        ("zeros", &[0; 512], Duration::from_millis(100)),
    ] {
        let address = lie(&dir.path().join(name), answer, pause);
        let start = Instant::now();
        let outcome = tool(&[&address])
            .args(["--no-cache", "--timeout", "2"])
            .arg(dir.path().join("mail"))
            .run()
            .assert_code(3)
            .assert_failure("scanner");
        assert!(start.elapsed() < Duration::from_secs(20), "{name}");
        assert_eq!(outcome.data("verdict"), Vec::<Value>::new(), "{name}");
    }
}

#[test]
fn a_clamd_that_passes_each_test_and_answers_for_no_content_is_given_up() {
    let bench = Bench::new();
    for number in 0..200 {
        bench.put(&format!("mail/{number}"), format!("{PICKED} {number}"));
    }
    let meddler = Meddler::before(&bench.clamd.tcp());
    meddler.after(0, Mischief::Picky);
    let start = Instant::now();
    let outcome = tool(&[&meddler.address()])
        .args(["--no-cache", "--timeout", "1", "--jobs", "4"])
        .arg(bench.path("mail"))
        .run()
        .assert_code(3);
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "it was waited for"
    );
    assert_eq!(total(&outcome, "unscanned"), 200);
}

#[test]
fn what_one_clamd_fails_at_another_does() {
    let bench = Bench::new();
    for number in 0..60 {
        bench.put(&format!("{number}"), format!("harmless {number}"));
    }
    bench.put("bad", eicar());
    let other = Clamd::start();
    let meddler = Meddler::before(&other.tcp());
    meddler.after(INTRODUCTION + 5, Mischief::Cut);
    let clamds = [&*meddler.address(), &bench.clamd.unix()];
    let outcome = tool(&clamds)
        .args(["--no-cache", "--timeout", "5"])
        .arg(bench.dir())
        .run()
        .assert_code(1);
    assert_eq!(
        (
            total(&outcome, "clean"),
            total(&outcome, "infected"),
            total(&outcome, "unscanned")
        ),
        (60, 1, 0)
    );
    assert!(
        meddler.connections() > INTRODUCTION + 5,
        "the other was not used"
    );
}

#[test]
fn a_clamd_that_is_replaced_by_a_lesser_one_is_not_believed() {
    let bench = with_large_eicar(Clamd::start());
    let lesser = Clamd::start_with("AlertEncrypted yes\nMaxFileSize 200K\n");
    let blind = blind();
    for (other, why) in [
        (&lesser, "keeps silent now about what it named"),
        (&blind, "does not find the EICAR"),
    ] {
        let meddler = Meddler::between(&bench.clamd.tcp(), &other.tcp());
        meddler.after(INTRODUCTION + 5, Mischief::Other);
        let outcome = tool(&[&meddler.address()])
            .args(["--no-cache", "--jobs", "1"])
            .arg(bench.dir())
            .run();
        let outcome = outcome
            .assert_code(3)
            .assert_failure("scanner")
            .assert_stderr(why);
        assert!(
            total(&outcome, "clean") > 0 && total(&outcome, "infected") > 0,
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_clamd_whose_limits_are_lowered_is_not_believed() {
    let bench = with_large_eicar(Clamd::start_with(""));
    let lesser = Clamd::start_with("MaxFileSize 200K\n");
    let meddler = Meddler::between(&bench.clamd.tcp(), &lesser.tcp());
    meddler.after(INTRODUCTION + 5, Mischief::Other);
    let outcome = tool(&[&meddler.address()])
        .args(["--no-cache", "--jobs", "1"])
        .arg(bench.dir())
        .run();
    let _ = outcome
        .assert_code(3)
        .assert_failure("scanner")
        .assert_stderr("no longer looks into contents as large");
}

/// Scans a file with the marker, and then the directory `rest`. When this returns, clamd has looked
/// into the first.
fn scan_from_marker(bench: &Bench, timeout_seconds: &str) -> Running {
    bench.put("first", MARKER);
    let running = bench
        .tool()
        .args(["--jobs", "2", "--timeout", timeout_seconds])
        .args([bench.path("first"), bench.path("rest")])
        .spawn();
    while !bench.clamd.log().contains("Local.Test.Marker") {
        thread::sleep(Duration::from_millis(2));
    }
    running
}

#[test]
fn a_clamd_that_is_restarted_is_waited_for() {
    let mut bench = Bench::new();
    for number in 0..300 {
        bench.put(
            &format!("rest/{number}"),
            format!("Subject: {number}\r\n\r\nhello\r\n").repeat(200),
        );
    }
    let running = scan_from_marker(&bench, "60");
    bench.clamd.kill();
    thread::sleep(Duration::from_millis(500));
    bench.clamd.resume();
    let outcome = running.wait().assert_code(1);
    assert_eq!(total(&outcome, "clean"), 300);
    assert_eq!(total(&outcome, "infected"), 1, "the marker");
}

#[test]
fn a_clamd_that_comes_back_with_lower_limits_is_not_believed_beyond_them() {
    let mut bench = Bench::with(Clamd::start_with("MaxFileSize 8M\nAlertExceedsMax no\n"));
    let large = [vec![b'x'; 3 << 20], MARKER.as_bytes().to_vec()].concat();
    bench.put("first", &large);
    for number in 0..400 {
        bench.put(
            &format!("between/{number}"),
            format!("Subject: {number}\r\n\r\nhello\r\n").repeat(200),
        );
    }
    bench.put("last", [&large[..], b"-"].concat());
    let operands = ["first", "between", "last"].map(|name| bench.path(name));
    let running = bench
        .tool()
        .args(["--jobs", "1", "--timeout", "60"])
        .args(&operands)
        .spawn();
    while !bench.clamd.log().contains("Local.Test.Marker") {
        thread::sleep(Duration::from_millis(2));
    }
    bench.clamd.kill();
    let config = fs::read_to_string(bench.clamd.config_file()).unwrap();
    put(
        &bench.clamd.config_file(),
        config.replace("MaxFileSize 8M", "MaxFileSize 1M"),
    );
    thread::sleep(Duration::from_millis(500));
    bench.clamd.resume();
    let outcome = running.wait().assert_code(1);
    assert_eq!(verdict_on(&outcome, "/first")["status"], "infected");
    assert_eq!(verdict_on(&outcome, "/last")["status"], "unscanned");
}

#[test]
fn a_clamd_that_is_killed_for_good_leaves_nothing_clean_that_was_not_scanned() {
    let mut bench = Bench::new();
    for number in 0..3000 {
        bench.put(
            &format!("rest/{number}"),
            format!("Subject: {number}\r\n\r\nhello\r\n").repeat(50),
        );
    }
    let running = scan_from_marker(&bench, "2");
    bench.clamd.kill();
    let outcome = running.wait().assert_code(3).assert_failure("scanner");
    assert_eq!(
        total(&outcome, "clean") + total(&outcome, "unscanned"),
        3000
    );
    assert!(total(&outcome, "unscanned") > 0);
    assert!(
        outcome.stderr.lines().count() < 100,
        "every file on a line of its own"
    );
}

#[test]
fn a_clamd_with_few_threads_scans_all_the_same() {
    let bench = Bench::with(Clamd::start_with("MaxThreads 1\nMaxQueue 2\n"));
    for number in 0..50 {
        bench.put(&format!("{number}"), format!("harmless {number}"));
    }
    for address in [bench.clamd.unix(), bench.clamd.tcp()] {
        let outcome = tool(&[&address])
            .args(["--no-cache", "--jobs", "12"])
            .arg(bench.dir())
            .run()
            .assert_code(0);
        assert_eq!(total(&outcome, "clean"), 50);
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_clamd() {
    let bench = Bench::new();
    bench.put("file", "harmless");
    let mut running = bench.tool().arg(bench.dir()).spawn();
    while !bench.clamd.log().contains("Eicar-Test-Signature") && running.is_running() {
        thread::sleep(Duration::from_millis(1));
    }
    kill_process(bench.clamd.pid(), Signal::STOP).unwrap();
    thread::sleep(Duration::from_millis(100));
    let waits = running.is_running();
    running.signal(Signal::TERM);
    let start = Instant::now();
    let outcome = running.wait();
    kill_process(bench.clamd.pid(), Signal::CONT).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    if waits {
        assert_eq!(outcome.assert_code(3).data("end")[0]["exit"], 3);
    }
}

#[test]
fn a_clamd_that_may_not_have_descriptors_of_files_gets_copies() {
    let bench = Bench::new();
    let address = warden::stand_before(&bench.clamd.unix(), &bench.path("warden.sock"));
    for number in 0..40 {
        bench.put(&format!("mail/{number}"), format!("harmless {number}"));
    }
    bench.put("mail/bad", eicar());
    // Files that have just changed are copied anyway.
    thread::sleep(Duration::from_millis(1100));
    let scan = |more: &[&str]| {
        tool(&[&address])
            .args(["--no-cache", "--timeout", "5"])
            .args(more)
            .arg(bench.path("mail"))
            .run()
    };
    for outcome in [scan(&[]), scan(&["--jobs", "1"])] {
        let outcome = outcome.assert_code(1);
        assert!(outcome.text().contains("by descriptor"));
        assert_eq!(
            (
                total(&outcome, "clean"),
                total(&outcome, "infected"),
                total(&outcome, "unscanned")
            ),
            (40, 1, 0)
        );
    }
}

#[test]
fn old_signatures_are_a_warning_and_no_failure() {
    let day = 86_400;
    let now = jiff_now();
    for (age_days, status) in [(1, "ok"), (30, "warning")] {
        let bench = Bench::with(Clamd::start_dated("", 27_000, now - age_days * day));
        bench.put("file", "harmless");
        let outcome = bench.scan(bench.dir()).assert_code(0);
        let check = outcome
            .data("check")
            .into_iter()
            .find(|check| check["name"] == "clamd-signatures")
            .unwrap();
        assert_eq!(check["status"], status);
        assert_eq!(
            outcome.stderr.contains("days old; run freshclam"),
            status == "warning",
            "{}",
            outcome.stderr
        );
        assert!(
            verdict_on(&outcome, "file")["engine"]
                .as_str()
                .unwrap()
                .contains("/27000/")
        );
    }
}

fn jiff_now() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(now.as_secs()).unwrap()
}
