//! Dumps into real servers: what they hold afterwards is what the dumps hold, or what was there
//! before.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support::{
    EVERY_DATABASE, Set, chain, dump, inventory, stock_dump, target, with_accounts,
    with_every_object,
};
use jiff::ZonedDateTime;
use mail_restore::databases::{Accounts, Databases, Error, Watch};
use mail_tests::facts::facts;
use mail_tests::mariadb::MariaDb;

/// What a server holds in several databases.
pub(crate) fn all_facts(server: &MariaDb, databases: &[&str]) -> Vec<String> {
    databases
        .iter()
        .flat_map(|database| facts(server, database))
        .collect()
}

#[track_caller]
fn assert_equal(left: &[String], right: &[String]) {
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left, right);
    }
    assert_eq!(left.len(), right.len());
}

/// Databases that hold something else.
pub(crate) fn fill_with_something_else(server: &MariaDb) {
    server.sql(
        "CREATE DATABASE `mail db` CHARACTER SET utf8mb4; CREATE DATABASE second; CREATE DATABASE bystander;
         CREATE TABLE `mail db`.numbers (other INT); CREATE TABLE `mail db`.left_over (a INT PRIMARY KEY);
         INSERT INTO `mail db`.left_over VALUES (1), (2); CREATE VIEW `mail db`.v AS SELECT a FROM `mail db`.left_over;
         CREATE PROCEDURE second.p() SELECT 1; CREATE EVENT second.e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
         CREATE TABLE bystander.t (a INT); INSERT INTO bystander.t VALUES (7);",
    );
}

#[test]
fn our_dumps_replace_whatever_was_there() {
    let source = with_every_object();
    let set = Set::of(&source, &EVERY_DATABASE);
    let server = MariaDb::start();
    fill_with_something_else(&server);
    let bystander = facts(&server, "bystander");
    let loaded = set
        .restore(&server)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_equal(
        &all_facts(&source, &EVERY_DATABASE),
        &all_facts(&server, &EVERY_DATABASE),
    );
    assert_equal(&bystander, &facts(&server, "bystander"));
    let results = loaded.keep().unwrap();
    assert_no_traces(&server);
    let summary: Vec<_> = results
        .iter()
        .map(|result| {
            (
                result.path.to_string(),
                result.databases.join(","),
                result.tables,
            )
        })
        .collect();
    assert_eq!(
        summary[0],
        ("mysql/empty-db.sql.zst".into(), "empty-db".into(), 0)
    );
    assert_eq!(
        summary[2],
        ("mysql/second.sql.zst".into(), "second".into(), 1)
    );
    let rows = source.sql("SELECT COUNT(*) FROM second.t");
    assert_eq!(format!("{}\n", results[2].rows), rows);
}

#[test]
fn what_was_there_is_a_set_that_loads_again() {
    let source = with_every_object();
    let set = Set::of(&source, &["second"]);
    let server = MariaDb::start();
    fill_with_something_else(&server);
    let before = facts(&server, "second");
    let loaded = set.restore(&server).unwrap();
    assert_eq!(loaded.saved(), set.saved());
    loaded.keep().unwrap();
    assert_equal(&facts(&source, "second"), &facts(&server, "second"));
    let saved = set.saved();
    let mut sums = std::process::Command::new("sha256sum");
    assert!(
        sums.args(["--quiet", "-c", "checksums.sha256"])
            .current_dir(&saved)
            .status()
            .unwrap()
            .success()
    );
    assert!(saved.join("mysql/_accounts.sql.zst").exists());
    let again = Set::new();
    let never = AtomicBool::new(false);
    let watch = Watch {
        stop: &never,
        progress: &|_| {},
    };
    let plan = Databases::plan(&inventory(&saved), Accounts::Leave).unwrap();
    let loaded = plan.restore(
        &target(&server),
        &again.root(),
        &ZonedDateTime::now(),
        watch,
    );
    loaded
        .unwrap_or_else(|error| panic!("{}", chain(&error)))
        .keep()
        .unwrap();
    assert_equal(&before, &facts(&server, "second"));
}

#[test]
fn the_caller_may_go_back_later() {
    let source = with_every_object();
    let set = Set::of(&source, &EVERY_DATABASE);
    let server = MariaDb::start();
    fill_with_something_else(&server);
    let there = ["mail db", "second", "bystander"];
    let before = all_facts(&server, &there);
    set.restore(&server)
        .unwrap()
        .roll_back("the mailboxes could not be swapped")
        .unwrap();
    assert_equal(&before, &all_facts(&server, &there));
    assert_no_traces(&server);
    assert!(!server.sql("SHOW DATABASES").contains("empty-db"));
}

