//! Dumps that the real `mariadb-dump` writes with its many options: each is loaded as the stock
//! client loads it, or refused with the reason.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Set, chain, stock_dump};
use mail_tests::facts::facts;
use mail_tests::mariadb::{MariaDb, fed};

const DATABASES: [&str; 2] = ["mail", "web"];

/// A server with a binary log, and two databases with what options treat each in its way.
fn source() -> MariaDb {
    let server = MariaDb::start_with(&["--log-bin=log", "--server-id=7"]);
    server.sql(
        "CREATE DATABASE mail CHARACTER SET utf8mb4; CREATE DATABASE web; USE mail;
         CREATE TABLE texts (id INT PRIMARY KEY, l VARCHAR(20) CHARACTER SET latin1, u TEXT CHARACTER SET utf8mb4, b BLOB, c BIT(9));
         INSERT INTO texts VALUES (3, 'Grüße', 'Ã©', 0x00FF275CE9, b'101'), (1, 'é', 'é\\'\\\\x', 'é', NULL), (2, NULL, '', '', b'0');
         CREATE TABLE numbers (d DOUBLE, e DOUBLE, n DECIMAL(40,20), at TIMESTAMP NULL);
         INSERT INTO numbers VALUES (1.7976931348623157e308, -2.2250738585072014e-308, -0.1, '2026-03-29 01:30:00');
         CREATE VIEW v AS SELECT id, u FROM texts;
         CREATE TRIGGER tr BEFORE INSERT ON texts FOR EACH ROW SET NEW.u = CONCAT(NEW.u, ';');
         USE web; CREATE TABLE pages (id INT); INSERT INTO pages VALUES (5); CREATE VIEW v AS SELECT id FROM mail.texts;
         CREATE TABLE wide (s TEXT CHARACTER SET sjis, w TEXT CHARACTER SET cp932, u TEXT CHARACTER SET ucs2, k TEXT CHARACTER SET koi8r, b TEXT CHARACTER SET big5, g TEXT CHARACTER SET gbk);
         INSERT INTO wide VALUES ('表示ソ\\'', '表示ソ①', '表ÿ', 'Жук', '表功', '表示');",
    );
    server
}

/// The dump of both databases.
fn dump(source: &MariaDb, options: &[&str]) -> Vec<u8> {
    let all = [options, &["--databases"], &DATABASES].concat();
    stock_dump(source, &all)
}

fn all_facts(server: &MariaDb) -> Vec<String> {
    DATABASES
        .iter()
        .flat_map(|database| facts(server, database))
        .collect()
}

/// Loads `sql` with the stock client.
#[track_caller]
fn load_with_client(stock: &MariaDb, sql: &[u8], what: &[&str]) {
    stock.sql("DROP DATABASE IF EXISTS mail; DROP DATABASE IF EXISTS web");
    let loaded = fed(stock.client().args(["--binary-mode", "--comments"]), sql);
    assert!(
        loaded.status.success(),
        "the stock client refuses {what:?}: {}",
        String::from_utf8_lossy(&loaded.stderr)
    );
}

/// Restores `sql`, and gives back the warnings.
#[track_caller]
fn restore(server: &MariaDb, sql: &[u8], what: &[&str]) -> String {
    let set = Set::new();
    set.put("all.sql", sql);
    let loaded = set
        .restore(server)
        .unwrap_or_else(|error| panic!("{what:?}: {}", chain(&error)));
    assert_eq!(loaded.unmade(), [], "{what:?}");
    let warnings = loaded.warnings().join("\n");
    loaded.keep().unwrap();
    warnings
}

/// Why `sql` is not restored. Nothing is touched.
#[track_caller]
fn refusal(server: &MariaDb, sql: &[u8]) -> String {
    let before = server.sql("SHOW DATABASES");
    let set = Set::new();
    set.put("mail.sql", sql);
    let error = set.restore(server).unwrap_err();
    assert_eq!(server.sql("SHOW DATABASES"), before);
    chain(&error)
}

#[test]
fn each_option_is_loaded_as_the_stock_client_loads_it() {
    let (source, stock, server) = (source(), MariaDb::start(), MariaDb::start());
    for options in [
        &["--master-data"][..],
        &["--master-data=2", "--gtid", "--single-transaction"],
        &["--delete-master-logs", "--flush-logs"],
        &["--tz-utc=0"],
        &["--order-by-primary", "--hex-blob"],
        &["--skip-opt"],
        &["--skip-extended-insert", "--complete-insert"],
        &["--insert-ignore"],
        &["--replace"],
        &["--add-drop-database"],
        &["--no-data"],
        &["--where=1=1", "--dump-date=0"],
        &["--compatible=ansi"],
        &["--compatible=postgresql", "--skip-triggers"],
        &["--compatible=no_key_options"],
    ] {
        let sql = dump(&source, options);
        load_with_client(&stock, &sql, options);
        let _ = restore(&server, &sql, options);
        assert_eq!(all_facts(&stock), all_facts(&server), "{options:?}");
    }
}

/// Where a replica stood is nothing of a database: no server becomes a replica by a restore.
#[test]
fn what_a_replica_was_told_is_passed_over_and_named() {
    let (source, server) = (source(), MariaDb::start());
    source.sql(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='x', MASTER_LOG_FILE='m.000001', MASTER_LOG_POS=4",
    );
    for options in [
        &["--dump-slave"][..],
        &["--dump-slave=2", "--single-transaction"],
        &["--dump-slave", "--apply-slave-statements"],
        &["--dump-slave", "--gtid"],
    ] {
        let sql = dump(&source, options);
        let warnings = restore(&server, &sql, options);
        assert_eq!(all_facts(&source), all_facts(&server), "{options:?}");
        let is_told = !options.contains(&"--dump-slave=2");
        assert_eq!(warnings.contains("CHANGE MASTER"), is_told, "{warnings}");
        assert_eq!(server.sql("SHOW ALL SLAVES STATUS"), "", "{options:?}");
    }
}

/// The text of a dump is in the character set that its head names.
#[test]
fn a_dump_in_another_character_set_arrives() {
    let (source, stock, server) = (source(), MariaDb::start(), MariaDb::start());
    for set in ["cp850", "latin1", "koi8r", "latin2", "binary", "utf8mb3"] {
        let option = format!("--default-character-set={set}");
        for options in [
            &[&*option][..],
            &[&*option, "--hex-blob", "--skip-extended-insert"],
        ] {
            let sql = dump(&source, options);
            load_with_client(&stock, &sql, options);
            let _ = restore(&server, &sql, options);
            assert_eq!(all_facts(&stock), all_facts(&server), "{options:?}");
        }
    }
    let found = server.sql("SELECT HEX(l), HEX(u) FROM mail.texts WHERE id = 1");
    assert_eq!(found, "E9\tC3A9275C78\n");
}

/// In some character sets a backslash may be half of a character.
#[test]
fn text_that_cannot_be_read_for_sure_is_refused() {
    let source = MariaDb::start();
    source.sql("CREATE DATABASE mail; CREATE TABLE mail.t (a TEXT CHARACTER SET utf8mb4); INSERT INTO mail.t VALUES ('表示')");
    for set in ["sjis", "cp932", "big5", "gbk"] {
        let option = format!("--default-character-set={set}");
        let sql = stock_dump(&source, &[&option, "mail"]);
        let text = refusal(&MariaDb::start(), &sql);
        assert!(text.contains("iconv"), "{text}");
    }
}

#[test]
fn history_comes_with_the_option_that_dumps_it() {
    let (source, server) = (source(), MariaDb::start());
    // Without the option, rows are as old as their loading.
    source.sql(
        "CREATE TABLE mail.kept (a INT) WITH SYSTEM VERSIONING; INSERT INTO mail.kept VALUES (1); UPDATE mail.kept SET a = 2",
    );
    let sql = dump(&source, &["--dump-history"]);
    let _ = restore(&server, &sql, &["--dump-history"]);
    assert_eq!(all_facts(&source), all_facts(&server));
}

#[test]
fn a_dump_that_is_no_whole_database_says_so() {
    let (source, server) = (source(), MariaDb::start());
    let text = refusal(
        &server,
        &stock_dump(&source, &["--no-create-info", "--skip-triggers", "mail"]),
    );
    assert!(text.contains("taken with --no-create-info"), "{text}");
    let text = refusal(
        &server,
        &stock_dump(&source, &["--compatible=mysql40", "mail"]),
    );
    assert!(text.contains("TYPE=InnoDB"), "{text}");
    // The dump program finds no account that the server ignores.
    source
        .sql("DELETE FROM mysql.global_priv WHERE Host NOT IN ('localhost', ''); FLUSH PRIVILEGES");
    let text = refusal(&server, &stock_dump(&source, &["--system=users", "mail"]));
    assert!(text.contains("CURRENT_ROLE"), "{text}");
    let text = refusal(&server, &stock_dump(&source, &["--xml", "mail"]));
    assert!(text.contains("XML"), "{text}");
    let warnings = restore(&server, &dump(&source, &["--no-data"]), &["--no-data"]);
    assert!(warnings.contains("they will be empty"), "{warnings}");
}

/// `--tab` writes a file of definitions and one of rows for each table.
#[test]
fn files_of_the_option_tab_are_refused_or_named() {
    let (source, server) = (source(), MariaDb::start());
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let to = format!("--tab={}", dir.path().display());
    let _ = stock_dump(
        &source,
        &[&to, "--skip-triggers", "mail", "texts", "numbers"],
    );
    let set = Set::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        set.put(&name, &fs::read(&path).unwrap());
    }
    let text = chain(&set.restore(&server).unwrap_err());
    assert!(text.contains("--tab"), "{text}");
    assert!(!server.sql("SHOW DATABASES").contains("mail"));
}
