//! Messages looked for in many sets at once: by what people know of them, and where they are.
#![expect(
    clippy::disallowed_methods,
    reason = "sample mail is not a stored file"
)]

use std::fs;
use std::path::Path;

use crate::support::{Site, forge_index, stamp};

/// 2026-06-03T05:12:00Z.
const JUNE: i64 = 1_780_463_520;
const DAY: i64 = 86_400;

const ESTIMATE: &str = "example.com/alice/cur/1.a:2,S";
const INVOICE: &str = "example.com/alice/.Archive/cur/2.b:2,FS";
const PLAIN: &str = "example.com/bob/new/3.c";

/// "御見積書の件", "取引先", and "お世話になります。\n御見\n積書を送ります。" in ISO-2022-JP, as Python's codec writes
/// them; the name of the file is "見積書２.pdf".
const ESTIMATE_TEXT: &str = "From: =?ISO-2022-JP?B?GyRCPGgwekBoGyhC?= <buyer@customer.example>\r
To: alice@example.com\r
Cc: \"Bob =?utf-8?q?M=C3=BCller?=\" <bob@example.com>\r
Date: Wed, 3 Jun 2026 14:12:00 +0900\r
Subject: =?ISO-2022-JP?B?GyRCOGY4K0BRPXEkTjdvGyhC?=\r
Message-ID: <estimate@customer.example>\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/plain; charset=ISO-2022-JP\r
Content-Transfer-Encoding: 7bit\r
\r
\u{1b}$B$*@$OC$K$J$j$^$9!#\u{1b}(B\r
\u{1b}$B8f8+\u{1b}(B\r
\u{1b}$B@Q=q$rAw$j$^$9!#\u{1b}(B\r
--b\r
Content-Type: application/pdf\r
Content-Transfer-Encoding: base64\r
Content-Disposition: attachment; filename*=utf-8''%E8%A6%8B%E7%A9%8D%E6%9B%B8%EF%BC%92.pdf\r
\r
JVBERi0xLjQ=\r
--b--\r
";

const INVOICE_TEXT: &str = "From: Kunde <kunde@Customer.example>
To: alice@example.com
Subject: Invoice 12
Message-ID: <invoice@customer.example>
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<style>p { color: hidden }</style><p>Please find our <b>esti</b>mate caf=C3=A9 =
enclosed&nbsp;here</p>
";

fn sample() -> Site {
    let site = Site::empty();
    site.put_at(ESTIMATE, JUNE, ESTIMATE_TEXT);
    site.put_at(INVOICE, JUNE + DAY, INVOICE_TEXT);
    let plain = "From: bob@example.com\nSubject: lunch\nTo: carol@example.net\n\nat noon?\n";
    site.put_at(PLAIN, JUNE + 40 * DAY, plain);
    site
}

#[test]
fn each_condition_finds_what_it_says() {
    let site = sample();
    site.save_day(23);
    let check = |flags: &[&str], expected: &[&str]| {
        let listed = site.listed(&[&["--from", "latest"], flags].concat());
        assert_eq!(listed, expected, "{flags:?}");
    };
    check(&[], &[PLAIN, INVOICE, ESTIMATE]);
    check(&["--sender", "CUSTOMER.example"], &[INVOICE, ESTIMATE]);
    check(&["--sender", "取引先"], &[ESTIMATE]);
    check(&["--recipient", "MÜLLER"], &[ESTIMATE]);
    check(&["--recipient", "Mu\u{308}ller"], &[ESTIMATE]);
    check(&["--recipient", "alice@"], &[INVOICE, ESTIMATE]);
    check(&["--subject", "見積書"], &[ESTIMATE]);
    check(&["--subject", "ｉｎｖｏｉｃｅ　１２"], &[INVOICE]);
    check(
        &["--subject", "12", "--subject", "件"],
        &[INVOICE, ESTIMATE],
    );
    check(&["--subject", "12", "--sender", "buyer"], &[]);
    check(&["--text", "御見積書を"], &[ESTIMATE]);
    check(&["--text", "estimate CAFÉ enclosed here"], &[INVOICE]);
    check(&["--text", "lunch"], &[PLAIN]);
    check(&["--text", "hidden"], &[]);
    check(&["--text", "application"], &[]);
    check(&["--text", "noon", "--mailbox", "alice@example.com"], &[]);
    check(&["--attachment", "見積書2.PDF"], &[ESTIMATE]);
    check(&["--attachment", "*.p?f", "--text", "積"], &[ESTIMATE]);
    check(&["--attachment", "*.doc"], &[]);
    check(&["--since", "2026-06-04"], &[PLAIN, INVOICE]);
    check(&["--until", "2026-06-03"], &[ESTIMATE]);
    check(&["--until", "2026-06-03T05:12:00Z"], &[]);
    check(
        &["--since", "2026-06-03", "--until", "2026-06-30"],
        &[INVOICE, ESTIMATE],
    );
    check(&["--larger", "500"], &[ESTIMATE]);
    check(&["--larger", "1K"], &[]);
    check(&["--mailbox", "bob@example.com"], &[PLAIN]);
    check(&["--message-id", "<invoice@customer.example>"], &[INVOICE]);
    check(&["--path", "example.com/*/.Archive/**"], &[INVOICE]);
    check(&["--limit", "2"], &[PLAIN, INVOICE]);
    check(&["--limit", "1", "--text", "n"], &[PLAIN]);
    check(&["--regex", "--subject", "^inv\\w+ \\d+$"], &[INVOICE]);
    check(&["--regex", "--text", "^御見$"], &[ESTIMATE]);
    check(&["--regex", "--text", "御見.?積書を"], &[]);
    check(&["--regex", "--text", r"御見\s*積書を"], &[ESTIMATE]);
    check(&["--regex", "--sender", "k.nde@"], &[INVOICE]);
}

/// Where a name would be in the way of another one, a message is stored under a name without
/// meaning.
#[test]
fn a_message_is_found_whatever_it_is_stored_as() {
    let site = Site::empty();
    let text = |number: u32| format!("Subject: number {number}.\n\n");
    for number in 0..20 {
        site.put_at(
            &format!("example.com/alice/cur/{number}"),
            JUNE,
            text(number),
        );
    }
    site.save_day(22);
    fs::remove_file(site.live("example.com/alice/cur/1")).unwrap();
    let inside = "example.com/alice/cur/1/cur/21";
    site.put_at(inside, JUNE, text(21));
    let set = site.save_day(23);
    let index = set.join("mailboxes/example.com/alice/0002.jsonl.zst");
    let lines = std::process::Command::new("zstd")
        .arg("-dc")
        .arg(index)
        .output()
        .unwrap();
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(lines.contains("example.com/alice/stored-1\""), "{lines}");
    assert_eq!(
        site.listed(&["--from", "latest", "--subject", "number 21."]),
        [inside]
    );
}

/// The name of an attached file is in the index. Where it is not, the message is opened, and the
/// answer is the same.
#[test]
fn names_of_attachments_come_from_the_index_or_are_read() {
    const OPENED: &str = "1 messages were opened for the names of their attachments";
    let site = sample();
    let secret = "Subject: sealed\nContent-Type: multipart/encrypted; boundary=c\n\n--c--\n";
    site.put_at("example.com/alice/cur/4.d:2,", JUNE, secret);
    let set = site.save_day(23);
    let ask = |expected: &[&str]| {
        let flags = [
            "--from",
            "latest",
            "--attachment",
            "見積*",
            "--mailbox",
            "alice@example.com",
        ];
        assert_eq!(site.listed(&flags), expected);
        site.restore(&[&flags[..], &["--list"]].concat())
    };
    // What is encrypted is not "without attachments": it alone is opened.
    let outcome = ask(&[ESTIMATE]);
    assert!(outcome.stderr.contains(OPENED), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("encrypted"), "{}", outcome.stderr);
    forge_index(&set, "example.com/alice", |line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("attachments");
        line.to_string()
    });
    let outcome = ask(&[ESTIMATE]);
    let opened = OPENED.replacen('1', "3", 1);
    assert!(outcome.stderr.contains(&opened), "{}", outcome.stderr);
    // Nothing but the index is asked.
    forge_index(&set, "example.com/alice", |line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["attachments"] = serde_json::json!(["見積 of the index"]);
        line.to_string()
    });
    let outcome = ask(&[INVOICE, ESTIMATE, "example.com/alice/cur/4.d:2,"]);
    assert!(!outcome.stderr.contains("opened"), "{}", outcome.stderr);
}

