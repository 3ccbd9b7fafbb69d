//! Sets of format 2, made by hand: what is gone is not there for any tool, what was renamed has its
//! present name, stock tar comes to the same tree, and what contradicts itself is refused.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use mail_tests::clamd::{Clamd, MARKER};
use mail_tests::format_2::{Mailbox, forge, seal, write_set};
use mail_tests::run::{Outcome, Tool};
use mail_tests::set::{assert_checksums, unpack_by_guide, unpack_mail};
use mail_tests::tree::{Kind, Snapshot, snapshot};
use serde_json::Value;
use tempfile::TempDir;

const SET: &str = "daily/2026-11-23";
const ALICE: &str = "mailboxes/example.com/alice";
const LARGE_BYTES: usize = 17 << 20;

/// A root with one set.
struct Site(TempDir);

impl Site {
    fn new(mailboxes: &[Mailbox]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_set(dir.path(), SET, mailboxes);
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn set(&self) -> PathBuf {
        self.path(SET)
    }

    fn tool(&self, name: &str) -> Tool {
        Tool::new(name).env("BACKUP_ROOT", self.0.path())
    }

    fn restore(&self, target: &str, arguments: &[&str]) -> Outcome {
        let tool = self.tool("mail-restore").args(["--from", SET, "--to"]);
        tool.arg(self.path(target)).args(arguments).run()
    }

    fn check(&self) -> Outcome {
        let tool = self.tool("mail-check").arg("--state");
        tool.arg(self.path("state")).args(["set", SET]).run()
    }

    fn scan(&self, clamd: &Clamd, arguments: &[&str]) -> Outcome {
        let tool = self.tool("mail-scan").args(["--clamd", &clamd.unix()]);
        tool.args(arguments).arg(SET).run()
    }
}

fn message(id: &str) -> Vec<u8> {
    format!("From: a@example.org\nSubject: {id}\nMessage-ID: <{id}@example.org>\n\nText.\n").into()
}

fn large() -> Vec<u8> {
    [message("large"), vec![b'\n'; LARGE_BYTES]].concat()
}

fn alice(name: &[u8]) -> Vec<u8> {
    [b"example.com/alice/", name].concat()
}

/// Messages that stay, are gone, have moved, have changed places, and are stored under a name that
/// was free.
fn mailboxes() -> Vec<Mailbox> {
    let odd = (alice(b"cur/a\nb\xff:2,"), alice(b"cur/\"c\"\xfe:2,F"));
    let aside = alice(b".renamed-1");
    let one = Mailbox::new("example.com/alice")
        .message(1, alice(b"cur/1"), message("stays"))
        .message(1, alice(b"cur/2"), message("gone"))
        .message(1, alice(b"cur/3"), message("moved"))
        .message(1, alice(b"cur/5"), message("five"))
        .message(1, alice(b"cur/4"), message("four"))
        .message(1, alice(b"cur/6"), message("lost"))
        .message(2, alice(b"cur/2"), message("again"))
        .message(2, alice(b"cur/stored-1"), message("other"))
        .message(12, &odd.0, message("odd"))
        .gone(1, alice(b"cur/2"))
        .gone(1, alice(b"cur/6"))
        .renamed(1, alice(b"cur/3"), alice(b".Sent/cur/3:2,S"))
        .moved(1, alice(b"cur/4"), alice(b"cur/5"))
        .moved(1, alice(b"cur/5"), alice(b"cur/4"))
        .rename(alice(b"cur/4"), &aside)
        .rename(alice(b"cur/5"), alice(b"cur/4"))
        .rename(&aside, alice(b"cur/5"))
        .renamed(2, alice(b"cur/stored-1"), alice(b"cur/3"))
        .renamed(12, &odd.0, &odd.1)
        .file(alice(b"dovecot-uidlist"), "3 V1 N1\n")
        .symlink(alice(b".dovecot.sieve"), "sieve/main.sieve")
        .folder(alice(b".Empty/cur"));
    let other = Mailbox::new("example.com/bob")
        .message(3, "example.com/bob/new/1", message("bob"))
        .folder("example.com/bob/tmp");
    let above = Mailbox::above()
        .folder("example.com")
        .file("shared-seen", "above\n");
    vec![above, one, other]
}

/// The same with a message that has a frame of its own.
fn with_large() -> Vec<Mailbox> {
    let mut mailboxes = mailboxes();
    let one = mailboxes.remove(1);
    mailboxes.push(one.message(1, alice(b"cur/9"), large()));
    mailboxes
}

/// The files of those mailboxes, by hand.
fn expected() -> BTreeMap<PathBuf, Vec<u8>> {
    let bytes = |path: &[u8]| PathBuf::from(OsStr::from_bytes(path));
    BTreeMap::from([
        (bytes(&alice(b"cur/1")), message("stays")),
        (bytes(&alice(b".Sent/cur/3:2,S")), message("moved")),
        (bytes(&alice(b"cur/5")), message("four")),
        (bytes(&alice(b"cur/4")), message("five")),
        (bytes(&alice(b"cur/9")), large()),
        (bytes(&alice(b"cur/2")), message("again")),
        (bytes(&alice(b"cur/3")), message("other")),
        (bytes(&alice(b"cur/\"c\"\xfe:2,F")), message("odd")),
        (bytes(&alice(b"dovecot-uidlist")), b"3 V1 N1\n".to_vec()),
        (bytes(b"example.com/bob/new/1"), message("bob")),
        (bytes(b"shared-seen"), b"above\n".to_vec()),
    ])
}

fn files(tree: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let found = snapshot(tree);
    let files = found.entries().iter();
    files
        .filter(|(_, entry)| entry.kind == Kind::File)
        .map(|(path, _)| (path.clone(), fs::read(tree.join(path)).unwrap()))
        .collect()
}

/// The contents of what single messages were written to.
fn contents(tree: &Path) -> Vec<Vec<u8>> {
    let mut contents: Vec<Vec<u8>> = files(tree).into_values().collect();
    contents.sort();
    contents
}

fn by_stock_tar(site: &Site) -> Snapshot {
    assert_checksums(&site.set());
    snapshot(unpack_mail(&site.set()).path())
}

#[test]
fn stock_tar_and_a_restore_come_to_the_same_tree() {
    let site = Site::new(&with_large());
    let unpacked = unpack_mail(&site.set());
    assert!(
        files(unpacked.path()) == expected(),
        "{:?}",
        files(unpacked.path()).keys()
    );
    let _ = site.restore("to", &[]).assert_code(0);
    assert!(files(&site.path("to/mailboxes")) == expected());
    by_stock_tar(&site).assert_same(&snapshot(&site.path("to/mailboxes")));
}

#[test]
fn the_commands_of_the_guide_unpack_it() {
    let site = Site::new(&with_large());
    let target = unpack_by_guide(&site.set());
    assert!(files(target.path()) == expected());
    by_stock_tar(&site).assert_same(&snapshot(target.path()));
}

#[test]
fn a_tree_that_is_not_divided_is_one_unit() {
    let whole = Mailbox::new(".")
        .message(1, "cur/1", message("one"))
        .message(1, "cur/2", message("two"))
        .gone(1, "cur/2")
        .renamed(1, "cur/1", ".Sent/cur/1:2,S")
        .folder("new");
    let site = Site::new(&[whole]);
    let _ = site.restore("to", &[]).assert_code(0);
    let restored = site.path("to/mailboxes");
    let moved = (PathBuf::from(".Sent/cur/1:2,S"), message("one"));
    assert_eq!(files(&restored), BTreeMap::from([moved]));
    by_stock_tar(&site).assert_same(&snapshot(&restored));
    let _ = site.check().assert_code(0);
}

#[test]
fn a_dry_run_counts_what_is_there() {
    let site = Site::new(&with_large());
    let outcome = site.restore("to", &["--dry-run"]).assert_code(0);
    let entries = |path: &str| {
        let records = outcome.data("restored");
        let record = records
            .iter()
            .find(|record| record["path"] == path)
            .unwrap();
        record["entries"].as_u64().unwrap()
    };
    assert_eq!(entries(&format!("{ALICE}/0001.tar.zst")), 5);
    assert_eq!(entries(&format!("{ALICE}/0002.tar.zst")), 2);
    // The mailbox, cur, .Sent, .Sent/cur, .Empty, .Empty/cur, a file and a link.
    assert_eq!(entries(&format!("{ALICE}/0000.tar.zst")), 8);
    assert!(!site.path("to").exists());
    let _ = site.restore("to", &["--verify"]).assert_code(0);
}

#[test]
fn single_messages_are_found_under_their_present_names() {
    let site = Site::new(&with_large());
    let check = |target: &str, arguments: &[&str], found: &[&str]| {
        let code = i32::from(found.is_empty());
        let _ = site.restore(target, arguments).assert_code(code);
        let mut wanted: Vec<Vec<u8>> = found.iter().map(|id| message(id)).collect();
        wanted.sort();
        if code == 0 {
            assert_eq!(contents(&site.path(target)), wanted, "{arguments:?}");
        }
    };
    check("a", &["--message-id", "moved@example.org"], &["moved"]);
    check("b", &["--message-id", "gone@example.org"], &[]);
    check("c", &["--path", "example.com/alice/cur/3"], &["other"]);
    check("d", &["--path", "example.com/alice/cur/stored-1"], &[]);
    check("e", &["--path", "**/.Sent/**"], &["moved"]);
    check("f", &["--path", "**/cur/[45]"], &["four", "five"]);
    let bob = ["--mailbox", "bob@example.com"];
    check("g", &bob, &["bob"]);
    let _ = site
        .restore("h", &["--mailbox", "alice@example.com"])
        .assert_code(0);
    assert_eq!(contents(&site.path("h")).len(), 8);
}

#[test]
fn messages_whose_message_id_no_index_has_are_looked_into() {
    let site = Site::new(&with_large());
    for segment in ["0001", "0002", "0012"] {
        let forget = r#"sed -E 's/,"message_id":"[^"]*"//'"#;
        forge(&site.set(), &format!("{ALICE}/{segment}.jsonl.zst"), forget);
    }
    for (id, found) in [
        ("moved", 1),
        ("four", 1),
        ("again", 1),
        ("large", 1),
        ("gone", 0),
    ] {
        let arguments = ["--message-id", &format!("{id}@example.org")];
        let _ = site.restore(id, &arguments).assert_code(1 - found);
    }
    assert_eq!(contents(&site.path("again")), [message("again")]);
    assert_eq!(contents(&site.path("large")), [large()]);
}

#[test]
fn a_check_compares_all_of_it() {
    let site = Site::new(&with_large());
    let outcome = site.check().assert_code(0);
    assert_eq!(outcome.data("check")[0]["status"], "ok");
}

#[test]
fn it_goes_away_and_comes_back() {
    let site = Site::new(&mailboxes());
    fs::create_dir(site.path("away")).unwrap();
    let away = format!("file://{}", site.path("away").display());
    let push = site
        .tool("mail-s3sync")
        .args(["push", "--set", SET, "--to", &away]);
    let _ = push.run().assert_code(0);
    let verify = site
        .tool("mail-s3sync")
        .args(["verify", "--deep", "--from", &away]);
    let _ = verify.run().assert_code(0);
    for (target, flags, part) in [
        ("back", &[][..], ""),
        ("part", &["--mailbox", "alice@example.com"][..], ALICE),
    ] {
        let pull = site
            .tool("mail-s3sync")
            .args(["pull", "--from", &away, "--to"]);
        let _ = pull.arg(site.path(target)).args(flags).run().assert_code(0);
        let mut diff = Command::new("diff");
        let (here, there) = (site.set().join(part), site.path(target).join(part));
        assert!(
            diff.arg("-r")
                .arg(here)
                .arg(there)
                .status()
                .unwrap()
                .success()
        );
    }
    let restore = site.tool("mail-restore").arg("--from");
    let restore = restore.arg(site.path("part")).arg("--to");
    let alone = restore
        .arg(site.path("to"))
        .args(["--mailbox", "alice@example.com"]);
    let _ = alone.run().assert_code(0);
    assert_eq!(contents(&site.path("to")).len(), 7);
}

/// A scanner whose verdicts are kept: it says which signatures it has.
fn dated_clamd() -> Clamd {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let settings = "AlertEncrypted yes\nAlertExceedsMax yes\n";
    Clamd::start_dated(settings, 100, i64::try_from(now).unwrap())
}

fn infected(id: &str) -> Vec<u8> {
    [&message(id)[..], MARKER.as_bytes(), b"\n"].concat()
}

fn verdicts(outcome: &Outcome, status: &str) -> Vec<Value> {
    let verdicts = outcome.data("verdict").into_iter();
    verdicts
        .filter(|verdict| verdict["status"] == status)
        .collect()
}

fn with_infected() -> Mailbox {
    Mailbox::new("m.example/m")
        .message(1, "m.example/m/cur/1", message("clean"))
        .message(1, "m.example/m/cur/2", infected("bad"))
}

#[test]
fn infected_mail_that_is_gone_is_not_there() {
    let clamd = dated_clamd();
    let gone = Site::new(&[with_infected().gone(1, "m.example/m/cur/2")]);
    let cache = gone.path("cache");
    let cached = ["--cache", cache.to_str().unwrap()];
    for _ in 0..2 {
        let outcome = gone.scan(&clamd, &cached).assert_code(0);
        assert_eq!(verdicts(&outcome, "infected"), [] as [Value; 0]);
        let end = &outcome.data("end")[0];
        assert_eq!(end["totals"]["members"], 1, "{end}");
    }
    // What is a dead member in one set is a message in another: the verdict on the segment is not
    // kept for it.
    let living = Site::new(&[with_infected()]);
    let outcome = living.scan(&clamd, &cached).assert_code(1);
    let infected = verdicts(&outcome, "infected");
    assert_eq!(infected[0]["member"], "m.example/m/cur/2");
}

#[test]
fn infected_mail_is_named_as_it_was_that_day() {
    let clamd = Clamd::start();
    let renamed = with_infected().renamed(1, "m.example/m/cur/2", "m.example/m/cur/2:2,S");
    let site = Site::new(&[renamed]);
    let outcome = site.scan(&clamd, &["--no-cache"]).assert_code(1);
    let infected = verdicts(&outcome, "infected");
    assert_eq!(infected[0]["member"], "m.example/m/cur/2:2,S");
    assert_eq!(infected[0]["reason"], "stored as m.example/m/cur/2");
}

#[test]
fn an_unchanged_segment_comes_from_the_cache_though_the_state_is_another() {
    let clamd = dated_clamd();
    let mailbox = Mailbox::new("m.example/m")
        .message(1, "m.example/m/cur/1", message("one"))
        .message(1, "m.example/m/cur/2", message("two"));
    let site = Site::new(std::slice::from_ref(&mailbox));
    let cache = site.path("cache");
    let cached = ["--cache", cache.to_str().unwrap()];
    let _ = site.scan(&clamd, &cached).assert_code(0);
    let next = Site::new(&[mailbox.gone(1, "m.example/m/cur/1")]);
    let outcome = next.scan(&clamd, &cached).assert_code(0);
    let totals = &outcome.data("end")[0]["totals"];
    // The segment and its index: nothing of them is looked into again.
    assert_eq!(
        (&totals["cached"], &totals["members"]),
        (&2.into(), &0.into()),
        "{totals}"
    );
}

/// A set that contradicts itself: no tool takes it for one, and nothing is made of it.
#[track_caller]
fn refuse(clamd: &Clamd, mailboxes: &[Mailbox], spoil: impl Fn(&Path), part: &str) {
    let site = Site::new(mailboxes);
    spoil(&site.set());
    for arguments in [&[][..], &["--mailbox", "alice@example.com"]] {
        let is_whole = arguments.is_empty();
        let outcome = site.restore("to", arguments);
        // Single messages are not restored by 0000.
        if is_whole || outcome.code() != 0 {
            let outcome = outcome.assert_code(3);
            let errors = outcome.data("error");
            let text = format!("{errors:?}");
            assert!(text.contains(part), "no {part:?} in {text}");
            let kinds = ["damaged", "refused"];
            assert!(
                kinds.iter().any(|kind| errors[0]["kind"] == *kind),
                "{text}"
            );
            let to = site.path("to");
            assert!(
                !to.exists() || fs::read_dir(&to).unwrap().next().is_none(),
                "{part}"
            );
        }
        if is_whole {
            let dry = site.restore("to", &["--dry-run"]);
            assert!([1, 3].contains(&dry.code()), "{part}: {}", dry.stderr);
            assert!(format!("{:?}", dry.data("error")).contains(part));
        }
        let _ = fs::remove_dir_all(site.path("to"));
    }
    let check = site.check().assert_code(2);
    assert_eq!(check.data("check")[0]["status"], "critical");
    let scan = site.scan(clamd, &["--no-cache"]);
    assert!([1, 3].contains(&scan.code()), "{part}: {}", scan.stderr);
    assert!(
        format!("{:?}", scan.data("error")).contains(part),
        "{:?}",
        scan.data("error")
    );
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let clamd = Clamd::start();
    let check = |script: &str, part: &str| {
        let spoil = |set: &Path| forge(set, &format!("{ALICE}/state.jsonl.zst"), script);
        refuse(&clamd, &mailboxes(), spoil, part);
    };
    check(
        "sed 's,\"stored\":\"example.com/alice/cur/6\",\"stored\":\"example.com/alice/cur/66\",'",
        "does not have it",
    );
    check(
        "sed 's,\"path\":\"example.com/alice/cur/3\",\"path\":\"example.com/alice/cur/1\",'",
        "example.com/alice/cur/1",
    );
    check(
        "sed 's,\"path\":\"example.com/alice/.Sent/cur/3,\"path\":\"../../.Sent/cur/3,'",
        "parse index line",
    );
    check(
        "sed 's,\"path\":\"example.com/alice/.Sent/cur/3,\"path\":\"example.com/bob/.Sent/cur/3,'",
        "example.com/bob/.Sent/cur/3:2,S",
    );
    check(
        "sed 's/\"segments\":\\[1,2,12\\]/\"segments\":[1,2]/'",
        "mailboxes/example.com/alice",
    );
    check(
        "sed 's/\"segments\":\\[1,2,12\\]/\"segments\":[1,2,7,12]/'",
        "0007",
    );
    check("sed 's/\"format\":2/\"format\":3/'", "format");
    check("sed '$d'", "cut short");
    check("sed '3d'", "damaged");
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let clamd = Clamd::start();
    let check = |script: &str, part: &str| {
        let spoil = |set: &Path| {
            let script = format!("cd {ALICE}; {script}; cd -; rm manifest.jsonl");
            let mut bash = Command::new("bash");
            let ended = bash.args(["-euc", &script]).current_dir(set).status();
            assert!(ended.unwrap().success());
            seal(set);
        };
        refuse(&clamd, &mailboxes(), spoil, part);
    };
    check(
        "cp 0001.jsonl.zst index.jsonl.zst",
        "has an index and a state",
    );
    check("rm state.jsonl.zst", "state.jsonl.zst is not");
    check("rm 0002.jsonl.zst", "0002.jsonl.zst is missing");
    check("rm 0002.tar.zst", "0002.tar.zst is missing");
    check("rm 0000.tar.zst", "0000.tar.zst is missing");
    check("cp 0002.tar.zst 0003.tar.zst", "0003.tar.zst is not of it");
    check("cp 0002.tar.zst more.tar.zst", "more.tar.zst is not of it");
    check(
        "cp 0002.jsonl.zst 0003.jsonl.zst",
        "0003.jsonl.zst is not of it",
    );
    check("cp 0002.jsonl.zst 0001.jsonl.zst", "segment 1");
    check("truncate -s -4 state.jsonl.zst", "state.jsonl.zst");
    check("truncate -s -4 0012.jsonl.zst", "segment 12");
}

#[test]
fn dumpdirs_that_lead_elsewhere_are_refused() {
    let clamd = Clamd::start();
    let one = |cur: &[u8]| {
        vec![
            Mailbox::new("example.com/alice")
                .message(1, alice(b"cur/1"), message("one"))
                .message(1, alice(b"cur/2"), message("two"))
                .gone(1, alice(b"cur/2"))
                .dumpdir("example.com/alice/cur", cur),
        ]
    };
    let check = |mailboxes: &[Mailbox], part: &str| refuse(&clamd, mailboxes, |_| {}, part);
    let differs = "the dumpdir of example.com/alice/cur does not list";
    check(&one(b"\0"), differs);
    check(&one(b"N1\0N2\0\0"), differs);
    check(&one(b"Y1\0\0"), differs);
    check(&one(b"N2\0N1\0\0"), "not sorted");
    check(&one(b"N../1\0\0"), "refused");
    check(&one(b"N1\0"), "empty element");
    let moved = || {
        Mailbox::new("example.com/alice")
            .message(1, alice(b"cur/1"), message("one"))
            .message(1, alice(b"cur/2"), message("two"))
            .moved(1, alice(b"cur/1"), alice(b"cur/3"))
    };
    check(&[moved()], "is not renamed to");
    check(
        &[moved().rename(alice(b"cur/1"), alice(b"cur/2"))],
        "is not renamed to",
    );
    check(
        &[moved().rename(alice(b"cur/9"), alice(b"cur/3"))],
        "cannot be carried out",
    );
    check(
        &[moved().rename(alice(b"cur/1"), "/etc/cron.d/x")],
        "is refused",
    );
    check(
        &[moved().rename(alice(b"cur/1"), alice(b"../bob/cur/1"))],
        "is refused",
    );
    check(
        &[moved().rename(alice(b"cur/1"), "example.com/bob/1")],
        "not in that mailbox",
    );
    let root = Mailbox::new(".").folder("example.com");
    let [_, one, _] = &mailboxes()[..] else {
        panic!("there are three");
    };
    check(&[root, one.clone()], "has a dumpdir");
}
