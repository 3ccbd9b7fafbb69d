//! `users`, on a private MariaDB, real directories, sets of mail-backup, and a small HTTP server.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use mail_tests::mariadb::MariaDb;
use mail_tests::run::Tool;

use super::support::{Bench, Found};

const SETTINGS: &str = "[users]\ndatabase = \"usermgmt\"\n";

/// Two users with mailboxes, a disabled one without, and a set of that.
fn bench(database: &MariaDb) -> Bench {
    database.sql(
        "CREATE DATABASE usermgmt; CREATE TABLE usermgmt.users (email VARCHAR(250), quota BIGINT, enabled BOOL, born DATETIME);
         INSERT INTO usermgmt.users VALUES ('alice@example.com', 1000, 1, '2020-01-01'), ('Bob@Example.com', NULL, 1, NULL),
             ('gone@example.com', 0, 0, NULL)",
    );
    let bench = Bench::new();
    for user in ["alice", "bob"] {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(bench.path(format!("mail/example.com/{user}/{part}"))).unwrap();
        }
    }
    fs::create_dir(bench.path("backup")).unwrap();
    deliver(&bench, "alice", "1.M1P1.mx,S=300:2,S", 10);
    bench
}

fn deliver(bench: &Bench, user: &str, name: &str, bytes: usize) {
    bench.put(
        format!("mail/example.com/{user}/cur/{name}"),
        "x".repeat(bytes),
    );
}

fn with_environment(tool: Tool, bench: &Bench, database: &MariaDb) -> Tool {
    tool.env("MAIL_DATA_DIR", bench.path("mail"))
        .env("BACKUP_ROOT", bench.path("backup"))
        .env("MYSQL_USER", "root")
        .env("MYSQL_SOCKET", database.socket())
}

fn back_up(bench: &Bench, database: &MariaDb, date: &str) {
    // Mailboxes are saved that are a moment older than the run.
    thread::sleep(Duration::from_millis(1100));
    let tool = Tool::new("mail-backup").args(["--component", "mailboxes", "--date", date]);
    let _ = with_environment(tool, bench, database).run().assert_code(0);
}

fn check(bench: &Bench, database: &MariaDb, more: &str) -> Found {
    let tool = bench
        .tool("users", &format!("{SETTINGS}{more}\n"))
        .args(["--timeout", "60"]);
    Found::of(with_environment(tool, bench, database))
}

#[test]
fn users_mailboxes_and_sets_are_compared() {
    let database = MariaDb::start();
    let bench = bench(&database);
    check(&bench, &database, "").assert("user-backups", "newest set", "unknown", "run mail-backup");
    back_up(&bench, &database, "2026-11-23");
    let well = check(&bench, &database, "");
    assert_eq!(well.troubles(), [""; 0]);
    well.assert(
        "user-mailboxes",
        "usermgmt",
        "ok",
        "3 users and 2 mailboxes",
    )
    .assert("user-backups", "newest set", "ok", "daily/2026-11-23")
    .assert("user-quota", "usermgmt", "ok", "alice@example.com: 30 %");
    // A mailbox that was made after the set need not be in it.
    fs::create_dir_all(bench.path("mail/example.com/carol/cur")).unwrap();
    database.sql("INSERT INTO usermgmt.users VALUES ('carol@example.com', NULL, 1, NULL)");
    assert_eq!(check(&bench, &database, "").troubles(), [""; 0]);
    // One that is older must be.
    fs::rename(
        bench.path("backup/daily/2026-11-23/mailboxes/example.com/bob"),
        bench.path("lost"),
    )
    .unwrap();
    let found = check(&bench, &database, "");
    assert_eq!(found.troubles(), ["user-backups newest set"]);
    found.assert(
        "user-backups",
        "newest set",
        "critical",
        "1 mailboxes are not in daily/2026-11-23",
    );
    back_up(&bench, &database, "2026-11-24");
    assert_eq!(check(&bench, &database, "").troubles(), [""; 0]);
    // Orphaned and missing; a user of today has no mail yet.
    fs::create_dir_all(bench.path("mail/example.org/nobody/cur")).unwrap();
    fs::rename(bench.path("mail/example.com/alice"), bench.path("alice")).unwrap();
    database.sql("INSERT INTO usermgmt.users VALUES ('new@example.com', NULL, 1, UTC_TIMESTAMP())");
    let dated = "users_query = \"SELECT email, quota, enabled, born AS created FROM users\"";
    let found = check(&bench, &database, dated);
    assert_eq!(found.troubles(), ["user-mailboxes usermgmt"]);
    found
        .assert(
            "user-mailboxes",
            "usermgmt",
            "warning",
            "1 users have no mailbox: alice@example.com (",
        )
        .assert(
            "user-mailboxes",
            "usermgmt",
            "warning",
            "1 mailboxes belong to no user: nobody@example.org",
        );
    let found = check(&bench, &database, "");
    found.assert(
        "user-mailboxes",
        "usermgmt",
        "warning",
        "2 users have no mailbox: alice@example.com, new@example.com",
    );
}

