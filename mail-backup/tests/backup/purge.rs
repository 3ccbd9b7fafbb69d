//! How long what was deleted stays in the archives of each chain of sets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, Server, capture, list_files};

const VICTIM: &str = "Subject: forget me";

/// The day so many days after the fourth of January, a Sunday.
fn day(number: u32) -> String {
    let mut date = Command::new("date");
    let day = format!("2026-01-04 {number} days");
    let text = capture(date.args(["-d", &day, "+%F"]));
    String::from_utf8(text).unwrap().trim().to_owned()
}

/// Makes a set as if it were that day, and gives its directory.
fn save(server: &Server, kind: &str, number: u32, purge_days: u32) -> PathBuf {
    let date = day(number);
    let tool = server.tool(&[kind, "--component", "mailboxes", "--date", &date]);
    let tool = tool.env("BACKUP_PURGE_DAYS", purge_days.to_string());
    let outcome = support::checked(tool.run()).assert_code(0);
    let set = outcome.data("begin")[0]["set"].as_str().unwrap().to_owned();
    server.set(&set)
}

/// How many archives of a set hold a byte of a victim, by the stock programs.
fn archives_with_victims(set: &Path) -> usize {
    let files = list_files(&set.join("mailboxes"));
    let archives = files
        .iter()
        .filter(|path| path.to_str().unwrap().ends_with(".tar.zst"));
    let holds = |path: &&PathBuf| {
        let archive = set.join("mailboxes").join(path);
        let tar = capture(Command::new("zstd").arg("-dcq").arg(archive));
        let victim = VICTIM.as_bytes();
        tar.windows(victim.len()).any(|part| part == victim)
    };
    archives.filter(holds).count()
}

/// A message in each of some archives is deleted, all on one day: after the time of the purge and
/// 31 days more the newest set of the chain has no byte of them.
#[track_caller]
fn check(kind: &str, interval_days: u32, purge_days: u32) {
    const ARCHIVES: usize = 6;
    let server = Server::empty();
    server.maildir("example.com/alice");
    let mut today = 0;
    for number in 0..ARCHIVES {
        let name = format!("example.com/alice/cur/{number}");
        let living = format!("Subject: stay\n\n{}", "to be kept\n".repeat(1000));
        server.message(format!("{name}.keep"), living.as_bytes());
        server.message(format!("{name}.gone"), format!("{VICTIM}\n\n").as_bytes());
        support::settle();
        today += interval_days;
        save(&server, kind, today, purge_days);
    }
    for number in 0..ARCHIVES {
        let name = format!("example.com/alice/cur/{number}.gone");
        fs::remove_file(server.mail().join(name)).unwrap();
    }
    let last = today + purge_days + 31;
    let (mut newest, mut is_seen) = (PathBuf::new(), false);
    while today + interval_days <= last {
        today += interval_days;
        newest = save(&server, kind, today, purge_days);
        if !is_seen {
            assert_eq!(archives_with_victims(&newest), ARCHIVES, "they are linked");
            is_seen = true;
        }
    }
    assert_eq!(archives_with_victims(&newest), 0, "{}", newest.display());
}

#[test]
fn what_was_deleted_is_in_no_daily_set_after_the_purge_and_31_days() {
    check("--daily", 1, 1);
}

#[test]
fn what_was_deleted_is_in_no_weekly_set_after_the_purge_and_31_days() {
    check("--weekly", 7, 2);
}
