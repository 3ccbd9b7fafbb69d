//! Sets that are damaged or forged, live trees with traps in them, full disks, signals and kills:
//! an error that names the message, and never a wrong, lost or foreign file.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::killed::child_command;
use crate::support::{
    DATE, Site, assert_clean, by_id, by_mailbox, deliver, dispositions, failures, forge_index,
    is_root, message, put, stamp, work,
};
use mail_restore::messages::{self, Disposition, Query, inspect, preview, write_to};
use mail_tests::planted::{ACTS, acts_on_one_line, assert_inert};
use mail_tests::swapper::{Swapper, give_to_another, rounds};
use mail_tests::tree::{Kind, snapshot};

const ONE: &str = "example.com/alice/cur/1.a:2,S";

pub(crate) fn sample() -> Site {
    let site = Site::with(&[
        (ONE, "one@mx"),
        ("example.com/alice/.Sent/cur/2.b:2,S", "two@mx"),
    ]);
    site.remove(ONE);
    site
}

/// Flips a bit at `offset` of the message segment.
fn damage(site: &Site, mailbox: &str, offset: usize) {
    let segment = site.set().join(format!("mailboxes/{mailbox}/0001.tar.zst"));
    let mut bytes = fs::read(&segment).unwrap();
    bytes[offset] ^= 8;
    fs::write(&segment, bytes).unwrap();
}

fn only_failure(outcome: &messages::Outcome) -> String {
    assert!(outcome.restored.is_empty(), "{outcome:?}");
    let [failure] = &failures(outcome)[..] else {
        panic!("{outcome:?}")
    };
    failure.clone()
}

#[test]
fn a_damaged_frame_is_named_and_nothing_is_written() {
    let site = sample();
    let length = fs::metadata(site.set().join("mailboxes/example.com/alice/0001.tar.zst"))
        .unwrap()
        .len();
    let before = snapshot(&site.mail()).without_dir_times();
    for offset in [0, 20, 100, 200] {
        assert!(offset < usize::try_from(length).unwrap());
        damage(&site, "example.com/alice", offset);
        let failure = only_failure(&site.deliver(&by_id("one@mx")));
        assert!(
            failure.contains("mailboxes/example.com/alice/0001.tar.zst"),
            "byte {offset}: {failure}"
        );
        damage(&site, "example.com/alice", offset);
    }
    before.assert_same(&snapshot(&site.mail()).without_dir_times());
    assert_clean(&site.deliver(&by_id("one@mx")));
}

#[test]
fn only_the_frame_of_the_message_is_read() {
    let site = Site::new(400, 1);
    site.put(ONE, &message("one@mx"));
    // As old as the other mail, so that it lies among it.
    stamp(&site.live(ONE), 1_700_000_000);
    site.back_up(&[]);
    site.remove(ONE);
    let wanted = site.choose(&by_id("one@mx")).candidates[0]
        .file
        .place
        .clone();
    let messages::Place::Frame { location, .. } = &wanted else {
        panic!("{wanted:?}")
    };
    // All other bytes of the segment are destroyed.
    let segment = site.set().join(wanted.path().as_path());
    let mut bytes = fs::read(&segment).unwrap();
    let (start, end) = (
        location.frame_offset as usize,
        (location.frame_offset + location.frame_bytes) as usize,
    );
    assert!(
        bytes.len() > end - start + 1_000_000,
        "the sample has several frames"
    );
    bytes[..start].fill(0);
    bytes[end..].fill(0);
    fs::write(&segment, bytes).unwrap();
    let outcome = site.deliver(&by_id("one@mx"));
    assert_clean(&outcome);
    assert_eq!(
        fs::read(site.live(&dispositions(&outcome)[0].1)).unwrap(),
        message("one@mx")
    );
}

