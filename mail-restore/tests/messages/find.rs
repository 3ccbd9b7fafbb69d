//! What a query means in a set: by Message-ID, mailbox, time and name, in sets of every age, honest
//! or not.
#![expect(clippy::unwrap_used, reason = "a failing step ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{
    DATE, Site, by_id, by_mailbox, by_path, digest, forge_index, message, paths, piped, put,
    replace, since, stamp, work,
};
use mail_restore::messages::{Error, Found, Query, inspect};

const ONE: &str = "example.com/alice/cur/1.a:2,S";

fn sample() -> Site {
    Site::with(&[
        (ONE, "one@mx"),
        ("example.com/alice/new/2.b", "two@mx"),
        ("example.com/alice/.Archive.2025/cur/3.c:2,FS", "three@mx"),
        ("example.com/bob/cur/4.d:2,", "four@mx"),
        ("example.net/carol/cur/5.e:2,", "five@mx"),
    ])
}

/// What is said of each entry, as JSON: the lines of the indexes and of `0000` in the state.
fn index(site: &Site, unit: &str) -> Vec<serde_json::Value> {
    let text = listing(&site.set().join(format!("mailboxes/{unit}")));
    let lines = text.lines().filter(|line| line.contains("\"kind\":"));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The indexes and the state of the mailbox in `directory`.
fn listing(directory: &Path) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-c", "zstd -dcq [0-9]*.jsonl.zst state.jsonl.zst"]);
    String::from_utf8(piped(shell.current_dir(directory), b"")).unwrap()
}

/// As the index of a set of before: nothing says what the Message-IDs are.
fn forget_ids(site: &Site, unit: &str) {
    forge_index(&site.set(), unit, |line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("message_id");
        line.to_string()
    });
}

