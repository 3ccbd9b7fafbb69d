//! A restore that is killed, refused or cut off at any statement leaves every database as it was,
//! or as it shall be: never between.
#![expect(
    clippy::disallowed_methods,
    reason = "sample sets are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a helper that fails ends the test")]

#[path = "support/databases.rs"]
mod support;
#[path = "support/statement_proxy.rs"]
mod statement_proxy;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use mail_common::secret::Secret;
use mail_mysql::Options;
use mail_restore::databases::{Accounts, Error, Loaded, Target, Trust, Watch};
use mail_tests::facts::facts;
use mail_tests::mariadb::MariaDb;
use mail_tests::run::Tool;
use rustix::process::Signal;
use statement_proxy::{Harm, StatementProxy};
use support::{Set, chain, inventory, target};

/// Three databases that use each other, as they are and as they shall be.
const DATABASES: [&str; 3] = ["d1", "d2", "d3"];

/// Set to anything, every statement is tried; else some of them.
const CAMPAIGN: &str = "MAIL_TESTS_CAMPAIGN";

fn fill(server: &MariaDb, word: &str) {
    server.sql(&format!(
        "CREATE DATABASE d1 CHARACTER SET utf8mb4; CREATE DATABASE d2; CREATE DATABASE d3 COMMENT '{word}';
         CREATE TABLE d1.parent (id INT PRIMARY KEY, t TEXT); INSERT INTO d1.parent VALUES (1, '{word}'), (2, 'x');
         CREATE TABLE d1.child (id INT PRIMARY KEY, p INT, CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES d1.parent (id));
         INSERT INTO d1.child VALUES (1, 1), (2, 2);
         CREATE TABLE d2.far (id INT PRIMARY KEY, p INT, CONSTRAINT over_there FOREIGN KEY (p) REFERENCES d1.parent (id));
         INSERT INTO d2.far VALUES (7, 2);
         CREATE SEQUENCE d2.s START WITH 5; CREATE TABLE d2.counted (n INT DEFAULT NEXTVAL(d2.s), w TEXT) ENGINE=MyISAM;
         INSERT INTO d2.counted (w) VALUES ('{word}');
         CREATE TABLE d3.only_{word} (a INT); INSERT INTO d3.only_{word} VALUES (1), (2), (3);
         CREATE TABLE d3.log (what TEXT);
         USE d1; CREATE VIEW v AS SELECT p.id, f.id AS far FROM d1.parent p JOIN d2.far f ON f.p = p.id;
         USE d2; CREATE VIEW w AS SELECT id FROM d1.v; CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN x + LENGTH('{word}');
         USE d3; CREATE VIEW x AS SELECT d2.f(id) AS n FROM d2.w; CREATE PROCEDURE p() INSERT INTO d3.log VALUES ('{word}');
         CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01 00:00:00' DO INSERT INTO d3.log VALUES ('{word}');
         CREATE TRIGGER d1.tr AFTER INSERT ON d1.child FOR EACH ROW INSERT INTO d3.log VALUES ('{word}');
         CREATE TRIGGER d1.tr2 BEFORE UPDATE ON d1.parent FOR EACH ROW SET NEW.t = '{word}';"
    ));
}

fn all_facts(server: &MariaDb) -> Vec<String> {
    let of = |database: &&str| facts(server, database);
    let mut all: Vec<_> = DATABASES.iter().flat_map(of).collect();
    all.push(
        server.sql("SELECT * FROM d1.v; SELECT * FROM d2.w; SELECT * FROM d3.x; SHOW DATABASES"),
    );
    all
}

/// The server through the proxy, as root by TCP.
fn through(proxy: &StatementProxy) -> Target {
    let options = Options {
        user: Some("root".into()),
        password: Some(Secret::new("")),
        host: Some("127.0.0.1".into()),
        port: Some(proxy.port()),
        ..Options::default()
    };
    Target {
        connection: options.settle("nobody"),
        connections: 1,
        trust: Trust::Gate,
    }
}

