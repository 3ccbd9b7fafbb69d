//! Single messages by the command line: found, listed, added, refused.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]
#![expect(clippy::disallowed_methods, reason = "a mailbox that somebody changes")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{SET, checked, live, names, put, restore, shell};
use mail_tests::server::Server;
use mail_tests::set::messages;
use mail_tests::tree::snapshot;

const LOST: &str =
    "Message-ID: <lost@mx.example.com>\r\nSubject: =?UTF-8?Q?Caf=C3=A9?=\r\n\r\nfound again\r\n";

/// A server with a message in a set and not in the mailbox any more; and the message's name.
fn server_that_lost_one() -> (Server, PathBuf) {
    let (server, _) = Server::saved(60);
    let path = server
        .mail()
        .join("example.com/alice/.Sent/cur/1763900000.M1P1.mx,S=70:2,FS");
    put(&path, LOST.as_bytes());
    shell(
        path.parent().unwrap(),
        "touch -d 2026-11-20T10:00:00Z 1763900000.*",
    );
    server.save_trees();
    fs::remove_file(&path).unwrap();
    (server, path)
}

#[test]
fn one_message_comes_back_by_its_message_id() {
    let (server, path) = server_that_lost_one();
    let before = messages(&server.mail());
    let outcome = restore(&server, &["--message-id", "<lost@mx.example.com>"]).assert_code(0);
    let records = outcome.data("restored");
    assert_eq!(records.len(), 1);
    let target = PathBuf::from(records[0]["target"].as_str().unwrap());
    assert_eq!(target.parent(), path.parent());
    assert!(target.to_str().unwrap().ends_with(":2,FS"), "{target:?}");
    assert_ne!(target, path);
    assert_eq!(fs::read_to_string(&target).unwrap(), LOST);
    let modified = shell(
        Path::new("/"),
        &format!("stat -c %Y '{}'", target.display()),
    );
    assert_eq!(modified, "1795168800\n");
    let after = messages(&server.mail());
    assert_eq!(after.len(), before.len() + 1);
    assert!(
        before.iter().all(|message| after.contains(message)),
        "another message was touched"
    );
    // Again: it is there, and nothing is added.
    let again = restore(&server, &["--message-id", "lost@mx.example.com", "-v"]).assert_code(0);
    assert!(again.data("restored").is_empty());
    assert_eq!(again.data("end")[0]["totals"]["present"], 1);
    assert_eq!(messages(&server.mail()), after);
}

#[test]
fn a_dry_run_lists_what_would_be_added() {
    let (server, _) = server_that_lost_one();
    let before = live(&server);
    let args = [
        "--mailbox",
        "alice@example.com",
        "--since",
        "2026-11-20",
        "--path",
        "**/.Sent/**",
        "--dry-run",
    ];
    let outcome = restore(&server, &args).assert_code(0).assert_stderr("Café");
    let outcome = outcome.assert_stderr("<lost@mx.example.com>");
    assert_eq!(outcome.data("restored").len(), 1);
    assert_eq!(outcome.data("restored")[0]["dry_run"], true);
    let there = ["--mailbox", "bob@example.com", "--dry-run"];
    let totals = &restore(&server, &there).assert_code(0).data("end")[0]["totals"];
    assert_eq!(totals["present"], totals["messages"]);
    before.assert_same(&live(&server));
}

#[test]
fn an_ambiguous_message_is_listed_and_not_restored() {
    let (server, _) = server_that_lost_one();
    put(
        &server.mail().join("example.com/bob/cur/1.other:2,"),
        b"Message-ID: <lost@mx.example.com>\n\nanother\n",
    );
    put(
        &server
            .mail()
            .join("example.com/alice/.Sent/cur/1763900000.M1P1.mx,S=70:2,FS"),
        LOST.as_bytes(),
    );
    server.save_trees();
    let before = live(&server);
    let outcome = restore(&server, &["--message-id", "lost@mx.example.com"]).assert_code(1);
    let outcome = outcome.assert_failure("ambiguous");
    assert_eq!(outcome.data("restored").len(), 2);
    before.assert_same(&live(&server));
    let chosen = [
        "--message-id",
        "lost@mx.example.com",
        "--mailbox",
        "bob@example.com",
    ];
    fs::remove_file(server.mail().join("example.com/bob/cur/1.other:2,")).unwrap();
    assert_eq!(
        restore(&server, &chosen)
            .assert_code(0)
            .data("restored")
            .len(),
        1
    );
}

