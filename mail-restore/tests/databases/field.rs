//! Dumps as they are in the field, by other programs and on servers with settings of their own, and
//! dumps that would act where they must not.

use std::sync::atomic::AtomicBool;

use crate::support::{Set, chain, stock_dump, target};
use mail_restore::databases::{Accounts, Error, Target, Trust};
use mail_tests::facts::facts;
use mail_tests::mariadb::MariaDb;

const USERS: &str = "CREATE DATABASE mail; CREATE TABLE mail.users (id INT PRIMARY KEY, name TEXT DEFAULT 'x'); \
     INSERT INTO mail.users (id) VALUES (1), (2), (3);";

fn with_users() -> MariaDb {
    let server = MariaDb::start();
    server.sql(USERS);
    server
}

fn restored(set: &Set, server: &MariaDb) -> Vec<String> {
    let loaded = set.restore(server);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(loaded.unmade(), []);
    let warnings = loaded.warnings().to_vec();
    loaded.keep().unwrap();
    warnings
}

/// Refused by the dry run and by the restore, before anything is touched.
#[track_caller]
fn check_refused(set: &Set, server: &MariaDb, expected: &str) {
    let before = (facts(server, "mail"), server.sql("SHOW DATABASES"));
    let never = AtomicBool::new(false);
    let plan = set.plan(Accounts::Leave);
    let inspected = plan.inspect(&target(server), &never);
    let obstacles = match &inspected {
        Ok(inspection) => inspection.obstacles.join("; "),
        Err(error) => chain(error),
    };
    assert!(obstacles.contains(expected), "dry run: {obstacles}");
    let error = set.restore(server).unwrap_err();
    assert!(chain(&error).contains(expected), "{}", chain(&error));
    assert_eq!(
        before,
        (facts(server, "mail"), server.sql("SHOW DATABASES"))
    );
    assert!(!set.root().join("pre-restore").exists());
}

#[test]
fn a_dump_that_is_cut_or_empty_is_refused() {
    let server = with_users();
    let whole = String::from_utf8(stock_dump(&server, &["mail"])).unwrap();
    let bare = String::from_utf8(stock_dump(&server, &["--skip-comments", "mail"])).unwrap();
    let table = whole.find("DROP TABLE").unwrap();
    for (sql, expected) in [
        (&whole[..table], "`-- Dump completed` is missing"),
        (
            &whole[..whole.find("UNLOCK").unwrap()],
            "`-- Dump completed` is missing",
        ),
        (&bare[..bare.find("UNLOCK").unwrap()], "so it is cut off"),
        ("", "it is empty"),
        ("-- only\n-- words\n", "it is empty"),
        ("SET NAMES utf8mb4;\nUSE mail;\n", "it holds no table"),
    ] {
        let set = Set::new();
        set.put("mail.sql.gz", sql.as_bytes());
        check_refused(&set, &server, expected);
    }
}

#[test]
fn the_database_is_the_one_that_the_dump_names() {
    let source = with_users();
    let server = MariaDb::start();
    server.sql("CREATE DATABASE mail; CREATE TABLE mail.other (a INT)");
    let set = Set::new();
    set.put("mail_2026-01-05.sql.gz", &stock_dump(&source, &["mail"]));
    let warnings = restored(&set, &server);
    assert!(
        warnings[0].contains("is restored into mail"),
        "{warnings:?}"
    );
    assert_eq!(facts(&source, "mail"), facts(&server, "mail"));
    assert_eq!(server.sql("SHOW DATABASES LIKE 'mail%'"), "mail\n");
    let nameless = Set::new();
    let bare = stock_dump(&source, &["--skip-comments", "mail"]);
    nameless.put("mail_2026-01-05.sql.gz", &bare);
    check_refused(&nameless, &server, "is called after a date");
}

#[test]
fn databases_of_the_server_are_never_touched() {
    let server = with_users();
    let tables =
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' ORDER BY 1";
    let before = server.sql(tables);
    let set = Set::new();
    set.put("mail.sql.gz", &stock_dump(&server, &["mail"]));
    let own = [
        "--single-transaction",
        "mysql",
        "db",
        "tables_priv",
        "global_priv",
    ];
    set.put("mysql.sql.gz", &stock_dump(&server, &own));
    let schema = ["--skip-lock-tables", "information_schema", "TABLES"];
    set.put("information_schema.sql.gz", &stock_dump(&server, &schema));
    let warnings = restored(&set, &server);
    assert!(
        warnings.iter().any(|text| text.contains("database mysql")),
        "{warnings:?}"
    );
    assert_eq!(server.sql(tables), before);
    let alone = Set::new();
    alone.put("mysql.sql.gz", &stock_dump(&server, &own));
    check_refused(&alone, &server, "nothing but databases of the server");
}

