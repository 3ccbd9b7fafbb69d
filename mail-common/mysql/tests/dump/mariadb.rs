//! A private MariaDB server as the dump tests use it: loaded as an administrator would, compared
//! with the stock dump.

use std::ops::{Deref, DerefMut};
use std::process::{Command, Output};

use mail_tests::mariadb;

/// A server, stopped when dropped.
pub(crate) struct MariaDb(mariadb::MariaDb);

impl MariaDb {
    /// Starts a server with `extra` options.
    pub(crate) fn start(extra: &[&str]) -> Self {
        Self(mariadb::MariaDb::start_with(extra))
    }

    /// Runs statements with their comments, which are part of what is compared.
    pub(crate) fn sql(&self, sql: &str) -> String {
        text(&self.client_with(
            &["--batch", "--skip-column-names", "--comments"],
            sql.as_bytes(),
        ))
    }

    /// Loads `sql` as an administrator would: `mariadb < FILE`.
    pub(crate) fn load(&self, sql: &[u8]) {
        text(&self.client_with(&[], sql));
    }

    /// Runs the stock client as root with `arguments` and `input`.
    pub(crate) fn client_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        mariadb::fed(self.0.client().args(arguments), input)
    }

    /// What the stock dump says of everything, with its date removed.
    pub(crate) fn stock_dump(&self, database: &str) -> String {
        let mut command: Command = self.0.command("mariadb-dump");
        command.args([
            "--skip-dump-date",
            "--skip-comments",
            "--hex-blob",
            "--single-transaction",
        ]);
        command.args([
            "--routines",
            "--triggers",
            "--events",
            "--databases",
            database,
        ]);
        text(&mariadb::fed(&mut command, b""))
    }
}

impl Deref for MariaDb {
    type Target = mariadb::MariaDb;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for MariaDb {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "mariadb: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
