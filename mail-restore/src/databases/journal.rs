//! How far a restore is, written down in the server itself, beside what it describes: the next run
//! finds it there, whatever became of this one.
//!
//! | state | what a kill leaves | the next run |
//! |---|---|---|
//! | loading | the live databases untouched, scratch databases beside them | drops the scratch
//! databases |
//! | exchanging | tables in either place, stored code partly dropped or made | puts all back as it
//! was |
//! | done | the new databases in place, the old ones beside them | drops the old ones |

use mail_mysql::scratch;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::server::{Server, literal, name};

const VERSION: u32 = 1;

/// How far a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Loading,
    Exchanging,
    Done,
}

/// What is written down of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    version: u32,
    /// The database that holds it.
    pub(super) database: String,
    pub(super) state: State,
    /// The set of what was there before.
    pub(super) saved: Option<String>,
    /// The account that loads, as SQL.
    pub(super) account: Option<String>,
    pub(super) places: Vec<Place>,
}

/// A database that is restored, and where its tables are for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Its name.
    pub(super) live: String,
    /// Where the new tables are before the exchange.
    pub(super) new: String,
    /// Where the old tables are after it.
    pub(super) old: String,
    /// By what ALTER DATABASE gives it the options that it had; `None` where it was not there.
    pub(super) options: Option<String>,
    /// Tables and sequences that were there.
    pub(super) old_tables: Vec<String>,
    /// Tables and sequences that were loaded.
    pub(super) new_tables: Vec<String>,
}

impl Journal {
    /// Begins one for `databases`, in a database of its own. `token` is of this run alone.
    pub(super) fn begin<'a>(
        server: &mut Server,
        token: &str,
        databases: impl Iterator<Item = &'a String>,
    ) -> Result<Self, Error> {
        let database = format!("{}{token}", scratch::PREFIX);
        let place = |(number, live): (usize, &String)| Place {
            live: live.clone(),
            new: format!("{database}_n{number}"),
            old: format!("{database}_o{number}"),
            ..Place::default()
        };
        let journal = Self {
            version: VERSION,
            state: State::Loading,
            saved: None,
            account: None,
            places: databases.enumerate().map(place).collect(),
            database: database.clone(),
        };
        server.prepare(&database, &format!("CREATE DATABASE {}", name(&database)))?;
        let created = server.prepare(
            &database,
            &format!(
                "CREATE TABLE {}.journal (id INT PRIMARY KEY, state LONGTEXT CHARACTER SET \
                 utf8mb4) ENGINE=InnoDB",
                name(&database)
            ),
        );
        let begun = created.and_then(|()| journal.write(server));
        if begun.is_err() {
            // The failure is reported; what is left of this, the next run drops.
            let _ = server.drop(&database);
        }
        begun.map(|()| journal)
    }

    /// Writes it down; afterwards it is on the server's disk.
    ///
    /// A commit alone may not be: with `innodb_flush_log_at_trx_commit` at 0 or 2 the log follows
    /// up to a second later, while views and triggers are files that are dropped at once. A server
    /// that died between would not know that they were dropped. The definition of an InnoDB table
    /// takes the log to the disk whatever that setting is.
    pub(super) fn write(&self, server: &mut Server) -> Result<(), Error> {
        let text = serde_json::to_string(self).map_err(|error| Error::Journal {
            database: self.database.clone(),
            reason: error.to_string(),
        })?;
        let replace = format!(
            "REPLACE INTO {}.journal VALUES (1, {})",
            name(&self.database),
            literal(&text)
        );
        server.prepare(&self.database, &replace)?;
        server.prepare(&self.database, "COMMIT")?;
        let force = format!(
            "CREATE OR REPLACE TABLE {}.forced (a INT) ENGINE=InnoDB",
            name(&self.database)
        );
        server.prepare(&self.database, &force)
    }

    /// Goes on to `state`.
    pub(super) fn advance(&mut self, server: &mut Server, state: State) -> Result<(), Error> {
        self.state = state;
        self.write(server)
    }

    /// Those that other runs left. One without a journal in it was killed at its very start.
    pub(super) fn left(server: &mut Server) -> Result<Vec<Self>, Error> {
        let all = server.names(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA",
            "its databases",
        )?;
        let mut left = Vec::new();
        for database in all.iter().filter(|name| scratch::is_journal(name)) {
            left.push(Self::read(server, database)?);
        }
        Ok(left)
    }

    fn read(server: &mut Server, database: &str) -> Result<Self, Error> {
        const NO_SUCH_TABLE: u16 = 1146;
        let empty = Self {
            version: VERSION,
            database: database.to_owned(),
            state: State::Loading,
            saved: None,
            account: None,
            places: Vec::new(),
        };
        let rows = match server.rows(&format!("SELECT state FROM {}.journal", name(database))) {
            Err(mail_mysql::Cause::Server {
                code: NO_SUCH_TABLE,
                ..
            }) => return Ok(empty),
            rows => rows.map_err(|source| Error::Ask {
                what: "the journal of a restore that was killed",
                source,
            })?,
        };
        let Some(text) = rows.into_iter().flatten().next() else {
            return Ok(empty);
        };
        let failed = |reason: String| Error::Journal {
            database: database.to_owned(),
            reason,
        };
        let journal: Self =
            serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if journal.version != VERSION {
            return Err(failed(format!("version {}", journal.version)));
        }
        Ok(journal)
    }
}
