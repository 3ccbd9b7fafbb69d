//! What statements are, and what they only look like.

use super::*;
use crate::databases::kind::{DatabaseVerb, StoredKind, StoredVerb};

fn of(text: &str) -> Kind {
    let text = text.as_bytes().to_vec();
    classify(&Statement {
        text,
        line: 1,
        has_semicolon: false,
        modes: Modes::default(),
    })
}

fn named(name: &str) -> Named {
    match name.split_once('.') {
        Some((database, name)) => Named {
            database: Some(database.into()),
            name: name.into(),
        },
        None => Named {
            database: None,
            name: name.into(),
        },
    }
}

#[track_caller]
fn check(texts: &[&str], expected: &Kind) {
    for text in texts {
        assert_eq!(of(text), *expected, "{text}");
    }
}

#[test]
fn tables_have_statements_of_their_own() {
    let table = |verb| Kind::Table(verb, named("t"));
    let inserts = [
        "INSERT INTO `t` VALUES (1)",
        "insert ignore into t (a, `b)`) values (')')",
        "REPLACE INTO `t` VALUES(1)",
    ];
    check(&inserts, &table(TableVerb::Insert));
    check(
        &[
            "CREATE TABLE `t` (a INT)",
            "CREATE TABLE IF NOT EXISTS t(a INT)",
        ],
        &table(TableVerb::Create),
    );
    check(&["DROP TABLE IF EXISTS `t`"], &table(TableVerb::Drop));
    check(
        &["/*!40000 ALTER TABLE `t` DISABLE KEYS */"],
        &table(TableVerb::Keys),
    );
    check(
        &["INSERT INTO `o``d`.t VALUES (1)"],
        &Kind::Table(TableVerb::Insert, named("o`d.t")),
    );
}

#[test]
fn objects_that_others_depend_on() {
    let stored = |verb, kind, texts: &[&str]| {
        check(texts, &Kind::Stored(verb, kind, named("v")));
    };
    let drops = [
        "DROP VIEW IF EXISTS `v`",
        "/*!50001 DROP VIEW IF EXISTS `v`*/",
    ];
    stored(StoredVerb::Drop, StoredKind::View, &drops);
    let views = [
        "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50013 DEFINER=`r`@`h` SQL SECURITY DEFINER */ /*!50001 VIEW `v` AS select 1 */ /*!50002 WITH CASCADED CHECK OPTION */",
    ];
    stored(StoredVerb::Create, StoredKind::View, &views);
    let triggers = [
        "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`h`*/ /*!50003 TRIGGER v BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1 */",
    ];
    stored(StoredVerb::Create, StoredKind::Trigger, &triggers);
    let routines = [
        "CREATE DEFINER=`r`@`h` PROCEDURE `v`() SELECT 1",
        "CREATE OR REPLACE AGGREGATE FUNCTION IF NOT EXISTS v (x INT) RETURNS INT RETURN 1",
        "CREATE PACKAGE BODY v AS END",
    ];
    stored(StoredVerb::Create, StoredKind::Routine, &routines);
    let objects = [
        "CREATE TABLE v LIKE w",
        "CREATE INDEX i ON v (a)",
        "CREATE SEQUENCE `v` START WITH 1",
        "SELECT SETVAL(`v`, 1, 0)",
        "DO SETVAL(`v`, 5, 0, 1)",
        "ALTER TABLE v ADD KEY (a)",
    ];
    check(&objects, &Kind::Object(named("v")));
    check(
        &["CREATE VIEW other.v AS SELECT 1"],
        &Kind::Stored(StoredVerb::Create, StoredKind::View, named("other.v")),
    );
}