/// What `mariadb-dump` keeps, it keeps also when it is loaded by us.
#[test]
fn stock_dumps_load_as_the_stock_client_loads_them() {
    let source = with_every_object();
    // The stock dump does not switch the constraint off, locks a table without the sequence in its
    // default, and loses the history: rows would be as old as their loading.
    source.sql("USE `mail db`; DELETE FROM checked WHERE n < 0; DROP TABLE versioned, versioned_named, versioned_part");
    let options = [
        "--single-transaction",
        "--skip-add-locks",
        "--routines",
        "--triggers",
        "--events",
        "--hex-blob",
    ];
    let everything = [&options[..], &["--databases"], &EVERY_DATABASE].concat();
    let sql = stock_dump(&source, &everything);
    let expected = MariaDb::start();
    let loaded = mail_tests::mariadb::fed(
        expected.client().args(["--comments", "--binary-mode"]),
        &sql,
    );
    assert!(
        loaded.status.success(),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
    let server = MariaDb::start();
    for name in ["all.sql", "all.sql.gz", "all.sql.zst"] {
        let set = Set::new();
        set.put(name, &sql);
        let loaded = set
            .restore(&server)
            .unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
        assert!(
            !loaded
                .warnings()
                .iter()
                .any(|warning| warning.contains(name)),
            "{:?}",
            loaded.warnings()
        );
        loaded.keep().unwrap();
        assert_equal(
            &all_facts(&expected, &EVERY_DATABASE),
            &all_facts(&server, &EVERY_DATABASE),
        );
    }
}

#[test]
fn raw_bytes_of_a_stock_dump_arrive() {
    let source = MariaDb::start();
    source.sql(
        "CREATE DATABASE d; USE d; CREATE TABLE d.t (id INT PRIMARY KEY, b LONGBLOB, t TEXT CHARACTER SET utf8mb4);
         INSERT INTO d.t SELECT seq, CONCAT(CHAR(seq), UNHEX('FF005C2722'), CHAR(seq)), CONCAT('ü', seq) FROM seq_0_to_255;",
    );
    let set = Set::new();
    set.put("d.sql.gz", &stock_dump(&source, &["--skip-hex-blob", "d"]));
    let server = MariaDb::start();
    let loaded = set
        .restore(&server)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(
        (loaded.results()[0].tables, loaded.results()[0].rows),
        (1, 256)
    );
    assert_eq!(
        source.sql("CHECKSUM TABLE d.t EXTENDED"),
        server.sql("CHECKSUM TABLE d.t EXTENDED")
    );
}

#[test]
fn a_dump_that_names_no_database_is_the_one_of_its_file() {
    let source = with_every_object();
    let set = Set::new();
    set.put(
        "mailserver.sql.gz",
        &stock_dump(&source, &["--skip-comments", "second"]),
    );
    let server = MariaDb::start();
    server
        .sql("CREATE DATABASE mailserver CHARACTER SET latin1 COLLATE latin1_bin; CREATE TABLE mailserver.old (a INT)");
    let loaded = set
        .restore(&server)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(
        loaded.warnings()[0].contains("mysql/mailserver.sql.gz does not end with"),
        "{:?}",
        loaded.warnings()
    );
    assert_eq!(loaded.results()[0].databases, ["mailserver"]);
    assert_eq!(
        server.sql("SHOW TABLES IN mailserver; SELECT * FROM mailserver.t"),
        "t\n1\tx\n"
    );
    assert!(
        server
            .sql("SHOW CREATE DATABASE mailserver")
            .contains("latin1_bin")
    );
}

#[test]
fn a_dump_of_everything_leaves_the_servers_own_databases_alone() {
    let source = MariaDb::start();
    source.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT); INSERT INTO d.t VALUES (1); CREATE USER x@localhost");
    let set = Set::new();
    set.put(
        "all-databases.sql.gz",
        &stock_dump(&source, &["--all-databases", "--flush-privileges"]),
    );
    let server = MariaDb::start();
    let accounts = server.sql("SELECT User, Host FROM mysql.user ORDER BY 1, 2");
    let loaded = set
        .restore(&server)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(loaded.results()[0].databases, ["d"]);
    assert!(
        loaded.warnings()[0].contains("database mysql"),
        "{:?}",
        loaded.warnings()
    );
    assert_eq!(server.sql("SELECT a FROM d.t"), "1\n");
    assert_eq!(
        server.sql("SELECT User, Host FROM mysql.user ORDER BY 1, 2"),
        accounts
    );
}