#[test]
fn a_record_says_what_is_known_of_a_message() {
    let site = sample();
    site.save_day(21);
    site.save_day(22);
    fs::remove_file(site.live(ESTIMATE)).unwrap();
    site.save_day(23);
    let found = site.list(&["--from", "all", "--subject", "見積"]);
    let [message] = &found[..] else {
        panic!("{found:?}")
    };
    let digest = crate::support::digest(&{
        let path = site.server.dir().join("estimate");
        fs::write(&path, ESTIMATE_TEXT).unwrap();
        path
    });
    let root = fs::canonicalize(site.server.root()).unwrap();
    let expected = serde_json::json!({
        "root": root.to_str().unwrap(), "first_set": "daily/2026-11-21",
        "last_set": "daily/2026-11-22", "mailbox": "alice@example.com", "path": ESTIMATE,
        "delivered": "2026-06-03T05:12:00+00:00", "date": "2026-06-03T05:12:00+00:00",
        "from": "取引先 <buyer@customer.example>", "to": "alice@example.com",
        "cc": "\"Bob Müller\" <bob@example.com>", "subject": "御見積書の件",
        "bytes": ESTIMATE_TEXT.len(), "message_id": "estimate@customer.example",
        "sha256": digest, "live": false,
    });
    assert_eq!(*message, expected);
}

