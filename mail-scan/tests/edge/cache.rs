//! Verdicts of earlier runs: used while nothing changed, and never where something did.

use std::fs;
use std::thread;
use std::time::{Duration, SystemTime};

use mail_tests::clamd::{Clamd, eicar};
use mail_tests::run::Tool;
use rustix::process::Signal;

use crate::meddler::{Meddler, Mischief};
use crate::support::{
    Bench, DAY, backed_up, infected_mail, put, sha256, some_message, tool, total, verdicts,
};

fn now() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap()
}

fn dated() -> Clamd {
    Clamd::start_dated("AlertEncrypted yes\nAlertExceedsMax yes\n", 100, now())
}

fn cached(bench: &Bench) -> Tool {
    tool(&[&bench.clamd.unix()])
        .arg("--cache")
        .arg(bench.path("cache/verdicts"))
        .arg(bench.path("mail"))
}

fn filled(clamd: Clamd) -> Bench {
    let bench = Bench::with(clamd);
    for number in 0..50 {
        bench.put(
            &format!("mail/{number}"),
            format!("Subject: {number}\r\n\r\nhello\r\n"),
        );
    }
    bench.put("mail/bad", infected_mail());
    bench
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let bench = filled(dated());
    let first = cached(&bench).run().assert_code(1);
    assert_eq!(total(&first, "cached"), 0);
    let second = cached(&bench).run().assert_code(1);
    assert_eq!(total(&second, "cached"), 51);
    assert_eq!(
        verdicts(&second, bench.dir()),
        verdicts(&first, bench.dir())
    );
    // What changed is sent, and only that.
    bench.put("mail/7", eicar());
    let third = cached(&bench).run().assert_code(1);
    assert_eq!(
        (total(&third, "cached"), total(&third, "infected")),
        (50, 2)
    );
    let without = tool(&[&bench.clamd.unix()])
        .arg("--no-cache")
        .arg(bench.path("mail"))
        .run()
        .assert_code(1);
    assert_eq!(total(&without, "cached"), 0);
}

#[test]
fn a_compressed_message_that_is_known_is_named_as_before() {
    let bench = Bench::with(dated());
    bench.put("raw", infected_mail());
    bench.shell("mkdir -p mail/cur; zstd -qc raw > mail/cur/zstd; gzip -c raw > mail/cur/gzip");
    for cached_before in [0, 2] {
        let outcome = cached(&bench).run().assert_code(1);
        assert_eq!(total(&outcome, "cached"), cached_before);
        for verdict in outcome.data("verdict") {
            assert_eq!(
                (verdict["message_id"].as_str(), verdict["subject"].as_str()),
                (Some("<bad@example.com>"), Some("invoice"))
            );
        }
    }
}

#[test]
fn what_changed_before_clamd_saw_it_is_not_remembered() {
    let bench = Bench::with(dated());
    let bad = |number: u32| [eicar(), number.to_string().into_bytes()].concat();
    for number in 0..5 {
        bench.put(&format!("mail/{number}"), bad(number));
    }
    // Files that have just changed are copied.
    thread::sleep(Duration::from_millis(1100));
    let meddler = Meddler::before(&bench.clamd.tcp());
    meddler.after(8, Mischief::Late);
    let cache = bench.path("verdicts");
    let scan = |clamd: &str| {
        tool(&[clamd])
            .args(["--jobs", "1"])
            .arg("--cache")
            .arg(&cache)
            .arg(bench.path("mail"))
    };
    let mut running = scan(&meddler.address()).spawn();
    // The digests of all are computed before the first of them is shown.
    while meddler.connections() < 10 && running.is_running() {
        thread::sleep(Duration::from_millis(1));
    }
    for number in 0..5 {
        fs::write(
            bench.path(&format!("mail/{number}")),
            vec![b'x'; bad(number).len()],
        )
        .unwrap();
    }
    let first = running.wait();
    assert!(total(&first, "clean") > 0, "nothing was changed in time");
    for number in 0..5 {
        fs::write(bench.path(&format!("mail/{number}")), bad(number)).unwrap();
    }
    assert_eq!(
        total(&scan(&bench.clamd.tcp()).run().assert_code(1), "infected"),
        5
    );
}

#[test]
fn no_message_vouches_for_an_artifact() {
    let bench = Bench::with(dated());
    bench.put("x.com", eicar());
    bench
        .shell("mkdir -p set/config; tar -c x.com | zstd -q > set/config/config.tar.zst; rm x.com");
    bench.shell("cd set; sha256sum config/config.tar.zst > checksums.sha256");
    let digest = sha256(&bench.path("set/config/config.tar.zst"));
    // The words under which the cache might know it, as the content of harmless messages.
    for (number, words) in ["Zstd Archive D", "D Zstd Archive"].iter().enumerate() {
        bench.put(&format!("mail/{number}"), words.replace('D', &digest));
    }
    let _ = cached(&bench).run().assert_code(0);
    let set = tool(&[&bench.clamd.unix()])
        .arg("--cache")
        .arg(bench.path("cache/verdicts"))
        .arg(bench.path("set"));
    let expected = [
        "config/config.tar.zst infected",
        "config/config.tar.zst: x.com infected",
    ];
    assert_eq!(verdicts(&set.run().assert_code(1), bench.dir()), expected);
}

