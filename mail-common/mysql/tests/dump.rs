//! The `mysql` component against real servers: what is dumped loads back identical, by the stock
//! client.
#![allow(clippy::disallowed_methods, reason = "sample files")]

#[path = "support/mariadb.rs"]
mod mariadb;

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use mail_common::secret::Secret;
use mail_mysql::{ConnectionSettings, DumpReport, Error, Options, Session};
use mail_tests::facts::facts;
use mariadb::MariaDb;

const EVERY_OBJECT: &str = include_str!("fixtures/every_object.sql");

/// Settings for `user` by TCP.
fn settings(server: &MariaDb, user: &str, password: &str) -> ConnectionSettings {
    tcp_options(server, user, password).settle("nobody")
}

fn tcp_options(server: &MariaDb, user: &str, password: &str) -> Options {
    Options {
        user: Some(user.into()),
        password: Some(Secret::new(password)),
        host: Some("127.0.0.1".into()),
        port: Some(server.port()),
        ..Options::default()
    }
}

fn root(server: &MariaDb) -> Session {
    let options = Options {
        user: Some("root".into()),
        socket: Some(server.socket()),
        ..Options::default()
    };
    Session::connect(&options.settle("nobody")).expect("root logs in by socket")
}

fn dump(session: &mut Session, database: &str) -> (Vec<u8>, DumpReport) {
    mail_mysql::dump_database(
        session,
        database,
        || Ok(Vec::new()),
        &AtomicBool::new(false),
        &mut |_| {},
    )
    .expect("the dump succeeds")
}

fn last_line(sql: &[u8]) -> String {
    String::from_utf8_lossy(sql)
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned()
}

/// The error and its causes, as the tool prints them.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn assert_equal(left: &[String], right: &[String]) {
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left, right);
    }
    assert_eq!(left.len(), right.len());
}

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
fn a_wrong_password_names_where_to_set_it_and_hides_it() {
    let server = MariaDb::start(&[]);
    server.sql("CREATE USER backup@'%' IDENTIFIED BY 'right'");
    let error = Session::connect(&settings(&server, "backup", "wr0ng-secret"))
        .err()
        .unwrap();
    assert!(matches!(error, Error::LogIn { .. }), "{error:?}");
    let text = chain(&error);
    assert!(
        text.contains("backup") && text.contains("MYSQL_PWD") && text.contains("~/.my.cnf"),
        "{text}"
    );
    assert!(
        text.contains("1045") && !text.contains("wr0ng") && !format!("{error:?}").contains("wr0ng"),
        "{text}"
    );
    Session::connect(&settings(&server, "backup", "right")).unwrap();
}