fn restore(set: &Set, target: &Target) -> Result<Loaded, Error> {
    let never = AtomicBool::new(false);
    let watch = Watch {
        stop: &never,
        progress: &|_| {},
    };
    set.plan(Accounts::Leave)
        .restore(target, &set.root(), &ZonedDateTime::now(), watch)
}

/// A server that holds the old state, a set of the new one, and what the new one is.
fn scene() -> (MariaDb, Set, Vec<String>, Vec<String>) {
    let source = MariaDb::start();
    fill(&source, "new");
    let set = Set::of(&source, &DATABASES);
    let new = all_facts(&source);
    let server = MariaDb::start();
    fill(&server, "old");
    let old = all_facts(&server);
    (server, set, old, new)
}

/// How many statements a restore takes that change something.
fn statements(server: &MariaDb, set: &Set, old: &[String]) -> usize {
    let proxy = StatementProxy::start(server.port(), Harm::Refuse, usize::MAX);
    let loaded = restore(set, &through(&proxy));
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", chain(&error)));
    let count = proxy.statements().len();
    loaded.roll_back("only to count").unwrap();
    assert_eq!(all_facts(server), old);
    count
}

/// As many as a restore takes to drop what was there before.
const KEEPING: usize = 12;

/// Which of so many are tried.
fn chosen(count: usize) -> Vec<usize> {
    let step = if std::env::var_os(CAMPAIGN).is_some() {
        1
    } else {
        17
    };
    (0..count).step_by(step).collect()
}

#[test]
fn three_databases_that_use_each_other_change_places() {
    let (server, set, old, new) = scene();
    let loaded = restore(&set, &target(&server));
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(loaded.unmade(), []);
    loaded.roll_back("to see that it goes").unwrap();
    assert_eq!(all_facts(&server), old);
    restore(&set, &target(&server)).unwrap().keep().unwrap();
    assert_eq!(all_facts(&server), new);
    // Keys lead where they led, and the default takes from the sequence in place.
    let refused = server
        .client()
        .args(["-e", "INSERT INTO d2.far VALUES (8, 99)"])
        .output();
    assert!(!refused.unwrap().status.success());
    server.sql("INSERT INTO d2.counted (w) VALUES ('more')");
}

/// The n-th statement fails: everything is as it was.
#[test]
fn a_statement_that_is_refused_leaves_all_as_it_was() {
    let (server, set, old, _) = scene();
    let count = statements(&server, &set, &old);
    for at in chosen(count) {
        let proxy = StatementProxy::start(server.port(), Harm::Refuse, at);
        match restore(&set, &through(&proxy)) {
            // Without the account of its own, the restoring one loads.
            Ok(loaded) => loaded
                .roll_back("it was refused nothing that it needs")
                .unwrap(),
            Err(error) => assert!(
                !matches!(error, Error::NotRolledBack { .. }),
                "statement {at}: {}",
                chain(&error)
            ),
        }
        let seen = proxy.statements();
        assert_eq!(
            all_facts(&server),
            old,
            "statement {at}: {:?}",
            seen.get(at)
        );
    }
}

/// A journal that cannot be committed holds back no table that the way back drops.
#[test]
fn a_journal_that_is_not_committed_is_dropped_at_once() {
    let (server, set, old, _) = scene();
    let counting = StatementProxy::start(server.port(), Harm::Refuse, usize::MAX);
    let loaded = restore(&set, &through(&counting)).unwrap();
    loaded.roll_back("only to count").unwrap();
    let seen = counting.statements();
    let is_commit_of_journal =
        |at: &usize| seen[*at] == "COMMIT" && *at > 0 && seen[*at - 1].starts_with("REPLACE INTO");
    let commits: Vec<_> = (0..seen.len())
        .filter(is_commit_of_journal)
        .take(3)
        .collect();
    assert_eq!(commits.len(), 3, "{seen:#?}");
    for at in commits {
        let proxy = StatementProxy::start(server.port(), Harm::Refuse, at);
        let began = Instant::now();
        match restore(&set, &through(&proxy)) {
            Ok(loaded) => loaded.roll_back("it found another way").unwrap(),
            Err(error) => assert!(
                !matches!(error, Error::NotRolledBack { .. }),
                "{}",
                chain(&error)
            ),
        }
        assert_eq!(all_facts(&server), old, "statement {at}");
        assert!(began.elapsed() < Duration::from_secs(60), "statement {at}");
    }
}

