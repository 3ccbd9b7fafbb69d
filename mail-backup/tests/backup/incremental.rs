//! Day after day: what changed is read, what did not is linked, and each set is the source as it
//! was that day. An earlier set that is damaged costs time, never mail.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::support::{
    self, Server, SetDir, assert_sums, forge_manifest, inode, list_files, members,
};
use mail_tests::maildir::{self, DayPlan, Dice, Spread, TreePlan};
use mail_tests::run::Outcome;
use mail_tests::tree::snapshot;

/// A set holds the source as it is, each file once.
#[track_caller]
pub(crate) fn assert_holds_source(server: &Server, set: &Path) {
    assert_holds_source_with(server, set, &[]);
}

/// The same by tar with further options.
#[track_caller]
fn assert_holds_source_with(server: &Server, set: &Path, options: &[&str]) {
    assert_sums(set);
    let source: Vec<String> = list_source(&server.mail());
    assert_eq!(
        members(set),
        source,
        "files in the archives, each as often as it is there"
    );
    let restored = tempfile::tempdir().unwrap();
    support::unpack_mail_with(set, restored.path(), options);
    snapshot(&server.mail()).assert_same(&snapshot(restored.path()));
}

/// Files and symlinks of the mail tree by `find`, sorted.
pub(crate) fn list_source(mail: &Path) -> Vec<String> {
    let mut find = std::process::Command::new("find");
    let listing = support::capture(find.arg(mail).args(["!", "-type", "d", "-printf", "%P\\n"]));
    let mut names: Vec<String> = String::from_utf8_lossy(&listing)
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
pub(crate) fn pass_day(server: &Server, day: u32, mean_bytes: u32, percent: f64) {
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
        // On the fifth day a folder is moved to where its files are no messages any more, on the
        // seventh a mailbox is removed: these are told.
        let warnings = outcome.stderr.matches("warning:").count();
        assert!(warnings == 0 || [5, 7].contains(&day), "{}", outcome.stderr);
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

/// Deletes a message, and gives its name.
fn delete_one(server: &Server) -> String {
    let victim = list_source(&server.mail())
        .into_iter()
        .find(|name| name.contains("/cur/"))
        .unwrap();
    fs::remove_file(server.mail().join(&victim)).unwrap();
    victim
}

/// The names in all archives of alice.
fn stored_names(set: &Path) -> String {
    let script = "for a in 000[1-9].tar.zst; do tar --zstd -tf \"$a\"; done";
    let mut shell = std::process::Command::new("sh");
    let names = support::capture(shell.args(["-ec", script]).current_dir(set.join(MAILBOX)));
    String::from_utf8(names).unwrap()
}

#[test]
fn a_message_that_is_gone_is_not_in_the_tree() {
    let server = Server::with_mail(100, 1);
    support::settle();
    server.save_mail(&date(0), &[]);
    let victim = delete_one(&server);
    let (set, _) = server.save_mail(&date(1), &[]);
    assert!(!members(&set).contains(&victim));
    assert_holds_source(&server, &set);
    // Its segment is linked, and has it.
    assert!(stored_names(&set).contains(&victim));
}

#[test]
fn a_message_that_is_gone_is_in_no_archive_where_that_is_asked_for() {
    let server = Server::with_mail(100, 1);
    support::settle();
    server.save_mail(&date(0), &[]);
    let victim = delete_one(&server);
    let (kept, _) = save_and_purge(&server, 1, "1");
    assert!(stored_names(&kept).contains(&victim));
    let (set, _) = save_and_purge(&server, 2, "0");
    assert!(!stored_names(&set).contains(&victim));
    assert_holds_source(&server, &set);
}

/// Makes the deaths in a set older by so many days.
fn age_deaths(set: &Path, days: i64) {
    support::forge_lines(set, &state(set), |value| {
        if let Some(since) = value["gone_seconds"].as_i64() {
            value["gone_seconds"] = (since - days * 86_400).into();
        }
    });
}

#[test]
fn what_has_been_gone_for_long_is_in_no_archive() {
    let server = Server::with_mail(100, 1);
    support::settle();
    server.save_mail(&date(0), &[]);
    let victim = delete_one(&server);
    let (set, _) = server.save_mail(&date(1), &[]);
    age_deaths(&set, 89);
    let (set, _) = server.save_mail(&date(2), &[]);
    assert!(stored_names(&set).contains(&victim));
    age_deaths(&set, 2);
    let (set, _) = server.save_mail(&date(3), &[]);
    assert!(!stored_names(&set).contains(&victim));
    assert_holds_source(&server, &set);
    // What was moved to another segment is what it was.
    let (set, outcome) = server.save_mail(&date(4), &[]);
    assert_eq!(outcome.data("end")[0]["totals"]["read_bytes"], 0);
    assert_holds_source(&server, &set);
}

#[test]
fn a_message_that_was_flagged_or_moved_is_not_stored_again() {
    let server = Server::with_mail(100, 1);
    support::settle();
    let (first, _) = server.save_mail(&date(0), &[]);
    let mail = server.mail();
    for (number, name) in list_source(&mail).into_iter().enumerate() {
        if let Some((folder, _)) = name.split_once("/cur/") {
            let to = mail.join(folder).join(format!("cur/{number}.flagged:2,FS"));
            fs::rename(mail.join(name), to).unwrap();
        }
    }
    support::settle();
    let (second, _) = server.save_mail(&date(1), &[]);
    let segment = largest_segment(&first);
    let same = second.join(segment.strip_prefix(&first).unwrap());
    assert_eq!(inode(&segment), inode(&same));
    assert!(!second.join(MAILBOX).join("0002.tar.zst").exists());
    assert_holds_source(&server, &second);
    let (third, outcome) = server.save_mail(&date(2), &[]);
    assert_eq!(outcome.data("end")[0]["totals"]["read_bytes"], 0);
    assert_holds_source(&server, &third);
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
#[track_caller]
fn check_damage(damage: impl FnOnce(&SetDir), fact: &str) -> (Server, SetDir, Outcome) {
    check_damage_with(damage, fact, "90")
}

/// The same where what is gone may stay in the archives for so long.
#[track_caller]
fn check_damage_with(
    damage: impl FnOnce(&SetDir),
    fact: &str,
    purge_days: &str,
) -> (Server, SetDir, Outcome) {
    let server = Server::with_mail(200, 1);
    support::settle();
    let (first, _) = server.save_mail(&date(0), &[]);
    damage(&first);
    pass_day(&server, 1, 2_000, 4.0);
    let (second, outcome) = save_and_purge(&server, 1, purge_days);
    let warned = outcome
        .stderr
        .lines()
        .any(|line| line.contains("warning:") && line.contains(fact));
    assert!(warned, "no warning with {fact:?} in:\n{}", outcome.stderr);
    assert_holds_source(&server, &second);
    (server, second, outcome)
}

/// Makes the set of a day. What is gone may stay in the archives for so long.
#[track_caller]
fn save_and_purge(server: &Server, day: u32, purge_days: &str) -> (SetDir, Outcome) {
    let date = date(day);
    let tool = server.tool(&["--component", "mailboxes", "--date", &date]);
    let outcome = support::checked(tool.env("BACKUP_PURGE_DAYS", purge_days).run());
    (server.set(&format!("daily/{date}")), outcome.assert_code(0))
}

pub(crate) const MAILBOX: &str = "mailboxes/example.com/alice";

/// A message of alice.
const NEW: &str = "example.com/alice/new/1767225700.M1P2.mx";

pub(crate) fn state(set: &Path) -> PathBuf {
    set.join(MAILBOX).join("state.jsonl.zst")
}

/// The index of the largest segment.
pub(crate) fn index(set: &Path) -> PathBuf {
    let segment = largest_segment(set).to_str().unwrap().to_owned();
    PathBuf::from(segment.replace(".tar.zst", ".jsonl.zst"))
}

pub(crate) fn flip_byte(path: &Path, at: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

pub(crate) fn middle(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len() / 2
}

/// The largest segment of messages of alice.
pub(crate) fn largest_segment(set: &Path) -> PathBuf {
    let files = list_files(&set.join(MAILBOX))
        .into_iter()
        .map(|path| set.join(MAILBOX).join(path));
    let is_archive = |path: &PathBuf| path.to_str().unwrap().ends_with(".tar.zst");
    let messages = files.filter(is_archive);
    let messages = messages.filter(|path| !path.ends_with("0000.tar.zst"));
    messages
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

#[test]
fn a_missing_state() {
    check_damage(
        |set| fs::remove_file(state(set)).unwrap(),
        "state.jsonl.zst",
    );
}

fn cut(path: &Path) {
    let bytes = middle(path);
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(bytes).unwrap();
}

#[test]
fn a_truncated_state() {
    check_damage(|set| cut(&state(set)), "state.jsonl.zst");
}

#[test]
fn a_state_with_one_wrong_bit() {
    check_damage(
        |set| flip_byte(&state(set), middle(&state(set))),
        "state.jsonl.zst",
    );
}

#[test]
fn an_empty_state() {
    check_damage(|set| fs::write(state(set), "").unwrap(), "state.jsonl.zst");
}

/// The messages of its segment are read again, the others are not.
#[test]
fn an_index_that_is_damaged_or_missing() {
    for damage in [
        (|index| flip_byte(index, middle(index))) as fn(&Path),
        |index| cut(index),
        |index| fs::remove_file(index).unwrap(),
    ] {
        let server = Server::with_mail(100, 1);
        support::settle();
        server.save_mail(&date(0), &[]);
        server.message(NEW, b"Subject: in a segment of its own\n\n");
        support::settle();
        let (second, _) = server.save_mail(&date(1), &[]);
        damage(&index(&second));
        let (third, outcome) = server.save_mail(&date(2), &[]);
        let warned = outcome.stderr.contains(".jsonl.zst of the last backup");
        assert!(warned, "{}", outcome.stderr);
        assert_eq!(outcome.data("end")[0]["totals"]["messages_unchanged"], 1);
        assert_holds_source(&server, &third);
    }
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
    let (_server, set, _) = check_damage_with(
        |set| flip_byte(&largest_segment(set), 100),
        "mail-backup --full",
        "0",
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
    check_damage(|set| cut(&largest_segment(set)), "mail-backup --full");
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

const WITH_ATTRIBUTES: [&str; 2] = ["--xattrs", "--xattrs-include=*"];

/// Gives a file an extended attribute, or takes it away; false where there are none.
fn attribute(file: &Path, args: &[&str]) -> bool {
    let mut set = std::process::Command::new("setfattr");
    set.args(args).arg(file).status().unwrap().success()
}

/// Indexes that were written from one of format 1 tell nothing of extended attributes.
#[test]
fn extended_attributes_are_compared_where_no_index_tells_of_them() {
    let server = Server::empty();
    let name = |number: u32| format!("example.com/alice/cur/{number}");
    for number in 0..20 {
        server.message(name(number), b"Subject: with attributes\n\n");
    }
    let attribute = |args: &[&str], number| attribute(&server.mail().join(name(number)), args);
    let give = ["-n", "user.probe", "-v", "x"];
    if !attribute(&give, 0) {
        return eprintln!("skipped: no extended attributes in the temporary directory");
    }
    assert!(attribute(&give, 1));
    support::settle();
    let (first, _) = server.save_mail(&date(0), &[]);
    support::forge_lines(&first, &index(&first), |line| {
        let fields = line.as_object_mut().unwrap();
        fields.remove("envelope");
        fields.remove("xattrs_sha256");
    });
    assert!(attribute(&["-x", "user.probe"], 0));
    assert!(attribute(&["-n", "user.probe", "-v", "x"], 1));
    assert!(attribute(&give, 2));
    fs::set_permissions(
        server.mail().join(name(3)),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    support::settle();
    let (second, outcome) = server.save_mail(&date(1), &[]);
    // Of the first and the third something changed, of the two others the change time.
    assert_eq!(outcome.data("end")[0]["totals"]["messages_unchanged"], 18);
    let restored = tempfile::tempdir().unwrap();
    support::unpack_mail_with(&second, restored.path(), &WITH_ATTRIBUTES);
    snapshot(&server.mail()).assert_same(&snapshot(restored.path()));
}

/// The fixture is a set of format 1 of the mailboxes that it restores.
#[test]
fn the_first_run_over_a_set_of_the_older_format_stores_no_message_again() {
    let fixture = mail_tests::run::repository().join("tests/fixtures/format-1/daily");
    let server = Server::empty();
    let mut copy = std::process::Command::new("cp");
    support::succeed(copy.arg("-r").arg(fixture).arg(server.root()));
    let first = server.set("daily/2026-11-23");
    // One message has an extended attribute.
    if !attribute(&server.mail(), &["-n", "user.probe", "-v", "x"]) {
        return eprintln!("skipped: no extended attributes in the temporary directory");
    }
    assert!(attribute(&server.mail(), &["-x", "user.probe"]));
    support::unpack_mail_with(&first, &server.mail(), &WITH_ATTRIBUTES);
    support::settle();
    let (second, outcome) = server.save_mail("2026-11-24", &[]);
    assert!(!outcome.stderr.contains("warning:"), "{}", outcome.stderr);
    for path in ["alice/0001.tar.zst", "bob/0001.tar.zst"] {
        let of = |set: &Path| inode(&set.join("mailboxes/example.com").join(path));
        assert_eq!(of(&first), of(&second), "{path}");
    }
    let written = list_files(&second.join("mailboxes"));
    assert!(!written.iter().any(|path| path.ends_with("index.jsonl.zst")));
    assert!(
        !written.iter().any(|path| path.ends_with("0002.tar.zst")),
        "{written:?}"
    );
    assert_holds_source_with(&server, &second, &WITH_ATTRIBUTES);
    let (third, outcome) = server.save_mail("2026-11-25", &[]);
    assert_eq!(outcome.data("end")[0]["totals"]["read_bytes"], 0);
    assert_holds_source_with(&server, &third, &WITH_ATTRIBUTES);
}