#[test]
fn the_index_has_the_message_id_of_each_message_and_of_nothing_else() {
    let site = Site::new(1, 1);
    site.put(
        "m.example/a/cur/1.a:2,S",
        b"Subject: x\r\nMESSAGE-ID:\r\n <folded@mx>\r\n\r\nbody",
    );
    site.put(
        "m.example/a/cur/2.b:2,S",
        b"Subject: x\n\nMessage-ID: <body@mx>\n",
    );
    site.put(
        "m.example/a/cur/3.c:2,S",
        b"\x1f\x8b\x08 compressed by Dovecot",
    );
    let large = [
        &message("large@mx")[..],
        &b"0123456789abcde\n".repeat((17 << 20) / 16),
    ]
    .concat();
    site.put("m.example/a/new/4.d", &large);
    site.put("m.example/a/subscriptions", b"Message-ID: <control@mx>\n\n");
    site.back_up(&[]);
    let ids: Vec<_> = index(&site, "m.example/a")
        .into_iter()
        .filter(|line| line["kind"] == "file")
        .map(|line| {
            (
                line["path"].as_str().unwrap()["m.example/a/".len()..].to_owned(),
                line["message_id"].clone(),
            )
        })
        .collect();
    let expected = [
        ("cur/1.a:2,S", "folded@mx".into()),
        ("cur/2.b:2,S", "".into()),
        ("cur/3.c:2,S", serde_json::Value::Null),
        ("new/4.d", "large@mx".into()),
        ("subscriptions", serde_json::Value::Null),
    ];
    assert_eq!(ids, expected.map(|(path, id)| (path.to_owned(), id)));

    // On the next day what did not change keeps its line, and what is new gets one.
    site.put("m.example/a/cur/5.e:2,S", &message("five@mx"));
    let _ = site
        .server
        .backup()
        .args(["--component", "mailboxes", "--date", "2026-11-24"])
        .run()
        .assert_code(0);
    let set = site.server.daily("2026-11-24");
    let text = listing(&set.join("mailboxes/m.example/a"));
    for id in ["folded@mx", "large@mx", "five@mx"] {
        assert_eq!(
            text.matches(&format!(r#""message_id":"{id}""#)).count(),
            1,
            "{id} in {text}"
        );
    }
}

#[test]
fn a_message_is_found_by_its_message_id() {
    let site = sample();
    let mut selection = site.choose(&by_id("<three@mx>"));
    assert!(inspect(&mut selection, &work()).is_empty());
    let [candidate] = &selection.candidates[..] else {
        panic!("{selection:?}")
    };
    assert_eq!(candidate.address(), "alice@example.com");
    assert_eq!(candidate.folder(), "Archive.2025");
    assert_eq!(
        candidate.file.path.to_string(),
        "example.com/alice/.Archive.2025/cur/3.c:2,FS"
    );
    assert_eq!(candidate.file.size, message("three@mx").len() as u64);
    assert_eq!(candidate.message_id.as_deref(), Some("three@mx"));
    assert_eq!(candidate.subject.as_deref(), Some("about three@mx"));
    assert!(
        candidate
            .file
            .place
            .to_string()
            .starts_with("mailboxes/example.com/alice/0001.tar.zst at ")
    );
}

#[test]
fn kinds_are_combined_with_and_and_one_kind_with_or() {
    let site = sample();
    put(
        &site.mail(),
        "example.com/alice/cur/6.f:2,",
        &message("six@mx"),
    );
    stamp(&site.live("example.com/alice/cur/6.f:2,"), 1_795_176_000); // 2026-11-20T12:00:00Z
    site.back_up(&[]);
    let check =
        |query: &Query, expected: &[&str]| assert_eq!(site.paths(query), expected, "{query}");
    let alice = by_mailbox("alice@example.com");
    check(
        &alice,
        &[
            "example.com/alice/.Archive.2025/cur/3.c:2,FS",
            ONE,
            "example.com/alice/cur/6.f:2,",
            "example.com/alice/new/2.b",
        ],
    );
    let both = Query {
        mailboxes: ["bob@example.com", "carol@example.net"]
            .map(|a| a.parse().unwrap())
            .into(),
        ..alice.clone()
    };
    check(
        &both,
        &["example.com/bob/cur/4.d:2,", "example.net/carol/cur/5.e:2,"],
    );
    check(
        &Query {
            since: Some(since("2026-11-20")),
            ..Query::default()
        },
        &["example.com/alice/cur/6.f:2,"],
    );
    check(
        &Query {
            since: Some(since("2026-11-20T12:00:00Z")),
            ..alice.clone()
        },
        &["example.com/alice/cur/6.f:2,"],
    );
    check(
        &by_path("example.com/*/cur/*"),
        &[
            ONE,
            "example.com/alice/cur/6.f:2,",
            "example.com/bob/cur/4.d:2,",
        ],
    );
    check(
        &Query {
            paths: by_path("**/*S*").paths,
            ..alice.clone()
        },
        &["example.com/alice/.Archive.2025/cur/3.c:2,FS", ONE],
    );
    let ids = Query {
        message_ids: ["one@mx", "five@mx"].map(|id| id.parse().unwrap()).into(),
        ..Query::default()
    };
    check(&ids, &[ONE, "example.net/carol/cur/5.e:2,"]);
    let error = site
        .find(&Query {
            since: Some(since("2026-11-20T12:00:01Z")),
            ..alice
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no message found by --mailbox alice@example.com --since 2026-11-20T12:00:01Z among 4 in 1 mailboxes of {}",
            site.set().display()
        )
    );
}

#[test]
fn a_message_that_is_not_there_is_an_error_even_if_another_is() {
    let site = sample();
    let ids = Query {
        message_ids: ["one@mx", "none@mx"].map(|id| id.parse().unwrap()).into(),
        ..Query::default()
    };
    let error = site.find(&ids).unwrap_err().to_string();
    assert!(
        error.starts_with("no message found by --message-id <none@mx> among 5 in 3 mailboxes"),
        "{error}"
    );
}

#[test]
fn a_mailbox_that_is_not_there_is_an_error_that_names_similar_ones() {
    let site = sample();
    let check = |address: &str, expected: &str| {
        let error = site.find(&by_mailbox(address)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("no mailbox {address} in {}{expected}", site.set().display())
        );
    };
    check("Alice@Example.com", "; there is alice@example.com");
    check("bob@example.co", "; there is bob@example.com");
    check(
        "nobody@example.org",
        "; there is bob@example.com, carol@example.net, alice@example.com",
    );
}

#[test]
fn a_message_id_of_several_messages_is_ambiguous() {
    let site = sample();
    site.put("example.com/bob/cur/7.g:2,", &message("one@mx"));
    site.put("example.com/bob/.Sent/cur/8.h:2,", &message("four@mx"));
    site.put(
        "example.net/carol/new/9.i",
        &[&message("five@mx")[..], b"more"].concat(),
    );
    site.back_up(&[]);
    let ambiguous = |query: &Query| match site.find(query).unwrap() {
        Found::Ambiguous(ambiguous) => {
            (ambiguous.message_ids.clone(), paths(ambiguous.candidates()))
        }
        Found::Chosen(selection) => panic!("{selection:?}"),
    };
    let strings = |texts: &[&str]| {
        texts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    // The same message in two mailboxes; a choice of one is clear.
    assert_eq!(
        ambiguous(&by_id("one@mx")),
        (
            strings(&["one@mx"]),
            strings(&[ONE, "example.com/bob/cur/7.g:2,"])
        )
    );
    let chosen = Query {
        mailboxes: by_mailbox("bob@example.com").mailboxes,
        ..by_id("one@mx")
    };
    assert_eq!(site.paths(&chosen), ["example.com/bob/cur/7.g:2,"]);
    // The same message twice in a mailbox: it is one.
    assert_eq!(
        site.paths(&by_id("four@mx")),
        ["example.com/bob/.Sent/cur/8.h:2,"]
    );
    // Two messages of one Message-ID.
    let two = ["example.net/carol/cur/5.e:2,", "example.net/carol/new/9.i"];
    assert_eq!(
        ambiguous(&by_id("five@mx")),
        (strings(&["five@mx"]), strings(&two))
    );
    // One that is clear beside one that is not: only the latter is listed.
    let ids = Query {
        message_ids: ["two@mx", "five@mx"].map(|id| id.parse().unwrap()).into(),
        ..Query::default()
    };
    assert_eq!(ambiguous(&ids).1, two);
}

#[test]
fn where_the_index_has_no_message_ids_the_messages_are_read() {
    let site = Site::new(60, 3);
    let large = [
        &message("large@mx")[..],
        &b"0123456789abcde\n".repeat((17 << 20) / 16),
    ]
    .concat();
    site.put("example.com/alice/cur/4.d:2,", &large);
    site.put("example.com/alice/.Sent/cur/5.e:2,S", &message("five@mx"));
    site.back_up(&[]);
    for mailbox in ["example.com/alice", "example.com/bob"] {
        forget_ids(&site, mailbox);
    }
    assert_eq!(
        site.paths(&by_id("large@mx")),
        ["example.com/alice/cur/4.d:2,"]
    );
    assert_eq!(
        site.paths(&by_id("five@mx")),
        ["example.com/alice/.Sent/cur/5.e:2,S"]
    );
    // A frame that cannot be read may hold what is asked for: that is said.
    let segment = site.set().join("mailboxes/example.com/bob/0001.tar.zst");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    match site.find(&by_id("none@mx")) {
        Err(Error::NoMatch { unread, .. }) => assert_eq!(unread[0].mailbox, "bob@example.com"),
        other => panic!("{other:?}"),
    }
    assert_eq!(site.choose(&by_id("five@mx")).unread.len(), 1);
}

#[test]
fn an_index_is_believed_only_when_its_digest_is_right() {
    let site = sample();
    let path = site.set().join("mailboxes/example.com/bob/0001.jsonl.zst");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&path, bytes).unwrap();
    let error = site.find(&by_id("one@mx")).unwrap_err();
    let expected = "mailboxes/example.com/bob/0001.jsonl.zst is not what the set's checksums say: it is damaged; use another set";
    assert_eq!(error.to_string(), expected);
    // Of another mailbox nothing is asked.
    assert_eq!(site.paths(&by_mailbox("alice@example.com")).len(), 3);
}

#[test]
fn an_index_that_leads_out_of_its_mailbox_is_refused() {
    let check = |from: &str, to: &str, expected: &str| {
        let site = sample();
        forge_index(&site.set(), "example.com/bob", |line| {
            line.replace(from, to)
        });
        let error = site.find(&by_mailbox("bob@example.com")).unwrap_err();
        assert_eq!(error.to_string(), expected, "{to}");
    };
    let index = "mailboxes/example.com/bob/state.jsonl.zst";
    check(
        "example.com/bob/cur/4.d",
        "../../../etc/cur/4.d",
        &format!("read {index}; use another set"),
    );
    check(
        "example.com/bob/cur/4.d",
        "/etc/cur/4.d",
        &format!("read {index}; use another set"),
    );
    let foreign = format!(
        "{index} names example.net/x/cur/4.d:2,, which is not in its mailbox; use another set"
    );
    check("example.com/bob/cur/4.d", "example.net/x/cur/4.d", &foreign);
}

#[test]
fn a_set_of_the_old_scripts_is_searched_too() {
    let site = sample();
    let set = site.server.root().join("daily/2026-11-22");
    let mail = set.join("mail");
    for (path, id) in [
        (ONE, "one@mx"),
        ("example.com/alice/.Sent/cur/2.b:2,S", "two@mx"),
        ("example.com/bob/new/3.c", "one@mx"),
    ] {
        put(&mail, path, &message(id));
    }
    let sums = "find mail -type f -print0 | sort -z | xargs -0 sha256sum > checksums.sha256";
    assert!(
        Command::new("sh")
            .args(["-c", sums])
            .current_dir(&set)
            .status()
            .unwrap()
            .success()
    );
    let inventory = mail_common::set::Inventory::read(&set).unwrap();
    let find = |query: &Query| mail_restore::messages::find(&inventory, query, &work());
    let Ok(Found::Chosen(mut selection)) = find(&by_id("two@mx")) else {
        panic!("two@mx")
    };
    assert_eq!(
        paths(&selection.candidates),
        ["example.com/alice/.Sent/cur/2.b:2,S"]
    );
    assert!(inspect(&mut selection, &work()).is_empty());
    assert_eq!(selection.candidates[0].folder(), "Sent");
    assert_eq!(
        selection.candidates[0].subject.as_deref(),
        Some("about two@mx")
    );
    assert!(matches!(find(&by_id("one@mx")), Ok(Found::Ambiguous(_))));
    let Ok(Found::Chosen(bob)) = find(&by_mailbox("bob@example.com")) else {
        panic!("bob")
    };
    assert_eq!(paths(&bob.candidates), ["example.com/bob/new/3.c"]);
    // A file that is another than the checksums say is found out when it is read.
    fs::write(
        mail.join("example.com/alice/.Sent/cur/2.b:2,S"),
        message("two@mx").to_ascii_uppercase(),
    )
    .unwrap();
    let Ok(Found::Chosen(mut selection)) = find(&by_path("**/2.b*")) else {
        panic!("2.b")
    };
    assert_eq!(inspect(&mut selection, &work()).len(), 1);
}

#[test]
fn mailboxes_at_other_depths_have_the_names_of_their_directories() {
    let site = sample();
    site.put("solo/cur/1.a:2,", &message("solo@mx"));
    site.back_up(&["--mailbox-depth", "1"]);
    assert_eq!(site.paths(&by_mailbox("solo")), ["solo/cur/1.a:2,"]);
    assert!(site.find(&by_mailbox("nosuch")).is_err());
    site.back_up(&["--mailbox-depth", "0"]);
    assert_eq!(site.paths(&by_mailbox("solo")), ["solo/cur/1.a:2,"]);
    assert_eq!(
        site.paths(&by_mailbox("bob@example.com")),
        ["example.com/bob/cur/4.d:2,"]
    );
    assert_eq!(site.paths(&by_mailbox("_root")).len(), 6);
    let sent = &site.choose(&by_id("three@mx")).candidates[0];
    assert_eq!(
        (sent.address(), sent.folder()),
        ("alice@example.com".to_owned(), "Archive.2025".to_owned())
    );
    let error = site
        .find(&by_mailbox("bobo@example.com"))
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("; there is bob@example.com"), "{error}");
}

#[test]
fn a_set_without_mailboxes_is_reported() {
    let site = sample();
    let _ = site
        .server
        .backup()
        .args(["--component", "config", "--date", "2026-11-25"])
        .run()
        .assert_code(0);
    let inventory = mail_common::set::Inventory::read(&site.server.daily("2026-11-25")).unwrap();
    let error = mail_restore::messages::find(&inventory, &Query::default(), &work()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("holds no mailboxes; use a set that was made with them"),
        "{error}"
    );
}

/// The kit itself: what `replace` leaves is a set that agrees with itself.
#[test]
fn a_forged_set_agrees_with_itself() {
    let site = sample();
    let index = "mailboxes/example.com/bob/0001.jsonl.zst";
    let before = digest(&site.set().join(index));
    forge_index(&site.set(), "example.com/bob", |line| {
        line.replace("\"mode\":\"", "\"mode\": \"")
    });
    assert_ne!(digest(&site.set().join(index)), before);
    mail_tests::set::assert_checksums(&site.set());
    replace(&site.set(), index, b"x");
    mail_tests::set::assert_checksums(&site.set());
    assert!(site.set().ends_with(DATE));
}

/// A frame that is damaged is a damaged set, and not a message that nobody could look into.
#[test]
fn a_damaged_frame_is_not_taken_for_an_unclear_message() {
    let site = Site::new(1, 1);
    // Larger than is read into memory, and without a Message-ID in the index: it begins as gzip.
    let lines: String = (0..2_000_000)
        .map(|line| format!("line {line}\n"))
        .collect();
    site.put(
        "m.example/a/cur/1.a:2,S",
        &[b"\x1f\x8b", lines.as_bytes()].concat(),
    );
    site.back_up(&[]);
    let counts = || match site.find(&by_id("absent@mx")) {
        Err(Error::NoMatch {
            unread, unsearched, ..
        }) => (unread.len(), unsearched.unclear),
        found => panic!("{found:?}"),
    };
    assert_eq!(counts(), (0, 1));
    let segment = site.set().join("mailboxes/m.example/a/0001.tar.zst");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100_000..104_000].fill(0xff);
    fs::write(&segment, bytes).unwrap();
    assert_eq!(counts(), (1, 0));
}

