//! Parts of a set: asked for one by one, failing one by one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, Kinds, Server, assert_sums, inode, list_files};
use mail_tests::run::Outcome;
use mail_tests::tree::{Snapshot, snapshot};

const DATE: &str = "2026-11-23";
const SET: &str = "daily/2026-11-23";
const INCOMPLETE: &str = "daily/2026-11-23.incomplete";

/// The directories of components in a set.
fn parts(set: &Path) -> Vec<String> {
    let files = list_files(set);
    let tops: BTreeSet<&Path> = files
        .iter()
        .filter_map(|path| path.parent()?.iter().next().map(Path::new))
        .collect();
    tops.into_iter()
        .map(|path| path.to_str().unwrap().to_owned())
        .collect()
}

const ALL: [&str; 5] = ["config", "dkim", "mailboxes", "mysql", "ssl"];

fn run(server: &Server, components: &[&str]) -> Outcome {
    let asked = components
        .iter()
        .flat_map(|component| ["--component", component]);
    server.run(&asked.chain(["--date", DATE]).collect::<Vec<_>>())
}

/// The component of each error, and how the run ended.
fn failed(outcome: &Outcome) -> (Vec<String>, String) {
    let component =
        |error: serde_json::Value| error["component"].as_str().unwrap_or("none").to_owned();
    let status = outcome.data("end")[0]["status"]
        .as_str()
        .unwrap()
        .to_owned();
    (
        outcome.data("error").into_iter().map(component).collect(),
        status,
    )
}

fn inodes(set: &Path, part: &str) -> BTreeSet<(PathBuf, u64)> {
    let files = list_files(set)
        .into_iter()
        .filter(|path| path.starts_with(part));
    files
        .map(|path| (path.clone(), inode(&set.join(path))))
        .collect()
}

#[test]
fn a_set_of_some_parts_is_latest_until_there_is_a_complete_one() {
    let check = |asked: &[&str], expected: &[&str]| {
        let server = Server::with_one_message().and_database();
        let outcome = run(&server, asked).assert_code(0);
        assert_eq!(parts(&server.set(SET)), expected, "{asked:?}");
        assert_sums(&server.set(SET));
        assert_eq!(outcome.data("end")[0]["status"], "ok");
        assert_eq!(server.latest().as_deref(), Some(SET), "{asked:?}");
        let says_how = outcome
            .stderr
            .contains("if the server has no more than this, say so");
        assert_eq!(says_how, expected != ALL, "{}", outcome.stderr);
        server.run(&["--date", "2026-11-24"]).assert_code(0);
        server
            .run(&["--date", "2026-11-25", "--component", "config"])
            .assert_code(0);
        let latest = server.latest();
        assert_eq!(latest.as_deref(), Some("daily/2026-11-24"), "{asked:?}");
    };
    check(&["config"], &["config"]);
    check(&["mail"], &["mailboxes"]);
    check(&["mailboxes", "mail"], &["mailboxes"]);
    check(&["dkim", "ssl"], &["dkim", "ssl"]);
    check(&["mysql"], &["mysql"]);
    check(&["all"], &ALL);
    check(&["config", "all"], &ALL);
    check(&["mailboxes", "mysql", "config", "ssl", "dkim"], &ALL);
}

#[test]
fn an_unknown_component_is_a_usage_error() {
    let server = Server::with_one_message();
    for name in ["mails", "", "MYSQL", "mysql,config"] {
        run(&server, &[name])
            .assert_code(2)
            .assert_stderr("component");
    }
    assert_eq!(server.daily(), [""; 0]);
}