#[test]
fn stock_dumps_with_statements_for_others_are_loaded() {
    let source = with_users();
    let plain = String::from_utf8(stock_dump(&source, &["mail"])).unwrap();
    let rocks = "/*!50717 SELECT COUNT(*) INTO @rocks FROM INFORMATION_SCHEMA.TABLES */;\n\
                 /*!50717 SET @get = IF (@rocks, 'SELECT 1', 'SELECT 0') */;\n/*!50717 PREPARE s FROM @get */;\n\
                 /*!50717 EXECUTE s */;\n/*!50717 DEALLOCATE PREPARE s */;\n/*!80000 SET SESSION information_schema_stats_expiry=0 */;\n";
    let replica = "STOP ALL SLAVES;\nCHANGE MASTER TO MASTER_LOG_FILE='x';\nSET GLOBAL gtid_slave_pos='0-1-2';\n\
                   SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;\nSET @@SESSION.SQL_LOG_BIN= 0;\nSELECT 'loading' AS INFO;\n";
    let server = MariaDb::start();
    for head in [rocks, replica] {
        let set = Set::new();
        set.put("mail.sql.gz", format!("{head}{plain}").as_bytes());
        let _ = restored(&set, &server);
        assert_eq!(facts(&source, "mail"), facts(&server, "mail"));
    }
}

/// Each option changes the shape of a dump; each is loaded as the stock client loads it.
#[test]
fn stock_dumps_of_every_shape_are_loaded() {
    let source = with_users();
    source.sql(
        "USE mail; CREATE FUNCTION mail.g() RETURNS INT RETURN 1; CREATE TABLE mem (a INT) ENGINE=MEMORY; INSERT INTO mem VALUES (1);
         CREATE TABLE `a ``b\"c'd-e` (`select` INT, b BLOB, k VARCHAR(20) CHARACTER SET koi8r);
         INSERT INTO `a ``b\"c'd-e` VALUES (1, 0x00FF27, _koi8r X'C1C2'), (NULL, NULL, NULL);
         CREATE TABLE part (i INT) ENGINE=MyISAM; CREATE TABLE m (i INT) ENGINE=MERGE UNION=(part) INSERT_METHOD=LAST;
         INSERT INTO m VALUES (5), (6); CREATE SEQUENCE s START WITH 100; SELECT NEXTVAL(s);
         CREATE TABLE def (n INT DEFAULT 3, hid INT INVISIBLE DEFAULT 4); INSERT INTO def (n) VALUES (1);
         CREATE TRIGGER mail.tr BEFORE INSERT ON mail.users FOR EACH ROW SET NEW.name = CONCAT(NEW.name, ';');
         CREATE VIEW v AS SELECT f.id, mail.g() AS g FROM users f; CREATE VIEW w AS SELECT * FROM v;",
    );
    let server = MariaDb::start();
    let stock = MariaDb::start();
    for options in [
        &["--compact"][..],
        &["--skip-extended-insert", "--complete-insert"],
        &["--insert-ignore", "--skip-comments"],
        &["--replace", "--no-autocommit", "--skip-add-locks"],
        &["--delayed-insert", "--skip-disable-keys"],
        &[
            "--add-drop-database",
            "--add-drop-trigger",
            "--flush-privileges",
        ],
        &["--skip-opt", "--create-options", "--quick"],
        &["--disable-log-queries", "--hex-blob", "--order-by-primary"],
        &["--skip-tz-utc", "--skip-triggers"],
    ] {
        check_shape(&source, options, &stock, &server);
    }

    // What the stock client itself does not load with locks, or with names that are not quoted.
    let plain = MariaDb::start();
    plain.sql(
        "CREATE DATABASE mail; USE mail; CREATE SEQUENCE s START WITH 100;
         CREATE TABLE def (n INT DEFAULT NEXTVAL(mail.s), m INT); INSERT INTO def (m) VALUES (1), (2);",
    );
    for options in [
        &["--skip-add-locks"][..],
        &["--skip-add-locks", "--skip-quote-names"],
    ] {
        check_shape(&plain, options, &stock, &server);
    }
}

/// A dump that the stock client loads is loaded to the same by a restore.
#[track_caller]
fn check_shape(source: &MariaDb, options: &[&str], stock: &MariaDb, server: &MariaDb) {
    let mut all = options.to_vec();
    all.extend(["--skip-lock-tables", "--routines", "--databases", "mail"]);
    let sql = stock_dump(source, &all);
    stock.sql("DROP DATABASE IF EXISTS mail");
    let loaded =
        mail_tests::mariadb::fed(stock.client().args(["--binary-mode", "--comments"]), &sql);
    assert!(
        loaded.status.success(),
        "the stock client refuses {options:?}: {}",
        String::from_utf8_lossy(&loaded.stderr)
    );
    let set = Set::new();
    set.put("mail.sql", &sql);
    let _ = restored(&set, server);
    assert_eq!(facts(stock, "mail"), facts(server, "mail"), "{options:?}");
}

