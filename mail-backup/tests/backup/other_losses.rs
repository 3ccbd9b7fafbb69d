//! Databases, keys and files of the Compose project that are lost or changed: told, and nothing is
//! held for it.

use std::fs;
use std::process::Command;

use mail_tests::run::Outcome;
use serde_json::Value;

use crate::support::{self, Server, put};

/// A key of a kind that a tool would make; what it holds does not matter.
fn key(text: &str) -> Vec<u8> {
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into_bytes()
}

/// The rules and the sentences of what a run tells. None of it holds anything.
#[track_caller]
fn check(server: &Server, args: &[&str], expected: &[(&str, &str)]) -> Outcome {
    check_outcome(server, server.run(args), expected)
}

#[track_caller]
fn check_outcome(server: &Server, outcome: Outcome, expected: &[(&str, &str)]) -> Outcome {
    let outcome = outcome.assert_code(0);
    let told = outcome.data("alarm");
    let text = |alarm: &Value, field: &str| alarm[field].as_str().unwrap().to_owned();
    let rules: Vec<String> = told.iter().map(|alarm| text(alarm, "rule")).collect();
    let wanted: Vec<&str> = expected.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(rules, wanted, "{told:?}");
    for (alarm, (_, part)) in told.iter().zip(expected) {
        assert!(text(alarm, "message").contains(part), "{alarm}");
        assert_eq!(alarm["level"], "notable");
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    assert!(!server.root().join("HOLD").exists());
    outcome
}

#[test]
fn a_database_that_loses_rows_tables_or_its_life_is_told_once() {
    let server = Server::with_one_message().and_database();
    let sql = |text: &str| server.database.as_ref().unwrap().sql(text);
    sql(
        "CREATE DATABASE webmail; CREATE TABLE webmail.contacts (id INT); \
         CREATE TABLE webmail.sessions (id INT); CREATE DATABASE old; \
         INSERT INTO webmail.contacts WITH RECURSIVE n AS (SELECT 1 AS id UNION ALL \
         SELECT id + 1 FROM n WHERE id < 40) SELECT id FROM n",
    );
    let mysql = |date| ["--component", "mysql", "--date", date];
    let outcome = check(&server, &mysql("2026-11-01"), &[]);
    let webmail = outcome.data("database");
    let webmail = webmail.iter().find(|it| it["database"] == "webmail");
    assert_eq!(webmail.unwrap()["tables"]["contacts"], 40);
    sql("DELETE FROM webmail.contacts WHERE id > 20");
    check(&server, &mysql("2026-11-02"), &[]);
    sql(
        "DELETE FROM webmail.contacts WHERE id > 9; DROP TABLE webmail.sessions; DROP DATABASE old",
    );
    let told = [
        ("database-gone", "was it dropped on purpose?: old"),
        ("tables-gone", "webmail.sessions"),
        ("rows-lost", "webmail.contacts (9 of 20)"),
    ];
    check(&server, &mysql("2026-11-03"), &told);
    // Another component of the day's set leaves what the databases say, and does not say it again.
    let outcome = server.run(&["--component", "config", "--date", "2026-11-03"]);
    assert_eq!(outcome.data("alarm").len(), 3);
    assert!(!outcome.stderr.contains("rows-lost"), "{}", outcome.stderr);
    let manifest = server.set("daily/2026-11-03").join("manifest.jsonl");
    let manifest = fs::read_to_string(manifest).unwrap();
    assert!(manifest.contains("rows-lost") && manifest.contains(r#""contacts":9"#));
    check(&server, &mysql("2026-11-04"), &[]);
}

#[test]
fn a_key_that_changes_and_a_compose_file_that_vanishes_are_told_once() {
    let server = Server::with_one_message();
    let dkim = server.path("config/opendkim/example.com/mail.private");
    put(&dkim, &key("one"));
    put(&server.path("certbot/archive/mx/privkey1.pem"), &key("one"));
    put(
        &server.path("docker-compose.override.yml"),
        b"services: {}\n",
    );
    let parts = ["config", "ssl", "dkim"].map(|part| ["--component", part]);
    let parts = parts.concat();
    let day = |date| [&parts[..], &["--date", date]].concat();
    check(&server, &day("2026-11-01"), &[]);
    check(&server, &day("2026-11-02"), &[]);
    put(&dkim, &key("two"));
    fs::remove_file(server.path("docker-compose.override.yml")).unwrap();
    // Renewed, as certbot does.
    put(&server.path("certbot/archive/mx/privkey2.pem"), &key("two"));
    fs::remove_file(server.path("certbot/archive/mx/privkey1.pem")).unwrap();
    let told = [
        ("key-changed", "opendkim/example.com/mail.private in config"),
        ("file-gone", "config/project/docker-compose.override.yml"),
        ("key-changed", "example.com/mail.private in dkim"),
    ];
    check(&server, &day("2026-11-03"), &told);
    // The certificates alone, once more: what the day told of the others stays.
    let outcome = server.run(&["--component", "ssl", "--date", "2026-11-03"]);
    assert_eq!(outcome.assert_code(0).data("alarm").len(), told.len());
    check(&server, &day("2026-11-04"), &[]);
    fs::remove_file(&dkim).unwrap();
    let told = [
        ("key-gone", "opendkim/example.com/mail.private in config"),
        ("key-gone", "example.com/mail.private in dkim"),
    ];
    check(&server, &day("2026-11-05"), &told);
}

/// With a set each hour, each would say it, and who is notified would no longer read it.
#[test]
fn what_a_day_has_lost_is_told_by_its_first_run() {
    let server = Server::with_one_message();
    let config = server.path("config/tls/mx.key");
    put(&config, &key("one"));
    let before = support::capture(Command::new("date").args(["-u", "-d", "-2 days", "+%F"]));
    let before = String::from_utf8(before).unwrap();
    let save = |args: &[&str], told: &[(&str, &str)]| {
        check(&server, &[&["--component", "config"], args].concat(), told)
    };
    save(&["--date", before.trim()], &[]);
    put(&config, &key("two"));
    let told = [("key-changed", "tls/mx.key in config")];
    save(&["--weekly"], &told);
    for kind in ["--daily", "--hourly"] {
        save(&[kind], &[]);
    }
    put(&config, &key("three"));
    put(&server.path("config/tls/other.key"), &key("one"));
    save(&["--daily"], &[]);
}

/// A second run of the day takes the place of the first: it says nothing again, and its set still
/// tells whoever asks.
#[test]
fn a_set_that_is_made_again_keeps_what_was_told() {
    let server = Server::with_one_message();
    let config = server.path("config/tls/mx.key");
    put(&config, &key("one"));
    let save = |date| server.run(&["--component", "config", "--date", date]);
    let _ = save("2026-11-01").assert_code(0);
    put(&config, &key("two"));
    for said in [true, false, false] {
        let outcome = save("2026-11-02").assert_code(0);
        let told = outcome.data("alarm");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["rule"], "key-changed");
        let is_said = outcome.stderr.contains("tls/mx.key in config");
        assert_eq!(is_said, said, "{}", outcome.stderr);
    }
}

#[test]
fn keys_of_one_name_in_further_directories_are_told_apart() {
    let server = Server::with_one_message();
    let [one, two] = ["etc/one", "etc/two"].map(|name| server.path(name));
    put(&one.join("key.pem"), &key("one"));
    put(&two.join("key.pem"), &key("two"));
    let both = format!("{} {}", one.display(), two.display());
    let save = |date, told: &[(&str, &str)]| {
        let tool = server.tool(&["--component", "config", "--date", date]);
        let outcome = support::checked(tool.env("EXTRA_DIRS", &both).run());
        check_outcome(&server, outcome, told)
    };
    save("2026-11-01", &[]);
    save("2026-11-02", &[]);
    fs::remove_file(two.join("key.pem")).unwrap();
    save("2026-11-03", &[("key-gone", "etc/two.tar.zst")]);
    put(&one.join("key.pem"), &key("three"));
    save("2026-11-04", &[("key-changed", "etc/one.tar.zst")]);
}
