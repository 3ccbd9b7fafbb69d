//! Dumps that are refused before anything is touched: hostile, cut off, or not what the manifest
//! records.

use std::fs;
use std::sync::atomic::AtomicBool;

use crate::loading::check_rolled_back;
use crate::support::{
    Set, chain, dump, filter, inventory, target, with_accounts, with_every_object,
};
use mail_common::set::{FileFacts, Recorded};
use mail_restore::databases::{Accounts, Databases, Error};
use mail_tests::facts::facts;
use mail_tests::mariadb::MariaDb;

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
            excluded: 0,
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
