//! Sets of every week: all mail and all that is linked is read, and what is damaged is named.
//! Beside the daily sets they are a second copy.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::incremental::{
    MAILBOX, assert_holds_source, flip_byte, index, largest_segment, list_source, middle, pass_day,
    state,
};
use crate::support::{
    self, Kinds, Server, SetDir, assert_sums, inode, list_files, names, unpack_mail,
};
use mail_tests::run::{Outcome, Tool};

/// The Sunday of a week; the first is the fourth of October.
fn sunday(week: u32) -> String {
    let mut date = Command::new("date");
    let day = format!("2026-10-04 {} days", week * 7);
    let text = support::capture(date.args(["-d", &day, "+%F"]));
    String::from_utf8(text).unwrap().trim().to_owned()
}

/// The set of a week, by its name.
fn weekly(server: &Server, week: u32) -> SetDir {
    server.set(&format!("weekly/2026-week-{}", week + 40))
}

fn tool(server: &Server, week: u32, more: &[&str]) -> Tool {
    let date = sunday(week);
    let args = ["--weekly", "--component", "mailboxes", "--date", &date];
    server.tool(&[&args[..], more].concat())
}

/// Makes the set of a week.
#[track_caller]
fn save(server: &Server, week: u32) -> (SetDir, Outcome) {
    let outcome = support::checked(tool(server, week, &[]).run()).assert_code(0);
    assert_eq!(outcome.stderr.matches("warning:").count(), 0);
    (weekly(server, week), outcome)
}

#[track_caller]
fn save_shared(server: &Server, args: &[&str]) {
    let tool = server.tool(&[&["--component", "mailboxes"], args].concat());
    support::checked(tool.env("WEEKLY_SETS", "shared").run()).assert_code(0);
}

/// The inodes of the mail in a set.
fn inodes(set: &Path) -> BTreeSet<u64> {
    let files = list_files(set).into_iter();
    let mail = files.filter(|path| path.starts_with("mailboxes"));
    mail.map(|path| inode(&set.join(path))).collect()
}

fn total(outcome: &Outcome, name: &str) -> u64 {
    outcome.data("end")[0]["totals"][name].as_u64().unwrap_or(0)
}

#[test]
fn weeks_are_a_chain_of_their_own_and_each_set_is_the_source_of_its_day() {
    let server = Server::with_mail(200, 2);
    support::settle();
    server.save_mail(&sunday(0), &[]);
    let mut last = save(&server, 0).0;
    for week in 1..=4 {
        for day in 0..2 {
            pass_day(&server, 2 * week + day, 2_000, 2.0);
        }
        support::settle();
        server.save_mail(&sunday(week), &[]);
        let (set, outcome) = save(&server, week);
        assert_holds_source(&server, &set);
        let shared = inodes(&set).intersection(&inodes(&last)).count();
        assert!(shared >= 2, "{shared} files of week {week} are linked");
        assert!(
            total(&outcome, "bytes")
                > 2 * (total(&outcome, "bytes") - total(&outcome, "reused_bytes"))
        );
        last = set;
    }
    let all = |kind: &str| -> BTreeSet<u64> {
        let root = server.root().join(kind);
        let sets = names(&root).into_iter().map(|name| root.join(name));
        sets.flat_map(|set| inodes(&set)).collect()
    };
    assert!(all("daily").is_disjoint(&all("weekly")));
    for week in 0..=4 {
        assert_sums(&weekly(&server, week));
    }
}

#[test]
fn a_week_without_changes_is_read_whole_and_linked_whole() {
    let server = Server::with_mail(100, 2);
    support::settle();
    let (first, _) = save(&server, 0);
    let (second, outcome) = save(&server, 1);
    assert_eq!(inodes(&first), inodes(&second));
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(&second, restored.path());
    let files = list_files(restored.path()).into_iter();
    let sizes = files.map(|path| fs::metadata(restored.path().join(path)).unwrap().len());
    assert_eq!(total(&outcome, "read_bytes"), sizes.sum::<u64>());
    assert_eq!(total(&outcome, "messages_unchanged"), 100);
    assert_eq!(total(&outcome, "damaged_files"), 0);
}

