//! What a database holds comes back identical, by the stock client; what cannot is named.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicBool;

use crate::mariadb::MariaDb;
use crate::support::{assert_equal, dump, last_line, root, settings};
use mail_mysql::Session;
use mail_tests::facts::facts;

const EVERY_OBJECT: &str = include_str!("../fixtures/every_object.sql");

#[test]
fn every_object_and_type_loads_back_identical() {
    let source = MariaDb::start(&[]);
    source.sql(EVERY_OBJECT);
    let mut session = root(&source);
    let found = mail_mysql::databases(&mut session, &[]).unwrap();
    assert_eq!(found.names, ["empty-db", "mail db", "second"]);
    assert_eq!(found.missing, [""; 0]);
    let target = MariaDb::start(&[]);
    for database in &found.names {
        let (sql, report) = dump(&mut session, database);
        assert_eq!(report.missing, [""; 0], "{database}");
        assert_eq!(report.source_bytes, sql.len() as u64);
        let footer = format!(
            "-- Dump completed by mail-backup: {} tables, {} rows",
            report.tables, report.rows
        );
        assert_eq!(last_line(&sql), footer);
        target.load(&sql);
        let counts = mail_mysql::count_database(&mut root(&target), database).unwrap();
        assert_eq!(
            (counts.tables, counts.rows),
            (report.tables, report.rows),
            "{database}"
        );
        assert_equal(&facts(&source, database), &facts(&target, database));
        assert_eq!(source.stock_dump(database), target.stock_dump(database));
        // Loaded over itself it is the same again.
        target.load(&sql);
        assert_equal(&facts(&source, database), &facts(&target, database));
    }
}

/// Settings of a server that cut or bend what a dump reads, or what loads it.
const BENDING: &str = "
    SET GLOBAL sql_select_limit = 1; SET GLOBAL max_statement_time = 0.001; SET GLOBAL group_concat_max_len = 4;
    SET GLOBAL sql_mode = 'ORACLE,PAD_CHAR_TO_FULL_LENGTH'; SET GLOBAL sql_quote_show_create = 0;
    SET GLOBAL time_zone = '+05:30'; SET GLOBAL div_precision_increment = 0; SET GLOBAL old_mode = '';
    SET GLOBAL sql_safe_updates = 1; SET GLOBAL sql_if_exists = 1; SET GLOBAL completion_type = 'RELEASE';
    SET GLOBAL innodb_compression_default = 1; SET GLOBAL explicit_defaults_for_timestamp = 0;
    SET GLOBAL default_storage_engine = MyISAM; SET GLOBAL max_join_size = 1; SET GLOBAL sql_auto_is_null = 1;
    SET GLOBAL default_week_format = 3; SET GLOBAL collation_connection = latin1_german1_ci;
    SET GLOBAL character_set_client = latin1; SET GLOBAL character_set_results = latin1;
    SET GLOBAL tx_isolation = 'READ-UNCOMMITTED'; SET GLOBAL autocommit = 0; SET GLOBAL max_sort_length = 64;
    SET GLOBAL wait_timeout = 2; SET GLOBAL net_write_timeout = 1;";

#[test]
fn settings_of_the_server_bend_no_dump() {
    let source = MariaDb::start(&[]);
    source.sql(EVERY_OBJECT);
    let straight = dump(&mut root(&source), "mail db").0;
    source.sql(BENDING);
    let (bent, report) = dump(&mut root(&source), "mail db");
    assert_eq!(report.missing, [""; 0]);
    assert_eq!(
        String::from_utf8_lossy(&straight),
        String::from_utf8_lossy(&bent)
    );
}

/// A table that the server accepted in another session of other settings.
#[test]
fn tables_of_a_lax_session_load_again() {
    let source = MariaDb::start(&[]);
    source.sql(
        "CREATE DATABASE d; USE d; SET innodb_strict_mode = 0, explicit_defaults_for_timestamp = 0;
         CREATE TABLE t (id INT PRIMARY KEY, t TEXT) ROW_FORMAT=DYNAMIC KEY_BLOCK_SIZE=8; INSERT INTO t VALUES (1, 'x');
         CREATE TABLE ts (a TIMESTAMP, b TIMESTAMP); SET explicit_defaults_for_timestamp = 1;
         CREATE TABLE ts_plain (a TIMESTAMP NOT NULL, b TIMESTAMP NULL);",
    );
    let sql = dump(&mut root(&source), "d").0;
    let target = MariaDb::start(&[]);
    target.sql("SET GLOBAL sql_if_exists = 1; SET GLOBAL explicit_defaults_for_timestamp = 0");
    target.load(&sql);
    assert_equal(&facts(&source, "d"), &facts(&target, "d"));
}

