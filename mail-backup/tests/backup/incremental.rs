//! Day after day: what changed is read, what did not is linked, and each set is the source as it
//! was that day. An earlier set that is damaged costs time, never mail.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use crate::support::{
    self, Server, SetDir, assert_sums, forge_manifest, inode, list_files, members, unpack_mail,
};
use mail_tests::maildir::{self, DayPlan, Dice, Spread, TreePlan};
use mail_tests::run::Outcome;
use mail_tests::tree::snapshot;

/// A set holds the source as it is, each file once.
#[track_caller]
fn assert_holds_source(server: &Server, set: &Path) {
    assert_sums(set);
    let source: Vec<String> = list_source(&server.mail());
    assert_eq!(
        members(set),
        source,
        "files in the archives, each as often as it is there"
    );
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(set, restored.path());
    snapshot(&server.mail()).assert_same(&snapshot(restored.path()));
}

/// Files and symlinks of the mail tree by `find`, sorted.
fn list_source(mail: &Path) -> Vec<String> {
    let mut find = std::process::Command::new("find");
    let listing = support::capture(find.arg(mail).args(["!", "-type", "d", "-printf", "%P\\n"]));
    let mut names: Vec<String> = String::from_utf8(listing)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

fn date(day: u32) -> String {
    format!("2026-11-{:02}", day + 1)
}

/// A day of deliveries, flags, deletions and moves.
fn pass_day(server: &Server, day: u32, mean_bytes: u32, percent: f64) {
    let plan = DayPlan {
        mean_bytes,
        new_percent: percent,
        flag_percent: percent,
        delete_percent: percent / 2.0,
        move_percent: percent / 2.0,
        spread: if day.is_multiple_of(2) {
            Spread::Uniform
        } else {
            Spread::Recent
        },
        ..DayPlan::new(day, 11)
    };
    maildir::age(&server.mail(), &plan).unwrap();
}

/// What the owner of a mailbox does beside: folders renamed, made and removed, control files
/// changed, mailboxes new and gone.
fn rearrange(server: &Server, day: u32) {
    let mut dice = Dice::new(23, u64::from(day));
    let alice = server.mail().join("example.com/alice");
    let rename = |from: &str, to: &str| fs::rename(alice.join(from), alice.join(to)).unwrap();
    match day {
        2 => rename(".Sent", ".Gesendet"),
        4 => rename(".Gesendet", ".Archive.Sent"),
        5 => rename("cur", ".Archive.Sent/.Old inbox"),
        6 => fs::DirBuilder::new()
            .mode(0o700)
            .create(alice.join("cur"))
            .unwrap(),
        7 => fs::remove_dir_all(server.mail().join("example.com/bob")).unwrap(),
        8 => {
            server.maildir("example.net/new mailbox");
            server.message(
                "example.net/new mailbox/new/1767900000.M1P1.mx",
                b"Subject: welcome\n\n",
            );
        }
        9 => rename(".Archive.Sent/.Old inbox", "moved away"),
        _ => {}
    }
    support::put(
        &alice.join("subscriptions"),
        format!("V\t2\n\nSent\nDay {}\n", dice.below(1000)).as_bytes(),
    );
}

#[test]
fn ten_days_each_set_is_the_source_of_its_day() {
    let server = Server::with_mail(300, 3);
    server.save_mail(&date(0), &[]);
    for day in 1..=10 {
        pass_day(&server, day, 2_000, 4.0);
        rearrange(&server, day);
        let (set, outcome) = server.save_mail(&date(day), &[]);
        assert_holds_source(&server, &set);
        assert!(!outcome.stderr.contains("warning:"), "{}", outcome.stderr);
    }
    for day in 0..=10 {
        assert_sums(&server.set(&format!("daily/{}", date(day))));
    }
}

#[test]
fn ten_days_of_many_frames_and_segments() {
    let server = Server::empty();
    let plan = TreePlan {
        mean_bytes: 60_000,
        ..TreePlan::new(700, 1, 5)
    };
    maildir::generate(&server.mail(), &plan).unwrap();
    let (first, _) = server.save_mail(&date(0), &[]);
    assert_holds_source(&server, &first);
    let mut linked_bytes = 0;
    for day in 1..=5 {
        pass_day(&server, day, 60_000, 2.0);
        let (set, outcome) = server.save_mail(&date(day), &[]);
        assert_holds_source(&server, &set);
        linked_bytes += outcome.data("end")[0]["totals"]["reused_bytes"]
            .as_u64()
            .unwrap();
    }
    assert!(linked_bytes > 0, "some segments are linked");
}

#[test]
fn an_unchanged_day_links_everything_and_reads_nothing() {
    let server = Server::with_mail(200, 2);
    support::settle();
    let (first, _) = server.save_mail(&date(0), &[]);
    let (second, outcome) = server.save_mail(&date(1), &[]);
    let mail = |set: &SetDir| -> BTreeSet<(PathBuf, u64)> {
        let files = list_files(set)
            .into_iter()
            .filter(|path| path.starts_with("mailboxes"));
        files
            .map(|path| (path.clone(), inode(&set.join(path))))
            .collect()
    };
    assert_eq!(mail(&first), mail(&second));
    let totals = &outcome.data("end")[0]["totals"];
    assert_eq!(
        (&totals["read_bytes"], &totals["messages_unchanged"]),
        (&0.into(), &200.into())
    );
    assert!(
        outcome
            .data("artifact")
            .iter()
            .all(|artifact| artifact["reused"] == true)
    );
    assert_holds_source(&server, &second);
}

#[test]
fn a_message_that_is_gone_is_in_no_archive() {
    let server = Server::with_mail(100, 1);
    support::settle();
    server.save_mail(&date(0), &[]);
    let victim = list_source(&server.mail())
        .into_iter()
        .find(|name| name.contains("/cur/"))
        .unwrap();
    fs::remove_file(server.mail().join(&victim)).unwrap();
    let (set, _) = server.save_mail(&date(1), &[]);
    assert!(!members(&set).contains(&victim));
    assert_holds_source(&server, &set);
}

#[test]
fn a_message_that_kept_size_and_mtime_is_read_again() {
    let server = Server::with_mail(100, 1);
    support::settle();
    server.save_mail(&date(0), &[]);
    let victim = list_source(&server.mail())
        .into_iter()
        .find(|name| name.contains("/cur/"))
        .unwrap();
    let path = server.mail().join(victim);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"X", 0).unwrap();
    file.set_modified(modified).unwrap();
    let (set, _) = server.save_mail(&date(1), &[]);
    assert_holds_source(&server, &set);
}