#[test]
fn shared_weekly_sets_are_one_copy_with_the_others() {
    let server = Server::with_mail(100, 1);
    support::settle();
    save_shared(&server, &["--date", &sunday(0)]);
    save_shared(&server, &["--weekly", "--date", &sunday(0)]);
    save_shared(&server, &["--date", &sunday(1)]);
    let daily = inodes(&server.set(&format!("daily/{}", sunday(0))));
    assert_eq!(daily, inodes(&weekly(&server, 0)));
    assert_eq!(daily, inodes(&server.set(&format!("daily/{}", sunday(1)))));
    // From here on they are to be two copies.
    let (apart, outcome) = save(&server, 1);
    assert!(daily.is_disjoint(&inodes(&apart)));
    assert_eq!(total(&outcome, "reused_bytes"), 0);
    let digests = |set: &Path| {
        let sums = fs::read_to_string(set.join("checksums.sha256")).unwrap();
        let mail = sums.lines().filter(|line| line.contains("  mailboxes/"));
        mail.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(digests(&apart), digests(&weekly(&server, 0)));
    let (next, _) = save(&server, 2);
    assert_eq!(inodes(&apart), inodes(&next));
    assert_holds_source(&server, &next);
}

#[test]
fn equal_archives_of_configuration_are_linked_within_the_weeks() {
    let server = Server::with_one_message();
    let run = |kind: &str, week: u32| {
        let date = sunday(week);
        server.run(&[kind, "--component", "config", "--date", &date])
    };
    run("--daily", 0).assert_code(0);
    run("--weekly", 0).assert_code(0);
    run("--weekly", 1).assert_code(0);
    let archive = |set: SetDir| set.join("config/config.tar.zst");
    let (first, second) = (archive(weekly(&server, 0)), archive(weekly(&server, 1)));
    assert_eq!(inode(&first), inode(&second));
    let daily = archive(server.set(&format!("daily/{}", sunday(0))));
    assert_ne!(inode(&daily), inode(&first));
    flip_byte(&second, 30);
    run("--weekly", 2)
        .assert_code(1)
        .assert_kinds(&["damaged"])
        .assert_stderr(second.to_str().unwrap());
    assert_sums(&weekly(&server, 2));
    run("--weekly", 3).assert_code(0);
}

/// Damages a file of the last weekly set: the run names it, and its set is whole.
#[track_caller]
fn check_damage(file: impl Fn(&Path) -> PathBuf, damage: impl Fn(&Path)) {
    let server = Server::with_mail(60, 1);
    support::settle();
    let (first, _) = save(&server, 0);
    let file = file(&first);
    damage(&file);
    let outcome = support::checked(tool(&server, 1, &[]).run())
        .assert_code(1)
        .assert_kinds(&["damaged"]);
    let error = &outcome.data("error")[0];
    assert_eq!(error["component"], "mailboxes");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(file.to_str().unwrap()), "{message}");
    assert!(outcome.stderr.contains("warning:"), "{}", outcome.stderr);
    assert_eq!(outcome.data("end")[0]["status"], "bad");
    assert_eq!(total(&outcome, "damaged_files"), 1);
    assert_eq!(total(&outcome, "errors"), 1);
    let set = weekly(&server, 1);
    assert_holds_source(&server, &set);
    assert_eq!(server.latest().unwrap(), "weekly/2026-week-41");
    let log = fs::read_to_string(set.join("backup.log")).unwrap();
    assert!(log.contains(file.to_str().unwrap()), "{log}");
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    assert!(!manifest.contains(r#""type":"error""#), "{manifest}");
    assert_holds_source(&server, &save(&server, 2).0);
}

#[test]
fn a_damaged_file_of_the_last_week_is_named_and_saved_again() {
    let flip = |file: &Path| flip_byte(file, middle(file));
    check_damage(largest_segment, flip);
    check_damage(index, flip);
    check_damage(state, flip);
    check_damage(|set| set.join(MAILBOX).join("0000.tar.zst"), flip);
    check_damage(largest_segment, |file| fs::remove_file(file).unwrap());
}

/// A daily run does not read what it links; the weekly copy is not its own.
#[test]
fn damage_in_one_chain_does_not_reach_the_other() {
    let server = Server::with_mail(60, 1);
    support::settle();
    server.save_mail(&sunday(0), &[]);
    let (first, _) = save(&server, 0);
    flip_byte(&largest_segment(&first), 100);
    let (daily, _) = server.save_mail(&sunday(1), &[]);
    assert_holds_source(&server, &daily);
}

/// Changes bytes of a file as a rotten disk does: no time of it changes. Here the set is made to
/// believe so.
fn rot(server: &Server, set: &Path, listing: &Path, name: &str) {
    let path = server.mail().join(name);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"\x07", 3).unwrap();
    file.set_modified(modified).unwrap();
    support::settle();
    let found = fs::metadata(&path).unwrap();
    let ctime_ns = found.ctime() * 1_000_000_000 + found.ctime_nsec();
    support::forge_lines(set, listing, |line| {
        if line["path"] == name {
            line["ctime_ns"] = ctime_ns.into();
        }
    });
}

#[test]
fn a_message_whose_bytes_changed_by_themselves_is_named() {
    let server = Server::with_mail(60, 1);
    support::settle();
    let (first, _) = save(&server, 0);
    let is_message = |name: &String| name.contains("/cur/");
    let victim = list_source(&server.mail())
        .into_iter()
        .find(is_message)
        .unwrap();
    let old = fs::read(server.mail().join(&victim)).unwrap();
    let segment = first.join(MAILBOX).join("0001.jsonl.zst");
    rot(&server, &first, &segment, &victim);
    // A daily run believes the times, and another chain has another opinion.
    let outcome = support::checked(tool(&server, 1, &[]).run())
        .assert_code(1)
        .assert_kinds(&["damaged"]);
    let error = &outcome.data("error")[0];
    assert_eq!(error["path"], victim.as_str());
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("weekly/2026-week-40"), "{message}");
    let set = weekly(&server, 1);
    assert_holds_source(&server, &set);
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(&first, restored.path());
    assert_eq!(fs::read(restored.path().join(&victim)).unwrap(), old);
    // It is told once: now a set has it as it is.
    assert_holds_source(&server, &save(&server, 2).0);
}

