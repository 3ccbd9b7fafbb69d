//! Messages given back to a Dovecot that runs: its users see them, with their flags, and lose
//! nothing.
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Site, assert_clean, by_id, by_mailbox, message, put};
use mail_restore::messages::Disposition;
use mail_tests::dovecot::Dovecot;
use mail_tests::run::Outcome;

/// Serves the sample's mail, without the Sieve link of its mailboxes, which Dovecot would take for
/// a folder.
fn serve(site: &Site) -> Dovecot {
    for user in ["alice", "bob"] {
        let _ = std::fs::remove_file(site.live("example.com").join(user).join(".dovecot.sieve"));
    }
    Dovecot::start(&site.mail())
}

/// What `doveadm fetch` says of every message of a user, a line each, sorted.
fn fetch(dovecot: &Dovecot, user: &str) -> Vec<String> {
    let fields = "mailbox flags date.received size.physical hdr.message-id";
    let text = dovecot.doveadm(&["-f", "tab", "fetch", "-u", user, fields, "ALL"]);
    // What a session is the first to see has nothing to do with the message.
    let mut lines: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| line.replace(" \\Recent", "").replace("\\Recent", ""))
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_deleted_message_appears_in_an_open_imap_session_with_its_flags() {
    let site = Site::with(&[]);
    site.put("example.com/alice/cur/1.a:2,S", &message("one@mx"));
    site.put("example.com/alice/cur/2.b:2,FRS", &message("two@mx"));
    let dovecot = Dovecot::start(&site.mail());
    let mut imap = dovecot.imap("alice@example.com");
    imap.command("SELECT INBOX");
    imap.command("STORE 2 +FLAGS ($Important)");
    site.back_up(&[]);
    let before = fetch(&dovecot, "alice@example.com");

    dovecot.doveadm(&[
        "expunge",
        "-u",
        "alice@example.com",
        "mailbox",
        "INBOX",
        "header",
        "message-id",
        "two@mx",
    ]);
    imap.command("NOOP");
    assert_eq!(
        imap.command("UID SEARCH HEADER Message-ID two@mx"),
        ["* SEARCH"]
    );

    let outcome = site.deliver(&by_id("two@mx"));
    assert_clean(&outcome);
    let news = imap.command("NOOP");
    assert!(news.iter().any(|line| line == "* 2 EXISTS"), "{news:?}");
    let found = imap.command("UID SEARCH HEADER Message-ID two@mx");
    let uid = found[0].strip_prefix("* SEARCH ").unwrap().to_owned();
    let flags = imap.command(&format!("UID FETCH {uid} FLAGS")).join("");
    for flag in ["\\Answered", "\\Flagged", "\\Seen", "$Important"] {
        assert!(flags.contains(flag), "no {flag} in {flags}");
    }
    assert_eq!(
        fetch(&dovecot, "alice@example.com"),
        before,
        "flags, time and size are as they were"
    );
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}

/// Their names on disk are in modified UTF-7: 保管 is `&T917oQ-`.
#[test]
fn a_folder_that_was_lost_is_subscribed_again() {
    let site = Site::with(&[
        ("example.com/alice/cur/1.a:2,S", "one@mx"),
        ("example.com/alice/.Archive.&T917oQ-/cur/2.b:2,S", "two@mx"),
        ("example.com/alice/.Sent/cur/3.c:2,S", "three@mx"),
    ]);
    let dovecot = Dovecot::start(&site.mail());
    let subscribed = || {
        let list = dovecot.doveadm(&["mailbox", "list", "-s", "-u", "alice@example.com"]);
        let names: BTreeSet<String> = list.lines().map(str::to_owned).collect();
        names
    };
    for subscribe_before in ["Sent", "INBOX"] {
        let args = [
            "mailbox",
            "subscribe",
            "-u",
            "alice@example.com",
            subscribe_before,
        ];
        dovecot.doveadm(&args);
    }
    let before = subscribed();
    site.remove("example.com/alice/.Archive.&T917oQ-");
    let outcome = site.deliver(&by_id("two@mx"));
    let made = format!("{:?}", outcome.warnings);
    assert!(made.contains("FolderMade"), "{made}");
    let new: Vec<String> = subscribed().difference(&before).cloned().collect();
    assert_eq!(new, ["Archive.保管"]);
    assert!(before.is_subset(&subscribed()));
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}

