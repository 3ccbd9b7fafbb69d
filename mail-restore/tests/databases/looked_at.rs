//! Dumps that are only looked at, or written to plain files.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::loading::fill_with_something_else;
use crate::support::{EVERY_DATABASE, Set, chain, dump, target, with_every_object};
use mail_restore::databases::{Accounts, Error, Target, Watch};
use mail_tests::mariadb::MariaDb;

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