/// Three days: a message is deleted, one is moved, one comes, one is written again by a weekly set.
#[test]
fn a_message_is_listed_once_however_many_sets_hold_it() {
    let site = sample();
    site.save_day(21);
    let moved = "example.com/alice/.Done/cur/2.b:2,S";
    fs::create_dir_all(site.live(moved).parent().unwrap()).unwrap();
    fs::rename(site.live(INVOICE), site.live(moved)).unwrap();
    site.save_day(22);
    fs::remove_file(site.live(ESTIMATE)).unwrap();
    site.put_at(
        "example.com/bob/cur/4.d:2,",
        JUNE + 50 * DAY,
        "From: new@mx\nSubject: four\n\n",
    );
    site.save_day(23);
    let weekly = site
        .server
        .backup()
        .args(["--component", "mailboxes", "--weekly"]);
    let _ = weekly.args(["--date", "2026-11-22"]).run().assert_code(0);

    let whereabouts = |flags: &[&str]| -> Vec<(String, String, String, bool)> {
        let text =
            |message: &serde_json::Value, field: &str| message[field].as_str().unwrap().to_owned();
        let messages = site.list(flags);
        let facts = messages.iter().map(|message| {
            let [path, first, last] = ["path", "first_set", "last_set"].map(|f| text(message, f));
            (path, first, last, message["live"].as_bool().unwrap())
        });
        facts.collect()
    };
    let of = |path: &str, first: &str, last: &str, live| {
        let set = |name: &str| match name {
            "week" => "weekly/2026-week-47".to_owned(),
            day => format!("daily/2026-11-{day}"),
        };
        (path.to_owned(), set(first), set(last), live)
    };
    let four = "example.com/bob/cur/4.d:2,";
    let all = [
        of(four, "23", "week", true),
        of(PLAIN, "21", "week", true),
        of(moved, "21", "week", true),
        of(ESTIMATE, "21", "22", false),
    ];
    assert_eq!(whereabouts(&["--from", "all"]), all);
    let daily = [
        of(four, "23", "23", true),
        of(PLAIN, "21", "23", true),
        of(moved, "21", "23", true),
        of(ESTIMATE, "21", "22", false),
    ];
    assert_eq!(whereabouts(&["--from", "daily"]), daily);
    let several = [
        "--from",
        "daily/2026-11-21",
        "--from",
        "daily/2026-11-22",
        "--sender",
        "kunde",
    ];
    assert_eq!(whereabouts(&several), [of(moved, "21", "22", true)]);
    // What is gone from a set is not in it, though its segment still has it.
    assert_eq!(
        site.listed(&["--from", "latest", "--sender", "buyer"]),
        Vec::<String>::new()
    );
    let old_path = ["--from", "daily", "--path", "**/.Archive/**"];
    assert_eq!(whereabouts(&old_path), [of(INVOICE, "21", "21", true)]);
    // What this mailbox lost, and when.
    let lost = ["--from", "all", "--missing", "--since", "2026-01-01"];
    assert_eq!(whereabouts(&lost), [of(ESTIMATE, "21", "22", false)]);
    // What changed between two days.
    let between = |set: &str, other: &str| site.listed(&["--from", set, "--not-in", other]);
    assert_eq!(between("daily/2026-11-22", "daily/2026-11-23"), [ESTIMATE]);
    assert_eq!(between("daily/2026-11-23", "daily/2026-11-22"), [four]);
    assert_eq!(
        between("daily/2026-11-21", "daily/2026-11-22"),
        Vec::<String>::new()
    );
}