#[test]
fn other_signatures_scan_everything_again() {
    let mut bench = filled(dated());
    let _ = cached(&bench).run().assert_code(1);
    bench.clamd.kill();
    bench.clamd.date_signatures(101, now());
    bench.clamd.resume();
    assert_eq!(total(&cached(&bench).run().assert_code(1), "cached"), 0);
    assert_eq!(total(&cached(&bench).run().assert_code(1), "cached"), 51);
}

#[test]
fn without_a_version_of_signatures_nothing_is_remembered() {
    let bench = filled(Clamd::start());
    for _ in 0..2 {
        assert_eq!(total(&cached(&bench).run().assert_code(1), "cached"), 0);
    }
}

#[test]
fn a_damaged_cache_starts_empty_and_reports_it_in_one_line_each_time() {
    let bench = filled(dated());
    let first = cached(&bench).run().assert_code(1);
    let cache = bench.path("cache/verdicts");
    for _ in 0..2 {
        let mut bytes = fs::read(&cache).unwrap();
        let half = bytes.len() / 2;
        bytes.truncate(half);
        fs::write(&cache, &bytes).unwrap();
        let again = cached(&bench).run().assert_code(1);
        let of_cache = again.stderr.lines().filter(|line| line.contains("cache"));
        assert_eq!(of_cache.count(), 1, "{}", again.stderr);
        assert!(!again.stderr.contains("panicked"), "{}", again.stderr);
        assert_eq!(verdicts(&again, bench.dir()), verdicts(&first, bench.dir()));
    }
    assert_eq!(total(&cached(&bench).run().assert_code(1), "cached"), 51);
}

#[test]
fn what_cannot_be_a_cache_is_named_in_one_line_and_the_scan_goes_on_without() {
    let bench = filled(dated());
    let sound = cached(&bench).run().assert_code(1);
    for place in [
        "mkdir verdicts",
        "mkfifo verdicts",
        "cd ..; rm -r cache; touch cache",
    ] {
        bench.shell(&format!("rm -rf cache; mkdir cache; cd cache; {place}"));
        let outcome = cached(&bench).run().assert_code(1);
        let of_cache = outcome.stderr.lines().filter(|line| line.contains("cache"));
        assert_eq!(of_cache.count(), 1, "{place}: {}", outcome.stderr);
        assert_eq!(
            verdicts(&outcome, bench.dir()),
            verdicts(&sound, bench.dir())
        );
    }
}

#[test]
fn a_run_that_is_killed_leaves_a_cache_that_the_next_one_can_use_and_nothing_beside_it() {
    let bench = filled(dated());
    let sound = cached(&bench).run().assert_code(1);
    for milliseconds in [0, 30, 100, 300, 600] {
        bench.shell("rm -rf cache");
        let mut running = cached(&bench).spawn();
        thread::sleep(Duration::from_millis(milliseconds));
        running.signal(Signal::KILL);
        let _ = running.wait();
        let next = cached(&bench).run().assert_code(1);
        assert!(!next.stderr.contains("panicked"), "{}", next.stderr);
        assert_eq!(verdicts(&next, bench.dir()), verdicts(&sound, bench.dir()));
        let names = fs::read_dir(bench.path("cache")).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["verdicts"], "after {milliseconds} ms");
        assert_eq!(total(&cached(&bench).run().assert_code(1), "cached"), 51);
    }
}

#[test]
fn two_runs_at_once_come_to_the_same() {
    let bench = filled(dated());
    for number in 100..400 {
        bench.put(
            &format!("mail/{number}"),
            format!("Subject: {number}\r\n\r\nhello\r\n").repeat(40),
        );
    }
    let (one, two) = (cached(&bench).spawn(), cached(&bench).spawn());
    let (one, two) = (one.wait().assert_code(1), two.wait().assert_code(1));
    assert_eq!(verdicts(&one, bench.dir()), verdicts(&two, bench.dir()));
    let outcome = cached(&bench).run().assert_code(1);
    assert_eq!(total(&outcome, "cached"), 351);
}

#[test]
fn an_artifact_that_was_clean_is_read_and_not_unpacked_again() {
    let clamd = dated();
    let server = backed_up(200, |mail| drop(put(&some_message(mail), infected_mail())));
    let cache = server.dir().join("cache");
    let scan = || {
        tool(&[&clamd.unix()])
            .arg("--cache")
            .arg(&cache)
            .arg(server.daily(DAY))
            .run()
    };
    let first = scan().assert_code(1);
    let second = scan().assert_code(1);
    assert_eq!(
        verdicts(&second, server.dir()),
        verdicts(&first, server.dir())
    );
    // Only the archive with the infected message was unpacked.
    assert!(total(&second, "members") < total(&first, "members"));
    // A digest that is known does not vouch for another file.
    put(&server.daily(DAY).join("config/config.tar.zst"), "other");
    let outcome = scan().assert_code(1).assert_failure("damaged");
    assert_eq!(total(&outcome, "unscanned"), 1);
}
