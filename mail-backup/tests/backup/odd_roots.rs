//! Mail roots as they are found in the field: files above the mailboxes, mailboxes of other depths,
//! what cannot be read, and what takes another's place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::odd_trees::{DATE, check};
use crate::support::{self, Kinds, Server, assert_sums, capture, members, unpack_mail};
use mail_tests::swapper::{Swapper, give_to_another, rounds};
use mail_tests::tree::snapshot;

#[test]
fn files_above_the_mailboxes() {
    let server = Server::with_one_message();
    server.message("README", b"of the root\n");
    server.message("example.com/aliases", b"of the domain\n");
    server.message("example.com/cur", b"a file with the name of a directory\n");
    fs::set_permissions(
        server.mail().join("example.com"),
        fs::Permissions::from_mode(0o2750),
    )
    .unwrap();
    let (set, _) = check(&server, &[], &[]);
    let above = capture(
        Command::new("tar")
            .args(["--zstd", "-tf", "mailboxes/_root/0000.tar.zst"])
            .current_dir(set),
    );
    let mut names: Vec<&str> = std::str::from_utf8(&above).unwrap().lines().collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "./",
            "README",
            "example.com/",
            "example.com/aliases",
            "example.com/cur"
        ]
    );
}

#[test]
fn mailboxes_of_other_depths() {
    let check_depth = |depth: &str, mailboxes: &[&str], expected: &[&str]| {
        let server = Server::empty();
        for mailbox in mailboxes {
            server.maildir(mailbox);
            server.message(
                Path::new(mailbox).join("cur/17.M1P1.mx:2,S"),
                mailbox.as_bytes(),
            );
            server.message(Path::new(mailbox).join("subscriptions"), b"V\t2\n");
        }
        let (set, _) = check(&server, &["--mailbox-depth", depth], &[]);
        let mut directories: Vec<String> = support::list_files(&set.join("mailboxes"))
            .iter()
            .filter(|path| path.ends_with("state.jsonl.zst"))
            .map(|path| path.parent().unwrap().to_str().unwrap().to_owned())
            .collect();
        directories.sort();
        assert_eq!(directories, expected);
        assert_eq!(members(&set).len(), 2 * mailboxes.len());
    };
    check_depth("0", &["."], &["_root"]);
    check_depth("0", &["example.com/alice"], &["_root"]);
    check_depth(
        "1",
        &["alice", "_root"],
        &["_root", "_root.mailbox", "alice"],
    );
    check_depth("1", &["example.com/alice"], &["_root", "example.com"]);
    check_depth(
        "2",
        &["_root/alice", "_root/_root"],
        &["_root", "_root/_root", "_root/alice"],
    );
    check_depth(
        "3",
        &["example.com/a/alice", "example.com/b"],
        &[
            "_root",
            "example.com/a/alice",
            "example.com/b/cur",
            "example.com/b/new",
            "example.com/b/tmp",
        ],
    );
}

