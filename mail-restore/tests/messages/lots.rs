//! More messages than are held at once. A debug build holds a hundred, so that what takes half a
//! million of them elsewhere is seen here: a run goes through several lots, and nobody notices.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::{DELIVERED, Site};

/// Several lots, and a part of one.
const MESSAGES: u32 = 430;

/// Every third message is Bob's. Delivered later, it comes later in the alphabet of its mailbox
/// only by chance.
fn path(number: u32, flags: &str) -> String {
    let user = if number.is_multiple_of(3) {
        "bob"
    } else {
        "alice"
    };
    let folder = if number.is_multiple_of(5) {
        "cur"
    } else {
        ".Work/cur"
    };
    let name = number * 7919 % MESSAGES;
    format!("example.com/{user}/{folder}/{name:04}.m{number}:2,{flags}")
}

fn text(number: u32) -> String {
    format!("From: a@mx\nSubject: number {number}\nMessage-ID: <{number}@mx>\n\nThe {number}.\n")
}

/// A server on two days. On the second, every fourth message was flagged, every tenth was deleted,
/// and the first has a copy in another folder.
fn sample() -> Site {
    let site = Site::empty();
    for number in 0..MESSAGES {
        let seconds = DELIVERED + i64::from(number) * 60;
        site.put_at(&path(number, ""), seconds, text(number));
    }
    site.save_day(21);
    for number in 0..MESSAGES {
        if is_deleted(number) {
            fs::remove_file(site.live(&path(number, ""))).unwrap();
        } else if is_flagged(number) {
            let (old, new) = (site.live(&path(number, "")), site.live(&path(number, "S")));
            fs::rename(old, new).unwrap();
        }
    }
    site.put_at(COPY, DELIVERED + 60, text(1));
    site.save_day(22);
    site
}

const COPY: &str = "example.com/alice/.Copies/cur/1.copy:2,";

fn is_deleted(number: u32) -> bool {
    number % 10 == 9
}

fn is_flagged(number: u32) -> bool {
    number % 4 == 2 && !is_deleted(number)
}

/// Where the newest set has a message.
fn last_path(number: u32) -> String {
    path(number, if is_flagged(number) { "S" } else { "" })
}

/// The paths of these messages as a list has them: the newest first.
fn newest_first(numbers: impl Fn(u32) -> bool) -> Vec<String> {
    let wanted = (0..MESSAGES).rev().filter(|number| numbers(*number));
    wanted.map(last_path).collect()
}

#[test]
fn a_list_of_several_lots_has_each_message_once_and_in_order() {
    let site = sample();
    let mut all = newest_first(|_| true);
    // A content is one message: under the name that the newest set meets first.
    let listed = site.listed(&["--from", "all"]);
    let first = all.len() - 2;
    if listed[first] == COPY {
        COPY.clone_into(&mut all[first]);
    }
    assert_eq!(listed, all);
    let limited = site.listed(&["--from", "all", "--limit", "250"]);
    assert_eq!(limited, all[..250]);
    let of_text = site.listed(&["--from", "all", "--text", "the", "--limit", "150"]);
    assert_eq!(of_text, all[..150]);
    let lost = newest_first(is_deleted);
    assert_eq!(site.listed(&["--from", "all", "--missing"]), lost);
    let other = ["--from", "daily/2026-11-21", "--not-in", "daily/2026-11-22"];
    assert_eq!(site.listed(&other), lost);
    for message in site.list(&["--from", "all"]) {
        let is_lost = lost.iter().any(|path| *path == message["path"]);
        let last = if is_lost {
            "daily/2026-11-21"
        } else {
            "daily/2026-11-22"
        };
        assert_eq!(message["last_set"], last, "{message}");
        assert_eq!(message["first_set"], "daily/2026-11-21", "{message}");
        assert_eq!(message["live"], !is_lost, "{message}");
    }
}

/// Every file of messages below a directory, and what it holds.
fn messages_below(root: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.parent().unwrap().ends_with("cur") {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts.sort();
    texts
}

#[test]
fn a_mailbox_of_several_lots_comes_back_with_its_copies() {
    let site = sample();
    let alice = site.live("example.com/alice");
    let before = messages_below(&alice);
    assert!(before.len() > 250, "several lots");
    let half = newest_first(|number| number % 2 == 0);
    for path in half.iter().filter(|path| path.contains("/alice/")) {
        fs::remove_file(site.live(path)).ok();
    }
    fs::remove_file(site.live(COPY)).unwrap();
    fs::remove_file(site.live(&last_path(1))).unwrap();
    let left = messages_below(&alice).len();
    let flags = [
        "--from",
        "daily/2026-11-22",
        "--mailbox",
        "alice@example.com",
    ];
    let dry = site.restore(&[&flags[..], &["-n"]].concat()).assert_code(0);
    let shown = dry.data("restored");
    assert_eq!(shown.len(), before.len());
    let paths: Vec<&str> = shown
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert!(paths.is_sorted(), "in the order of their paths");
    let done = site.restore(&flags).assert_code(0);
    let totals = &done.data("end")[0]["totals"];
    assert_eq!(totals["messages"], before.len() - left);
    assert_eq!(totals["present"], left);
    assert_eq!(
        messages_below(&alice),
        before,
        "each copy too, and nothing twice"
    );
    let summary = "messages added below";
    assert_eq!(done.stderr.matches(summary).count(), 1, "{}", done.stderr);
    let again = site.restore(&flags).assert_code(0);
    assert_eq!(again.data("end")[0]["totals"]["present"], before.len());
}

#[test]
fn what_is_found_in_several_lots_is_restored_once() {
    let site = sample();
    let to = site.server.dir().join("found");
    let flags = [
        "--from",
        "all",
        "--subject",
        "number",
        "--to",
        to.to_str().unwrap(),
    ];
    let done = site.restore(&flags).assert_code(0);
    assert_eq!(done.data("end")[0]["totals"]["messages"], MESSAGES);
    assert_eq!(
        done.stderr.matches("messages added below").count(),
        1,
        "{}",
        done.stderr
    );
    let mut expected: Vec<String> = (0..MESSAGES).map(text).collect();
    expected.sort();
    assert_eq!(messages_below(&to), expected);
    fs::remove_dir_all(site.live("example.com")).unwrap();
    let done = site.restore(&["--from", "all", "--missing"]).assert_code(0);
    assert_eq!(done.data("end")[0]["totals"]["messages"], MESSAGES);
    assert_eq!(messages_below(&site.mail()), expected);
}

/// Damage is met in each pass, and named once.
#[test]
fn damage_is_named_once_however_many_lots_there_are() {
    let site = sample();
    let index = "mailboxes/example.com/bob/state.jsonl.zst";
    let file = site.server.daily("2026-11-22").join(index);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&file, bytes).unwrap();
    let outcome = site.restore(&["--list", "--from", "all"]).assert_code(1);
    assert_eq!(outcome.data("error").len(), 1, "{}", outcome.stderr);
    let listed = outcome.data("message");
    let paths: BTreeSet<&str> = listed
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths.len(), MESSAGES as usize, "the older set has Bob's");
}