#[test]
fn quotas_are_those_that_the_mailbox_counts_or_its_messages() {
    let database = MariaDb::start();
    let bench = bench(&database);
    back_up(&bench, &database, "2026-11-23");
    let check = |status: &str, words: &str| {
        check(&bench, &database, "").assert("user-quota", "usermgmt", status, words);
    };
    // A name without a size: the file is measured.
    deliver(&bench, "alice", "2.M1P1.mx:2,", 620);
    check(
        "warning",
        "1 users are at the limit of their quota, and mail to them bounces soon: alice@example.com",
    );
    bench.put("mail/example.com/alice/.Sent/new/3.M1P1.mx", "x".repeat(80));
    check("critical", "alice@example.com");
    let counts = bench.put(
        "mail/example.com/alice/maildirsize",
        "1000S\n500 3\n-100 -1\n",
    );
    check("ok", "40 %");
    fs::write(counts, "damaged").unwrap();
    check("critical", "alice@example.com");
}

#[test]
fn a_database_that_does_not_answer_is_unknown() {
    let mut database = MariaDb::start();
    let bench = bench(&database);
    let check = |database: &MariaDb, more: &str, words: &str| {
        check(&bench, database, more).assert("user-mailboxes", "usermgmt", "unknown", words);
    };
    check(
        &database,
        "users_query = \"SELECT mail FROM users\"",
        "see `users_query` in [users]",
    );
    check(
        &database,
        "users_query = \"SELECT quota FROM users\"",
        "no column `email`",
    );
    check(
        &database,
        "users_query = \"SELECT email FROM users WHERE 0\"",
        "has no user",
    );
    check(
        &database,
        "users_query = \"DELETE FROM users\"",
        "READ ONLY transaction",
    );
    assert_eq!(database.sql("SELECT COUNT(*) FROM usermgmt.users"), "3\n");
    fs::rename(bench.path("mail"), bench.path("elsewhere")).unwrap();
    check(&database, "", "set MAIL_DATA_DIR");
    database.stop();
    check(
        &database,
        "",
        "no user was checked: ask the database server",
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let tool = bench
        .tool("users", SETTINGS)
        .args(["--timeout", "4"])
        .env("MYSQL_HOST", "127.0.0.1");
    let tool = tool.env(
        "MYSQL_PORT",
        silent.local_addr().unwrap().port().to_string(),
    );
    Found::of(tool).assert(
        "user-mailboxes",
        "usermgmt",
        "unknown",
        "ask the database server",
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// Answers one request with a status line, or with nothing at all.
fn serve(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        match answer {
            Some(status) => {
                write!(
                    client,
                    "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                .unwrap();
            }
            None => thread::sleep(Duration::from_secs(600)),
        }
    });
    url
}

#[test]
fn the_api_must_answer_as_it_should() {
    let bench = Bench::new();
    let check = |answer, more: &str, status: &str, words: &str| {
        let url = serve(answer);
        let tool = bench
            .tool("users", &format!("[users]\napi_url = {url:?}\n{more}\n"))
            .args(["--timeout", "2"]);
        Found::of(tool).assert("user-api", &url, status, words);
    };
    check(Some("200 OK"), "", "ok", "answers with 200");
    check(
        Some("401 Unauthorized"),
        "api_status = 401",
        "ok",
        "answers with 401",
    );
    check(
        Some("500 Oops"),
        "",
        "critical",
        "answers with 500, not 200",
    );
    check(Some("302 Found"), "", "critical", "answers with 302");
    check(None, "", "critical", "does not answer: 127.0.0.1");
    let gone = "http://127.0.0.1:1/health";
    bench
        .check("users", &format!("[users]\napi_url = \"{gone}\""))
        .assert(
            "user-api",
            gone,
            "critical",
            "is the user management running?",
        );
    bench
        .check("users", "")
        .assert("users", "configuration", "unknown", "nothing to check");
}