#[test]
fn an_index_that_lies_is_found_out() {
    let size = message("one@mx").len();
    let check = |change: &dyn Fn(&str) -> String, expected: &str| {
        let site = sample();
        forge_index(&site.set(), "example.com/alice", |line| {
            if line.contains("/1.a:2,S") {
                change(line)
            } else {
                line.to_owned()
            }
        });
        let before = snapshot(&site.mail()).without_dir_times();
        let failure = only_failure(&site.deliver(&by_id("one@mx")));
        assert!(failure.contains(expected), "{failure}");
        before.assert_same(&snapshot(&site.mail()).without_dir_times());
    };
    let number = |line: &str, key: &str, to: &str| {
        let start = line.find(&format!("\"{key}\":")).unwrap() + key.len() + 3;
        let end = start + line[start..].find([',', '}']).unwrap();
        format!("{}{to}{}", &line[..start], &line[end..])
    };
    check(
        &|line| number(line, "size", "7"),
        &format!("has {size} bytes in mailboxes/example.com/alice/0001.tar.zst"),
    );
    check(
        &|line| number(line, "size", "1099511627776"),
        "and 1099511627776 by the index",
    );
    check(
        &|line| number(line, "sha256", &format!("\"{}\"", "0".repeat(64))),
        "its sha256 is not the recorded one",
    );
    check(
        &|line| number(line, "frame_offset", "9"),
        "not a zstd frame",
    );
    check(
        &|line| number(line, "frame_bytes", "18446744073709551615"),
        "beyond the end of its segment",
    );
    check(
        &|line| number(line, "frame_bytes", "30"),
        "read the frame at 0",
    );
    check(
        &|line| line.replace("/1.a:2,S", "/1.x:2,S"),
        "where the index has it",
    );
}

#[test]
fn a_frame_that_unpacks_to_more_than_it_may_is_refused() {
    // 1 GiB of zeros in some KiB, first told and then untold.
    for told in [true, false] {
        let site = sample();
        let bomb = bomb(told);
        let length = bomb.len();
        fs::write(
            site.set().join("mailboxes/example.com/alice/0001.tar.zst"),
            bomb,
        )
        .unwrap();
        forge_index(&site.set(), "example.com/alice", |line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            if line["path"].as_str().unwrap().contains("/1.a") {
                line["frame_offset"] = 0.into();
                line["frame_bytes"] = length.into();
            }
            line.to_string()
        });
        let failure = only_failure(&site.deliver(&by_id("one@mx")));
        assert!(
            failure.contains("mailboxes/example.com/alice/0001.tar.zst"),
            "{failure}"
        );
    }
}

/// A frame of one member called as the sample's, of 1 GiB of zeros.
fn bomb(told: bool) -> Vec<u8> {
    let mut header = tar_header(ONE, 1 << 30);
    header.resize(header.len() + (1 << 30), 0);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    if told {
        encoder
            .set_pledged_src_size(Some(header.len() as u64))
            .unwrap();
    }
    std::io::Write::write_all(&mut encoder, &header).unwrap();
    encoder.finish().unwrap()
}

/// A ustar header, made by hand.
fn tar_header(name: &str, size: u64) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[test]
fn a_link_in_the_live_tree_leads_nowhere() {
    for trap in ["cur", "tmp", ""] {
        let site = sample();
        let outside = site.server.dir().join("outside");
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(outside.join(name)).unwrap();
        }
        let place = if trap.is_empty() {
            site.live("example.com/alice")
        } else {
            site.live("example.com/alice").join(trap)
        };
        fs::remove_dir_all(&place).unwrap();
        let to = if trap.is_empty() {
            outside.clone()
        } else {
            outside.join(trap)
        };
        symlink(to, &place).unwrap();
        let failure = only_failure(&site.deliver(&by_id("one@mx")));
        assert!(
            failure.contains("open or make example.com/alice"),
            "{trap}: {failure}"
        );
        let found = snapshot(&outside)
            .entries()
            .values()
            .filter(|entry| entry.kind == Kind::File)
            .count();
        assert_eq!(found, 0, "{trap}");
    }
}

#[test]
fn a_link_to_a_file_is_not_written_through() {
    let site = sample();
    let outside = site.server.dir().join("outside");
    fs::write(&outside, "outside").unwrap();
    symlink(&outside, site.live("example.com/alice/maildirsize")).unwrap();
    symlink(&outside, site.live("example.com/alice/dovecot-keywords")).unwrap();
    // A keyword file that is a link is no keyword file.
    let failure = only_failure(&site.deliver(&by_id("one@mx")));
    assert!(failure.contains("example.com/alice"), "{failure}");
    site.remove("example.com/alice/dovecot-keywords");
    let outcome = site.deliver(&by_id("one@mx"));
    assert_eq!(dispositions(&outcome).len(), 1, "{outcome:?}");
    assert!(
        matches!(
            &outcome.warnings[..],
            [messages::Warning::QuotaNotCounted { .. }]
        ),
        "{outcome:?}"
    );
    assert_eq!(fs::read(&outside).unwrap(), b"outside");
}

#[test]
fn a_live_root_that_is_not_there_is_an_error() {
    let site = sample();
    let selection = site.choose(&by_id("one@mx"));
    let error = deliver(&selection, &site.server.dir().join("absent")).unwrap_err();
    assert!(error.to_string().ends_with("/absent"), "{error}");
}