#[test]
fn dumps_packed_by_bzip2_and_xz_are_read() {
    let source = with_users();
    for name in ["mail.sql.bz2", "mail.sql.xz"] {
        let set = Set::new();
        set.put(name, &stock_dump(&source, &["mail"]));
        let server = MariaDb::start();
        let _ = restored(&set, &server);
        assert_eq!(facts(&source, "mail"), facts(&server, "mail"));
    }
}

#[test]
fn views_of_two_databases_that_use_each_other_come_back() {
    let source = MariaDb::start();
    source.sql(
        "CREATE DATABASE mail; CREATE DATABASE web; CREATE TABLE web.domain (n INT); INSERT INTO web.domain VALUES (1);
         CREATE TABLE mail.box (d INT); CREATE VIEW mail.v AS SELECT n FROM web.domain; CREATE VIEW web.w AS SELECT n FROM mail.v;
         CREATE FUNCTION mail.f() RETURNS INT READS SQL DATA RETURN 1; CREATE VIEW web.x AS SELECT mail.f() AS f FROM mail.box;",
    );
    let set = Set::of(&source, &["mail", "web"]);
    let server = MariaDb::start();
    let _ = restored(&set, &server);
    for database in ["mail", "web"] {
        assert_eq!(facts(&source, database), facts(&server, database));
    }
    // Of one alone, the view that needs the other is named, and the rest is in place.
    let alone = Set::of(&source, &["web"]);
    let empty = MariaDb::start();
    let loaded = alone.restore(&empty).unwrap();
    assert_eq!(loaded.unmade().len(), 2, "{:?}", loaded.unmade());
    assert!(
        loaded.unmade()[0]
            .1
            .contains("view `web`.`w` is not restored")
    );
    loaded.keep().unwrap();
    assert_eq!(empty.sql("SELECT * FROM web.domain"), "1\n");
}

/// What the server would not take again is not given up.
#[test]
fn a_function_that_the_server_takes_no_more_stays() {
    let server = MariaDb::start_with(&["--log-bin=bin", "--server-id=1"]);
    server.sql(USERS);
    server.sql(
        "SET GLOBAL log_bin_trust_function_creators = 1; CREATE FUNCTION mail.f() RETURNS INT RETURN RAND() * 5;
         SET GLOBAL log_bin_trust_function_creators = 0;",
    );
    let before = facts(&server, "mail");
    let set = Set::new();
    set.put(
        "mail.sql",
        b"CREATE TABLE users (id INT);\nINSERT INTO users VALUES (9);\n-- Dump completed\n",
    );
    let error = set.restore(&server).unwrap_err();
    assert!(
        chain(&error).contains("could not be made again"),
        "{}",
        chain(&error)
    );
    assert_eq!(before, facts(&server, "mail"));
    server.sql("SET GLOBAL log_bin_trust_function_creators = 1");
    let _ = restored(&set, &server);
    assert_eq!(server.sql("SELECT id FROM mail.users"), "9\n");
}

/// Names as long as they can be, and a table of the old kind.
#[test]
fn names_of_64_characters_change_places() {
    for long in ["x".repeat(64), "é".repeat(64)] {
        names_change_places(&long);
    }
}

fn names_change_places(long: &str) {
    let name = mail_mysql::quote_name(long);
    let source = MariaDb::start();
    source.sql(&format!(
        "CREATE DATABASE {name}; USE {name}; CREATE TABLE {name} (a INT PRIMARY KEY, {name} INT, CONSTRAINT {name} CHECK (a > 0));
         INSERT INTO {name} VALUES (1, 1); CREATE TABLE m (a INT) ENGINE=MyISAM; INSERT INTO m VALUES (1);
         CREATE TRIGGER {name} BEFORE INSERT ON {name} FOR EACH ROW SET NEW.a = 1; CREATE PROCEDURE {name}() SELECT 1;"
    ));
    let set = Set::of(&source, &[long]);
    let server = MariaDb::start();
    server.sql(&format!(
        "CREATE DATABASE {name}; CREATE TABLE {name}.{name} (b INT) ENGINE=Aria"
    ));
    let _ = restored(&set, &server);
    let _ = restored(&set, &server);
    assert_eq!(facts(&source, long), facts(&server, long));
}

#[test]
fn a_foreign_key_from_outside_is_told_before_anything_is_touched() {
    let server = with_users();
    let set = Set::of(&server, &["mail"]);
    server.sql("CREATE DATABASE crm; CREATE TABLE crm.c (u INT, CONSTRAINT k FOREIGN KEY (u) REFERENCES mail.users (id))");
    check_refused(
        &set,
        &server,
        "table `crm`.`c`, which is not restored, refers to `mail`.`users` by foreign key `k`",
    );
}

