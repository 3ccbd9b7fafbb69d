//! A connection that is set up for loading: tables in any order, one transaction for many rows.

use std::fmt;

use mail_mysql::pinned::{Purpose, pin};
use mail_mysql::{Cause, ConnectionSettings};

pub(super) use mail_mysql::quote_name as name;
use mysql::prelude::Queryable;
use mysql::{Conn, Value};

use super::error::Error;

/// A connection.
pub(super) struct Server {
    conn: Conn,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn connect(settings: &ConnectionSettings) -> Result<Self, Error> {
        let mut server = Self {
            conn: mail_mysql::connect(settings)?,
        };
        pin(Purpose::Load, &mut |statement| {
            let rows = server.rows(statement)?;
            Ok(rows.into_iter().flatten().next())
        })?;
        Ok(server)
    }

    /// Runs a statement; rows that it gives are dropped.
    pub(super) fn run(&mut self, statement: &str) -> Result<(), Cause> {
        Ok(self.conn.query_drop(statement)?)
    }

    /// The rows of a short answer as text; NULL is empty.
    pub(super) fn rows(&mut self, query: &str) -> Result<Vec<Vec<String>>, Cause> {
        let text = |value| match value {
            Value::Bytes(bytes) => String::from_utf8(bytes).map_err(|_| Cause::NotText),
            _ => Ok(String::new()),
        };
        let mut rows = Vec::new();
        for row in self.conn.query_iter(query)? {
            let cells: Result<Vec<_>, _> = row?.unwrap().into_iter().map(text).collect();
            rows.push(cells?);
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

    /// Runs a statement that concerns a database as a whole.
    pub(super) fn prepare(&mut self, database: &str, statement: &str) -> Result<(), Error> {
        self.run(statement).map_err(|source| Error::Prepare {
            database: database.to_owned(),
            source,
        })
    }

    /// Drops a database, if it is there.
    pub(super) fn drop(&mut self, database: &str) -> Result<(), Error> {
        self.prepare(
            database,
            &format!("DROP DATABASE IF EXISTS {}", name(database)),
        )
    }

    /// The names in the first column of an answer.
    pub(super) fn names(&mut self, query: &str, what: &'static str) -> Result<Vec<String>, Error> {
        let rows = self
            .rows(query)
            .map_err(|source| Error::Ask { what, source })?;
        let first = |row: Vec<String>| row.into_iter().next();
        Ok(rows.into_iter().filter_map(first).collect())
    }
}

/// A string in quotes, which holds whatever the SQL mode.
pub(super) fn literal(text: &str) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    format!("CONVERT(X'{digits}' USING utf8mb4)")
}