/// A database of twelve tables of different sizes, one of them in an engine without transactions.
fn fill_tables(server: &MariaDb) {
    let table = |number: u32| {
        let engine = if number == 5 { "MyISAM" } else { "InnoDB" };
        format!(
            "CREATE TABLE t{number} (id INT PRIMARY KEY, v VARCHAR(100), u INT UNIQUE, KEY (v)) ENGINE={engine};
             INSERT INTO t{number} SELECT seq, CONCAT(MD5(seq), ' ü'), seq * 3 FROM seq_1_to_{};",
            number * 300
        )
    };
    server.sql(&format!(
        "CREATE DATABASE d; USE d; {}",
        (1..=12).map(table).collect::<String>()
    ));
}

/// The definitions and the rows of those tables.
fn checksums(server: &MariaDb) -> String {
    let table = |number| format!("SHOW CREATE TABLE t{number}; CHECKSUM TABLE t{number} EXTENDED;");
    server.sql(&format!(
        "USE d; {}",
        (1..=12).map(table).collect::<String>()
    ))
}

#[test]
fn several_connections_load_the_same_as_one() {
    let source = MariaDb::start();
    fill_tables(&source);
    let expected = checksums(&source);
    let (ours, stock) = (
        dump(&source, "d"),
        stock_dump(&source, &["--databases", "d"]),
    );
    let server = MariaDb::start();
    for (name, sql) in [("d.sql.zst", ours), ("d.sql.gz", stock)] {
        for connections in [1, 2, 40] {
            let set = Set::new();
            set.put(name, &sql);
            let loaded = set.restore_with(&server, Accounts::Leave, connections);
            let results = loaded
                .unwrap_or_else(|error| panic!("{name}: {}", chain(&error)))
                .keep()
                .unwrap();
            assert_eq!((results[0].tables, results[0].rows), (12, 78 * 300));
            assert_eq!(checksums(&server), expected);
        }
    }
}

/// Restores over a filled server, and sees that all is as it was.
#[track_caller]
pub(crate) fn check_rolled_back(set: &Set, expected: &[&str]) {
    let server = MariaDb::start();
    fill_with_something_else(&server);
    let there = ["mail db", "second", "bystander"];
    let (before, names) = (all_facts(&server, &there), server.sql("SHOW DATABASES"));
    let error = set.restore(&server).unwrap_err();
    let text = chain(&error);
    for part in expected {
        assert!(text.contains(part), "{text}");
    }
    assert!(matches!(error, Error::RolledBack { .. }), "{text}");
    assert_eq!(server.sql("SHOW DATABASES"), names);
    assert_equal(&before, &all_facts(&server, &there));
    assert_no_traces(&server);
}

#[test]
fn a_statement_that_fails_brings_the_old_state_back() {
    let source = with_every_object();
    let set = Set::of(&source, &["empty-db", "second"]);
    let sql = String::from_utf8(dump(&source, "second")).unwrap();
    let sql = sql.replace("INSERT INTO `t` (`", "INSERT INTO `t` (`no_such_");
    set.put("second.sql.zst", sql.as_bytes());
    let line = sql
        .lines()
        .position(|line| line.starts_with("INSERT INTO"))
        .unwrap()
        + 1;
    let place = format!("mysql/second.sql.zst line {line}: INSERT INTO `t` (`no_such_");
    check_rolled_back(&set, &[&place, "1054", "as they were before"]);
}

#[test]
fn a_wrong_number_of_rows_brings_the_old_state_back() {
    let source = with_every_object();
    let set = Set::new();
    let sql = String::from_utf8(dump(&source, "second")).unwrap();
    set.put(
        "second.sql.zst",
        sql.replace("1 tables, 1 rows", "1 tables, 2 rows")
            .as_bytes(),
    );
    check_rolled_back(
        &set,
        &[
            "second has 1 tables, 1 rows after loading",
            "holds 1 tables, 2 rows",
        ],
    );
}

#[test]
fn a_view_over_another_database_finds_it() {
    let source = MariaDb::start();
    source.sql("CREATE DATABASE a; CREATE DATABASE b; CREATE TABLE b.t (x INT); CREATE VIEW a.v AS SELECT x FROM b.t");
    let set = Set::of(&source, &["a", "b"]);
    let server = MariaDb::start();
    let loaded = set
        .restore(&server)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(loaded.unmade(), []);
    loaded.keep().unwrap();
    assert_equal(
        &all_facts(&source, &["a", "b"]),
        &all_facts(&server, &["a", "b"]),
    );
}