#[test]
fn mailboxes_are_counted_and_a_wrong_depth_is_told_with_the_one_that_fits() {
    let server = Server::empty();
    for mailbox in ["a.com/alice", "a.com/bob/Maildir", "b.com/carol"] {
        server.maildir(mailbox);
        server.maildir(Path::new(mailbox).join(".Sent"));
        server.message(Path::new(mailbox).join("cur/17.M1P1.mx:2,S"), b"A: b\n\n");
        server.message(Path::new(mailbox).join(".Sent/new/18.M1P1.mx"), b"A: b\n\n");
    }
    server.message("a.com/bob/.dovecot.sieve", b"keep;\n");
    server.message("b.com/sieve/global.sieve", b"keep;\n");
    server.message("cur/19.M1P1.mx", b"A: b\n\n");
    let check = |depth: &str, expected: &str, fit: Option<&str>| {
        let tool = |args: &[&str]| {
            let args = [&["--component", "mail", "--date", DATE], args].concat();
            server.tool(&args).env("MAILBOX_DEPTH", depth)
        };
        let shown = support::checked(tool(&["--dry-run"]).run()).assert_code(0);
        let line = shown
            .stderr
            .lines()
            .find(|line| line.contains("mailboxes: "));
        let line = line
            .unwrap()
            .replace(server.mail().to_str().unwrap(), "MAIL");
        assert!(line.ends_with(expected), "{line}");
        let said = shown.stderr.split("set MAILBOX_DEPTH=").nth(1);
        assert_eq!(
            said.and_then(|said| said.lines().next()),
            fit,
            "{}",
            shown.stderr
        );
    };
    check(
        "2",
        "3 mailboxes, 6 messages in MAIL, every directory 2 below it; 1 directory there without a \
         Maildir; 1 message above the mailboxes, stored whole by each run",
        None,
    );
    check(
        "{domain}/{user}/Maildir",
        "1 directory there without a Maildir; 1 message above the mailboxes, stored whole by each run",
        None,
    );
    check(
        "1",
        "2 mailboxes, 7 messages in MAIL, every directory 1 below it; 1 directory there without a \
         Maildir",
        Some("2"),
    );
    check(
        "0",
        "1 mailbox, 7 messages in MAIL, every directory 0 below it",
        None,
    );
    check(
        "3",
        "3 mailboxes, 6 messages in MAIL, every directory 3 below it; 6 directories there without \
         a Maildir; 1 message above the mailboxes, stored whole by each run",
        Some("2"),
    );
    let (_, saved) = server.save_mail(DATE, &["--mailbox-depth", "{domain}/*/{user}"]);
    saved.assert_stderr("cur, new and tmp of a mailbox are taken for mailboxes, as in a.com/alice");
    let (_, saved) = server.save_mail(DATE, &["--mailbox-depth", "2"]);
    assert!(
        !saved.stderr.contains("MAILBOX_DEPTH=2"),
        "{}",
        saved.stderr
    );
}

#[test]
fn two_mailboxes_never_share_a_directory_of_the_set() {
    let server = Server::empty();
    for mailbox in ["_root", "_root.mailbox", "_root.mailbox.mailbox"] {
        server.maildir(mailbox);
        server.message(
            Path::new(mailbox).join("cur/17.M1P1.mx:2,S"),
            mailbox.as_bytes(),
        );
    }
    check(&server, &["--mailbox-depth", "1"], &[]);
}

#[test]
fn what_cannot_be_read_is_named_and_the_set_is_kept_apart() {
    let server = Server::with_one_message();
    let file = server.message("example.com/alice/cur/18.M1P1.mx:2,S", b"unreadable\n");
    server.maildir("example.com/alice/.Closed");
    server.message(
        "example.com/alice/.Closed/cur/19.M1P1.mx:2,S",
        b"out of reach\n",
    );
    let dir = server.mail().join("example.com/alice/.Closed");
    server.save_mail(DATE, &[]);
    for path in [&file, &dir] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let outcome = server.run_unprivileged(&["--component", "mailboxes", "--date", "2026-11-24"]);
    // So that the temporary directory can be removed by any user.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let outcome = outcome.assert_code(1);
    let errors: BTreeMap<String, serde_json::Value> = outcome
        .data("error")
        .into_iter()
        .map(|error| (error["path"].as_str().unwrap_or_default().to_owned(), error))
        .collect();
    let named: Vec<&str> = errors.keys().map(String::as_str).collect();
    assert_eq!(
        named,
        [
            "example.com/alice/.Closed",
            "example.com/alice/cur/18.M1P1.mx:2,S"
        ],
        "{errors:#?}"
    );
    for error in errors.values() {
        assert_eq!(
            (&error["component"], &error["kind"]),
            (&"mailboxes".into(), &"denied".into())
        );
    }
    assert_eq!(outcome.data("end")[0]["status"], "incomplete");
    assert_eq!(server.daily(), [DATE, "2026-11-24.incomplete"]);
    let kept = server.set("daily/2026-11-24.incomplete");
    assert_sums(&kept);
    assert_eq!(
        members(&kept),
        ["example.com/alice/cur/1767225600.M1P1.mx,S=14:2,S"]
    );
    for artifact in outcome.data("artifact") {
        assert_eq!(artifact["set"], "daily/2026-11-24.incomplete");
    }
}

