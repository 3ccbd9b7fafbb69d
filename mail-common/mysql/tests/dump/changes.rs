//! A database that is changed, cut off or stopped while it is dumped.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::mariadb::MariaDb;
use crate::support::{dump, root};
use mail_mysql::{DumpReport, Error, Session};

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