#[test]
fn a_part_is_refreshed_and_the_others_are_linked() {
    let server = Server::with_one_message().and_database();
    run(&server, &[]).assert_code(0);
    let set = server.set(SET);
    let before: Vec<_> = ALL.map(|part| inodes(&set, part)).into();
    support::put(
        &server.path("config/postfix/main.cf"),
        b"myhostname = mx2.example.com\n",
    );
    let outcome = run(&server, &["config"]).assert_code(0);
    assert_sums(&set);
    for (part, before) in ALL.iter().zip(before) {
        let (after, refreshed) = (inodes(&set, part), *part == "config");
        assert_eq!(after.is_disjoint(&before), refreshed, "{part}");
        assert_eq!(after == before, !refreshed, "{part}");
    }
    for artifact in outcome.data("artifact") {
        assert_eq!(
            artifact["reused"],
            artifact["component"] != "config",
            "{artifact}"
        );
    }
    assert_eq!(
        outcome.data("artifact").len(),
        13,
        "the records are of the whole set"
    );
    assert_eq!(server.latest().as_deref(), Some(SET));
    let restored = tempfile::tempdir().unwrap();
    support::unpack_archive(&set.join("config/config.tar.zst"), restored.path(), &[]);
    snapshot(&server.path("config")).assert_same(&snapshot(restored.path()));
}

#[test]
fn parts_add_up_to_a_whole_set() {
    let server = Server::with_one_message().and_database();
    let mut made = BTreeSet::new();
    for part in ["ssl", "mysql", "mailboxes", "dkim"] {
        run(&server, &[part]).assert_code(0);
        made.insert(part);
        assert_eq!(
            parts(&server.set(SET)),
            made.iter().copied().collect::<Vec<_>>()
        );
    }
    run(&server, &["config"]).assert_code(0);
    assert_eq!(parts(&server.set(SET)), ALL);
    assert_eq!(server.latest().as_deref(), Some(SET));
    assert_sums(&server.set(SET));
}

#[test]
fn sets_of_some_parts_go_by_age_and_never_cost_the_complete_one() {
    let server = Server::with_one_message().and_database();
    let keep_one = |args: &[&str]| {
        support::checked(server.tool(args).env("DAILY_RETENTION_DAYS", "1").run()).assert_code(0)
    };
    server
        .run(&["--date", "2026-11-20", "--no-prune"])
        .assert_code(0);
    for date in ["2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24"] {
        keep_one(&["--component", "config", "--date", date]);
    }
    assert_eq!(server.daily(), ["2026-11-20", "2026-11-23", "2026-11-24"]);
    assert_eq!(server.latest().as_deref(), Some("daily/2026-11-20"));
    keep_one(&["--prune-only"]);
    assert!(
        server.daily().contains(&"2026-11-20".to_owned()),
        "the last whole set stays"
    );
}

