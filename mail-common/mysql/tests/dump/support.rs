//! Sessions and dumps of the test servers.

use std::sync::atomic::AtomicBool;

use crate::mariadb::MariaDb;
pub(crate) use mail_common::report::chain;
use mail_common::secret::Secret;
use mail_mysql::{ConnectionSettings, DumpReport, Options, Session};

/// Settings for `user` by TCP.
pub(crate) fn settings(server: &MariaDb, user: &str, password: &str) -> ConnectionSettings {
    tcp_options(server, user, password).settle("nobody")
}

pub(crate) fn tcp_options(server: &MariaDb, user: &str, password: &str) -> Options {
    Options {
        user: Some(user.into()),
        password: Some(Secret::new(password)),
        host: Some("127.0.0.1".into()),
        port: Some(server.port()),
        ..Options::default()
    }
}

pub(crate) fn root(server: &MariaDb) -> Session {
    let options = Options {
        user: Some("root".into()),
        socket: Some(server.socket()),
        ..Options::default()
    };
    Session::connect(&options.settle("nobody")).expect("root logs in by socket")
}

pub(crate) fn dump(session: &mut Session, database: &str) -> (Vec<u8>, DumpReport) {
    mail_mysql::dump_database(
        session,
        database,
        || Ok(Vec::new()),
        &AtomicBool::new(false),
        &mut |_| {},
    )
    .expect("the dump succeeds")
}

pub(crate) fn last_line(sql: &[u8]) -> String {
    String::from_utf8_lossy(sql)
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn assert_equal(left: &[String], right: &[String]) {
    for (left, right) in left.iter().zip(right) {
        assert_eq!(left, right);
    }
    assert_eq!(left.len(), right.len());
}