/// A flag that is set after the backup changes the name and the time of change of a file, and not
/// what it holds.
#[test]
fn what_is_live_is_known_by_its_content() {
    let site = sample();
    site.save_day(23);
    let flagged = "example.com/alice/cur/1.a:2,RS";
    fs::rename(site.live(ESTIMATE), site.live(flagged)).unwrap();
    // Another content of the same size, under the old name.
    let other = INVOICE_TEXT.replace("Invoice 12", "Invoice 13");
    fs::write(site.live(INVOICE), other).unwrap();
    stamp(&site.live(INVOICE), JUNE + DAY);
    fs::remove_dir_all(site.live("example.com/bob")).unwrap();
    assert_eq!(
        site.listed(&["--from", "latest", "--missing"]),
        [PLAIN, INVOICE]
    );
    // Nowhere is a live mail to compare with.
    fs::remove_dir_all(site.mail()).unwrap();
    let listed = site.list(&["--from", "latest"]);
    assert!(
        listed.iter().all(|message| message.get("live").is_none()),
        "{listed:?}"
    );
    let refused = site.restore(&["--list", "--from", "latest", "--missing"]);
    let _ = refused
        .assert_code(2)
        .assert_stderr("is not there; name the mail root by --mail-dir");
}

#[test]
fn an_index_that_many_sets_share_is_read_once() {
    let site = Site::new(300, 2);
    for day in 21..=26 {
        site.save_day(day);
    }
    let outcome = site
        .restore(&["--list", "--from", "daily", "--limit", "1"])
        .assert_code(0);
    let messages = outcome.data("end")[0]["totals"]["index_lines"].as_u64();
    assert_eq!(messages, Some(300));
    assert_eq!(outcome.data("end")[0]["totals"]["sets"], 6);
}

#[test]
fn what_is_found_is_restored_from_the_newest_set_that_has_it() {
    let site = sample();
    site.save_day(21);
    let flagged = "example.com/alice/cur/1.a:2,FS";
    fs::rename(site.live(ESTIMATE), site.live(flagged)).unwrap();
    site.save_day(22);
    fs::remove_file(site.live(flagged)).unwrap();
    fs::remove_dir_all(site.live("example.com/alice/.Archive")).unwrap();
    site.save_day(23);
    let search = ["--from", "all", "--missing", "--sender", "customer.example"];
    let dry = site
        .restore(&[&search[..], &["--dry-run"]].concat())
        .assert_code(0);
    assert_eq!(dry.data("restored").len(), 2);
    assert_eq!(
        site.listed(&search),
        [INVOICE, ESTIMATE.replace(",S", ",FS").as_str()]
    );
    let done = site.restore(&search).assert_code(0);
    let mut targets: Vec<String> = done
        .data("restored")
        .iter()
        .map(|restored| restored["target"].as_str().unwrap().to_owned())
        .collect();
    targets.sort();
    assert!(targets[0].contains("/.Archive/cur/"), "{targets:?}");
    assert!(targets[1].ends_with(":2,FS"), "{targets:?}");
    assert_eq!(fs::read_to_string(&targets[1]).unwrap(), ESTIMATE_TEXT);
    // Now nothing is missing.
    let _ = site
        .restore(&search)
        .assert_code(1)
        .assert_failure("not_found");
}

