//! A message that the newest set cannot give comes from the next older one whose copy is whole.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::fs;
use std::path::Path;

use mail_tests::run::{Outcome, shell};

use crate::support::{DELIVERED, Site, forge_index};

const ALICE: &str = "example.com/alice/cur/1.a:2,S";
const BOB: &str = "example.com/bob/cur/2.b:2,S";
const SEGMENT: &str = "mailboxes/example.com/alice/0001.tar.zst";

fn text(name: &str) -> String {
    format!(
        "From: {name}@mx\nSubject: the estimate of {name}\nMessage-ID: <{name}@mx>\n\n\
         to be found in the text\n"
    )
}

/// Two mailboxes on two days, of which each set has files of its own.
fn sample() -> Site {
    let site = Site::empty();
    for (path, name) in [(ALICE, "alice"), (BOB, "bob")] {
        site.put_at(path, DELIVERED, text(name));
    }
    site.save_day(21);
    set_apart(&site.save_day(22));
    site
}

/// Gives a set files that no other set shares, as on another disk.
fn set_apart(set: &Path) {
    let script = "cp -a \"$0\" \"$0.copy\" && rm -r \"$0\" && mv \"$0.copy\" \"$0\"";
    let script = script.replace("$0", set.to_str().unwrap());
    let _ = shell(set.parent().unwrap(), &script);
}

fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    fs::write(path, content).unwrap();
}

/// The message of `name` says something else now, in a frame that is whole.
fn exchange_content(set: &Path, name: &str) {
    let segment = set.join(SEGMENT);
    let packed = fs::read(&segment).unwrap();
    let tar = zstd::decode_all(&packed[..]).unwrap();
    let at = tar.windows(5).rposition(|part| part == b"found").unwrap();
    let mut other = tar.clone();
    other[at] = b'F';
    let frame = zstd::bulk::compress(&other, 3).unwrap();
    let length = frame.len();
    fs::write(&segment, frame).unwrap();
    forge_index(set, &format!("example.com/{name}"), |line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if line["kind"] == "file" {
            line["frame_offset"] = 0.into();
            line["frame_bytes"] = length.into();
        }
        line.to_string()
    });
}

#[track_caller]
fn assert_from_older(site: &Site, outcome: Outcome, place: &str) {
    let outcome = outcome.assert_code(1).assert_stderr(place);
    let outcome = outcome.assert_stderr("daily/2026-11-22; the copy in daily/2026-11-21 is used");
    assert_eq!(outcome.data("end").last().unwrap()["status"], "incomplete");
    let restored = outcome.data("restored");
    assert!(
        restored.iter().any(|one| one["path"] == ALICE),
        "{restored:?}"
    );
    let folder = fs::read_dir(site.live("example.com/alice/cur")).unwrap();
    let contents: Vec<String> = folder
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(contents, [text("alice")]);
}

/// What is done to a set.
type Damage = fn(&Path);

#[test]
fn whatever_is_wrong_and_whatever_is_asked_the_older_copy_is_used() {
    let damages: [(&str, Damage); 3] = [
        ("flipped", |set| flip(&set.join(SEGMENT))),
        ("missing", |set| fs::remove_file(set.join(SEGMENT)).unwrap()),
        ("exchanged", |set| exchange_content(set, "alice")),
    ];
    for (damage, act) in damages {
        let site = sample();
        act(&site.server.daily("2026-11-22"));
        // A list needs nothing of it.
        let listed = site.list(&["--from", "all", "--sender", "alice@"]);
        assert_eq!(listed[0]["last_set"], "daily/2026-11-22", "{damage}");
        for question in [
            &["--message-id", "alice@mx"][..],
            &["--subject", "of alice"],
            &["--text", "found in the text", "--sender", "alice"],
            &["--mailbox", "alice@example.com"],
            &["--path", "**/1.a*", "--missing"],
        ] {
            site.remove("example.com/alice/cur");
            let flags = [&["--from", "all"], question].concat();
            assert_from_older(&site, site.restore(&flags), SEGMENT);
        }
        site.remove("example.com/alice/cur");
        let dry = ["--from", "all", "--missing", "--dry-run"];
        let shown = site.restore(&dry).assert_code(1);
        let _ = shown.assert_stderr("the copy in daily/2026-11-21 is used");
        assert!(!site.live("example.com/alice/cur").exists());
    }
}