#[test]
fn databases_are_named() {
    check(&["USE `a b`"], &Kind::Use("a b".into()));
    let create = [
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d` /*!40100 DEFAULT CHARACTER SET latin1 */",
        "create schema d",
    ];
    check(&create, &Kind::Database(DatabaseVerb::Create, "d".into()));
    check(
        &["/*!40000 DROP DATABASE IF EXISTS `d`*/"],
        &Kind::Database(DatabaseVerb::Drop, "d".into()),
    );
    check(
        &["ALTER DATABASE `d` COLLATE x"],
        &Kind::Database(DatabaseVerb::Alter, "d".into()),
    );
}

#[test]
fn sessions_and_stored_code() {
    check(
        &[
            "SET NAMES utf8mb4",
            "/*!40101 SET @a=@@SQL_MODE, SQL_MODE='x' */",
            "SET @x = 'GLOBAL'",
        ],
        &Kind::Session,
    );
    check(
        &[r"SET @mail_backup_code = 'it\'s \\ \0'"],
        &Kind::Code(b"it's \\ \0".to_vec()),
    );
    check(&["EXECUTE IMMEDIATE @mail_backup_code"], &Kind::RunCode);
    check(
        &[
            "LOCK TABLES `t` WRITE",
            "UNLOCK TABLES",
            "COMMIT",
            "START TRANSACTION",
            "BEGIN",
            "SET autocommit=0",
        ],
        &Kind::Superfluous,
    );
}

#[test]
fn what_has_no_effect_is_idle() {
    for text in [
        "SELECT 'loading' AS INFO",
        "/*!50717 SELECT COUNT(*) INTO @rocks FROM x */",
        "/*!50717 PREPARE s FROM @rocks_get */",
        "SET @@SESSION.SQL_LOG_BIN= 0",
        "SHOW WARNINGS",
        "OPTIMIZE TABLE t",
    ] {
        assert!(matches!(of(text), Kind::Idle(_)), "{text}: {:?}", of(text));
    }
    check(
        &["DELETE FROM `t`", "TRUNCATE TABLE t"],
        &Kind::Table(TableVerb::Empty, named("t")),
    );
    check(
        &["SET @mail_backup_code = 0x41FF"],
        &Kind::Code(b"A\xff".to_vec()),
    );
}

#[test]
fn what_concerns_the_server_is_told_apart() {
    for text in [
        "GRANT ALL ON *.* TO x",
        "CREATE USER x",
        "SET GLOBAL a=1",
        "SET @a=1, @@GLOBAL.b=2",
        "SET PASSWORD = 'x'",
        "FLUSH PRIVILEGES",
        "CHANGE MASTER TO MASTER_LOG_FILE='x'",
        "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'",
        "INSTALL PLUGIN x SONAME 'y'",
        "SET DEFAULT ROLE x",
        "STOP ALL SLAVES",
        "START SLAVE",
        "RESET MASTER",
    ] {
        assert!(
            matches!(of(text), Kind::Server(_)),
            "{text}: {:?}",
            of(text)
        );
    }
}

#[test]
fn what_no_dump_says_is_foreign() {
    for text in [
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
        "SELECT 1 INTO OUTFILE '/x'",
        "SELECT SETVAL(a, 1) INTO @x",
        "SHUTDOWN",
        "KILL 1",
        "CALL p()",
        "UPDATE t SET a=1",
        "RENAME TABLE a TO b.c",
        "EXECUTE IMMEDIATE @x",
        "EXECUTE IMMEDIATE 'DROP DATABASE x'",
        "PREPARE s FROM 'x'",
        "SET STATEMENT a=1 FOR DROP DATABASE x",
        "BEGIN NOT ATOMIC DROP DATABASE x",
        "DROP TABLE a, other.b",
        "ALTER TABLE a RENAME TO other.a",
        "ALTER TABLE a DISABLE KEYS, RENAME TO other.a",
        "HANDLER t OPEN",
        "INSERT INTO t SELECT * FROM other.t",
        "CREATE TABLE t (a INT) SELECT 1",
        "CREATE TABLE t (a TEXT DEFAULT (LOAD_FILE('/x')))",
        "CREATE TABLE t (a INT) ENGINE=MyISAM DATA DIRECTORY='/x'",
        "SELECT 1 INTO @x",
        "DELETE FROM t WHERE a = 1",
        "DROP USER x",
        "'x'",
        "",
    ] {
        assert!(
            matches!(of(text), Kind::Foreign(_)),
            "{text}: {:?}",
            of(text)
        );
    }
}

#[test]
fn what_servers_read_differently_is_foreign() {
    for text in [
        "/*!999999 SET @x=1 */ DROP DATABASE y",
        "/*!999999 SET @x=1, */ /*!40000 DROP DATABASE y */",
        "INSERT INTO /*!999999 t VALUES (1) -- */ other.t VALUES (1)",
        "DROP TABLE /*!999999 t */ /*!40000 x */",
        "/*!999999 DROP VIEW */ /*!40000 WITH x AS (SELECT 1) SELECT * FROM x INTO OUTFILE '/x' */",
        "CREATE DATABASE /*!999999 a */ b",
    ] {
        assert!(
            matches!(of(text), Kind::Foreign(_)),
            "{text}: {:?}",
            of(text)
        );
    }
}
