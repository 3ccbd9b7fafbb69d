//! Which old sets go after a run, and which stay whatever their age.

use std::fs;
use std::process::Command;

use crate::support::{Kinds, Server, assert_sums, capture, checked, put};
use mail_tests::held::HeldLock;
use mail_tests::run::Outcome;

/// The day `number` days after 2026-10-01, by `date`.
fn day(number: u32) -> String {
    let text = capture(Command::new("date").args([
        "-u",
        "-d",
        &format!("2026-10-01 + {number} days"),
        "+%Y-%m-%d",
    ]));
    String::from_utf8(text).unwrap().trim_end().to_owned()
}

/// A server with whole sets of the first `days` days, none of them removed.
fn with_days(days: u32) -> Server {
    let server = Server::with_one_message().and_database();
    for number in 0..days {
        server
            .run(&["--no-prune", "--date", &day(number)])
            .assert_code(0);
    }
    assert_eq!(server.daily().len(), days as usize);
    server
}

fn prune(server: &Server, days: &str, args: &[&str]) -> Outcome {
    checked(
        server
            .tool(&[&["--prune-only"][..], args].concat())
            .env("DAILY_RETENTION_DAYS", days)
            .run(),
    )
}

#[test]
fn old_sets_go_after_a_success() {
    let server = with_days(34);
    let outcome = server.run(&["--date", &day(34)]).assert_code(0);
    // Days 4 to 34: thirty days old and younger.
    let kept: Vec<String> = (4..=34).map(day).collect();
    assert_eq!(server.daily(), kept);
    assert_eq!(outcome.data("end")[0]["totals"]["removed_sets"], 4);
    assert_eq!(server.latest(), Some(format!("daily/{}", day(34))));
    for date in [day(4), day(20), day(34)] {
        assert_sums(&server.set("daily").join(date));
    }
    prune(&server, "10", &[]).assert_code(0);
    assert_eq!(server.daily(), (24..=34).map(day).collect::<Vec<_>>());
    prune(&server, "1", &[]).assert_code(0);
    assert_eq!(server.daily(), (33..=34).map(day).collect::<Vec<_>>());
    // Nothing is due on a day without a newer set.
    prune(&server, "1", &[]).assert_code(0);
    assert_eq!(server.daily().len(), 2);
}

#[test]
fn a_set_that_is_being_read_is_left_alone() {
    let server = with_days(4);
    let reader = HeldLock::shared(&server.set("daily").join(day(1)).join("manifest.jsonl"));
    prune(&server, "1", &[])
        .assert_code(0)
        .assert_stderr(&format!("daily/{}", day(1)));
    assert_eq!(server.daily(), [day(1), day(2), day(3)]);
    assert_sums(&server.set("daily").join(day(1)));
    drop(reader);
    prune(&server, "1", &[]).assert_code(0);
    assert_eq!(server.daily(), [day(2), day(3)]);
}

#[test]
fn a_suspiciously_small_set_holds_retention_back() {
    let server = Server::with_one_message().and_database();
    let noise = capture(Command::new("head").args(["-c", "1000000", "/dev/urandom"]));
    let large = server.message("example.com/alice/cur/17.M1P1.mx:2,S", &noise);
    for number in 0..4 {
        server
            .run(&["--no-prune", "--date", &day(number)])
            .assert_code(0);
    }
    fs::remove_file(large).unwrap();
    let run = |args: &[&str]| checked(server.tool(args).env("DAILY_RETENTION_DAYS", "2").run());
    let outcome = run(&["--date", &day(4)])
        .assert_code(1)
        .assert_kinds(&["refused"]);
    assert_eq!(outcome.data("end")[0]["status"], "bad");
    assert_eq!(server.daily(), (0..=4).map(day).collect::<Vec<_>>());
    assert_eq!(
        server.latest(),
        Some(format!("daily/{}", day(4))),
        "the set itself is made"
    );
    run(&["--prune-only"])
        .assert_code(1)
        .assert_kinds(&["refused"])
        .assert_stderr("--force");
    run(&["--prune-only", "--force"]).assert_code(0);
    assert_eq!(server.daily(), [day(2), day(3), day(4)]);
}

#[test]
fn the_last_good_set_stays_whatever_its_age() {
    let server = with_days(1);
    fs::remove_dir_all(server.path("certbot")).unwrap();
    for number in 40..43 {
        let args = ["--date", &day(number)];
        checked(server.tool(&args).env("DAILY_RETENTION_DAYS", "1").run()).assert_code(1);
    }
    prune(&server, "1", &[]).assert_code(0);
    assert!(server.daily().contains(&day(0)), "{:?}", server.daily());
    assert_eq!(server.latest(), Some(format!("daily/{}", day(0))));
    assert_sums(&server.set("daily").join(day(0)));
}

#[test]
fn weekly_sets_have_their_own_retention() {
    let server = with_days(2);
    let run = |number: u32, more: &[&str]| {
        let date = day(number);
        let tool = server.tool(&[&["--weekly", "--date", &date][..], more].concat());
        checked(
            tool.env("WEEKLY_RETENTION_WEEKS", "2")
                .env("DAILY_RETENTION_DAYS", "1")
                .run(),
        )
        .assert_code(0)
    };
    // 2026-10-01 is in week 39 of the Sundays of 2026.
    for week in 0..4 {
        run(week * 7, &[]);
    }
    let mut names: Vec<String> = fs::read_dir(server.set("weekly"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["2026-week-40", "2026-week-41", "2026-week-42"]);
    assert_eq!(server.daily().len(), 2, "daily sets are not its business");
}

#[test]
fn strange_things_in_the_root_are_left_alone() {
    let server = with_days(3);
    for name in [
        "daily/notes",
        "daily/2026-13-01",
        "daily/2026-10-01.bak",
        "lost+found",
        "daily/.hidden",
    ] {
        put(
            &server.root().join(name).join("file"),
            b"of the administrator\n",
        );
    }
    std::os::unix::fs::symlink("2026-10-01", server.set("daily/2026-09-01")).unwrap();
    prune(&server, "1", &[]).assert_code(0);
    let expected = [
        ".hidden",
        "2026-09-01",
        "2026-10-01.bak",
        "2026-10-02",
        "2026-10-03",
        "2026-13-01",
        "notes",
    ];
    assert_eq!(server.daily(), expected);
    assert!(server.root().join("lost+found/file").exists());
}