#[test]
fn a_message_of_which_no_copy_is_whole_is_named_and_the_others_come() {
    let site = sample();
    flip(&site.server.daily("2026-11-21").join(SEGMENT));
    fs::remove_file(site.server.daily("2026-11-22").join(SEGMENT)).unwrap();
    fs::remove_file(site.live(ALICE)).unwrap();
    fs::remove_file(site.live(BOB)).unwrap();
    let outcome = site.restore(&["--from", "all", "--missing"]).assert_code(1);
    let outcome = outcome
        .assert_stderr(&format!("no whole copy of {ALICE}"))
        .assert_failure("missing")
        .assert_failure("damaged");
    let restored = outcome.data("restored");
    assert_eq!(restored.len(), 1, "{restored:?}");
    assert_eq!(restored[0]["path"], BOB);
    let alone = site.restore(&["--from", "all", "--message-id", "alice@mx"]);
    assert!(alone.assert_code(1).data("restored").is_empty());
    assert!(!site.live(ALICE).exists());
}

/// Many sets share the damaged file: it is named once, and the week has one of its own.
#[test]
fn a_file_that_many_sets_share_is_tried_once() {
    let site = Site::empty();
    site.put_at(ALICE, DELIVERED, text("alice"));
    let week = site.server.backup().args(["--component", "mailboxes"]);
    let week = week.args(["--weekly", "--date", "2026-11-15"]).run();
    let _ = week.assert_code(0);
    // Sets of one second are ordered by their names.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let sets: Vec<_> = [21, 22, 23].map(|day| site.save_day(day)).into();
    flip(&sets[2].join(SEGMENT));
    fs::remove_file(site.live(ALICE)).unwrap();
    let outcome = site.restore(&["--from", "all", "--missing"]).assert_code(1);
    let _ = outcome
        .assert_stderr("daily/2026-11-23; the copy in weekly/")
        .data("restored");
    let errors = site.restore(&["--from", "daily", "--text", "nothing", "--list"]);
    assert_eq!(
        errors.assert_code(1).data("error").len(),
        2,
        "it, and no answer"
    );
}

#[test]
fn a_list_that_is_restored_by_pipe_has_the_first_set_too() {
    let site = sample();
    let flags = ["--from", "all", "--list", "--sender", "alice@"];
    let listed = site.restore(&flags).assert_code(0);
    flip(&site.server.daily("2026-11-22").join(SEGMENT));
    site.remove("example.com/alice/cur");
    let tool = site.server.restore().arg("-").stdin(listed.stdout);
    assert_from_older(&site, tool.run(), SEGMENT);
}

/// More messages than are held at once.
#[test]
fn a_lost_segment_of_many_messages_is_made_up_for() {
    let site = Site::empty();
    let path = |number: u32| format!("example.com/alice/cur/{number:03}.m:2,S");
    let texts = |number: u32| text(&format!("number{number}"));
    for number in 0..250 {
        site.put_at(&path(number), DELIVERED + i64::from(number), texts(number));
    }
    site.save_day(21);
    let newest = site.save_day(22);
    set_apart(&newest);
    fs::remove_file(newest.join(SEGMENT)).unwrap();
    for asked in ["--subject", "--text"] {
        site.remove("example.com/alice");
        let outcome = site.restore(&["--from", "all", asked, "estimate of number"]);
        let outcome = outcome.assert_code(1);
        assert_eq!(outcome.data("end")[0]["totals"]["messages"], 250, "{asked}");
        for number in 0..250 {
            let kept = outcome.data("restored");
            assert!(
                kept.iter().any(|one| one["path"] == path(number)),
                "{asked} {number}"
            );
        }
        let folder = fs::read_dir(site.live("example.com/alice/cur")).unwrap();
        assert_eq!(folder.count(), 250, "{asked}");
    }
}