/// Whoever could read a folder of others can read it again, and none of its messages less.
#[test]
fn a_whole_folder_that_was_lost_comes_with_its_acl() {
    let site = Site::with(&[
        ("example.com/alice/cur/1.a:2,S", "one@mx"),
        ("example.com/alice/.Projects/cur/2.b:2,S", "two@mx"),
        ("example.com/alice/.Projects/cur/3.c:2,S", "three@mx"),
    ]);
    let acl = "mail_plugins = acl\nplugin {\n  acl = vfile\n}\n";
    let dovecot = Dovecot::start_with(&site.mail(), acl);
    let of_folder = |action: &[&str]| {
        let user = ["-u", "alice@example.com", "Projects"];
        dovecot.doveadm(&[&["acl"], action, &user[..]].concat())
    };
    let rights = ["user=bob@example.com", "lookup", "read"];
    let user = ["acl", "set", "-u", "alice@example.com", "Projects"];
    dovecot.doveadm(&[&user[..], &rights].concat());
    let before = of_folder(&["get"]);
    assert!(before.contains("bob@example.com"), "{before}");
    site.back_up(&[]);
    let set = site.set();
    let restore = |flags: &[&str]| {
        site.remove("example.com/alice/.Projects");
        let dry = site.server.restore().args(flags).arg("--dry-run");
        let shown = dry.run().assert_code(0);
        let outcome = site.server.restore().args(flags).run().assert_code(0);
        let says = |outcome: &Outcome| outcome.stderr.contains("dovecot-acl");
        assert_eq!(says(&shown), says(&outcome), "{}", shown.stderr);
        outcome
    };
    let from = set.to_str().unwrap();
    let whole = ["--path", "example.com/alice/.Projects/**"];
    for flags in [
        &["--from", from][..],
        &["--from", "all"],
        &["--from", from, "--missing"],
    ] {
        let outcome = restore(&[flags, &whole].concat());
        let _ = outcome.assert_stderr("gave folder Projects of alice@example.com its dovecot-acl");
        assert_eq!(of_folder(&["get"]), before, "{flags:?}");
        let shared = dovecot.doveadm(&["search", "-u", "alice@example.com", "mailbox", "Projects"]);
        assert_eq!(shared.lines().count(), 2, "{flags:?}");
    }
    // One message of it is not the folder: it comes back for its owner alone.
    for flags in [
        &["--from", from, "--message-id", "two@mx"][..],
        &["--from", "all", "--subject", "two"],
        &["--from", from, "--path", "**/.Projects/cur/2*"],
    ] {
        let outcome = restore(flags);
        assert!(
            !outcome.stderr.contains("dovecot-acl"),
            "{}",
            outcome.stderr
        );
        assert!(!of_folder(&["get"]).contains("bob@"), "{flags:?}");
    }
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}

#[test]
fn a_mailbox_that_was_lost_is_back_for_its_user_and_twice_is_once() {
    let site = Site::new(80, 2);
    let dovecot = serve(&site);
    // Dovecot makes its own control files.
    let before = fetch(&dovecot, "alice@example.com");
    assert!(before.len() > 30, "{}", before.len());
    site.back_up(&[]);
    site.remove("example.com/alice");
    for disposition in [Disposition::Added, Disposition::Present] {
        let outcome = site.deliver(&by_mailbox("alice@example.com"));
        assert!(
            outcome.failures.is_empty() && outcome.left == 0,
            "{:?}",
            outcome.failures
        );
        assert!(
            outcome
                .restored
                .iter()
                .all(|restored| restored.disposition == disposition),
            "{disposition:?}"
        );
        assert_eq!(fetch(&dovecot, "alice@example.com"), before);
    }
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}