/// A restore that is killed between two statements, or before it has an answer: the next run puts
/// right what it left, then restores.
#[test]
fn a_restore_that_is_killed_anywhere_is_put_right_by_the_next() {
    let (server, set, old, new) = scene();
    let count = statements(&server, &set, &old);
    for at in chosen(count + KEEPING) {
        for harm in [Harm::CutBefore, Harm::CutAfter] {
            let proxy = StatementProxy::start(server.port(), harm, at);
            let killed = restore(&set, &through(&proxy)).and_then(Loaded::keep);
            let seen = proxy.statements();
            let place = format!("{harm:?} {at}: {:?}", seen.get(at));
            drop(killed);
            let next = restore(&broken(), &target(&server));
            assert!(next.is_err(), "{place}");
            let now = all_facts(&server);
            assert!(now == old || now == new, "{place}: {now:#?}");
            if now == new {
                fill_again(&server);
                assert_eq!(all_facts(&server), old);
            }
        }
    }
}

/// A set that is refused by what it loads, after the restore has put right what was left.
fn broken() -> Set {
    let broken = Set::new();
    broken.put(
        "d9.sql",
        b"CREATE TABLE t (a INT PRIMARY KEY);\nINSERT INTO t VALUES (1),(1);\n",
    );
    broken
}

/// `mail-restore` of all databases of a set, into the server at a port of this machine.
fn process(set: &Set, root: &Path, port: u16) -> Tool {
    let _ = inventory(&set.path());
    Tool::new("mail-restore")
        .env("BACKUP_ROOT", root)
        .env("MYSQL_HOST", "127.0.0.1")
        .env("MYSQL_PORT", port.to_string())
        .env("MYSQL_USER", "root")
        .arg("--from")
        .arg(set.path())
        .args(["--component", "mysql"])
}

/// The statements that the process sends, up to the one that it is killed at.
fn killed_at(server: &MariaDb, set: &Set, at: usize) -> Vec<String> {
    let proxy = StatementProxy::start(server.port(), Harm::Hold, at);
    let mut running = process(set, &set.root(), proxy.port()).spawn();
    while running.is_running() && !proxy.has_struck() {
        thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::KILL);
    let _ = running.wait();
    proxy.statements()
}

/// The accounts of the server: the one that loads must not stay.
fn accounts(server: &MariaDb) -> String {
    server.sql("SELECT User, Host FROM mysql.global_priv ORDER BY 1, 2")
}

/// The process is killed between two statements: the next run, of the same set or of one that it
/// refuses, finishes the exchange or undoes it, and leaves nothing beside the databases.
#[test]
fn a_process_that_is_killed_anywhere_is_put_right_by_the_next() {
    let (server, set, old, new) = scene();
    let before = accounts(&server);
    let count = killed_at(&server, &set, usize::MAX).len();
    assert_eq!(all_facts(&server), new);
    fill_again(&server);
    let mut killed = 0;
    for at in chosen(count) {
        let seen = killed_at(&server, &set, at);
        killed += usize::from(seen.len() > at);
        let place = format!("killed at {at} of {count}: {:?}", seen.get(at));
        if at % 2 == 0 {
            let _ = process(&set, &set.root(), server.port())
                .run()
                .assert_code(0);
            assert_eq!(all_facts(&server), new, "{place}");
        } else {
            let _ = process(&broken(), &set.root(), server.port())
                .run()
                .assert_code(3);
        }
        let now = all_facts(&server);
        assert!(now == old || now == new, "{place}: {now:#?}");
        assert_eq!(accounts(&server), before, "{place}");
        if now == new {
            fill_again(&server);
            assert_eq!(all_facts(&server), old);
        }
    }
    eprintln!("killed at {killed} of {count} statements");
    assert!(killed > 0);
}

fn fill_again(server: &MariaDb) {
    server.sql("SET foreign_key_checks = 0; DROP DATABASE d1; DROP DATABASE d2; DROP DATABASE d3");
    fill(server, "old");
}