/// A database whose load takes a while.
fn fill_large(server: &MariaDb) {
    server.sql(
        "CREATE DATABASE d; USE d; CREATE TABLE big (id INT PRIMARY KEY, t TEXT); CREATE TABLE also (id INT PRIMARY KEY, t TEXT);
         INSERT INTO big SELECT seq, REPEAT('x', 1000) FROM seq_1_to_20000; INSERT INTO also SELECT * FROM big;",
    );
}

/// Restores a large dump over another state of `d`, and runs `meddle` once, when five megabytes are
/// loaded.
fn meddle_while_loading(
    server: &MariaDb,
    set: &Set,
    stop: &AtomicBool,
    meddle: &(dyn Fn() + Sync),
) -> Error {
    let loaded_bytes = AtomicU64::new(0);
    let progress = |bytes| {
        let before = loaded_bytes.fetch_add(bytes, Ordering::SeqCst);
        if before < 5_000_000 && before + bytes >= 5_000_000 {
            meddle();
        }
    };
    let watch = Watch {
        stop,
        progress: &progress,
    };
    set.plan(Accounts::Leave)
        .restore(&target(server), &set.root(), &ZonedDateTime::now(), watch)
        .unwrap_err()
}

#[test]
fn an_interrupt_brings_the_old_state_back() {
    let source = MariaDb::start();
    fill_large(&source);
    let set = Set::of(&source, &["d"]);
    let server = MariaDb::start();
    server.sql("CREATE DATABASE d; CREATE TABLE d.old (a INT); INSERT INTO d.old VALUES (42)");
    let before = facts(&server, "d");
    let stop = AtomicBool::new(false);
    let error = meddle_while_loading(&server, &set, &stop, &|| stop.store(true, Ordering::SeqCst));
    let text = chain(&error);
    assert!(
        matches!(error, Error::RolledBack { .. }) && text.contains("interrupted by a signal"),
        "{text}"
    );
    assert_equal(&before, &facts(&server, "d"));
}

#[test]
fn a_server_that_dies_while_it_loads_has_what_it_had() {
    let source = MariaDb::start();
    fill_large(&source);
    let set = Set::of(&source, &["d"]);
    set.put("new.sql", b"CREATE TABLE t (a INT);\n-- Dump completed\n");
    let mut server = MariaDb::start();
    server.sql("CREATE DATABASE d; CREATE TABLE d.old (a INT); INSERT INTO d.old VALUES (42)");
    let before = facts(&server, "d");
    let pid = rustix::process::Pid::from_raw(
        fs::read_to_string(server.dir().join("pid"))
            .unwrap()
            .trim()
            .parse()
            .unwrap(),
    );
    let never = AtomicBool::new(false);
    let error = meddle_while_loading(&server, &set, &never, &|| {
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
    });
    assert!(
        matches!(error, Error::RolledBack { .. }),
        "{}",
        chain(&error)
    );
    server.kill();
    server.resume();
    assert_equal(&before, &facts(&server, "d"));
    // What it had loaded beside is dropped by the next run, which succeeds.
    let loaded = set.restore(&server);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(
        loaded.warnings()[0].contains("loaded beside the databases is dropped"),
        "{:?}",
        loaded.warnings()
    );
    loaded.keep().unwrap();
    assert_equal(&facts(&source, "d"), &facts(&server, "d"));
    assert_no_traces(&server);
}

/// Nothing is left of what a restore makes for a while.
#[track_caller]
fn assert_no_traces(server: &MariaDb) {
    assert_eq!(server.sql("SHOW DATABASES LIKE 'mail\\_restore%'"), "");
    assert_eq!(
        server.sql("SELECT User FROM mysql.user WHERE User LIKE 'mr\\_%'"),
        ""
    );
}

const ACCOUNT_NAMES: &str = "SELECT User, Host FROM mysql.user ORDER BY 1, 2";

#[test]
fn accounts_come_on_request_and_go_with_a_rollback() {
    let (source, set) = with_accounts();
    let server = MariaDb::start();
    let before = server.sql(ACCOUNT_NAMES);
    set.restore(&server).unwrap().keep().unwrap();
    assert_eq!(server.sql(ACCOUNT_NAMES), before);
    fs::remove_dir_all(set.root().join("pre-restore")).unwrap();
    let loaded = set
        .restore_with(&server, Accounts::Load, 2)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(
        loaded.results()[1].path.to_string(),
        "mysql/_accounts.sql.zst"
    );
    let grants = "SHOW GRANTS FOR new@localhost; SHOW GRANTS FOR reader";
    assert_eq!(server.sql(grants), source.sql(grants));
    loaded.roll_back("another part failed").unwrap();
    assert_eq!(server.sql(ACCOUNT_NAMES), before);
}