#[test]
fn a_server_that_is_down_is_named_by_address() {
    let mut server = MariaDb::start(&[]);
    server.kill();
    let error = Session::connect(&settings(&server, "root", ""))
        .err()
        .unwrap();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(
        chain(&error).contains(&format!("127.0.0.1:{}", server.port())),
        "{}",
        chain(&error)
    );
    let gone = Options {
        socket: Some(PathBuf::from("/nonexistent/s.sock")),
        ..Options::default()
    };
    let error = Session::connect(&gone.settle("root")).err().unwrap();
    assert!(
        chain(&error).contains("/nonexistent/s.sock"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_database_that_is_not_there_is_an_error() {
    let server = MariaDb::start(&[]);
    let error = mail_mysql::databases(&mut root(&server), &["nowhere".into()]).unwrap_err();
    assert!(
        matches!(&error, Error::NoDatabase { database } if database == "nowhere"),
        "{error:?}"
    );
}

/// Fills `d.big` with about 40 MB, so that a dump takes a while.
fn fill(server: &MariaDb) {
    server.sql(
        "CREATE DATABASE d; USE d; CREATE TABLE d.big (id INT PRIMARY KEY, t TEXT);
         INSERT INTO d.big SELECT seq, REPEAT('x', 1000) FROM seq_1_to_40000;",
    );
}

/// Dumps `d` and runs `meddle` once, when the first rows are written.
fn meddle_while_dumping(
    session: &mut Session,
    meddle: impl FnOnce(),
) -> (Result<(Vec<u8>, DumpReport), Error>, u32) {
    let opened = AtomicU32::new(0);
    let open = || {
        opened.fetch_add(1, Ordering::Relaxed);
        io::Result::Ok(Vec::new())
    };
    let mut meddle = Some(meddle);
    let mut progress = |_| {
        if let Some(meddle) = meddle.take() {
            meddle();
        }
    };
    let result =
        mail_mysql::dump_database(session, "d", open, &AtomicBool::new(false), &mut progress);
    (result, opened.load(Ordering::Relaxed))
}

#[test]
fn a_connection_killed_during_the_dump_names_the_table() {
    let server = MariaDb::start(&[]);
    fill(&server);
    let kill = "SELECT CONCAT('KILL ', ID, ';') FROM information_schema.PROCESSLIST WHERE INFO LIKE '%FROM `big`%' AND ID <> CONNECTION_ID()";
    let (result, _) = meddle_while_dumping(&mut root(&server), || {
        let statement = server.sql(kill);
        assert!(statement.starts_with("KILL"), "{statement:?}");
        server.sql(&statement);
    });
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Lost { object, .. } if object == "table `d`.`big`"),
        "{error:?}"
    );
}

#[test]
fn a_server_killed_during_the_dump_names_the_table() {
    let mut server = MariaDb::start(&[]);
    fill(&server);
    let mut session = root(&server);
    let (result, _) = meddle_while_dumping(&mut session, || server.kill());
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Lost { object, .. } if object == "table `d`.`big`"),
        "{error:?}"
    );
}

#[test]
fn a_table_altered_during_the_dump_makes_it_start_again() {
    let server = MariaDb::start(&[]);
    fill(&server);
    server.sql("CREATE TABLE d.later (a INT); INSERT INTO d.later VALUES (1)");
    let mut session = root(&server);
    let (result, opened) = meddle_while_dumping(&mut session, || {
        server.sql("ALTER TABLE d.later ADD COLUMN b INT NOT NULL DEFAULT 7, FORCE");
    });
    let (sql, report) = result.unwrap();
    assert_eq!(opened, 2);
    assert!(
        report.warnings[0].contains("`d`.`later` changed during the dump"),
        "{:?}",
        report.warnings
    );
    assert_eq!(report.missing, [""; 0]);
    let target = MariaDb::start(&[]);
    target.load(&sql);
    assert_eq!(
        target.sql("SELECT a, b FROM d.later; SELECT COUNT(*) FROM d.big"),
        "1\t7\n40000\n"
    );
}

/// Changes that the server makes without touching a row must not mix two definitions either.
#[test]
fn instant_changes_during_the_dump_leave_it_coherent() {
    let server = MariaDb::start(&[]);
    fill(&server);
    let target = MariaDb::start(&[]);
    for (change, expected) in [
        (
            "ALTER TABLE d.later ADD COLUMN x INT NOT NULL DEFAULT 7 FIRST, ALGORITHM=INSTANT",
            "7\t1\t2\n",
        ),
        (
            "ALTER TABLE d.later DROP COLUMN b, ALGORITHM=INSTANT",
            "1\n",
        ),
        (
            "ALTER TABLE d.later CHANGE a b INT, CHANGE b a INT",
            "1\t2\n",
        ),
        (
            "ALTER TABLE d.later MODIFY b INT FIRST, ALGORITHM=INSTANT",
            "2\t1\n",
        ),
        ("TRUNCATE TABLE d.later", ""),
    ] {
        server.sql(
            "CREATE OR REPLACE TABLE d.later (a INT, b INT); INSERT INTO d.later VALUES (1, 2)",
        );
        let (result, _) = meddle_while_dumping(&mut root(&server), || drop(server.sql(change)));
        let (sql, report) = result.unwrap();
        assert_eq!(report.missing, [""; 0], "{change}");
        target.load(&sql);
        assert_eq!(target.sql("SELECT * FROM d.later"), expected, "{change}");
        let names = "SELECT GROUP_CONCAT(COLUMN_NAME ORDER BY ORDINAL_POSITION) FROM information_schema.COLUMNS WHERE TABLE_NAME = 'later'";
        assert_eq!(target.sql(names), server.sql(names), "{change}");
    }
}