/// What is done to a set before the next day's run.
///
/// A warning says `fact`.
fn check_damage(damage: impl FnOnce(&SetDir), fact: &str) -> (Server, SetDir, Outcome) {
    let server = Server::with_mail(200, 1);
    support::settle();
    let (first, _) = server.save_mail(&date(0), &[]);
    damage(&first);
    pass_day(&server, 1, 2_000, 4.0);
    let (second, outcome) = server.save_mail(&date(1), &[]);
    let warned = outcome
        .stderr
        .lines()
        .any(|line| line.contains("warning:") && line.contains(fact));
    assert!(warned, "no warning with {fact:?} in:\n{}", outcome.stderr);
    assert_holds_source(&server, &second);
    (server, second, outcome)
}

const MAILBOX: &str = "mailboxes/example.com/alice";

fn index(set: &Path) -> PathBuf {
    set.join(MAILBOX).join("index.jsonl.zst")
}

fn flip_byte(path: &Path, at: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn middle(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len() / 2
}

/// The largest segment of messages of alice.
fn largest_segment(set: &Path) -> PathBuf {
    let files = list_files(&set.join(MAILBOX))
        .into_iter()
        .map(|path| set.join(MAILBOX).join(path));
    let messages = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "zst"));
    let messages = messages
        .filter(|path| !path.ends_with("0000.tar.zst") && !path.ends_with("index.jsonl.zst"));
    messages
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