#[test]
fn bytes_in_definitions_are_carried_or_named() {
    let source = MariaDb::start(&[]);
    source.sql(
        "CREATE DATABASE d; USE d; CREATE TABLE t (a VARBINARY(10) DEFAULT X'FF005C27C30A', h BINARY(4) DEFAULT 0x61, c INT);
         INSERT INTO t (c) VALUES (1); SET sql_mode = '';
         CREATE TABLE lost (e ENUM('a', X'FF') CHARACTER SET binary);",
    );
    let raw = b"USE d; CREATE PROCEDURE p() SELECT _binary '\xff\xfe'; CREATE VIEW v AS SELECT _binary '\xff' AS x;";
    let made = source.client_with(&["--binary-mode"], raw);
    assert!(made.status.success());
    let (sql, report) = dump(&mut root(&source), "d");
    assert_eq!(
        report.missing,
        [
            "members of column `e` of table `d`.`lost`: the server shows bytes in them as question marks"
        ]
    );
    let target = MariaDb::start(&[]);
    target.load(&sql);
    let values = "CALL d.p(); SELECT * FROM d.v; SELECT HEX(a), HEX(h) FROM d.t; SELECT HEX(body) FROM mysql.proc WHERE db = 'd'";
    assert_eq!(source.sql(values), target.sql(values));
    target.sql("INSERT INTO d.t (c) VALUES (2)");
    assert_eq!(target.sql("SELECT COUNT(DISTINCT HEX(a)) FROM d.t"), "1\n");
}

#[test]
fn what_a_dump_cannot_carry_is_named() {
    let server = MariaDb::start(&[]);
    server.sql(
        "SET GLOBAL event_scheduler = OFF; CREATE DATABASE d; USE d;
         CREATE EVENT past ON SCHEDULE AT '2037-01-01 00:00:00' DO SELECT 1;
         CREATE EVENT coming ON SCHEDULE AT '2037-01-01 00:00:00' DO SELECT 1;
         UPDATE mysql.event SET execute_at = '2001-01-01 00:00:00' WHERE name = 'past';",
    );
    // A directory of before MySQL 5.1, and one that is not a database.
    let data = server.dir().join("data");
    for name in ["old-name", "lost+found"] {
        let dir = data.join(name);
        std::fs::create_dir(&dir).unwrap();
        let owner = std::fs::metadata(&data).unwrap();
        let (uid, gid) = (owner.uid(), owner.gid());
        std::os::unix::fs::chown(&dir, Some(uid), Some(gid)).unwrap();
    }
    server.sql("CREATE TABLE `#mysql50#old-name`.t (a INT)");
    let mut session = root(&server);
    let found = mail_mysql::databases(&mut session, &[]).unwrap();
    assert_eq!(found.names, ["d"]);
    assert_eq!(found.missing.len(), 1, "{:?}", found.missing);
    assert!(found.missing[0].contains("`#mysql50#old-name`"));
    let report = dump(&mut session, "d").1;
    assert_eq!(report.missing.len(), 1, "{:?}", report.missing);
    assert!(report.missing[0].starts_with("event `d`.`past`"));
}

#[test]
fn tables_outside_the_snapshot_are_named() {
    let server = MariaDb::start(&[]);
    server
        .sql("CREATE DATABASE d; CREATE TABLE d.m (a INT) ENGINE=MyISAM; CREATE TABLE d.i (a INT)");
    let (_, report) = dump(&mut root(&server), "d");
    assert_eq!(
        report.warnings,
        ["`d`.`m` is MyISAM, which no snapshot covers: its rows are those of the moment"]
    );
    assert_eq!(
        (report.tables, report.rows, report.missing.len()),
        (2, 0, 0)
    );
}

#[test]
fn all_databases_come_from_one_snapshot() {
    let server = MariaDb::start(&[]);
    server.sql(
        "CREATE DATABASE a; CREATE DATABASE b; CREATE TABLE a.t (n INT); CREATE TABLE b.t (n INT)",
    );
    let mut session = root(&server);
    server.sql("INSERT INTO a.t VALUES (1); INSERT INTO b.t VALUES (1)");
    assert_eq!(dump(&mut session, "a").1.rows, 0);
    assert_eq!(dump(&mut session, "b").1.rows, 0);
}

