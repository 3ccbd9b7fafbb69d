//! Nights on which the mail itself was destroyed are told from ordinary ones, and sets from before
//! them stay until somebody has looked.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mail_tests::run::Outcome;
use serde_json::Value;

use crate::support::{Server, names, put, settle, succeed, unpack_mail};

const MAILBOXES: u32 = 10;
const MESSAGES: u32 = 120;

/// 1,200 messages in ten mailboxes, saved yesterday.
fn saved_server() -> Server {
    let server = Server::empty();
    for mailbox in 0..MAILBOXES {
        server.maildir(format!("example.com/user{mailbox}"));
        for number in 0..MESSAGES {
            let text = format!("Subject: {number}\nTo: user{mailbox}\n\nMessage {number}.\n");
            let path = format!("example.com/user{mailbox}/cur/176722{number:04}.M1P1.mx:2,");
            server.message(path, text.as_bytes());
        }
    }
    settle();
    let (_, outcome) = server.save_mail("2026-11-01", &[]);
    check(&outcome, &[]);
    assert!(
        of_type(&outcome, "changes").is_empty(),
        "nothing to compare with"
    );
    server
}

fn of_type(outcome: &Outcome, name: &str) -> Vec<Value> {
    let records = outcome.records().into_iter();
    records
        .filter(|record| record["type"] == name)
        .map(|record| record["data"].clone())
        .collect()
}

/// The rules of the alarms that a run raised.
#[track_caller]
fn check(outcome: &Outcome, expected: &[&str]) {
    let alarms = of_type(outcome, "alarm");
    let rules: Vec<&str> = alarms.iter().filter_map(|it| it["rule"].as_str()).collect();
    assert_eq!(rules, expected, "{alarms:?}");
}

/// Vanished, replaced, headless and spoiled messages of a run.
#[track_caller]
fn check_numbers(outcome: &Outcome, expected: [u64; 4]) {
    let changes = of_type(outcome, "changes").pop().unwrap();
    let names = ["vanished", "replaced", "headless", "spoiled"];
    assert_eq!(names.map(|name| changes[name].as_u64().unwrap()), expected);
}

/// The messages of all mailboxes, sorted.
fn messages(server: &Server) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mailbox in names(&server.mail().join("example.com")) {
        let folder = server.mail().join("example.com").join(mailbox).join("cur");
        found.extend(names(&folder).iter().map(|name| folder.join(name)));
    }
    found
}

fn hold(server: &Server) -> PathBuf {
    server.root().join("HOLD")
}

/// Overwrites a message and gives it back its time, as who hides does.
fn overwrite(message: &Path, content: &[u8]) {
    let modified = fs::metadata(message).unwrap().modified().unwrap();
    fs::write(message, content).unwrap();
    let file = fs::File::options().write(true).open(message).unwrap();
    file.set_modified(modified).unwrap();
}

/// Bytes that no header begins with, as many as there are.
fn noise(message: &Path) -> Vec<u8> {
    let length = usize::try_from(fs::metadata(message).unwrap().len()).unwrap();
    (0..length).map(|byte| 0x80 | byte as u8).collect()
}