#[test]
fn a_missing_index() {
    check_damage(
        |set| fs::remove_file(index(set)).unwrap(),
        "index.jsonl.zst",
    );
}

#[test]
fn a_truncated_index() {
    check_damage(
        |set| {
            fs::OpenOptions::new()
                .write(true)
                .open(index(set))
                .unwrap()
                .set_len(middle(&index(set)))
                .unwrap();
        },
        "index.jsonl.zst",
    );
}

#[test]
fn an_index_with_one_wrong_bit() {
    check_damage(
        |set| flip_byte(&index(set), middle(&index(set))),
        "index.jsonl.zst",
    );
}

#[test]
fn an_empty_index() {
    check_damage(|set| fs::write(index(set), "").unwrap(), "index.jsonl.zst");
}

#[test]
fn a_set_of_a_newer_version() {
    check_damage(
        |set| forge_manifest(set, r#"1s/"v":1,/"v":2,/"#),
        "version 2",
    );
}

#[test]
fn a_manifest_that_the_checksums_do_not_know() {
    check_damage(
        |set| flip_byte(&set.join("manifest.jsonl"), 40),
        "daily/2026-11-01",
    );
}

#[test]
fn a_manifest_without_its_end() {
    check_damage(|set| forge_manifest(set, "$d"), "daily/2026-11-01");
}

#[test]
fn a_damaged_segment_that_is_written_again() {
    let (_server, set, _) = check_damage(
        |set| flip_byte(&largest_segment(set), 100),
        "mail-backup --full",
    );
    let test = |path: &PathBuf| {
        std::process::Command::new("zstd")
            .args(["-tq"])
            .arg(path)
            .status()
            .unwrap()
            .success()
    };
    let archives = list_files(&set.join(MAILBOX))
        .into_iter()
        .map(|path| set.join(MAILBOX).join(path));
    assert!(
        archives
            .filter(|path| path.extension().is_some_and(|suffix| suffix == "zst"))
            .all(|path| test(&path))
    );
}

#[test]
fn a_missing_segment() {
    check_damage(
        |set| fs::remove_file(largest_segment(set)).unwrap(),
        "mail-backup --full",
    );
}

#[test]
fn a_truncated_segment() {
    let cut = |path: PathBuf| {
        let bytes = middle(&path);
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(bytes)
            .unwrap();
    };
    check_damage(|set| cut(largest_segment(set)), "mail-backup --full");
}

#[test]
fn missing_control_files() {
    check_damage(
        |set| fs::remove_file(set.join(MAILBOX).join("0000.tar.zst")).unwrap(),
        "0000.tar.zst",
    );
}

#[test]
fn a_missing_segment_of_an_unchanged_mailbox() {
    let server = Server::with_mail(200, 1);
    support::settle();
    let (first, _) = server.save_mail(&date(0), &[]);
    fs::remove_file(largest_segment(&first)).unwrap();
    let (second, outcome) = server.save_mail(&date(1), &[]);
    assert!(outcome.stderr.contains("warning:"), "{}", outcome.stderr);
    assert_holds_source(&server, &second);
}

#[test]
fn the_newest_set_that_holds_the_mailbox_is_used() {
    let server = Server::with_mail(100, 1);
    support::settle();
    server.save_mail(&date(0), &[]);
    server
        .run(&["--component", "config", "--date", &date(1)])
        .assert_code(0);
    let (third, outcome) = server.save_mail(&date(2), &[]);
    assert_eq!(outcome.data("end")[0]["totals"]["read_bytes"], 0);
    assert_holds_source(&server, &third);
}
