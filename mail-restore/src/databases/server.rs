//! A connection that is set up for loading.

use mail_mysql::{Cause, ConnectionSettings};
use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::error::Error;

/// Lets a long load keep its connection, and tables come in any order. One SET a line: a list fails
/// as a whole when one name is unknown.
const SETTINGS: [&str; 9] = [
    "SET NAMES utf8mb4",
    "SET SESSION max_statement_time = 0",
    "SET SESSION net_write_timeout = 3600, net_read_timeout = 3600",
    "SET SESSION wait_timeout = 86400",
    "SET SESSION idle_transaction_timeout = 0, idle_write_transaction_timeout = 0",
    "SET SESSION lock_wait_timeout = 300, innodb_lock_wait_timeout = 300",
    "SET SESSION foreign_key_checks = 0",
    "SET SESSION unique_checks = 0",
    "SET SESSION autocommit = 0",
];

/// A connection.
pub(super) struct Server {
    conn: Conn,
}

impl Server {
    pub(super) fn connect(settings: &ConnectionSettings) -> Result<Self, Error> {
        let mut server = Self {
            conn: mail_mysql::connect(settings)?,
        };
        for statement in SETTINGS {
            server
                .run(statement)
                .map_err(|source| mail_mysql::Error::Prepare {
                    statement: statement.to_owned(),
                    source,
                })?;
        }
        Ok(server)
    }

    /// Runs a statement; rows that it gives are dropped.
    pub(super) fn run(&mut self, statement: &str) -> Result<(), Cause> {
        Ok(self.conn.query_drop(statement)?)
    }

    /// The rows of a short answer as text; NULL is empty.
    pub(super) fn rows(&mut self, query: &str) -> Result<Vec<Vec<String>>, Cause> {
        let text = |value| match value {
            Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            _ => String::new(),
        };
        let mut rows = Vec::new();
        for row in self.conn.query_iter(query)? {
            rows.push(row?.unwrap().into_iter().map(text).collect());
        }
        Ok(rows)
    }

    /// The first cell of a short answer.
    pub(super) fn cell(&mut self, query: &str) -> Result<String, Cause> {
        Ok(self
            .rows(query)?
            .into_iter()
            .flatten()
            .next()
            .unwrap_or_default())
    }

    /// The largest statement that the server takes.
    pub(super) fn packet_bytes(&mut self) -> Result<u64, Error> {
        let answer = self.cell("SELECT @@max_allowed_packet");
        let answer = answer.map_err(|source| Error::Ask {
            what: "max_allowed_packet",
            source,
        })?;
        Ok(answer.parse().unwrap_or(u64::MAX))
    }

    /// Makes a database anew.
    pub(super) fn create(&mut self, database: &str, options: &str) -> Result<(), Error> {
        self.prepare(
            database,
            &format!("CREATE DATABASE {} {options}", name(database)),
        )
    }

    /// Drops a database, if it is there.
    pub(super) fn drop(&mut self, database: &str) -> Result<(), Error> {
        self.prepare(
            database,
            &format!("DROP DATABASE IF EXISTS {}", name(database)),
        )
    }

    fn prepare(&mut self, database: &str, statement: &str) -> Result<(), Error> {
        self.run(statement).map_err(|source| Error::Prepare {
            database: database.to_owned(),
            source,
        })
    }
}

/// A name in backticks.
pub(super) fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A string in quotes, which holds whatever the SQL mode.
pub(super) fn literal(text: &str) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    format!("CONVERT(X'{digits}' USING utf8mb4)")
}
