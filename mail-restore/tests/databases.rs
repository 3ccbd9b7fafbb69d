//! Dumps into real servers: what they hold afterwards is what the dumps hold, or what was there
//! before.
#![expect(
    clippy::disallowed_methods,
    reason = "sample sets are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a helper that fails ends the test")]

#[path = "support/databases.rs"]
mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::ZonedDateTime;
use mail_common::set::{FileFacts, Recorded};
use mail_restore::databases::{Accounts, Databases, Error, Target, Watch};
use mail_tests::facts::facts;
use mail_tests::mariadb::MariaDb;
use support::{
    EVERY_DATABASE, Set, chain, dump, filter, inventory, stock_dump, target, with_every_object,
};

/// What a server holds in several databases.
fn all_facts(server: &MariaDb, databases: &[&str]) -> Vec<String> {
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
fn fill_with_something_else(server: &MariaDb) {
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
fn check_rolled_back(set: &Set, expected: &[&str]) {
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

/// Tries to restore, and sees that nothing was touched or saved.
#[track_caller]
fn check_refused(server: &MariaDb, set: &Set, expected: &str) {
    let before = server.sql("SHOW DATABASES; SELECT * FROM victim.t");
    let error = set.restore(server).unwrap_err();
    let text = chain(&error);
    assert!(text.contains(expected), "{text}");
    assert!(
        !matches!(
            error,
            Error::RolledBack { .. } | Error::NotRolledBack { .. }
        ),
        "{text}"
    );
    assert_eq!(server.sql("SHOW DATABASES; SELECT * FROM victim.t"), before);
    assert!(!set.root().join("pre-restore").exists());
}

#[test]
fn hostile_dumps_are_refused_before_anything_is_touched() {
    let server = MariaDb::start();
    server.sql("CREATE DATABASE victim; CREATE TABLE victim.t (a INT); INSERT INTO victim.t VALUES (1); CREATE DATABASE d; CREATE TABLE d.t (a INT)");
    let ours = String::from_utf8(dump(&server, "d")).unwrap();
    let (head, foot) = ours
        .split_once("\nSET CHECK_CONSTRAINT_CHECKS=@OLD")
        .unwrap();
    for (statement, expected) in [
        ("USE victim", "another database: victim"),
        ("CREATE DATABASE other", "another database: other"),
        ("DROP DATABASE victim", "another database: victim"),
        ("DELETE FROM victim.t", "victim.t lies in another database"),
        (
            "INSERT INTO victim.t VALUES (2)",
            "victim.t lies in another database",
        ),
        ("\\! touch /tmp/hostile", "is a command of the client"),
        ("source /etc/passwd", "is a command of the client"),
        (
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
            "no dump of a database says: LOAD DATA LOCAL INFILE",
        ),
        (
            "SET GLOBAL read_only = 1",
            "no dump of a database says: SET GLOBAL",
        ),
        (
            "SET @mail_backup_code = 'DROP DATABASE victim'",
            "no stored code: DROP DATABASE victim",
        ),
        (
            "EXECUTE IMMEDIATE 'DROP DATABASE victim'",
            "no dump of a database says",
        ),
        (
            "/*!999999 SET @x=1 */ DROP DATABASE victim",
            "no dump of a database says",
        ),
        ("GRANT ALL ON *.* TO x", "no dump of a database says: GRANT"),
    ] {
        let set = Set::new();
        set.put(
            "d.sql.zst",
            format!("{head}\n{statement};\n\nSET CHECK_CONSTRAINT_CHECKS=@OLD{foot}").as_bytes(),
        );
        check_refused(&server, &set, expected);
    }
}

/// Under a delimiter of its own a statement could hide a second one, which the driver would let the
/// server run.
#[test]
fn a_second_statement_behind_a_semicolon_is_not_run() {
    let set = Set::new();
    set.put(
        "second.sql",
        b"DELIMITER ;;\nCREATE VIEW v AS SELECT 1; DROP TABLE t;;\n-- Dump completed\n",
    );
    check_rolled_back(&set, &["mysql/second.sql line 2: CREATE VIEW v", "1064"]);
}

#[test]
fn a_dump_that_is_cut_off_is_refused() {
    let server = with_every_object();
    server.sql(
        "CREATE DATABASE victim; CREATE TABLE victim.t (a INT); INSERT INTO victim.t VALUES (1)",
    );
    let ours = dump(&server, "second");
    let footer = b"-- Dump completed by mail-backup: 1 tables, 1 rows\n".len();
    let set = Set::new();
    set.put("second.sql.zst", &ours[..ours.len() - footer]);
    check_refused(
        &server,
        &set,
        "its last line `-- Dump completed by mail-backup` is missing",
    );
    for (name, packed) in [
        ("zst", zstd::encode_all(&ours[..], 1).unwrap()),
        ("gz", filter("gzip", &ours)),
    ] {
        let set = Set::new();
        fs::write(
            set.path().join(format!("mysql/second.sql.{name}")),
            &packed[..packed.len() - 20],
        )
        .unwrap();
        check_refused(&server, &set, "the file cannot be read");
    }
    let set = Set::new();
    set.put(
        "second.sql",
        b"CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1),(2)",
    );
    check_refused(&server, &set, "line 2: a statement without an end");
}

/// What the manifest says is compared with what is there, before anything is touched.
#[test]
fn a_dump_that_is_not_what_the_manifest_records_is_refused() {
    let server = with_every_object();
    let set = Set::of(&server, &["second"]);
    let source_bytes = dump(&server, "second").len() as u64;
    let recorded = |entries, source_bytes| {
        let mut found = inventory(&set.path());
        let recorded = Some(Recorded {
            bytes: 1,
            entries,
            source_bytes,
        });
        found.files[0] = FileFacts {
            recorded,
            ..FileFacts::clone(&found.files[0])
        }
        .into();
        let plan = Databases::plan(&found, Accounts::Leave).unwrap();
        plan.inspect(&target(&server), &AtomicBool::new(false))
            .map_err(|error| chain(&error))
    };
    assert_eq!(recorded(1, source_bytes).unwrap().dumps[0].rows, Some(1));
    let tables = recorded(2, source_bytes).unwrap_err();
    assert!(
        tables.contains("its last line says 1 tables, and the manifest 2"),
        "{tables}"
    );
    for wrong_bytes in [source_bytes - 1, source_bytes + 1] {
        let bytes = recorded(1, wrong_bytes).unwrap_err();
        assert!(bytes.contains("bytes that the manifest records"), "{bytes}");
    }
    set.put("second.sql.zst", b"CREATE TABLE t (a INT);\n");
    fs::remove_file(set.path().join("checksums.sha256")).unwrap();
    let foreign = recorded(1, 24).unwrap_err();
    assert!(
        foreign.contains("the set is of mail-backup, and this dump is not"),
        "{foreign}"
    );
}

#[test]
fn what_a_killed_run_left_is_cleared() {
    let source = MariaDb::start();
    source.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT)");
    let set = Set::of(&source, &["d"]);
    fs::create_dir_all(set.root().join("pre-restore/.2026-11-23T030000.new/mysql")).unwrap();
    set.restore(&source).unwrap().keep().unwrap();
    assert!(set.saved().join("checksums.sha256").exists());
}

#[test]
fn two_dumps_of_one_database_are_refused() {
    let server = with_every_object();
    server.sql("CREATE DATABASE victim; CREATE TABLE victim.t (a INT)");
    let set = Set::of(&server, &["second"]);
    set.put("all.sql.gz", b"USE second; DROP TABLE t;");
    check_refused(&server, &set, "both hold database second");
}

#[test]
fn a_statement_that_the_server_cannot_take_is_refused() {
    let server = MariaDb::start_with(&["--max-allowed-packet=1M"]);
    server.sql("CREATE DATABASE victim; CREATE TABLE victim.t (a INT)");
    let set = Set::new();
    set.put(
        "d.sql",
        format!(
            "CREATE TABLE t (a LONGTEXT); INSERT INTO t VALUES ('{}');",
            "x".repeat(1 << 20)
        )
        .as_bytes(),
    );
    check_refused(&server, &set, "SET GLOBAL max_allowed_packet=1073741824");
}

#[test]
fn what_cannot_be_saved_whole_is_not_replaced() {
    let server = with_every_object();
    server.sql("CREATE DATABASE victim; CREATE TABLE victim.t (a INT)");
    let set = Set::of(&server, &["second"]);
    server.sql("CREATE TABLE second.base (a INT); CREATE VIEW second.broken AS SELECT a FROM second.base; DROP TABLE second.base");
    let before = facts(&server, "second").len();
    let text = chain(&set.restore(&server).unwrap_err());
    assert!(
        text.contains("view `second`.`broken`") && text.contains("nothing was loaded"),
        "{text}"
    );
    assert_eq!(facts(&server, "second").len(), before);
    assert_eq!(
        fs::read_dir(set.root().join("pre-restore"))
            .unwrap()
            .count(),
        0
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

/// A set with a database and the accounts of its server.
fn with_accounts() -> (MariaDb, Set) {
    let source = MariaDb::start();
    source.sql(
        "CREATE DATABASE d; CREATE TABLE d.t (a INT); CREATE USER new@localhost IDENTIFIED BY 'pw'; CREATE ROLE reader;
         GRANT SELECT ON d.t TO reader; GRANT reader TO new@localhost;",
    );
    let set = Set::of(&source, &["d"]);
    let mut session = mail_mysql::Session::connect(&target(&source).connection).unwrap();
    let never = AtomicBool::new(false);
    let (sql, _) = mail_mysql::dump_accounts(&mut session, || Ok(Vec::new()), &never).unwrap();
    set.put("_accounts.sql.zst", &sql);
    (source, set)
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

#[test]
fn hostile_accounts_are_refused() {
    let (_, set) = with_accounts();
    let server = MariaDb::start();
    set.put(
        "_accounts.sql.zst",
        b"DROP DATABASE d;\n-- Dump completed by mail-backup: 1 users, 0 roles\n",
    );
    let text = chain(&set.restore_with(&server, Accounts::Load, 2).unwrap_err());
    assert!(
        text.contains("accounts are not saved by: DROP DATABASE d"),
        "{text}"
    );
    let set = Set::of(&server, &[]);
    assert!(matches!(
        Databases::plan(&inventory(&set.path()), Accounts::Load),
        Err(Error::NoAccounts)
    ));
    assert!(matches!(
        Databases::plan(&inventory(&set.path()), Accounts::Leave),
        Err(Error::NoDumps { .. })
    ));
}

#[test]
fn an_inspection_tells_all_and_writes_nothing() {
    let source = with_every_object();
    let set = Set::of(&source, &EVERY_DATABASE);
    let server = MariaDb::start();
    fill_with_something_else(&server);
    server.sql("CREATE USER few@localhost; GRANT SELECT ON second.* TO few@localhost");
    let writes = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_create_table', 'Com_create_db', 'Com_drop_db', 'Com_insert', \
                  'Com_update', 'Com_delete', 'Com_flush', 'Com_commit')";
    let before = server.sql(writes);
    let never = AtomicBool::new(false);
    let plan = set.plan(Accounts::Leave);
    let found = plan
        .inspect(&target(&server), &never)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(server.sql(writes), before);
    assert!(!set.root().join("pre-restore").exists());
    let replaced: Vec<_> = found
        .replaced
        .iter()
        .map(|there| (there.database.as_str(), there.tables))
        .collect();
    assert_eq!(replaced, [("mail db", 3), ("second", 0)]);
    assert_eq!(
        (found.new, found.lacking),
        (vec!["empty-db".to_owned()], Vec::new())
    );
    assert!(
        found.server_version.contains("MariaDB"),
        "{}",
        found.server_version
    );
    let second = &found.dumps[2];
    assert_eq!(
        (second.path.to_string(), second.tables, second.rows),
        ("mysql/second.sql.zst".into(), 1, Some(1))
    );
    let few = Target {
        connection: mail_mysql::ConnectionSettings {
            user: "few".into(),
            ..target(&server).connection
        },
        ..target(&server)
    };
    let lacking = plan.inspect(&few, &never).unwrap().lacking;
    assert!(
        lacking
            .iter()
            .any(|what| what.contains("INSERT") && what.contains("`second`.*")),
        "{lacking:?}"
    );
}

#[test]
fn dumps_become_plain_files() {
    let source = with_every_object();
    let set = Set::of(&source, &["second"]);
    set.put("old.sql.gz", b"SELECT 1;\n");
    let never = AtomicBool::new(false);
    let told_bytes = AtomicU64::new(0);
    let progress = |bytes| {
        told_bytes.fetch_add(bytes, Ordering::Relaxed);
    };
    let watch = Watch {
        stop: &never,
        progress: &progress,
    };
    let to = set.root().join("to");
    let written = set
        .plan(Accounts::Leave)
        .write_sql(&to, watch)
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let expected = dump(&source, "second");
    assert_eq!(fs::read(to.join("second.sql")).unwrap(), expected);
    assert_eq!(fs::read(to.join("old.sql")).unwrap(), b"SELECT 1;\n");
    assert_eq!(
        told_bytes.load(Ordering::Relaxed),
        expected.len() as u64 + 10
    );
    assert_eq!(written[1].target, to.join("second.sql"));
    let error = set.plan(Accounts::Leave).write_sql(&to, watch).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 2);
}