#[test]
fn a_mailbox_is_added_to_what_is_there() {
    let (server, _) = server_that_lost_one();
    let before = messages(&server.mail());
    let mailbox = server.mail().join("example.com/alice");
    shell(&mailbox, "rm -r .Archive.2025 cur/*; echo new >new/1.new");
    let _ = restore(&server, &["--mailbox", "alice@example.com"]).assert_code(0);
    let digests = |messages: &[mail_tests::set::SavedMessage]| -> Vec<String> {
        let mut digests: Vec<String> = messages
            .iter()
            .map(|message| message.sha256.clone())
            .collect();
        digests.sort();
        digests.dedup();
        digests
    };
    let after = messages(&server.mail());
    let found = digests(&after);
    assert!(digests(&before).iter().all(|digest| found.contains(digest)));
    assert_eq!(
        after.len(),
        before.len() + 2,
        "something is missing or there twice"
    );
}

#[test]
fn into_a_directory_messages_keep_their_names() {
    let (server, path) = server_that_lost_one();
    let before = live(&server);
    let to = server.root().join("to");
    let _ = restore(
        &server,
        &[
            "--message-id",
            "lost@mx.example.com",
            "--to",
            to.to_str().unwrap(),
        ],
    )
    .assert_code(0);
    let below = path.strip_prefix(server.mail()).unwrap();
    assert_eq!(
        fs::read_to_string(to.join("mailboxes").join(below)).unwrap(),
        LOST
    );
    assert_eq!(messages(&to).len(), 1);
    before.assert_same(&live(&server));
}

#[test]
fn what_is_not_there_is_reported() {
    let (server, _) = server_that_lost_one();
    let before = snapshot(server.dir());
    let check = |args: &[&str], code: i32, says: &str| {
        drop(restore(&server, args).assert_code(code).assert_stderr(says));
    };
    check(
        &["--message-id", "nobody@nowhere"],
        1,
        "no message found by",
    );
    check(
        &["--mailbox", "Alice@example.com"],
        2,
        "there is alice@example.com",
    );
    check(&["--mailbox", "alice"], 2, "alice");
    check(&["--mailbox", "../../etc@x"], 2, "etc");
    check(
        &["--since", "yesterday"],
        2,
        "write a date such as 2026-11-23",
    );
    check(&["--path", "***"], 2, "***");
    check(
        &["--mailbox", "alice@example.com", "--component", "mysql"],
        2,
        "leave out --component",
    );
    before.assert_same(&snapshot(server.dir()));
}

#[test]
fn a_message_of_a_segment_that_no_scanner_saw_is_refused() {
    let (server, _) = server_that_lost_one();
    let before = live(&server);
    let begin = r#"{"type":"begin","data":{"v":1,"tool":"mail-scan","version":"1","host":"mx","time":"2026-11-23T05:00:00+09:00","args":[]}}"#;
    let end = r#"{"type":"end","data":{"tool":"mail-scan","status":"ok","exit":0,"seconds":1.0,"totals":{}}}"#;
    let tool = server.restore().args([
        "--from",
        SET,
        "--message-id",
        "lost@mx.example.com",
        "--require-scan",
        "-",
    ]);
    let outcome = checked(tool.stdin(format!("{begin}\n{end}\n"))).assert_code(3);
    let _ = outcome.assert_failure("unscanned");
    before.assert_same(&live(&server));
}

#[test]
fn nothing_is_left_behind_in_tmp() {
    let (server, _) = server_that_lost_one();
    let tmp = server.mail().join("example.com/alice/.Sent/tmp");
    let before = names(&tmp);
    let _ = restore(&server, &["--message-id", "lost@mx.example.com"]).assert_code(0);
    assert_eq!(names(&tmp), before);
}

/// A user can make their folder a link. What is not reached for that was not interrupted by
/// anybody.
#[test]
fn a_mailbox_that_cannot_be_added_to_is_not_called_interrupted() {
    let (server, path) = server_that_lost_one();
    let folder = path.parent().unwrap();
    fs::rename(folder, server.dir().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(server.dir().join("elsewhere"), folder).unwrap();
    let before = names(&server.dir().join("elsewhere"));
    let outcome = restore(&server, &["--message-id", "lost@mx.example.com"]).assert_code(3);
    let kinds: Vec<_> = outcome
        .data("error")
        .iter()
        .map(|error| error["kind"].clone())
        .collect();
    assert_eq!(kinds, ["io", "io"]);
    assert_eq!(names(&server.dir().join("elsewhere")), before);
}