#[test]
fn a_full_disk_keeps_what_was_delivered_and_names_what_was_not() {
    let site = Site::new(200, 1);
    site.back_up(&[]);
    let small = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(small.path())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a small tmpfs needs root");
        return;
    }
    let selection = site.choose(&by_mailbox("alice@example.com"));
    let outcome = deliver(&selection, small.path());
    let found = snapshot(small.path());
    let _ = Command::new("umount")
        .arg("--lazy")
        .arg(small.path())
        .status();
    let outcome = outcome.unwrap();
    assert!(
        failures(&outcome)
            .iter()
            .any(|failure| failure.contains("No space left on device")),
        "{outcome:?}"
    );
    let done = outcome.restored.len()
        + outcome
            .failures
            .iter()
            .filter(|failure| failure.path.is_some())
            .count();
    assert_eq!(done + outcome.left, selection.candidates.len());
    assert!(
        !outcome.restored.is_empty() && outcome.left > 0,
        "{outcome:?}"
    );
    for restored in &outcome.restored {
        let entry = &found.entries()[Path::new(&restored.target.to_string())];
        assert_eq!(
            entry.sha256.as_deref(),
            Some(restored.sha256.to_string().as_str()),
            "{restored:?}"
        );
    }
    let in_tmp = |path: &PathBuf| path.parent().unwrap().ends_with("tmp");
    assert_eq!(
        found.entries().keys().filter(|path| in_tmp(path)).count(),
        0,
        "no half message stays"
    );
}

#[test]
fn messages_are_written_to_a_directory_under_their_own_names() {
    let site = sample();
    let to = site.server.dir().join("to/there");
    let outcome = write_to(&site.choose(&Query::default()), &to, &work()).unwrap();
    assert_clean(&outcome);
    assert_eq!(
        dispositions(&outcome),
        [
            (
                Disposition::Added,
                "mailboxes/example.com/alice/.Sent/cur/2.b:2,S".to_owned()
            ),
            (Disposition::Added, format!("mailboxes/{ONE}")),
        ]
    );
    assert_eq!(
        fs::read(to.join("mailboxes").join(ONE)).unwrap(),
        message("one@mx")
    );
    assert_eq!(
        snapshot(&to)
            .entries()
            .values()
            .filter(|entry| entry.kind == Kind::File)
            .count(),
        2
    );
    // Again: nothing is written.
    let before = snapshot(&to);
    let again = write_to(&site.choose(&Query::default()), &to, &work()).unwrap();
    assert!(
        again
            .restored
            .iter()
            .all(|restored| restored.disposition == Disposition::Present),
        "{again:?}"
    );
    before.assert_same(&snapshot(&to));
    // What is another file stays.
    fs::write(to.join("mailboxes").join(ONE), "mine").unwrap();
    let occupied = write_to(&site.choose(&by_id("one@mx")), &to, &work()).unwrap();
    assert_eq!(
        only_failure(&occupied),
        format!("mailboxes/{ONE} is there already with another content; choose an empty directory")
    );
    assert_eq!(fs::read(to.join("mailboxes").join(ONE)).unwrap(), b"mine");
    // A link in the way is not followed.
    let trap = site.server.dir().join("trap");
    fs::create_dir_all(trap.join("mailboxes")).unwrap();
    symlink(site.mail(), trap.join("mailboxes/example.com")).unwrap();
    let failure = only_failure(&write_to(&site.choose(&by_id("one@mx")), &trap, &work()).unwrap());
    assert!(
        failure.contains("open or make mailboxes/example.com/alice/cur"),
        "{failure}"
    );
    assert!(!site.live(ONE).exists());
}

#[test]
fn any_user_may_write_to_a_directory() {
    if !is_root() {
        eprintln!("skipped: to become another user needs root");
        return;
    }
    let site = sample();
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "cp -a '{}' set && cp '{}' program && mkdir to && chown -R 65534:65534 . && chmod 755 . program",
        site.set().display(),
        std::env::current_exe().unwrap().display()
    );
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .current_dir(dir.path())
            .status()
            .unwrap()
            .success()
    );
    let path = |name: &str| dir.path().join(name);
    let status = child_command(&path("program"), "write", &path("set"), &path("to"))
        .uid(65534)
        .gid(65534)
        .status();
    assert!(status.unwrap().success());
    let written = &snapshot(&path("to"));
    let entry = &written.entries()[&Path::new("mailboxes").join(ONE)];
    assert_eq!(
        (entry.uid, entry.gid, entry.mode & 0o7777),
        (65534, 65534, 0o644)
    );
    assert_eq!(
        fs::read(path("to/mailboxes").join(ONE)).unwrap(),
        message("one@mx")
    );
}

