//! Control files that have not been written to for long: a segment has them, and not each `0000`.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::incremental::assert_holds_source;
use crate::support::{self, Server, SetDir, capture};

const ALICE: &str = "example.com/alice";
const MAILBOX: &str = "mailboxes/example.com/alice";

/// A mailbox with messages enough that a few deaths do not have their segment written again.
fn server() -> Server {
    let server = Server::empty();
    server.maildir(ALICE);
    for number in 0..20 {
        let text = format!("Subject: {number}\n\n");
        server.message(format!("{ALICE}/cur/{number}"), text.as_bytes());
    }
    server
}

/// A control file of alice that was last written to so many days before the first of November.
fn write(server: &Server, name: &str, text: &str, days_before: u64) {
    let path = server.mail().join(ALICE).join(name);
    fs::write(&path, text).unwrap();
    let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let first = Duration::from_secs(1_793_491_200);
    let time = SystemTime::UNIX_EPOCH + first - Duration::from_secs(days_before * 86_400);
    file.set_modified(time).unwrap();
}

fn save(server: &Server, day: u32, options: &[&str]) -> SetDir {
    support::settle();
    let (set, _) = server.save_mail(&format!("2026-11-{day:02}"), options);
    assert_holds_source(server, &set);
    set
}

/// The archives of alice that hold a member `name`, by stock tar.
fn archives_with(set: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(set.join(MAILBOX)).unwrap() {
        let archive = entry.unwrap().path();
        let file_name = archive.file_name().unwrap().to_str().unwrap().to_owned();
        if !file_name.ends_with(".tar.zst") {
            continue;
        }
        let names = capture(Command::new("tar").args(["--zstd", "-tf"]).arg(&archive));
        let wanted = format!("{ALICE}/{name}");
        if String::from_utf8(names)
            .unwrap()
            .lines()
            .any(|line| line == wanted)
        {
            found.push(file_name);
        }
    }
    found.sort();
    found
}

#[test]
fn what_stays_as_it_is_is_stored_once() {
    let server = server();
    write(&server, "dovecot-uidlist", "3 V1 N1\n", 9);
    write(&server, "subscriptions", "Sent\n", 4);
    let first = save(&server, 1, &[]);
    assert_eq!(archives_with(&first, "dovecot-uidlist"), ["0001.tar.zst"]);
    assert_eq!(archives_with(&first, "subscriptions"), ["0000.tar.zst"]);

    let alice = server.mail().join(ALICE);
    let cur = alice.join("cur");
    fs::rename(cur.join("1"), cur.join("1:2,S")).unwrap();
    let second = save(&server, 2, &[]);
    assert_eq!(archives_with(&second, "dovecot-uidlist"), ["0001.tar.zst"]);
    assert!(!second.join(MAILBOX).join("0002.tar.zst").exists());

    // A new change time and nothing else.
    lchown(alice.join("dovecot-uidlist"), None, None).unwrap();
    fs::rename(cur.join("2"), cur.join("2:2,S")).unwrap();
    let touched = save(&server, 3, &[]);
    assert_eq!(archives_with(&touched, "dovecot-uidlist"), ["0001.tar.zst"]);

    // What changes is in 0000, until it has settled again; the later segment wins.
    write(&server, "dovecot-uidlist", "3 V1 N2\n", 0);
    let third = save(&server, 4, &[]);
    let both = ["0000.tar.zst", "0001.tar.zst"];
    assert_eq!(archives_with(&third, "dovecot-uidlist"), both);
    write(&server, "dovecot-uidlist", "3 V1 N3\n", 9);
    server.message(format!("{ALICE}/cur/new"), b"Subject: new\n\n");
    let fourth = save(&server, 5, &[]);
    let later = ["0001.tar.zst", "0002.tar.zst"];
    assert_eq!(archives_with(&fourth, "dovecot-uidlist"), later);

    fs::remove_file(alice.join("dovecot-uidlist")).unwrap();
    fs::create_dir_all(alice.join("dovecot-uidlist/cur")).unwrap();
    server.message(format!("{ALICE}/dovecot-uidlist/cur/1"), b"Subject: a\n\n");
    save(&server, 6, &[]);
}

#[test]
fn they_are_no_messages_and_no_losses() {
    let server = server();
    for number in 0..30 {
        write(&server, &format!("old.{number}"), "x", 30);
    }
    save(&server, 1, &[]);
    for number in 0..30 {
        fs::remove_file(server.mail().join(ALICE).join(format!("old.{number}"))).unwrap();
    }
    let (_, outcome) = server.save_mail("2026-11-02", &[]);
    let changes = &outcome.data("changes")[0];
    assert_eq!(changes["vanished"], 0, "{changes}");
    assert_eq!(changes["before"], 20, "{changes}");
    assert_eq!(outcome.data("end")[0]["totals"]["messages_unchanged"], 20);
}

#[test]
fn nothing_settles_where_what_is_dead_must_go_at_once() {
    let server = server();
    write(&server, "dovecot-uidlist", "3 V1 N1\n", 9);
    support::settle();
    let arguments = ["--component", "mailboxes", "--date", "2026-11-01"];
    let tool = server.tool(&arguments).env("BACKUP_PURGE_DAYS", "0");
    support::checked(tool.run()).assert_code(0);
    let set = server.set("daily/2026-11-01");
    assert_eq!(archives_with(&set, "dovecot-uidlist"), ["0000.tar.zst"]);
}