#[test]
fn a_table_dropped_during_the_dump_makes_it_start_again() {
    let server = MariaDb::start(&[]);
    fill(&server);
    server.sql("CREATE TABLE d.later (a INT)");
    let mut session = root(&server);
    let (result, opened) =
        meddle_while_dumping(&mut session, || drop(server.sql("DROP TABLE d.later")));
    let (sql, report) = result.unwrap();
    assert_eq!((opened, report.tables), (2, 1));
    assert!(!String::from_utf8_lossy(&sql).contains("`later`"));
}

#[test]
fn a_table_altered_during_every_attempt_is_an_error() {
    let server = MariaDb::start(&[]);
    fill(&server);
    server.sql("CREATE TABLE d.later (a INT); INSERT INTO d.later VALUES (1)");
    let (opened, altered) = (AtomicU32::new(0), AtomicU32::new(0));
    let open = || {
        opened.fetch_add(1, Ordering::Relaxed);
        io::Result::Ok(io::sink())
    };
    let mut progress = |_| {
        let attempt = opened.load(Ordering::Relaxed);
        if altered.swap(attempt, Ordering::Relaxed) != attempt {
            server.sql("ALTER TABLE d.later FORCE");
        }
    };
    let result = mail_mysql::dump_database(
        &mut root(&server),
        "d",
        open,
        &AtomicBool::new(false),
        &mut progress,
    );
    let error = result.err().unwrap();
    assert!(
        matches!(&error, Error::Changing { object, .. } if object == "table `d`.`later`"),
        "{error:?}"
    );
    assert_eq!(opened.load(Ordering::Relaxed), 4);
}

#[test]
fn a_run_that_is_stopped_ends_soon() {
    let server = MariaDb::start(&[]);
    fill(&server);
    let stop = AtomicBool::new(false);
    let mut rows = 0;
    let mut progress = |written| {
        rows = written;
        stop.store(true, Ordering::Relaxed);
    };
    let result = mail_mysql::dump_database(
        &mut root(&server),
        "d",
        || Ok(Vec::new()),
        &stop,
        &mut progress,
    );
    assert!(matches!(result, Err(Error::Stopped { .. })), "{result:?}");
    assert!(rows < 5000, "{rows}");
}

#[test]
fn an_output_that_fails_is_an_error_and_the_session_lives_on() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let server = MariaDb::start(&[]);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT); INSERT INTO d.t VALUES (1)");
    let mut session = root(&server);
    let error = mail_mysql::dump_database(
        &mut session,
        "d",
        || Ok(Full),
        &AtomicBool::new(false),
        &mut |_| {},
    )
    .err()
    .unwrap();
    assert!(matches!(error, Error::Write { .. }), "{error:?}");
    assert_eq!(dump(&mut session, "d").1.rows, 1);
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

/// A self-signed certificate for 127.0.0.1, and its key, where `server` can read them.
fn make_certificate(dir: &std::path::Path) -> (PathBuf, PathBuf) {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
        ])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args([&"-out".into(), &cert, &"-keyout".into(), &key])
        .output()
        .expect("openssl is installed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))
        .expect("let the server read its key");
    (cert, key)
}

#[test]
fn tls_is_used_when_asked_for_and_checked_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (cert, key) = make_certificate(dir.path());
    let server = MariaDb::start(&[
        &format!("--ssl-cert={}", cert.display()),
        &format!("--ssl-key={}", key.display()),
    ]);
    server.sql("CREATE USER s@'%' IDENTIFIED BY 'x' REQUIRE SSL; GRANT ALL ON *.* TO s@'%'");
    let connect = |options: Options| Session::connect(&options.settle("nobody"));
    let plain = tcp_options(&server, "s", "x");
    assert!(matches!(connect(plain.clone()), Err(Error::LogIn { .. })));
    let mut secure = connect(Options {
        ssl: Some(true),
        ..plain.clone()
    })
    .unwrap();
    assert_eq!(
        mail_mysql::databases(&mut secure, &[]).unwrap().missing,
        [""; 0]
    );
    connect(Options {
        ssl_ca: Some(cert.clone()),
        ..plain.clone()
    })
    .unwrap();
    connect(Options {
        ssl_ca: Some(cert),
        ssl_verify_server_cert: Some(true),
        ..plain.clone()
    })
    .unwrap();
    let unknown = connect(Options {
        ssl_verify_server_cert: Some(true),
        ..plain
    });
    assert!(
        matches!(unknown, Err(Error::Secure { .. })),
        "{:?}",
        unknown.err()
    );
}