#[test]
fn a_failing_component_does_not_stop_the_others() {
    let check = |breakage: fn(&Server), component: &str, missing: &str| {
        let server = Server::with_one_message().and_database();
        breakage(&server);
        let kind = if component == "mysql" {
            "database"
        } else {
            "io"
        };
        let outcome = run(&server, &[])
            .assert_code(1)
            .assert_kinds(&[kind])
            .assert_stderr("error:");
        assert_eq!(
            failed(&outcome),
            (vec![component.to_owned()], "incomplete".to_owned())
        );
        assert_eq!(server.daily(), ["2026-11-23.incomplete"]);
        assert_eq!(server.latest(), None);
        let set = server.set(INCOMPLETE);
        assert_sums(&set);
        let expected: Vec<&str> = ALL.into_iter().filter(|part| *part != missing).collect();
        assert_eq!(parts(&set), expected, "{component}");
        let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
        assert!(
            manifest.contains(r#""status":"incomplete""#)
                && manifest.contains(r#"{"type":"error""#)
        );
        assert!(
            manifest
                .lines()
                .next()
                .unwrap()
                .contains(r#""set":"daily/2026-11-23.incomplete""#),
            "{manifest}"
        );
        assert!(
            fs::read_to_string(set.join("backup.log"))
                .unwrap()
                .contains("error: ")
        );
    };
    check(
        |server| fs::remove_dir_all(server.mail()).unwrap(),
        "mailboxes",
        "mailboxes",
    );
    check(
        |server| fs::remove_dir_all(server.path("certbot")).unwrap(),
        "ssl",
        "ssl",
    );
    check(
        |server| fs::remove_dir_all(server.path("config/opendkim")).unwrap(),
        "dkim",
        "dkim",
    );
    check(
        |server| fs::remove_file(server.path("docker-compose.yml")).unwrap(),
        "config",
        "",
    );
    check(
        |server| fs::remove_file(server.path(".env")).unwrap(),
        "config",
        "",
    );
    check(no_server_listens, "mysql", "mysql");
}

#[test]
fn a_key_that_may_not_be_read_is_named() {
    let server = Server::empty();
    let key = server.path("config/opendkim/example.com/mail.private");
    support::put(
        &server.path("config/opendkim/KeyTable"),
        b"mail._domainkey example.com\n",
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).unwrap();
    let outcome = server
        .run_unprivileged(&["--component", "dkim", "--date", DATE])
        .assert_code(1);
    let outcome = outcome
        .assert_kinds(&["denied"])
        .assert_stderr(key.to_str().unwrap());
    assert_eq!(
        failed(&outcome),
        (vec!["dkim".to_owned()], "incomplete".to_owned())
    );
    let set = server.set(INCOMPLETE);
    let listing = Command::new("tar")
        .args(["--zstd", "-tf", "dkim/dkim.tar.zst"])
        .current_dir(set)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(listing.stdout).unwrap(),
        "./\nKeyTable\nexample.com/\n"
    );
}

fn no_server_listens(server: &Server) {
    let text = "[client]\nuser=root\nhost=127.0.0.1\nport=1\n";
    support::put(&server.path("home/.my.cnf"), text.as_bytes());
}

/// The complete set of a day as it is on the disk.
fn fixed(server: &Server) -> (Snapshot, u64) {
    (snapshot(&server.set(SET)), inode(&server.set(SET)))
}

#[test]
fn a_failure_leaves_the_complete_set_of_the_day_alone() {
    let server = Server::with_one_message().and_database();
    run(&server, &[]).assert_code(0);
    let before = fixed(&server);
    no_server_listens(&server);
    for asked in [&[][..], &["mysql", "config"]] {
        run(&server, asked).assert_code(1);
        assert_eq!(fixed(&server), before);
        assert_eq!(server.daily(), ["2026-11-23", "2026-11-23.incomplete"]);
        assert_eq!(server.latest().as_deref(), Some(SET));
        assert_sums(&server.set(INCOMPLETE));
    }
    server.use_database(server.database.as_ref().unwrap(), "root", "");
    run(&server, &[]).assert_code(0);
    assert_eq!(server.daily(), ["2026-11-23"]);
}

#[test]
fn an_incomplete_day_is_completed_by_its_missing_part() {
    let server = Server::with_one_message().and_database();
    no_server_listens(&server);
    run(&server, &[]).assert_code(1);
    server.use_database(server.database.as_ref().unwrap(), "root", "");
    // Another part does not make it whole: what failed is still missing.
    let outcome = run(&server, &["config"])
        .assert_code(1)
        .assert_kinds(&["missing"])
        .assert_stderr(
            "2026-11-23.incomplete still lacks what failed before: mysql; run mail-backup",
        );
    assert_eq!(outcome.data("end")[0]["status"], "incomplete");
    assert_eq!(server.daily(), ["2026-11-23.incomplete"]);
    let outcome = run(&server, &["mysql"]).assert_code(0);
    assert_eq!(server.daily(), ["2026-11-23"]);
    assert_eq!(parts(&server.set(SET)), ALL);
    assert_eq!(server.latest().as_deref(), Some(SET));
    assert_eq!(outcome.data("artifact").len(), 13);
    assert_sums(&server.set(SET));
}

#[test]
fn when_all_components_fail_nothing_is_left() {
    let server = Server::with_one_message();
    for name in ["mail", "certbot"] {
        fs::remove_dir_all(server.path(name)).unwrap();
    }
    let outcome = run(&server, &["mailboxes", "ssl"])
        .assert_code(3)
        .assert_kinds(&["io", "io", "nothing_done"]);
    assert_eq!(outcome.data("artifact").len(), 0);
    assert_eq!(server.daily(), [""; 0]);
}

#[test]
fn when_all_components_fail_the_days_set_stays() {
    let server = Server::with_one_message().and_database();
    run(&server, &[]).assert_code(0);
    let before = fixed(&server);
    no_server_listens(&server);
    run(&server, &["mysql"]).assert_code(3);
    assert_eq!(fixed(&server), before);
    assert_eq!(server.latest().as_deref(), Some(SET));
}

const WITHOUT_DATABASE: &str = "mailboxes config,SSL  dkim,config";

fn run_with(server: &Server, settings: &[(&str, &str)], args: &[&str]) -> Outcome {
    let mut tool = server.tool(args);
    for (name, value) in settings {
        tool = tool.env(name, value);
    }
    support::checked(tool.run())
}

/// What a manifest says that a complete set holds.
fn wanted(set: &Path) -> serde_json::Value {
    let manifest = fs::read_to_string(set.join("manifest.jsonl")).unwrap();
    let begin: serde_json::Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    begin["data"]["wanted"].clone()
}

#[test]
fn a_server_without_a_database_has_complete_sets() {
    let server = Server::with_one_message();
    let settings = [
        ("BACKUP_COMPONENTS", WITHOUT_DATABASE),
        ("DAILY_RETENTION_DAYS", "2"),
    ];
    let without: Vec<&str> = ALL.into_iter().filter(|part| *part != "mysql").collect();
    for date in ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"] {
        run_with(&server, &settings, &["--date", date]).assert_code(0);
        assert_eq!(server.latest(), Some(format!("daily/{date}")));
        assert_eq!(parts(&server.set(&format!("daily/{date}"))), without);
    }
    assert_eq!(server.daily(), ["2026-11-21", "2026-11-22", "2026-11-23"]);
    let named = serde_json::json!(["mailboxes", "config", "ssl", "dkim"]);
    assert_eq!(wanted(&server.set(SET)), named);
    // A part of it is refreshed; the others stay.
    run_with(&server, &settings, &["--component", "ssl", "--date", DATE]).assert_code(0);
    assert_eq!(parts(&server.set(SET)), without);
    assert_eq!(server.latest().as_deref(), Some(SET));
}

#[test]
fn a_nightly_run_of_one_component_has_latest_and_retention() {
    let server = Server::with_one_message();
    for day in 1..=30 {
        let date = format!("2026-11-{day:02}");
        let args = ["--component", "mailboxes", "--date", &date];
        run_with(&server, &[("DAILY_RETENTION_DAYS", "10")], &args).assert_code(0);
    }
    assert_eq!(server.daily().len(), 11);
    assert_eq!(server.latest().as_deref(), Some("daily/2026-11-30"));
}

#[test]
fn what_a_complete_set_holds_may_change_from_day_to_day() {
    let server = Server::with_one_message().and_database();
    let keep = ("DAILY_RETENTION_DAYS", "2");
    let make = |components: &str, date: &str| {
        let settings = [("BACKUP_COMPONENTS", components), keep];
        run_with(&server, &settings, &["--date", date]).assert_code(0);
        assert_eq!(server.latest(), Some(format!("daily/{date}")));
    };
    make("", "2026-11-20");
    make("mailboxes", "2026-11-21");
    make("mailboxes", "2026-11-22");
    assert_eq!(server.daily().len(), 3);
    make("mailboxes,config,mysql", "2026-11-23");
    // The two newest complete ones stay, and the two newest with a component that is wanted.
    assert_eq!(
        server.daily(),
        ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"]
    );
    make("mailboxes", "2026-11-24");
    assert_eq!(server.daily(), ["2026-11-22", "2026-11-23", "2026-11-24"]);
}

#[test]
fn a_day_that_failed_is_complete_without_what_is_no_longer_wanted() {
    let server = Server::with_one_message();
    no_server_listens(&server);
    let outcome = run(&server, &[]).assert_code(1);
    let say = "if there is no database server, say so: BACKUP_COMPONENTS=mailboxes,config,ssl,dkim";
    let outcome = outcome.assert_stderr(say);
    assert_eq!(failed(&outcome).0, ["mysql"]);
    let settings = [("BACKUP_COMPONENTS", WITHOUT_DATABASE)];
    run_with(&server, &settings, &["--date", DATE]).assert_code(0);
    assert_eq!(server.daily(), [DATE]);
    assert_eq!(server.latest().as_deref(), Some(SET));
}

#[test]
fn what_is_no_longer_wanted_stays_in_the_set_of_the_day() {
    let server = Server::with_one_message().and_database();
    run(&server, &[]).assert_code(0);
    let before = inodes(&server.set(SET), "mysql");
    let settings = [("BACKUP_COMPONENTS", WITHOUT_DATABASE)];
    run_with(&server, &settings, &["--date", DATE]).assert_code(0);
    assert_eq!(parts(&server.set(SET)), ALL);
    assert_eq!(inodes(&server.set(SET), "mysql"), before);
    assert_sums(&server.set(SET));
}

#[test]
fn parts_that_the_server_does_not_have_are_not_missed() {
    let none = [
        ("DOCKER_COMPOSE_FILE", ""),
        ("ENV_FILE", "none"),
        ("DKIM_DIR", ""),
        ("SSL_DIR", "None"),
    ];
    let server = Server::with_one_message().and_database();
    for name in ["docker-compose.yml", ".env"] {
        fs::remove_file(server.path(name)).unwrap();
    }
    run_with(&server, &none, &["--date", DATE]).assert_code(0);
    let set = server.set(SET);
    assert_eq!(parts(&set), ["config", "mailboxes", "mysql"]);
    assert_eq!(server.latest().as_deref(), Some(SET));
    assert_eq!(
        wanted(&set),
        serde_json::json!(["mailboxes", "mysql", "config"])
    );
    let files = list_files(&set);
    assert!(!files.contains(Path::new("config/env")), "{files:?}");
    run_with(&server, &none, &["--component", "dkim", "--date", DATE])
        .assert_code(2)
        .assert_kinds(&["usage"])
        .assert_stderr("there is no dkim to save: DKIM_DIR says");
    let keys = server.path("config/opendkim");
    let args = ["--dkim-dir", keys.to_str().unwrap(), "--date", DATE];
    run_with(&server, &none, &args).assert_code(0);
    assert_eq!(parts(&set), ["config", "dkim", "mailboxes", "mysql"]);
}

#[test]
fn a_part_that_is_not_there_says_how_to_leave_it_out() {
    let check = |gone: &str, component: &str, say: &str| {
        let server = Server::with_one_message();
        let path = server.path(gone);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        let args = ["--component", "mailboxes", "--component", component];
        let dry_run = server.run(&[&args[..], &["--dry-run"]].concat());
        for outcome in [server.run(&args), dry_run] {
            let text = format!("{}; if the server has none, say so: {say}", path.display());
            outcome.assert_code(1).assert_stderr(&text);
        }
    };
    check(
        "config/opendkim",
        "dkim",
        "BACKUP_COMPONENTS=mailboxes,mysql,config,ssl",
    );
    check(
        "certbot",
        "ssl",
        "BACKUP_COMPONENTS=mailboxes,mysql,config,dkim",
    );
    check("docker-compose.yml", "config", "DOCKER_COMPOSE_FILE=");
    check(".env", "config", "ENV_FILE=");
}

#[test]
fn an_unknown_word_in_the_setting_is_named_before_anything_is_touched() {
    let server = Server::with_one_message();
    let settings = [("BACKUP_COMPONENTS", "mailboxes,dkm")];
    run_with(&server, &settings, &[])
        .assert_code(2)
        .assert_kinds(&["configuration"])
        .assert_stderr("no component \"dkm\", perhaps dkim: use mailboxes");
    let settings = [("BACKUP_COMPONENTS", "ssl"), ("SSL_DIR", "")];
    run_with(&server, &settings, &[])
        .assert_code(2)
        .assert_kinds(&["configuration"])
        .assert_stderr("there is nothing to save");
    assert_eq!(server.daily(), [""; 0]);
}
