//! A real Dovecot opens what was restored and sees what it saw before.
#![allow(clippy::disallowed_methods, reason = "sample files")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

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

/// What the mailboxes have lost since the last set, by name; an alarm that the run raised ends the
/// test.
#[track_caller]
fn lost(server: &Server, date: &str) -> usize {
    thread::sleep(Duration::from_millis(50));
    let only = ["--component", "mailboxes", "--date", date];
    let outcome = server.backup().args(only).run().assert_code(0);
    assert!(outcome.data("alarm").is_empty(), "{}", outcome.stderr);
    let changes = outcome.data("changes").pop().unwrap_or_default();
    assert_eq!(changes["spoiled"].as_u64().unwrap_or(0), 0, "{changes}");
    usize::try_from(changes["vanished"].as_u64().unwrap_or(0)).expect("so many messages there are")
}

fn messages_in(mail: &Path) -> usize {
    let messages = [
        "-type", "f", "(", "-path", "*/cur/*", "-o", "-path", "*/new/*", ")",
    ];
    found(mail, &[&messages[..], &["-printf", "x"]].concat()).len()
}

/// What find(1) says of the tree `mail`.
fn found(mail: &Path, arguments: &[&str]) -> String {
    let output = Command::new("find").arg(mail).args(arguments).output();
    String::from_utf8(output.expect("find runs").stdout).expect("it prints UTF-8")
}

/// Flags, moves, indexes that are made again, and dsync into a new server, which gives each message
/// another name and inode, are no losses. What is expunged is, and nothing else.
#[test]
fn what_dovecot_does_to_mail_is_no_loss_but_for_what_is_expunged() {
    let server = Server::new(&TreePlan {
        mean_bytes: 500,
        ..TreePlan::new(1200, 3, 77)
    });
    for mailbox in fs::read_dir(server.mail().join("example.com")).unwrap() {
        let mailbox = mailbox.unwrap().path();
        fs::remove_file(mailbox.join(".dovecot.sieve")).unwrap();
        for folder in fs::read_dir(mailbox).unwrap().map(Result::unwrap) {
            // Not in modified UTF-7, and so none to Dovecot.
            if !folder.file_name().to_string_lossy().is_ascii() {
                fs::remove_dir_all(folder.path()).unwrap();
            }
        }
    }
    let dovecot = Dovecot::start(&server.mail());
    lost(&server, "2026-11-01");
    let first = messages_in(&server.mail());
    for user in USERS {
        let inbox = ["mailbox", "INBOX"];
        let run = |command: &[&str], set: &str| {
            let arguments = [&[command[0], "-u", user], &command[1..], &inbox, &[set]];
            dovecot.doveadm(&arguments.concat())
        };
        dovecot.doveadm(&["flags", "add", "-u", user, "\\Seen", "all"]);
        dovecot.doveadm(&["mailbox", "create", "-u", user, "Kept"]);
        run(&["expunge"], "1:9");
        run(&["move", "Kept"], "1:60");
        dovecot.doveadm(&["purge", "-u", user]);
    }
    assert_eq!(first - messages_in(&server.mail()), 27);
    assert_eq!(lost(&server, "2026-11-02"), 27);

    found(
        &server.mail(),
        &["-name", "dovecot*", "-type", "f", "-delete"],
    );
    for user in USERS {
        dovecot.doveadm(&["force-resync", "-u", user, "*"]);
    }
    assert_eq!(lost(&server, "2026-11-03"), 0);

    let (old, new) = (server.mail(), server.dir().join("new"));
    fs::create_dir(&new).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o777)).unwrap();
    for user in USERS {
        let name = user.split('@').next().unwrap();
        let to = format!("maildir:{}/example.com/{name}", new.display());
        dovecot.doveadm(&["backup", "-u", user, &to]);
    }
    // None is missing.
    assert!(messages_in(&new) >= messages_in(&old));
    fs::rename(&old, server.dir().join("old")).unwrap();
    fs::rename(&new, &old).unwrap();
    assert_eq!(lost(&server, "2026-11-04"), 0);
}

/// In mdbox and sdbox a file is not a message: it is saved, and what becomes of it is not judged.
#[test]
fn boxes_of_other_kinds_are_saved_as_files_and_not_judged() {
    let server = Server::new(&TreePlan {
        mean_bytes: 500,
        ..TreePlan::new(1200, 3, 77)
    });
    let dovecot = Dovecot::start(&server.mail());
    let boxes = [("alice", "mdbox"), ("bob", "sdbox")];
    let inside = |(user, kind): (&str, &str), command: &[&str]| {
        let mail = server.mail();
        let place = format!("mail_location={kind}:{}/example.net/{user}", mail.display());
        let address = format!("{user}@example.com");
        let arguments = [&["-o", &place, command[0], "-u", &address], &command[1..]];
        dovecot.doveadm(&arguments.concat());
    };
    for (user, kind) in boxes {
        let from = format!("maildir:{}/example.com/{user}", server.mail().display());
        inside((user, kind), &["import", &from, "", "mailbox", "INBOX"]);
    }
    lost(&server, "2026-11-01");
    for of_user in boxes {
        inside(of_user, &["expunge", "mailbox", "INBOX", "1:100"]);
        inside(of_user, &["purge"]);
    }
    assert_eq!(lost(&server, "2026-11-02"), 0);
    let set = server
        .daily("2026-11-02")
        .join("mailboxes/example.net/alice");
    let saved = Command::new("tar")
        .args(["--zstd", "-tf"])
        .arg(set.join("0000.tar.zst"))
        .output();
    let saved = String::from_utf8(saved.unwrap().stdout).unwrap();
    assert!(saved.contains("alice/storage/m."), "{saved}");
}