#[test]
fn tls_that_the_server_does_not_offer_is_an_error() {
    let server = MariaDb::start(&["--skip-ssl"]);
    server.sql("CREATE USER s@'%' IDENTIFIED BY 'x'");
    let options = Options {
        ssl: Some(true),
        ..tcp_options(&server, "s", "x")
    };
    let error = Session::connect(&options.settle("nobody")).err().unwrap();
    assert!(matches!(error, Error::Secure { .. }), "{error:?}");
}

#[test]
fn an_ed25519_account_logs_in() {
    let server = MariaDb::start(&[]);
    server.sql("INSTALL SONAME 'auth_ed25519'; CREATE USER e@'%' IDENTIFIED VIA ed25519 USING PASSWORD('pässword')");
    Session::connect(&settings(&server, "e", "pässword")).unwrap();
    let error = Session::connect(&settings(&server, "e", "other"))
        .err()
        .unwrap();
    assert!(matches!(error, Error::LogIn { .. }), "{error:?}");
}

#[test]
fn an_option_file_logs_in_and_the_environment_overrides_it() {
    let server = MariaDb::start(&[]);
    server.sql(r"CREATE USER 'from file'@'%' IDENTIFIED BY 'p#\'1', env@'%' IDENTIFIED BY 'p2'");
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[client]\nuser = 'from file'\npassword = \"p#'1\" # quoted\nhost=127.0.0.1\nport={}\n",
        server.port()
    );
    io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
    let read = Options::from_file(file.path()).unwrap();
    assert_eq!(read.warning, None);
    Session::connect(&read.options.clone().settle("nobody")).unwrap();
    let environment = |name: &str| match name {
        "MYSQL_USER" => Some("env".to_owned()),
        "MYSQL_PWD" => Some("p2".to_owned()),
        _ => None,
    };
    let options = Options::from_environment(environment)
        .unwrap()
        .or(read.options);
    Session::connect(&options.settle("nobody")).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        Options::from_file(file.path())
            .unwrap()
            .warning
            .unwrap()
            .contains("chmod 600")
    );
}

const ACCOUNTS: &str = r"
    INSTALL SONAME 'auth_ed25519';
    CREATE DATABASE `mail_db`; USE mail_db; CREATE TABLE t (a INT, b INT); CREATE PROCEDURE p() SELECT 1; CREATE FUNCTION f() RETURNS INT RETURN 1;
    CREATE USER plain@'%' IDENTIFIED BY 'plain pw', ed@localhost IDENTIFIED VIA ed25519 USING PASSWORD('ed pw');
    CREATE USER 'odd ''name` ü'@'10.0.0.0/255.0.0.0' IDENTIFIED BY 'x' WITH MAX_QUERIES_PER_HOUR 7 MAX_STATEMENT_TIME 1.5;
    CREATE USER locked@localhost IDENTIFIED BY 'x' ACCOUNT LOCK PASSWORD EXPIRE NEVER; CREATE USER expired@localhost IDENTIFIED BY 'x' PASSWORD EXPIRE;
    CREATE USER tls@'%' IDENTIFIED BY 'x' REQUIRE SUBJECT '/CN=it''s' AND ISSUER '/CN=ca';
    CREATE USER twice@localhost IDENTIFIED VIA unix_socket OR ed25519 USING PASSWORD('b'); CREATE USER nopw@localhost;
    CREATE ROLE reader; CREATE ROLE `role two`; GRANT `role two` TO plain@'%' WITH ADMIN OPTION; CREATE ROLE outer_role;
    GRANT SELECT ON `mail\_db`.* TO reader; GRANT INSERT (a), UPDATE (b) ON mail_db.t TO `role two`; GRANT reader TO outer_role;
    GRANT outer_role TO plain@'%'; GRANT reader TO ed@localhost WITH ADMIN OPTION; SET DEFAULT ROLE outer_role FOR plain@'%';
    GRANT ALL ON `mail_db`.* TO ed@localhost WITH GRANT OPTION; GRANT EXECUTE ON PROCEDURE mail_db.p TO plain@'%';
    GRANT EXECUTE ON FUNCTION mail_db.f TO plain@'%'; GRANT PROCESS, RELOAD ON *.* TO 'odd ''name` ü'@'10.0.0.0/255.0.0.0';
    GRANT PROXY ON plain@'%' TO ed@localhost; GRANT SELECT ON mail_db.t TO PUBLIC;