/// The code is restored as it was written, and who it would run as is named, by the dry run too.
#[test]
fn a_definer_that_the_server_does_not_know_is_named_and_kept() {
    let source = with_users();
    source.sql(
        "CREATE USER gone@localhost; CREATE DEFINER=gone@localhost VIEW mail.v AS SELECT 1 AS a;
         CREATE DEFINER=gone@localhost TRIGGER mail.r BEFORE INSERT ON mail.users FOR EACH ROW SET NEW.id = 9;",
    );
    let set = Set::of(&source, &["mail"]);
    let server = MariaDb::start();
    let is_named = |warnings: &[String]| {
        warnings
            .iter()
            .any(|text| text.contains("`gone`@`localhost`"))
    };
    let plan = set.plan(Accounts::Leave);
    let inspected = plan.inspect(&target(&server), &AtomicBool::new(false));
    assert!(is_named(&inspected.unwrap().warnings));
    assert!(is_named(&restored(&set, &server)));
    assert_eq!(facts(&source, "mail"), facts(&server, "mail"));
}

/// Each of these would act elsewhere, with the rights of who restores.
#[test]
fn dumps_that_act_elsewhere_are_refused() {
    let server = with_users();
    server.sql("CREATE DATABASE other; CREATE TABLE other.secret (x INT); INSERT INTO other.secret VALUES (42)");
    for (sql, expected) in [
        (
            "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW DELETE FROM other.secret;",
            "trigger r names another database, `other`",
        ),
        (
            "CREATE EVENT e ON SCHEDULE AT CURRENT_TIMESTAMP DO GRANT ALL ON *.* TO evil@localhost;",
            "reaches beyond its database: GRANT",
        ),
        (
            "INSERT INTO t VALUES ((SELECT authentication_string FROM mysql.user LIMIT 1));",
            "this is an expression",
        ),
        (
            "INSERT INTO t VALUES (LOAD_FILE('/etc/passwd'));",
            "this is an expression",
        ),
        (
            "CREATE TABLE u (a TEXT DEFAULT (LOAD_FILE('/etc/passwd')));",
            "a query, or files elsewhere",
        ),
        (
            "CREATE TABLE u (x INT) ENGINE=MRG_MyISAM UNION=(other.secret) INSERT_METHOD=LAST;",
            "names another database: other",
        ),
        (
            "CREATE VIEW v AS SELECT * FROM mysql.user;",
            "names a database of the server: mysql",
        ),
        (
            "CREATE PROCEDURE p() SET GLOBAL read_only = 1;",
            "reaches beyond its database: SET GLOBAL",
        ),
    ] {
        let set = Set::new();
        let text = format!("CREATE TABLE t (a TEXT);\n{sql}\n-- Dump completed\n");
        set.put("mail.sql", text.as_bytes());
        check_refused(&set, &server, expected);
    }
    assert_eq!(server.sql("SELECT * FROM other.secret"), "42\n");
}

/// Rows come before any trigger, wherever the dump has it; who trusts a dump loads the rest.
#[test]
fn a_trigger_does_not_see_the_rows_of_its_dump() {
    let server = with_users();
    let set = Set::new();
    let sql = "CREATE TABLE t (a INT);\nCREATE TABLE log (a INT);\nCREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW INSERT INTO log VALUES (1);\n\
               INSERT INTO t VALUES (1),(2);\n-- Dump completed\n";
    set.put("mail.sql", sql.as_bytes());
    let _ = restored(&set, &server);
    assert_eq!(server.sql("SELECT COUNT(*) FROM mail.log; INSERT INTO mail.t VALUES (3); SELECT COUNT(*) FROM mail.log"), "0\n1\n");
    let trusted = Set::new();
    trusted.put(
        "mail.sql",
        b"CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1 + 1);\n-- Dump completed\n",
    );
    let target = Target {
        trust: Trust::Full,
        ..target(&server)
    };
    trusted.restore_to(&target).unwrap().keep().unwrap();
    assert_eq!(server.sql("SELECT a FROM mail.t"), "2\n");
}

#[test]
fn rows_that_do_not_arrive_are_noticed() {
    let server = with_users();
    let before = facts(&server, "mail");
    let set = Set::new();
    let sql = "CREATE TABLE t (a INT PRIMARY KEY) ENGINE=BLACKHOLE;\nCREATE TABLE u (a INT PRIMARY KEY);\nINSERT INTO u VALUES (1),(1);\n-- Dump completed\n";
    set.put("mail.sql", sql.as_bytes());
    let error = set.restore(&server).unwrap_err();
    assert!(
        matches!(error, Error::RolledBack { .. }),
        "{}",
        chain(&error)
    );
    assert_eq!(before, facts(&server, "mail"));
}