#[test]
fn a_dry_run_reads_everything_and_writes_nothing() {
    let site = sample();
    put(&site.mail(), "example.com/alice/cur/9.z:2,", b"x");
    let before = snapshot(&site.mail());
    let mut selection = site.choose(&Query::default());
    assert!(inspect(&mut selection, &work()).is_empty());
    assert!(
        selection
            .candidates
            .iter()
            .all(|candidate| candidate.subject.is_some())
    );
    let outcome = preview(&selection, &site.mail(), &work()).unwrap();
    let sent = "example.com/alice/.Sent/cur/2.b:2,S".to_owned();
    assert_eq!(
        dispositions(&outcome),
        [
            (Disposition::Present, sent),
            (Disposition::Added, "example.com/alice".to_owned())
        ]
    );
    assert_clean(&outcome);
    before.assert_same(&snapshot(&site.mail()));
    let nowhere = tempfile::tempdir().unwrap();
    let outcome = preview(&selection, nowhere.path(), &work()).unwrap();
    assert!(
        outcome
            .restored
            .iter()
            .all(|restored| restored.disposition == Disposition::Added),
        "{outcome:?}"
    );
    assert!(
        matches!(&outcome.warnings[..], [messages::Warning::FolderMade { folder, .. }] if folder == "Sent")
    );
    assert_eq!(fs::read_dir(nowhere.path()).unwrap().count(), 0);
    damage(&site, "example.com/alice", 100);
    let failures = inspect(&mut selection, &work());
    assert_eq!(failures.len(), 2, "{failures:?}");
}

/// A mail user gives a file of somebody else a name in their mailbox. It is saved like the rest,
/// and is not handed to them: named, while the other messages are delivered.
#[test]
fn a_file_of_another_owner_is_given_to_nobody_else() {
    if !is_root() {
        return;
    }
    let site = Site::new(1, 1);
    site.remove("");
    for (name, owner) in [
        ("1.own:2,S", 5001),
        ("2.theirs:2,S", 5002),
        ("3.root:2,S", 0),
    ] {
        let path = format!("example.com/alice/cur/{name}");
        site.put(&path, &message(name));
        std::os::unix::fs::chown(site.live(&path), Some(owner), Some(owner)).unwrap();
    }
    for name in ["", "cur", "new", "tmp"] {
        let path = site.live("example.com/alice").join(name);
        std::os::unix::fs::chown(path, Some(5001), Some(5001)).unwrap();
    }
    site.back_up(&[]);
    for name in ["1.own:2,S", "2.theirs:2,S", "3.root:2,S"] {
        site.remove(&format!("example.com/alice/cur/{name}"));
    }
    let query = by_mailbox("alice@example.com");
    let shown = preview(&site.choose(&query), &site.mail(), &work()).unwrap();
    let outcome = site.deliver(&query);
    for outcome in [shown, outcome] {
        assert_eq!(dispositions(&outcome).len(), 1, "{outcome:?}");
        let failures = failures(&outcome);
        assert_eq!(failures.len(), 2, "{failures:?}");
        for (failure, name) in failures.iter().zip(["2.theirs", "3.root"]) {
            assert!(
                failure.contains(name) && failure.contains("--to"),
                "{failure}"
            );
        }
    }
    let delivered = fs::read_dir(site.live("example.com/alice/cur")).unwrap();
    assert_eq!(delivered.count(), 1);
    // Into a directory, each is given to whose it was.
    let target = site.server.dir().join("target");
    assert_clean(&write_to(&site.choose(&query), &target, &work()).unwrap());
    let of = |name: &str| {
        let path = target.join("mailboxes/example.com/alice/cur").join(name);
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap())
    };
    assert_eq!(
        [of("1.own:2,S"), of("2.theirs:2,S"), of("3.root:2,S")],
        [5001, 5002, 0]
    );
}

/// `maildirsize` may be a further name of a file of others: nothing is appended to it.
#[test]
fn a_quota_file_with_another_name_is_not_written_to() {
    let site = sample();
    let outside = site.server.dir().join("outside");
    fs::write(&outside, "outside").unwrap();
    fs::hard_link(&outside, site.live("example.com/alice/maildirsize")).unwrap();
    let outcome = site.deliver(&by_id("one@mx"));
    assert_eq!(dispositions(&outcome).len(), 1, "{outcome:?}");
    assert!(
        matches!(
            &outcome.warnings[..],
            [messages::Warning::QuotaNotCounted { .. }]
        ),
        "{outcome:?}"
    );
    assert_eq!(fs::read(&outside).unwrap(), b"outside");
}