";

/// Every account and its grants, as the server says them.
fn account_facts(server: &MariaDb) -> Vec<String> {
    let list =
        |query: &str| -> Vec<String> { server.sql(query).lines().map(str::to_owned).collect() };
    let mut facts = list("FLUSH PRIVILEGES; SELECT * FROM mysql.roles_mapping ORDER BY 1, 2, 3");
    let quoted = "CONCAT('`', REPLACE(User, '`', '``'), '`@`', Host, '`')";
    for user in list(&format!(
        "SELECT {quoted} FROM mysql.user WHERE is_role = 'N' AND User <> 'mariadb.sys' AND Host <> @@hostname ORDER BY 1"
    )) {
        facts.extend(list(&format!(
            "SHOW CREATE USER {user}; SHOW GRANTS FOR {user}"
        )));
    }
    for role in list(
        "SELECT CONCAT('`', User, '`') FROM mysql.user WHERE is_role = 'Y' AND User <> '' ORDER BY 1",
    ) {
        facts.extend(list(&format!("SHOW GRANTS FOR {role}")));
    }
    // GRANT PROXY ON ''@'%' is stored beside the row of the installation, which says the same with
    // an empty host.
    facts.sort();
    facts.dedup();
    facts
}

#[test]
fn accounts_load_back_with_their_logins_and_grants() {
    let source = MariaDb::start(&[]);
    source.sql(ACCOUNTS);
    let mut session = root(&source);
    let database = dump(&mut session, "mail_db").0;
    let (accounts, report) =
        mail_mysql::dump_accounts(&mut session, || Ok(Vec::new()), &AtomicBool::new(false))
            .unwrap();
    assert_eq!(report.missing, [""; 0]);
    assert!(
        last_line(&accounts).starts_with("-- Dump completed by mail-backup: "),
        "{}",
        last_line(&accounts)
    );
    let target = MariaDb::start(&[]);
    target.load(&database);
    target.load(&accounts);
    assert_equal(&account_facts(&source), &account_facts(&target));
    Session::connect(&settings(&target, "plain", "plain pw")).unwrap();
    let ed = Options {
        host: None,
        socket: Some(target.socket()),
        ..tcp_options(&target, "ed", "ed pw")
    };
    Session::connect(&ed.settle("nobody")).unwrap();
    target.load(&accounts);
    assert_equal(&account_facts(&source), &account_facts(&target));
}

#[test]
fn accounts_that_are_there_keep_their_passwords() {
    let source = MariaDb::start(&[]);
    source.sql("ALTER USER root@localhost IDENTIFIED BY 'old'; FLUSH PRIVILEGES");
    let options = Options {
        user: Some("root".into()),
        password: Some(Secret::new("old")),
        socket: Some(source.socket()),
        ..Options::default()
    };
    let mut session = Session::connect(&options.settle("nobody")).unwrap();
    let (accounts, _) =
        mail_mysql::dump_accounts(&mut session, || Ok(Vec::new()), &AtomicBool::new(false))
            .unwrap();
    let target = MariaDb::start(&[]);
    target.load(&accounts);
    assert_eq!(target.sql("SELECT CURRENT_USER()"), "root@localhost\n");
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