#[test]
fn what_a_limited_account_may_not_see_is_named() {
    let server = MariaDb::start(&[]);
    server.sql(
        "CREATE DATABASE d; USE d; CREATE TABLE t (a INT); CREATE TABLE hidden (a INT); CREATE VIEW v AS SELECT * FROM t;
         CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1; CREATE PROCEDURE p() SELECT 1;
         CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
         CREATE USER few@'%' IDENTIFIED BY 'x', least@'%' IDENTIFIED BY 'x';
         GRANT SELECT ON d.t TO few@'%'; GRANT SELECT ON d.v TO few@'%'; GRANT EXECUTE ON d.* TO few@'%';
         GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO least@'%';",
    );
    let mut few = Session::connect(&settings(&server, "few", "x")).unwrap();
    let found = mail_mysql::databases(&mut few, &[]).unwrap();
    assert_eq!(
        (found.names, found.missing.len()),
        (vec!["d".to_owned()], 1)
    );
    let missing = dump(&mut few, "d").1.missing.join("\n");
    for wanted in [
        "tables of `d`",
        "triggers of `d`",
        "events of `d`",
        "procedures and functions",
        "view `d`.`v`",
        "procedure `d`.`p`",
    ] {
        assert!(missing.contains(wanted), "no {wanted:?} in: {missing}");
    }
    let (_, accounts) =
        mail_mysql::dump_accounts(&mut few, || Ok(Vec::new()), &AtomicBool::new(false)).unwrap();
    assert!(
        accounts.missing[0].contains("accounts: "),
        "{:?}",
        accounts.missing
    );
    let partial = String::from_utf8_lossy(&dump(&mut few, "d").0).into_owned();
    assert!(
        partial.contains("CREATE TABLE `t`") && !partial.contains("VIEW"),
        "{partial}"
    );
    let mut least = Session::connect(&settings(&server, "least", "x")).unwrap();
    let (sql, report) = dump(&mut least, "d");
    assert_eq!(report.missing, [""; 0]);
    assert_eq!(sql, dump(&mut root(&server), "d").0);
}

#[test]
fn a_view_that_is_broken_is_named_and_kept_as_a_comment() {
    let server = MariaDb::start(&[]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT); CREATE VIEW d.v AS SELECT a FROM d.t; DROP TABLE d.t");
    let (sql, report) = dump(&mut root(&server), "d");
    assert!(
        report.missing[0].starts_with("view `d`.`v`: "),
        "{:?}",
        report.missing
    );
    assert!(String::from_utf8_lossy(&sql).contains("-- Broken on the server: CREATE ALGORITHM"));
    let target = MariaDb::start(&[]);
    target.load(&sql);
    assert_eq!(target.sql("SHOW TABLES IN d"), "");
}

#[test]
fn a_view_over_another_database_says_what_to_load_first() {
    let server = MariaDb::start(&[]);
    server.sql("CREATE DATABASE d; CREATE DATABASE e; CREATE TABLE e.t (a INT); CREATE VIEW d.v AS SELECT a FROM e.t");
    let (_, report) = dump(&mut root(&server), "d");
    assert_eq!(report.warnings, ["view `d`.`v` uses `e`: load that first"]);
    assert_eq!(report.missing, [""; 0]);
}

#[test]
fn a_row_of_twenty_megabytes_is_read() {
    let server = MariaDb::start(&["--max-allowed-packet=128M"]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (b LONGBLOB); INSERT INTO d.t VALUES (REPEAT('ab', 10000000))");
    let (sql, report) = dump(&mut root(&server), "d");
    assert_eq!((report.rows, report.missing.len()), (1, 0));
    assert!(sql.len() > 40_000_000);
    assert!(
        report.warnings[0].contains("`d`.`t`") && report.warnings[0].contains("max_allowed_packet"),
        "{:?}",
        report.warnings
    );
    let target = MariaDb::start(&["--max-allowed-packet=128M"]);
    let loaded = target.client_with(&["--max-allowed-packet=128M"], &sql);
    assert!(
        loaded.status.success(),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
    assert_eq!(
        target.sql("SELECT b = REPEAT('ab', 10000000) FROM d.t"),
        "1\n"
    );
}

#[test]
fn what_no_dump_can_hold_is_named() {
    let server = MariaDb::start(&[]);
    server.sql("CREATE SERVER elsewhere FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1', DATABASE 'd', USER 'u')");
    let (_, report) = mail_mysql::dump_accounts(
        &mut root(&server),
        || Ok(Vec::new()),
        &AtomicBool::new(false),
    )
    .unwrap();
    assert_eq!(
        report.missing,
        ["server definition elsewhere of mysql is not saved; write its CREATE SERVER down"]
    );
}
