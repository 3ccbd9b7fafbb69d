//! The tables of one dump into the server, over several connections.
//!
//! Each connection reads the whole dump by itself and runs what concerns its own tables: reading is
//! far faster than inserting, no queue grows, and settings of the session hold on every connection.
//! What others depend on is run by the first connection, when all are as far and have committed.
//!
//! A table is loaded in few transactions, the first of one statement: into a table that is empty,
//! InnoDB would collect all rows of the transaction in files and sort them at its end, which was
//! measured to cost twice the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mail_common::interrupt::Interrupted;
use mail_mysql::{Cause, ConnectionSettings};

use super::action::Action;
use super::dump::Dump;
use super::error::Error;
use super::found::TableKey;
use super::gate::{Gate, GivenUp};
use super::kind::TableVerb;
use super::relocate::{self, Places};
use super::route::Route;
use super::send::send;
use super::server::{Server, name};
use super::share::Shares;
use super::source::with_content;
use super::statement::{Statement, StatementReader};
use super::survey::{Survey, read};
use super::trust::Trust;
use super::words::first_words;

/// Who is told of the work, and may end it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Set from outside; looked at between two statements.
    pub stop: &'a AtomicBool,
    /// Told how many bytes of SQL were loaded since it was told last.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// A dump that is to be loaded.
pub(super) struct Load<'a> {
    pub(super) dump: &'a Dump,
    pub(super) survey: &'a Survey,
    pub(super) connection: &'a ConnectionSettings,
    /// At most so many connections are used.
    pub(super) connections: usize,
    /// Where the databases of the dump are for now.
    pub(super) places: &'a Places,
    pub(super) trust: Trust,
    pub(super) watch: Watch<'a>,
}

impl Load<'_> {
    /// Loads the tables of the dump into databases that are gone or empty.
    pub(super) fn run(&self) -> Result<(), Error> {
        let connections = self
            .survey
            .weights
            .widest()
            .clamp(1, self.connections.max(1));
        let (gate, shares) = (
            Gate::new(connections),
            self.survey.weights.share(connections),
        );
        let work = |index| {
            let end = GiveUpOnDrop(&gate);
            let result = self.work(index, &gate, &shares);
            if result.is_ok() {
                std::mem::forget(end);
            }
            result
        };
        let results: Vec<_> = thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (0..connections)
                .map(|index| scope.spawn(move || work(index)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or(Err(Stop::Failed(Error::Panicked))))
                .collect()
        });
        first_failure(results)
    }

    fn select(&self, server: &mut Server, database: &str) -> Result<(), Error> {
        let place = self.places.get(database).map_or(database, String::as_str);
        server.prepare(database, &format!("USE {}", name(place)))
    }

    fn work(&self, index: usize, gate: &Gate, shares: &Shares) -> Result<(), Stop> {
        let mut server = Server::connect(self.connection)?;
        if let Some(database) = &self.survey.found.implied {
            self.select(&mut server, database)?;
        }
        let route = Route::new(self.survey.rules.clone(), self.trust);
        let worker = Worker {
            load: self,
            index,
            gate,
            shares,
            server,
            route,
            filling: None,
            stretch: 0,
            count: 0,
            awaited: 0,
        };
        with_content(&self.dump.file, self.dump.expected_bytes(), |content| {
            worker.run(&mut StatementReader::new(content))
        })
    }
}

impl Load<'_> {
    fn relocated(&self, statement: &Statement) -> Statement {
        Statement {
            text: relocate::names(&statement.text, statement.modes, self.places),
            ..statement.clone()
        }
    }
}

/// Why a connection ended.
enum Stop {
    /// By itself.
    Failed(Error),
    /// Because another did.
    GivenUp,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<GivenUp> for Stop {
    fn from(_: GivenUp) -> Self {
        Self::GivenUp
    }
}

fn first_failure(results: Vec<Result<(), Stop>>) -> Result<(), Error> {
    for result in results {
        if let Err(Stop::Failed(error)) = result {
            return Err(error);
        }
    }
    Ok(())
}

/// Nobody waits for a connection that ended, not even by a panic.
struct GiveUpOnDrop<'a>(&'a Gate);

impl Drop for GiveUpOnDrop<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// One connection.
struct Worker<'a> {
    load: &'a Load<'a>,
    index: usize,
    gate: &'a Gate,
    shares: &'a Shares,
    server: Server,
    route: Route,
    /// The table that is being filled.
    filling: Option<Filling>,
    stretch: u32,
    /// Statements that were read.
    count: u64,
    /// What the first connection must be done with before the next statement.
    awaited: u64,
}

/// A table on its way.
struct Filling {
    table: TableKey,
    /// Of its last statement.
    line: u64,
    /// Of statements that are not committed.
    pending_bytes: usize,
}

/// Rows are committed when they are more: what the server must remember of a transaction stays
/// small.
const TRANSACTION_BYTES: usize = 64 << 20;

/// The connection that runs what is run alone.
const FIRST: usize = 0;