#[test]
fn a_control_file_whose_bytes_changed_by_themselves_is_named() {
    check_rotten_control_file(SystemTime::now(), "state.jsonl.zst");
    // One that a segment has.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    check_rotten_control_file(old, "0001.jsonl.zst");
}

#[track_caller]
fn check_rotten_control_file(modified: SystemTime, listing: &str) {
    let server = Server::with_mail(60, 1);
    let name = "example.com/alice/subscriptions";
    let path = server.mail().join(name);
    support::put(&path, b"V\t2\n\nSent\n");
    let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    support::settle();
    let (first, _) = save(&server, 0);
    rot(&server, &first, &first.join(MAILBOX).join(listing), name);
    let outcome = support::checked(tool(&server, 1, &[]).run()).assert_code(1);
    assert_eq!(outcome.data("error")[0]["path"], name);
    assert_holds_source(&server, &weekly(&server, 1));
    save(&server, 2);
}

#[test]
fn what_was_written_with_its_old_times_is_no_damage() {
    let server = Server::with_mail(60, 1);
    support::settle();
    save(&server, 0);
    let victim = list_source(&server.mail()).remove(10);
    let path = server.mail().join(victim);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"\x07", 3).unwrap();
    file.set_modified(modified).unwrap();
    support::settle();
    let (set, _) = save(&server, 1);
    assert_holds_source(&server, &set);
}

/// The fixture is a set of format 1.
#[test]
fn the_first_week_over_a_set_of_the_older_format_checks_and_links_it() {
    let fixture = mail_tests::run::repository().join("tests/fixtures/format-1/daily/2026-11-23");
    let server = Server::empty();
    fs::create_dir(server.root().join("weekly")).unwrap();
    let first = weekly(&server, 0);
    support::succeed(Command::new("cp").arg("-r").arg(fixture).arg(&first));
    unpack_mail(&first, &server.mail());
    let (second, outcome) = save(&server, 1);
    assert!(total(&outcome, "read_bytes") > 0);
    for path in ["alice/0001.tar.zst", "bob/0001.tar.zst"] {
        let of = |set: &Path| inode(&set.join("mailboxes/example.com").join(path));
        assert_eq!(of(&first), of(&second), "{path}");
    }
    assert_holds_source(&server, &second);
    assert_holds_source(&server, &save(&server, 2).0);
}

#[test]
fn a_week_that_was_interrupted_is_made_by_the_next_run() {
    let server = Server::with_mail(300, 2);
    support::settle();
    let (first, _) = save(&server, 0);
    let mut running = tool(&server, 1, &[]).spawn();
    std::thread::sleep(Duration::from_millis(60));
    running.signal(Signal::KILL);
    drop(running.wait());
    assert_sums(&first);
    let outcome = support::checked(tool(&server, 1, &[]).run()).assert_code(0);
    assert_eq!(names(&server.root().join("weekly")).len(), 2);
    assert_eq!(outcome.data("end")[0]["totals"]["messages_unchanged"], 300);
    assert_eq!(inodes(&first), inodes(&weekly(&server, 1)));
    assert_holds_source(&server, &weekly(&server, 1));
}

#[test]
fn a_full_week_links_nothing() {
    let server = Server::with_mail(60, 1);
    support::settle();
    let (first, _) = save(&server, 0);
    support::checked(tool(&server, 1, &["--full"]).run()).assert_code(0);
    assert!(inodes(&first).is_disjoint(&inodes(&weekly(&server, 1))));
    assert_holds_source(&server, &weekly(&server, 1));
}