/// Destroys messages of a saved server, and saves what is left.
#[track_caller]
fn attack(destroy: impl Fn(&[PathBuf]), rules: &[&str], numbers: [u64; 4]) {
    let server = saved_server();
    destroy(&messages(&server));
    settle();
    let (set, outcome) = server.save_mail("2026-11-02", &[]);
    check(&outcome, rules);
    check_numbers(&outcome, numbers);
    let is_held = rules.iter().any(|rule| !rule.starts_with("mailbox-"));
    assert_eq!(hold(&server).exists(), is_held);
    assert_eq!(
        outcome.stderr.contains("ALARM: "),
        is_held,
        "{}",
        outcome.stderr
    );
    // The set is whole, and says the same.
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    assert_eq!(manifest.matches(r#""type":"alarm""#).count(), rules.len());
    let first_file = manifest.find(r#""type":"artifact""#);
    let last_change = manifest.rfind(r#""type":"mailbox""#);
    assert!(last_change < first_file, "files come after what changed");
}

#[test]
fn the_night_on_which_mail_is_destroyed_is_an_alarm() {
    let remove = |messages: &[PathBuf]| messages.iter().for_each(|it| fs::remove_file(it).unwrap());
    // 45 % of all, evenly.
    let evenly = |all: &[PathBuf]| {
        let chosen = all.iter().enumerate().filter(|(number, _)| number % 20 < 9);
        remove(&chosen.map(|(_, it)| it.clone()).collect::<Vec<_>>());
    };
    attack(evenly, &["server-loss"], [540, 0, 0, 0]);
    // Overwritten under its name, time and size kept.
    let in_place = |all: &[PathBuf]| all[..20].iter().for_each(|it| overwrite(it, &noise(it)));
    attack(in_place, &["spoiled"], [0, 20, 20, 20]);
    let few = |all: &[PathBuf]| all[..19].iter().for_each(|it| overwrite(it, &noise(it)));
    attack(few, &[], [0, 19, 19, 19]);
    let cut = |all: &[PathBuf]| all[..20].iter().for_each(|it| overwrite(it, b""));
    attack(cut, &["spoiled"], [0, 20, 20, 20]);
    let body_only = |all: &[PathBuf]| {
        all[..20]
            .iter()
            .for_each(|it| overwrite(it, b"Subject: 1\n\n\x80\x81\x82"));
    };
    attack(body_only, &["spoiled"], [0, 20, 0, 20]);
    let new_names = |all: &[PathBuf]| {
        for message in &all[..20] {
            put(&message.with_extension("locked"), &noise(message));
            fs::remove_file(message).unwrap();
        }
    };
    attack(new_names, &["spoiled"], [20, 0, 20, 20]);
    // By another message of the same mailbox.
    let exchanged = |all: &[PathBuf]| {
        let text = fs::read(&all[100]).unwrap();
        all[..20].iter().for_each(|it| overwrite(it, &text));
    };
    attack(exchanged, &["spoiled"], [0, 20, 0, 20]);
    // Half of one mailbox is told, and holds nothing.
    let half = |all: &[PathBuf]| remove(&all[..61]);
    attack(half, &["mailbox-loss"], [61, 0, 0, 0]);
    let three = |all: &[PathBuf]| (0..3).for_each(|it| remove(&all[it * 120..it * 120 + 61]));
    attack(three, &["many-mailboxes", "mailbox-loss"], [183, 0, 0, 0]);
    let user = |all: &[PathBuf]| {
        fs::remove_dir_all(all[0].parent().unwrap().parent().unwrap()).unwrap();
    };
    attack(user, &["mailbox-gone"], [120, 0, 0, 0]);
}

#[test]
fn what_moves_is_not_lost() {
    let server = saved_server();
    let mail = server.mail();
    let mut day = 1;
    let mut save = |what: &str, renamed: bool| {
        settle();
        day += 1;
        let (_, outcome) = server.save_mail(&format!("2026-11-{day:02}"), &[]);
        check(&outcome, &[]);
        check_numbers(&outcome, [0, 0, 0, 0]);
        let changes = of_type(&outcome, "changes").pop().unwrap();
        assert_eq!(
            changes["renamed"].as_u64() > Some(0),
            renamed,
            "{what}: {changes}"
        );
        assert_eq!(changes["new"], 0, "{what}: {changes}");
        assert!(!hold(&server).exists(), "{what}");
    };
    save("nothing", false);
    for message in messages(&server) {
        fs::rename(&message, format!("{}S", message.display())).unwrap();
    }
    save("all are read", true);
    let user = mail.join("example.com/user1");
    fs::create_dir(user.join(".Archive")).unwrap();
    fs::rename(user.join("cur"), user.join(".Archive/cur")).unwrap();
    fs::create_dir(user.join("cur")).unwrap();
    save("a folder is renamed", true);
    // As a restore with the times, and as one without them.
    for option in ["-a", "-r"] {
        let copy = server.path("copy");
        succeed(Command::new("cp").arg(option).arg(&mail).arg(&copy));
        fs::remove_dir_all(&mail).unwrap();
        fs::rename(&copy, &mail).unwrap();
        save("all inodes are new", option == "-r");
    }
    fs::rename(mail.join("example.com"), mail.join("example.net")).unwrap();
    save("all mailboxes are renamed", true);
}

#[test]
fn a_restored_set_is_no_alarm() {
    let server = saved_server();
    let mut all = messages(&server);
    all.drain(..)
        .take(5)
        .for_each(|it| fs::remove_file(it).unwrap());
    settle();
    let (_, outcome) = server.save_mail("2026-11-02", &[]);
    check_numbers(&outcome, [5, 0, 0, 0]);
    fs::remove_dir_all(server.mail()).unwrap();
    fs::create_dir(server.mail()).unwrap();
    unpack_mail(&server.set("daily/2026-11-01"), &server.mail());
    settle();
    let (_, outcome) = server.save_mail("2026-11-03", &[]);
    check(&outcome, &[]);
    check_numbers(&outcome, [0, 0, 0, 0]);
    assert_eq!(of_type(&outcome, "changes")[0]["new"], 5);
}

/// Sets of ten days that retention of one day would remove but for the newest, then an alarm.
fn server_with_alarm() -> Server {
    let server = saved_server();
    messages(&server)[..20]
        .iter()
        .for_each(|it| overwrite(it, b""));
    settle();
    let (_, outcome) = server.save_mail("2026-11-02", &[]);
    check(&outcome, &["spoiled"]);
    server
}

const KEEP_ONE: (&str, &str) = ("DAILY_RETENTION_DAYS", "1");

fn prune(server: &Server) -> Outcome {
    let tool = server.tool(&["--prune-only"]).env(KEEP_ONE.0, KEEP_ONE.1);
    crate::support::checked(tool.run())
}

#[test]
fn the_set_from_before_an_alarm_stays_until_it_is_accepted() {
    let server = server_with_alarm();
    for day in 3..9 {
        let (_, outcome) = server.save_mail(&format!("2026-11-{day:02}"), &["--no-prune"]);
        check(&outcome, &[]);
    }
    let outcome = prune(&server).assert_code(0);
    assert!(
        outcome
            .stderr
            .contains("kept because of the alarm of daily/2026-11-02")
    );
    assert_eq!(of_type(&outcome, "end")[0]["totals"]["held_sets"], 2);
    let kept = ["2026-11-01", "2026-11-02", "2026-11-07", "2026-11-08"];
    assert_eq!(server.daily(), kept);

    // Removed by hand it is there again.
    fs::remove_file(hold(&server)).unwrap();
    prune(&server).assert_code(0);
    assert!(hold(&server).is_file());
    assert_eq!(server.daily(), kept);

    let shown = server.run(&["--accept", "--dry-run"]).assert_code(0);
    assert!(
        shown
            .stderr
            .contains("would accept spoiled of daily/2026-11-02")
    );
    let outcome = server.run(&["--accept", "a test of ours"]).assert_code(0);
    assert!(!hold(&server).exists());
    let accepted = of_type(&outcome, "accepted").pop().unwrap();
    assert_eq!(accepted["reason"], "a test of ours");
    assert_eq!(accepted["alarms"][0]["set"], "daily/2026-11-02");
    let log = fs::read_to_string(server.root().join("accepted.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 1);
    prune(&server).assert_code(0);
    assert_eq!(server.daily(), ["2026-11-07", "2026-11-08"]);
    let again = server.run(&["--accept"]).assert_code(0);
    assert!(again.stderr.contains("there is no alarm to accept"));
}

#[test]
fn a_hold_that_is_damaged_holds_all() {
    let server = server_with_alarm();
    let (_, outcome) = server.save_mail("2026-11-30", &["--no-prune"]);
    check(&outcome, &[]);
    fs::write(hold(&server), "x").unwrap();
    let outcome = prune(&server).assert_code(0);
    assert!(
        outcome.stderr.contains("HOLD, which cannot be read"),
        "{}",
        outcome.stderr
    );
    assert_eq!(server.daily(), ["2026-11-01", "2026-11-02", "2026-11-30"]);
    server.run(&["--accept"]).assert_code(0);
    prune(&server).assert_code(0);
    assert_eq!(server.daily(), ["2026-11-30"]);
}

#[test]
fn a_set_from_before_the_alarm_is_not_replaced_by_one_of_the_same_day() {
    let server = saved_server();
    messages(&server)[..20]
        .iter()
        .for_each(|it| overwrite(it, b""));
    settle();
    let args = ["--component", "mailboxes", "--date", "2026-11-01"];
    let outcome = server.run(&args).assert_code(1);
    check(&outcome, &["spoiled"]);
    assert!(
        outcome
            .stderr
            .contains("is from before the alarm and stays")
    );
    assert_eq!(server.daily(), ["2026-11-01", "2026-11-01.incomplete"]);
    let restored = tempfile::tempdir().unwrap();
    unpack_mail(&server.set("daily/2026-11-01"), restored.path());
    let first = restored
        .path()
        .join("example.com/user0/cur/1767220000.M1P1.mx:2,");
    assert!(fs::metadata(first).unwrap().len() > 0);

    // What was accepted is not counted again by whoever adds up the records of the day.
    server.run(&["--accept"]).assert_code(0);
    let outcome = server.run(&args).assert_code(0);
    check(&outcome, &[]);
    check_numbers(&outcome, [0, 0, 0, 0]);
    assert_eq!(of_type(&outcome, "mailbox"), Vec::<Value>::new());
    assert_eq!(server.daily(), ["2026-11-01"]);
}

#[test]
fn a_set_that_is_made_again_keeps_its_alarm() {
    let server = server_with_alarm();
    let args = ["--component", "mailboxes", "--date", "2026-11-02"];
    let outcome = server.run(&args).assert_code(0);
    check(&outcome, &["spoiled"]);
    fs::remove_file(hold(&server)).unwrap();
    // What is told by now is not told again by each run.
    let outcome = server.run(&args).assert_code(0);
    check(&outcome, &["spoiled"]);
    assert!(!outcome.stderr.contains("ALARM"), "{}", outcome.stderr);
    fs::remove_file(hold(&server)).unwrap();
    // Another component leaves what the mailboxes say.
    let outcome = server.run(&["--component", "dkim", "--date", "2026-11-02"]);
    check(&outcome.assert_code(0), &["spoiled"]);
    assert!(hold(&server).is_file());
}

#[test]
fn a_set_that_is_made_again_keeps_what_was_notable() {
    let server = saved_server();
    let half = &messages(&server)[..61];
    half.iter().for_each(|it| fs::remove_file(it).unwrap());
    settle();
    for said in [true, false, false] {
        let (_, outcome) = server.save_mail("2026-11-02", &[]);
        check(&outcome, &["mailbox-loss"]);
        let is_said = outcome
            .stderr
            .contains("an unusual part of a mailbox is gone");
        assert_eq!(is_said, said, "{}", outcome.stderr);
    }
}

#[test]
fn a_damaged_manifest_of_the_days_before_is_not_judged() {
    let server = saved_server();
    for day in 2..4 {
        server.save_mail(&format!("2026-11-{day:02}"), &[]);
    }
    let manifest = server.set("daily/2026-11-02").join("manifest.jsonl");
    fs::write(&manifest, "damage\n").unwrap();
    fs::remove_file(server.set("daily/2026-11-01").join("manifest.jsonl")).unwrap();
    messages(&server)[..20]
        .iter()
        .for_each(|it| overwrite(it, b""));
    settle();
    let (_, outcome) = server.save_mail("2026-11-04", &[]);
    check(&outcome, &["spoiled"]);
    // With nothing to compare with, nothing is claimed.
    let (_, outcome) = server.save_mail("2026-11-05", &["--full"]);
    check(&outcome, &[]);
    assert!(of_type(&outcome, "changes").is_empty());
}

#[test]
fn what_cannot_be_read_is_not_lost() {
    use std::os::unix::fs::PermissionsExt;
    let server = saved_server();
    let folder = server.mail().join("example.com/user1/cur");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    let args = ["--component", "mailboxes", "--date", "2026-11-02"];
    let outcome = server.run_unprivileged(&args).assert_code(1);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    check(&outcome, &[]);
    check_numbers(&outcome, [0, 0, 0, 0]);
}

#[test]
fn limits_may_be_set() {
    let server = saved_server();
    messages(&server)[..61]
        .iter()
        .for_each(|it| fs::remove_file(it).unwrap());
    messages(&server)[100..125]
        .iter()
        .for_each(|it| overwrite(it, b""));
    settle();
    let mut tool = server.tool(&["--component", "mailboxes", "--date", "2026-11-02"]);
    let settings = [
        ("BACKUP_ALARM_SPOILED", "26"),
        ("BACKUP_BUSY_MAILBOXES", "example.com/user0"),
    ];
    for (name, value) in settings {
        tool = tool.env(name, value);
    }
    let outcome = crate::support::checked(tool.run()).assert_code(0);
    check(&outcome, &[]);
    check_numbers(&outcome, [61, 25, 25, 25]);
}