#[test]
fn an_unreadable_mail_root_is_named() {
    let server = Server::with_one_message();
    fs::set_permissions(server.mail(), fs::Permissions::from_mode(0o000)).unwrap();
    let args = [
        "--component",
        "mailboxes",
        "--component",
        "config",
        "--date",
        DATE,
    ];
    let outcome = server.run_unprivileged(&args);
    fs::set_permissions(server.mail(), fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = outcome
        .assert_code(1)
        .assert_kinds(&["denied"])
        .assert_stderr(server.mail().to_str().unwrap());
    assert_eq!(outcome.data("error")[0]["component"], "mailboxes");
    assert_eq!(server.daily(), [format!("{DATE}.incomplete")]);
}

#[test]
fn a_file_may_take_the_place_of_a_directory_and_back() {
    let server = Server::with_one_message();
    let check_day = |date: &str| {
        support::settle();
        let (set, _) = server.save_mail(date, &[]);
        let restored = tempfile::tempdir().unwrap();
        unpack_mail(&set, restored.path());
        snapshot(&server.mail()).assert_same(&snapshot(restored.path()));
    };
    let place = server.mail().join("example.com/alice/cur/18.M1P1.mx:2,S");
    fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    support::put(&place.join("inner"), b"a file\n");
    check_day("2026-11-23");
    fs::remove_dir_all(&place).unwrap();
    support::put(&place, b"a message\n");
    check_day("2026-11-24");
    fs::remove_file(&place).unwrap();
    symlink("elsewhere", &place).unwrap();
    check_day("2026-11-25");
    let mailbox = server.mail().join("example.com/alice");
    fs::remove_dir_all(&mailbox).unwrap();
    support::put(&mailbox, b"no mailbox any more\n");
    check_day("2026-11-26");
}

/// A mail user lets directories of theirs and links to those of others change places while root
/// backs up: in both are files of the same names, and those of the others are in no set.
#[test]
fn a_mailbox_that_becomes_a_link_saves_nothing_of_others() {
    const FILES: usize = 40;
    const SECRET: &[u8] = b"Subject: of others\n\n";
    let server = Server::with_one_message();
    let mailbox = server.mail().join("example.com/alice");
    let theirs = server.path("theirs");
    server.message(
        "example.com/bob/cur/1767225600.M2P1.mx:2,S",
        b"Subject: of bob\n\n",
    );
    for number in 0..FILES {
        let name = format!("17672256{number:02}.M1P1.mx:2,S");
        server.message(format!("example.com/alice/cur/{name}"), b"Subject: own\n\n");
        let name = theirs.join("cur").join(name);
        fs::create_dir_all(name.parent().unwrap()).unwrap();
        support::put(&name, SECRET);
    }
    give_to_another(&theirs);
    let before = snapshot(&theirs);
    let (mut exchanges, mut saved) = (0, 0);
    for round in rounds(24) {
        let (place, target) = if round % 2 == 0 {
            (mailbox.join("cur"), theirs.join("cur"))
        } else {
            (mailbox.clone(), theirs.clone())
        };
        let link = place.with_file_name("link");
        symlink(target, &link).unwrap();
        let swapper = Swapper::start(&place, &link);
        let options = ["--component", "mailboxes", "--full", "--date", DATE];
        let outcome = server.run(&options);
        exchanges += swapper.stop();
        fs::remove_file(&link).unwrap();
        assert!([0, 1].contains(&outcome.code()), "{}", outcome.stderr);
        let set = server.root().join("daily");
        let set = ["", ".incomplete"].map(|end| set.join(format!("{DATE}{end}")));
        let set = set
            .iter()
            .find(|set| set.exists())
            .unwrap_or_else(|| panic!("{}", outcome.stderr));
        let files = support::list_files(set);
        let bob = Path::new("mailboxes/example.com/bob/0001.tar.zst");
        assert!(files.contains(bob), "round {round}: {}", outcome.stderr);
        for path in files {
            if path.to_string_lossy().ends_with(".tar.zst") {
                let text = capture(Command::new("zstd").arg("-dcq").arg(set.join(&path)));
                let has = |wanted: &[u8]| text.windows(wanted.len()).any(|part| part == wanted);
                assert!(
                    !has(SECRET),
                    "round {round}: {} has a file of others",
                    path.display()
                );
                saved += usize::from(has(b"Subject: own"));
            }
        }
        fs::remove_dir_all(set).unwrap();
    }
    before.assert_same(&snapshot(&theirs));
    println!("{exchanges} exchanges, {saved} segments");
    assert!(exchanges > 1000 && saved > 0, "{exchanges}, {saved}");
}