#[test]
fn mail_that_comes_and_changes_meanwhile_is_kept() {
    let site = Site::new(120, 1);
    let dovecot = serve(&site);
    let saved = fetch(&dovecot, "alice@example.com").len();
    site.back_up(&[]);
    dovecot.doveadm(&[
        "expunge",
        "-u",
        "alice@example.com",
        "mailbox",
        "INBOX",
        "ALL",
    ]);
    let done = AtomicBool::new(false);
    let delivered = thread::scope(|scope| {
        let deliveries = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) || count < 3 {
                let mail = String::from_utf8(message(&format!("meanwhile-{count}@mx"))).unwrap();
                let path = site.server.dir().join("incoming");
                std::fs::write(&path, mail).unwrap();
                dovecot.doveadm(&[
                    "save",
                    "-u",
                    "alice@example.com",
                    "-m",
                    "INBOX",
                    path.to_str().unwrap(),
                ]);
                dovecot.doveadm(&[
                    "flags",
                    "add",
                    "-u",
                    "alice@example.com",
                    "\\Flagged",
                    "mailbox",
                    "INBOX",
                    "ALL",
                ]);
                count += 1;
            }
            count
        });
        let outcome = site.deliver(&by_mailbox("alice@example.com"));
        done.store(true, Ordering::Relaxed);
        assert!(
            outcome.failures.is_empty() && outcome.left == 0,
            "{:?}",
            outcome.failures
        );
        deliveries.join().unwrap()
    });
    let ids: Vec<String> = fetch(&dovecot, "alice@example.com")
        .iter()
        .map(|line| line.rsplit('\t').next().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), saved + delivered);
    assert_eq!(
        ids.iter().collect::<BTreeSet<_>>().len(),
        ids.len(),
        "each once"
    );
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}

#[test]
fn a_folder_that_is_made_can_be_opened_at_once() {
    let site = Site::with(&[]);
    site.put("example.com/alice/cur/1.a:2,S", &message("one@mx"));
    let dovecot = Dovecot::start(&site.mail());
    dovecot.doveadm(&[
        "mailbox",
        "create",
        "-u",
        "alice@example.com",
        "Projects.2025",
    ]);
    let mut imap = dovecot.imap("alice@example.com");
    put(&site.mail(), "incoming", &message("two@mx"));
    let incoming = site.live("incoming");
    dovecot.doveadm(&[
        "save",
        "-u",
        "alice@example.com",
        "-m",
        "Projects.2025",
        incoming.to_str().unwrap(),
    ]);
    imap.command("SELECT Projects.2025");
    imap.command("STORE 1 +FLAGS (\\Seen Urgent)");
    imap.command("LOGOUT");
    site.back_up(&[]);
    dovecot.doveadm(&[
        "mailbox",
        "delete",
        "-u",
        "alice@example.com",
        "Projects.2025",
    ]);
    let outcome = site.deliver(&by_id("two@mx"));
    assert!(outcome.failures.is_empty(), "{outcome:?}");
    // A session keeps the list of folders that it has read; the next one reads it again.
    let mut imap = dovecot.imap("alice@example.com");
    let listed = imap.command("LIST \"\" *");
    assert!(
        listed.iter().any(|line| line.ends_with(" Projects.2025")),
        "{listed:?}"
    );
    imap.command("SELECT Projects.2025");
    let flags = imap.command("FETCH 1 FLAGS").join("");
    assert!(
        flags.contains("\\Seen") && flags.contains("Urgent"),
        "{flags}"
    );
    assert!(!dovecot.log().contains("Error"), "{}", dovecot.log());
}
