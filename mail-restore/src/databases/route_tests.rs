//! Whole dumps: what is run of them, what is found in them, and what is refused.

use super::*;
use crate::databases::statement::StatementReader;

fn go(rules: Rules, text: &str) -> Result<(Vec<Action>, Found), String> {
    let (mut reader, mut route) = (
        StatementReader::new(text.as_bytes()),
        Route::new(rules, Trust::Gate),
    );
    let mut actions = Vec::new();
    while let Some(statement) = reader.next().unwrap() {
        let action = route.next(&statement)?;
        if let Action::Owner(table, TableVerb::Insert) = &action {
            route.count(table, &statement)?;
        }
        actions.push(action);
    }
    if let Some(refusal) = route.refusal() {
        return Err(refusal);
    }
    Ok((actions, route.into_found()))
}

fn ours() -> Rules {
    Rules::Ours("d".into())
}

fn stock() -> Rules {
    Rules::Stock("d".into())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check_refused(rules: Rules, text: &str, expected: &str) {
    let error = go(rules, text).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn our_dump_concerns_its_database_alone() {
    let text = "SET NAMES utf8; CREATE DATABASE d; USE d; CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);
                CREATE VIEW v AS SELECT 1 AS `a`; DROP VIEW v;
                SET @mail_backup_code = 'CREATE VIEW `v` AS select `e`.`x`.`a` from `e`.`x`'; EXECUTE IMMEDIATE @mail_backup_code;";
    let (actions, found) = go(ours(), text).unwrap();
    let table = |verb| Action::Owner(("d".into(), "t".into()), verb);
    let view = ("d".to_owned(), StoredKind::View, "v".to_owned());
    let code = b"CREATE VIEW `v` AS select `e`.`x`.`a` from `e`.`x`".to_vec();
    let expected = [
        Action::Everyone,
        Action::Database(DatabaseVerb::Create, "d".into()),
        Action::Select("d".into()),
        table(TableVerb::Create),
        table(TableVerb::Insert),
        Action::Stored(StoredStep::Create(view.clone())),
        Action::Stored(StoredStep::Drop(StoredKind::View)),
        Action::Stored(StoredStep::Keep(view.clone(), code, Modes::default())),
        Action::Stored(StoredStep::Run),
    ];
    assert_eq!(actions, expected);
    assert_eq!((found.databases, found.created), (set(&["d"]), set(&["d"])));
    assert_eq!(found.tables.values().next().unwrap().rows, 2);
    assert_eq!(found.stored, [view].into());
}

#[test]
fn a_table_is_dropped_if_it_may_be_there() {
    let is_run = |text: &str| {
        let (actions, _) = go(stock(), text).unwrap();
        actions.last() != Some(&Action::Nobody)
    };
    assert!(!is_run("USE d; DROP TABLE IF EXISTS t;"));
    assert!(!is_run("CREATE TABLE u (a INT); DROP TABLE IF EXISTS t;"));
    assert!(!is_run(
        "USE e; CREATE TABLE t (a INT); USE d; DROP TABLE t;"
    ));
    assert!(!is_run(
        "CREATE TABLE t (a INT); DROP TABLE t; DROP TABLE IF EXISTS t;"
    ));
    assert!(is_run("CREATE TABLE t (a INT); DROP TABLE t;"));
    assert!(is_run(
        "CREATE TABLE u (a INT); CREATE TABLE t LIKE u; DROP TABLE t;"
    ));
}

#[test]
fn our_dump_that_reaches_elsewhere_is_refused() {
    check_refused(ours(), "USE e;", "another database: e");
    check_refused(ours(), "USE mysql;", "another database: mysql");
    check_refused(ours(), "CREATE DATABASE e;", "another database: e");
    check_refused(ours(), "USE d; DROP DATABASE e;", "another database: e");
    check_refused(
        ours(),
        "USE d; INSERT INTO e.t VALUES (1);",
        "e.t lies in another database",
    );
    check_refused(
        ours(),
        "USE d; CREATE VIEW e.v AS SELECT 1;",
        "e.v lies in another database",
    );
    check_refused(
        ours(),
        "CREATE TABLE t (a INT);",
        "before a database is selected",
    );
    check_refused(ours(), "USE d; GRANT ALL ON *.* TO x;", "GRANT ALL");
    check_refused(ours(), "USE d; SHUTDOWN;", "SHUTDOWN");
    check_refused(
        ours(),
        "USE d; SET @mail_backup_code = 'DROP DATABASE e';",
        "no stored code: DROP DATABASE e",
    );
    check_refused(
        ours(),
        "USE d; SET @mail_backup_code = 'CREATE PROCEDURE e.p() SELECT 1';",
        "another database",
    );
    check_refused(
        ours(),
        "USE d; CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1;",
        "no dump of mail-backup says",
    );
    check_refused(
        ours(),
        "USE d; CREATE VIEW v AS SELECT user();",
        "no dump of mail-backup says",
    );
    let rows_after = "USE d; EXECUTE IMMEDIATE @mail_backup_code; INSERT INTO t VALUES (f());";
    check_refused(ours(), rows_after, "after stored code");
}

#[test]
fn a_stock_dump_says_what_it_concerns_or_is_what_its_file_is_called() {
    let (_, found) = go(stock(), "CREATE TABLE t (a INT); INSERT INTO t VALUES (1);").unwrap();
    assert_eq!((found.databases, found.created), (set(&["d"]), set(&[])));
    let (_, found) = go(
        stock(),
        "CREATE DATABASE a; USE a; CREATE TABLE t (a INT); USE b; DROP VIEW v;",
    )
    .unwrap();
    assert_eq!(
        (found.databases, found.created),
        (set(&["a", "b"]), set(&["a"]))
    );
    check_refused(
        stock(),
        "USE a; INSERT INTO e.t VALUES (1);",
        "e.t lies in another database",
    );
    check_refused(
        stock(),
        "LOAD DATA INFILE '/x' INTO TABLE t;",
        "LOAD DATA INFILE",
    );
}

#[test]
fn a_stock_dump_of_everything_leaves_the_server_alone() {
    for name in ["mysql", "information_schema", "Sys"] {
        let (actions, found) = go(
            Rules::Stock(name.into()),
            "DROP TABLE db; CREATE TABLE db (a INT); INSERT INTO db VALUES (f()); SHUTDOWN;",
        )
        .unwrap();
        assert_eq!(actions, [const { Action::Nobody }; 4]);
        assert_eq!(found.databases, set(&[]));
    }
    let text = "CREATE DATABASE mysql; USE mysql; DROP TABLE user; INSERT INTO user VALUES (1); FLUSH PRIVILEGES;
                USE a; CREATE TABLE t (a INT);";
    let (actions, found) = go(stock(), text).unwrap();
    assert_eq!(actions[..5], [const { Action::Nobody }; 5]);
    assert_eq!(found.databases, set(&["a"]));
    assert_eq!(
        found.passed_over,
        set(&["database mysql", "statement FLUSH PRIVILEGES"])
    );
}

#[test]
fn a_dump_that_acts_elsewhere_is_refused() {
    for (text, expected) in [
        (
            "INSERT INTO t VALUES (LOAD_FILE('/x'));",
            "an expression: LOAD_FILE(",
        ),
        (
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO GRANT ALL ON *.* TO x;",
            "event e reaches beyond its database: GRANT",
        ),
        (
            "CREATE VIEW v AS SELECT * FROM mysql.user;",
            "view v names a database of the server: mysql",
        ),
        (
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO EXECUTE IMMEDIATE 'x';",
            "runs statements out of strings",
        ),
        (
            "CREATE PROCEDURE p() EXECUTE IMMEDIATE @x; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO CALL p();",
            "event e calls a procedure by itself",
        ),
        (
            "CREATE TABLE t (a INT DEFAULT nextval(other.s));",
            "names another database: other",
        ),
        (
            "CREATE TABLE t (a INT) ENGINE=MRG_MyISAM UNION=(other.secret);",
            "names another database: other",
        ),
    ] {
        check_refused(stock(), text, expected);
    }
    let foreign =
        "CREATE TABLE t (a INT, CONSTRAINT c FOREIGN KEY (a) REFERENCES `other`.`x` (`id`));";
    assert_eq!(go(stock(), foreign).unwrap().1.referenced, set(&["other"]));
    let trigger = "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW DELETE FROM other.secret;";
    assert_eq!(
        go(stock(), trigger).unwrap().1.reached,
        [("trigger r".to_owned(), set(&["other"]))]
    );
}

#[test]
fn accounts_are_made_and_nothing_else() {
    let text = "SET NAMES utf8mb4; INSTALL PLUGIN IF NOT EXISTS x SONAME 'y'; CREATE USER IF NOT EXISTS `u`@`h`;
                CREATE ROLE r; GRANT SELECT ON d.* TO `u`@`h`; SET DEFAULT ROLE r FOR `u`@`h`;";
    assert_eq!(
        go(Rules::Accounts, text).unwrap().0,
        [const { Action::Alone }; 6]
    );
    for text in [
        "USE d;",
        "DROP USER u;",
        "SET GLOBAL a=1;",
        "CREATE TABLE t (a INT);",
        "CREATE SERVER s;",
    ] {
        check_refused(Rules::Accounts, text, "accounts are not saved by");
    }
}