/// Mail programs show a folded Message-ID without its white space, and old indexes have it.
#[test]
fn a_folded_message_id_is_found_as_mail_programs_show_it() {
    let site = Site::new(1, 1);
    let folded = b"Message-ID: <left-side@mail.\r\n\texample.net>\r\n\r\nbody\r\n";
    site.put("m.example/a/cur/1.a:2,S", folded);
    site.back_up(&[]);
    let query = by_id("<left-side@mail.example.net>");
    let expected = ["m.example/a/cur/1.a:2,S"];
    assert_eq!(site.paths(&query), expected);
    forge_index(&site.set(), "m.example/a", |line| {
        line.replace("mail.example.net", "mail.\\texample.net")
    });
    assert_eq!(site.paths(&query), expected);
    assert_eq!(site.paths(&by_id("left-side@mail. example.net")), expected);
}

#[test]
fn a_message_id_after_a_long_header_is_found() {
    let site = Site::new(1, 1);
    let filler = "X-Report: a line of a long report\n".repeat(10_000);
    let long = format!("{filler}Message-ID: <late@mx>\n\nbody\n");
    site.put("m.example/a/cur/1.a:2,S", long.as_bytes());
    let large = format!(
        "{filler}Message-ID: <large@mx>\n\n{}",
        "body\n".repeat(4 << 20)
    );
    site.put("m.example/a/cur/2.b:2,S", large.as_bytes());
    site.back_up(&[]);
    assert_eq!(site.paths(&by_id("late@mx")), ["m.example/a/cur/1.a:2,S"]);
    assert_eq!(site.paths(&by_id("large@mx")), ["m.example/a/cur/2.b:2,S"]);
}