#[test]
fn a_list_is_restored_by_pipe() {
    let site = sample();
    site.save_day(21);
    fs::remove_file(site.live(ESTIMATE)).unwrap();
    site.save_day(22);
    fs::remove_file(site.live(PLAIN)).unwrap();
    let list = site.restore(&["--list", "--from", "all", "--missing", "--format", "jsonl"]);
    let list = list.assert_code(0).text();
    // As jq -c 'select(.type != "message" or .data.…)' leaves begin and end.
    let only: String = list
        .lines()
        .filter(|line| !line.contains("\"type\":\"message\"") || line.contains("buyer"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let dry = site
        .server
        .restore()
        .args(["--dry-run", "-"])
        .stdin(list.clone())
        .run();
    assert_eq!(dry.assert_code(0).data("restored").len(), 2);
    let done = site
        .server
        .restore()
        .arg("-")
        .stdin(only)
        .run()
        .assert_code(0);
    assert_eq!(done.data("restored").len(), 1);
    let done = site
        .server
        .restore()
        .arg("-")
        .stdin(list.clone())
        .run()
        .assert_code(0);
    assert_eq!(
        done.data("restored").len(),
        1,
        "one of them is there already"
    );
    assert_eq!(done.data("message").len(), 2, "records are passed on");
    let _ = site
        .restore(&["--list", "--from", "all", "--missing"])
        .assert_failure("not_found");
    // A list of another day is not believed.
    let forged = list.replace("1.a:2,S", "9.z:2,S");
    let refused = site
        .server
        .restore()
        .arg("-")
        .stdin(forged)
        .run()
        .assert_code(1);
    let _ = refused
        .assert_failure("not_found")
        .assert_stderr("9.z:2,S with this content is not in");
    let outside = list.replace("example.com/alice/cur/1.a", "../../etc/x");
    let _ = site
        .server
        .restore()
        .arg("-")
        .stdin(outside)
        .run()
        .assert_code(3);
}

/// Two messages with one Message-ID are never restored by it.
#[test]
fn an_identifier_that_two_messages_have_is_refused() {
    let site = sample();
    site.put_at(
        "example.com/bob/cur/8.x:2,",
        JUNE,
        INVOICE_TEXT.replace("12", "13"),
    );
    site.save_day(23);
    let flags = [
        "--from",
        "daily",
        "--message-id",
        "invoice@customer.example",
    ];
    let refused = site
        .restore(&flags)
        .assert_code(1)
        .assert_failure("ambiguous");
    assert_eq!(refused.data("message").len(), 2);
    assert!(refused.data("restored").is_empty());
    let named = [&flags[..], &["--mailbox", "bob@example.com", "-n"]].concat();
    assert_eq!(
        site.restore(&named).assert_code(0).data("restored").len(),
        1
    );
}

#[test]
fn found_messages_are_written_into_a_directory() {
    let site = sample();
    site.save_day(21);
    fs::remove_file(site.live(ESTIMATE)).unwrap();
    site.save_day(22);
    let to = site.server.dir().join("found");
    let flags = [
        "--from",
        "all",
        "--sender",
        "customer",
        "--to",
        to.to_str().unwrap(),
    ];
    let done = site.restore(&flags).assert_code(0);
    assert_eq!(done.data("restored").len(), 2);
    for path in [ESTIMATE, INVOICE] {
        assert!(to.join("mailboxes").join(path).is_file(), "{path}");
    }
    assert!(!Path::new(&to).join("mailboxes").join(PLAIN).exists());
}