/// A mail user lets a directory of theirs and a link change places while root delivers: nothing is
/// ever written, read as theirs or removed behind the link.
#[test]
fn a_mailbox_that_becomes_a_link_takes_nothing_elsewhere() {
    let site = sample();
    let theirs = site.server.dir().join("theirs");
    for name in ["cur", "new", "tmp"] {
        fs::create_dir_all(theirs.join(name)).unwrap();
        fs::write(theirs.join(name).join("1.theirs"), message("one@mx")).unwrap();
    }
    give_to_another(&theirs);
    let before = snapshot(&theirs);
    let selection = site.choose(&by_mailbox("alice@example.com"));
    let (mut exchanges, mut delivered) = (0, 0);
    for round in rounds(32) {
        let name = ["cur", "tmp", "new", "."][round % 4];
        // Without the dot, which no name can be exchanged with.
        let place: PathBuf = site
            .live("example.com/alice")
            .join(name)
            .components()
            .collect();
        let link = place.with_file_name("link");
        symlink(theirs.join(name), &link).unwrap();
        let swapper = Swapper::start(&place, &link);
        for _ in 0..20 {
            let outcome = deliver(&selection, &site.mail()).unwrap();
            delivered += outcome.restored.len();
            before.assert_same(&snapshot(&theirs));
        }
        exchanges += swapper.stop();
        fs::remove_file(&link).unwrap();
        for entry in fs::read_dir(site.live("example.com/alice/cur")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    println!("{exchanges} exchanges, {delivered} messages");
    assert!(
        exchanges > 1000 && delivered > 0,
        "{exchanges}, {delivered}"
    );
}

/// What a mail user, a sender or who holds the disk wrote is shown, and does nothing on a terminal.
#[test]
fn nothing_that_is_shown_acts() {
    let site = Site::new(1, 1);
    site.remove("");
    let mailbox = format!("example.com/mal{ACTS}lory");
    let line = acts_on_one_line();
    let of = |id: &str| {
        format!("Message-ID: <{id}{line}@mx>\nSubject: {id}{line}\nFrom: {line}\n\n{id}\n")
            .into_bytes()
    };
    site.put(&format!("{mailbox}/cur/1.a{ACTS}ok:2,S"), &of("one"));
    site.put(&format!("{mailbox}/.Fol{ACTS}der/cur/2.b:2,Sa"), &of("two"));
    site.put(
        &format!("{mailbox}/.Fol{ACTS}der/dovecot-keywords"),
        ACTS.as_bytes(),
    );
    let options = ["--component", "mailboxes", "--date", DATE];
    let table = ["--format", "text", "-vv", "--full"];
    let mut shown = vec![
        site.server.backup().args(options).run(),
        site.server.backup().args(options).args(table).run(),
    ];
    site.remove(&mailbox);
    let restore = |arguments: &[&str]| {
        let set = site.set();
        let tool = site.server.restore().arg("--from").arg(set);
        tool.args(arguments)
    };
    let both = |arguments: &[&str]| {
        let table = restore(arguments).args(["--format", "text", "-vv"]);
        [restore(arguments).run(), table.run()]
    };
    let wanted = format!("<one{line}@mx>");
    let target = site.server.dir().join("target");
    let address = format!("absent{ACTS}@example.com");
    for arguments in [
        &["--path", "**", "--dry-run"][..],
        &["--message-id", &wanted, "--dry-run"],
        &["--message-id", &format!("<absent{ACTS}@mx>")],
        &["--mailbox", &address],
        &["--path", "**", "--to", target.to_str().unwrap()],
        &["--path", "**"],
        &["--path", "**"],
        &["--dry-run"],
        &["--verify"],
    ] {
        shown.extend(both(arguments));
    }
    for entry in mail_tests::tree::snapshot(&site.set()).entries().keys() {
        if entry.ends_with("0001.tar.zst") {
            fs::write(site.set().join(entry), "damaged").unwrap();
        }
    }
    for arguments in [&["--path", "**", "--dry-run"][..], &["--verify"]] {
        shown.extend(both(arguments));
    }
    for outcome in shown {
        assert_inert("stderr", &outcome.stderr);
        assert_inert("the records", &outcome.stdout);
    }
}