impl Worker<'_> {
    fn run(mut self, reader: &mut StatementReader<super::source::Content>) -> Result<(), Stop> {
        while let Some(statement) = read(self.load.dump, reader)? {
            if self.load.watch.stop.load(Ordering::Relaxed) {
                return Err(Error::from(Interrupted).into());
            }
            self.gate.check()?;
            let action = self.route.next(&statement);
            let action = action.map_err(|reason| self.load.dump.refused(statement.line, reason))?;
            self.act(action, &statement)?;
            self.count += 1;
        }
        self.commit()?;
        self.gate.reach(self.index, u64::MAX);
        Ok(())
    }

    fn act(&mut self, action: Action, statement: &Statement) -> Result<(), Stop> {
        match action {
            // Stored code comes when all tables are there.
            Action::Nobody | Action::Stored(_) => {}
            Action::Everyone => {
                self.gate.wait_for(FIRST, self.awaited)?;
                self.execute(statement)?;
            }
            Action::Select(database) => {
                self.commit()?;
                self.gate.wait_for(FIRST, self.awaited)?;
                self.load.select(&mut self.server, &database)?;
            }
            Action::Database(_, _) => {
                let text = relocate::database(&statement.text, statement.modes, self.load.places);
                self.alone(&Statement {
                    text,
                    ..statement.clone()
                })?;
            }
            Action::Owner(table, _) if self.shares.owner(self.stretch, &table) != self.index => {
                return Ok(());
            }
            Action::Owner(table, verb) => {
                self.gate.wait_for(FIRST, self.awaited)?;
                if verb == TableVerb::Insert {
                    let rows = self.route.check_rows(statement);
                    rows.map_err(|reason| self.load.dump.refused(statement.line, reason))?;
                }
                match self.relocated(verb, statement) {
                    Some(moved) => self.table_statement(table, verb, &moved)?,
                    None => self.table_statement(table, verb, statement)?,
                }
                self.advance(statement);
                return Ok(());
            }
            Action::Alone if self.load.places.is_empty() => self.alone(statement)?,
            Action::Alone => self.alone(&self.load.relocated(statement))?,
        }
        if self.index == FIRST {
            self.advance(statement);
        }
        Ok(())
    }

    fn table_statement(
        &mut self,
        table: TableKey,
        verb: TableVerb,
        statement: &Statement,
    ) -> Result<(), Error> {
        let is_same = self
            .filling
            .as_ref()
            .is_some_and(|filling| filling.table == table);
        if verb != TableVerb::Insert || !is_same {
            self.commit()?;
            self.filling = None;
        }
        self.execute(statement)?;
        if verb == TableVerb::Insert {
            let pending_bytes = self
                .filling
                .as_ref()
                .map_or(TRANSACTION_BYTES, |filling| filling.pending_bytes);
            let pending_bytes = pending_bytes + statement.text.len();
            self.filling = Some(Filling {
                table,
                line: statement.line,
                pending_bytes,
            });
            if pending_bytes >= TRANSACTION_BYTES {
                self.commit()?;
            }
        }
        Ok(())
    }

    fn alone(&mut self, statement: &Statement) -> Result<(), Stop> {
        self.commit()?;
        self.filling = None;
        self.gate.reach(self.index, self.count);
        self.stretch += 1;
        self.awaited = self.count + 1;
        if self.index != FIRST {
            return Ok(());
        }
        self.gate.wait_for_all(self.count)?;
        self.execute(statement)?;
        self.server
            .run("COMMIT")
            .map_err(|source| self.failure(statement, source))?;
        self.gate.reach(FIRST, self.awaited);
        Ok(())
    }

    /// Ends the transaction of a table, in which InnoDB may only now find what is wrong with its
    /// rows.
    fn commit(&mut self) -> Result<(), Error> {
        let Some(filling) = self
            .filling
            .as_mut()
            .filter(|filling| filling.pending_bytes > 0)
        else {
            return Ok(());
        };
        filling.pending_bytes = 0;
        let ((database, table), line) = (&filling.table, filling.line);
        let (file, statement) = (
            self.load.dump.path.clone(),
            format!("COMMIT of {database}.{table}"),
        );
        self.server
            .run("COMMIT")
            .map_err(|source| Error::Statement {
                file,
                line,
                statement,
                source,
            })
    }

    fn execute(&mut self, statement: &Statement) -> Result<(), Error> {
        send(&mut self.server, statement)
            .map_err(|failure| failure.at(&self.load.dump.path, statement))
    }

    fn failure(&self, statement: &Statement, source: Cause) -> Error {
        let file = self.load.dump.path.clone();
        Error::Statement {
            file,
            line: statement.line,
            statement: first_words(&statement.text),
            source,
        }
    }

    /// The statement as it is where its database is now; `None` where it names none. The rows of an
    /// INSERT are long and name no database; its table may.
    fn relocated(&self, verb: TableVerb, statement: &Statement) -> Option<Statement> {
        let head = memchr::memchr(b'(', &statement.text).unwrap_or(statement.text.len());
        let names_database = verb == TableVerb::Create || statement.text[..head].contains(&b'.');
        names_database.then(|| self.load.relocated(statement))
    }

    fn advance(&self, statement: &Statement) {
        (self.load.watch.progress)(statement.text.len() as u64);
    }
}
