//! A real Dovecot opens what was restored and sees what it saw before.
#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::fs;

use mail_tests::dovecot::Dovecot;
use mail_tests::maildir::TreePlan;
use mail_tests::server::Server;

const USERS: [&str; 3] = ["alice@example.com", "bob@example.com", "carol@example.com"];

/// Every message of every mailbox, with UID, flags and delivery time, as `doveadm fetch` lists it.
fn listed(dovecot: &Dovecot) -> Vec<String> {
    let fields = "mailbox uid flags date.received.unixtime size.physical hdr.message-id";
    let fetch = |user: &&str| dovecot.doveadm(&["-f", "tab", "fetch", "-u", user, fields, "all"]);
    USERS
        .iter()
        .map(fetch)
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_message_has_its_uid_and_flags_as_before() {
    let server = Server::new(&TreePlan {
        mean_bytes: 2_000,
        ..TreePlan::new(600, 3, 77)
    });
    for mailbox in fs::read_dir(server.mail().join("example.com")).unwrap() {
        // Without Pigeonhole, Dovecot takes this link for a folder.
        fs::remove_file(mailbox.unwrap().path().join(".dovecot.sieve")).unwrap();
    }
    let dovecot = Dovecot::start(&server.mail());
    // Its first look gives messages their UIDs; flags are set as people set them.
    let first = listed(&dovecot);
    for user in USERS {
        dovecot.doveadm(&[
            "flags",
            "add",
            "-u",
            user,
            "\\Flagged",
            "mailbox",
            "INBOX",
            "1:3",
        ]);
        dovecot.doveadm(&[
            "flags", "add", "-u", user, "$Later", "mailbox", "INBOX", "2",
        ]);
    }
    let before = listed(&dovecot);
    // Folders with names that are not in modified UTF-7 are none to Dovecot.
    assert!(
        before.len() >= 500 && before != first,
        "{} messages",
        before.len()
    );
    drop(dovecot);

    let components = ["--component", "mailboxes"];
    let _ = server
        .backup()
        .args(components)
        .args(["--date", "2026-11-23"])
        .run()
        .assert_code(0);
    fs::remove_dir_all(server.mail()).unwrap();
    let _ = server
        .restore()
        .args(["--from", "daily/2026-11-23"])
        .run()
        .assert_code(0);

    let dovecot = Dovecot::start(&server.mail());
    assert_eq!(listed(&dovecot), before);
}
