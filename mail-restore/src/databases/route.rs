//! What to do with each statement of a dump, one after the other: who runs it, and whether it may
//! be run at all.
//!
//! Reading a dump a second time gives the same answers, so that what was found before loading holds
//! while loading.

use std::collections::BTreeSet;

use mail_mysql::is_of_the_server;

use super::action::{Action, StoredStep};
use super::classify::classify;
use super::definition;
use super::found::{Found, StoredKey, TableKey, TableRows};
use super::kind::{DatabaseVerb, Kind, Named, StoredKind, StoredVerb, TableVerb};
use super::modes::Modes;
use super::reach;
use super::statement::Statement;
use super::token::{Reading, Tokens};
use super::trust::{Refusal, Trust, check_reach, untrusted};
use super::values;
use super::words::first_words;

/// What a dump is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// One of mail-backup: it concerns this database and no other.
    Ours(String),
    /// One of `mariadb-dump` or `mysqldump`: it says which databases it concerns, or else it is
    /// this one.
    Stock(String),
    /// Accounts, as mail-backup saves them.
    Accounts,
}

/// Goes through a dump.
#[derive(Debug)]
pub(super) struct Route {
    rules: Rules,
    trust: Trust,
    database: Option<String>,
    has_run_code: bool,
    /// What the code makes that waits to be run.
    kept: Option<StoredKey>,
    /// Tables and sequences that may be there.
    made: BTreeSet<TableKey>,
    found: Found,
}

impl Route {
    pub(super) fn new(rules: Rules, trust: Trust) -> Self {
        Self {
            rules,
            trust,
            database: None,
            has_run_code: false,
            kept: None,
            made: BTreeSet::new(),
            found: Found::default(),
        }
    }

    pub(super) fn into_found(self) -> Found {
        self.found
    }

    /// What stands against the dump as a whole.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let caller = self.found.callers.first()?;
        let dynamic = self.found.dynamic.first()?;
        (self.trust == Trust::Gate).then(|| {
            untrusted(&format!(
                "{caller} calls a procedure by itself, and {dynamic} runs statements out of strings"
            ))
        })
    }

    /// What to do with the next statement.
    pub(super) fn next(&mut self, statement: &Statement) -> Result<Action, Refusal> {
        let kind = classify(statement);
        if self.rules == Rules::Accounts {
            return account_action(&kind, statement);
        }
        match kind {
            Kind::Use(database) => self.select(database),
            Kind::Database(verb, database) => self.database_statement(verb, database),
            Kind::Superfluous => Ok(Action::Nobody),
            Kind::Idle(words) | Kind::Server(words) => self.server_statement(&words),
            Kind::Session => Ok(Action::Everyone),
            Kind::Foreign(words) if !self.is_in_the_server() => {
                Err(format!("no dump of a database says: {words}"))
            }
            _ if self.is_in_the_server() => Ok(Action::Nobody),
            Kind::Code(code) => self.code(code),
            Kind::Table(verb, table) => self.table(verb, table, statement),
            Kind::Object(object) => self.object(&object, statement),
            Kind::Stored(verb, kind, object) => self.stored(verb, kind, object, statement),
            Kind::RunCode => {
                self.has_run_code = true;
                // What has its name was dropped between keeping the code and running it.
                self.found.stored.extend(self.kept.take());
                Ok(Action::Stored(StoredStep::Run))
            }
            Kind::Foreign(_) => Ok(Action::Nobody),
        }
    }

    /// Whether what is selected, or meant where nothing is, is a database of the server: nothing is
    /// ever run there.
    fn is_in_the_server(&mut self) -> bool {
        let implied = match &self.rules {
            Rules::Stock(database) => Some(database),
            _ => None,
        };
        let Some(database) = self.database.as_ref().or(implied) else {
            return false;
        };
        let is_of_the_server = is_of_the_server(database);
        if is_of_the_server {
            let what = format!("database {database}");
            self.found.passed_over.insert(what);
        }
        is_of_the_server
    }

    fn select(&mut self, database: String) -> Result<Action, Refusal> {
        let is_loaded = self.concern(&database)?;
        self.database = Some(database.clone());
        Ok(if is_loaded {
            Action::Select(database)
        } else {
            Action::Nobody
        })
    }

    /// A database that is dropped will be replaced anyway.
    fn database_statement(
        &mut self,
        verb: DatabaseVerb,
        database: String,
    ) -> Result<Action, Refusal> {
        if !self.concern(&database)? || verb == DatabaseVerb::Drop {
            return Ok(Action::Nobody);
        }
        if verb == DatabaseVerb::Create {
            self.found.created.insert(database.clone());
        }
        Ok(Action::Database(verb, database))
    }

    /// Notes that the dump concerns `database`, if it may; false where nothing of it is loaded.
    fn concern(&mut self, database: &str) -> Result<bool, Refusal> {
        match &self.rules {
            Rules::Ours(own) if own != database => Err(format!(
                "this is the dump of {own}, and it speaks of another database: {database}"
            )),
            _ if is_of_the_server(database) => {
                let what = format!("database {database}");
                self.found.passed_over.insert(what);
                Ok(false)
            }
            _ => {
                self.found.databases.insert(database.to_owned());
                Ok(true)
            }
        }
    }

    fn server_statement(&mut self, words: &str) -> Result<Action, Refusal> {
        if let Rules::Stock(_) = self.rules {
            self.found.passed_over.insert(format!("statement {words}"));
            Ok(Action::Nobody)
        } else {
            Err(format!("no dump of a database says: {words}"))
        }
    }

    /// The stored code in a string, which is run by a later statement: it may only make an object.
    fn code(&mut self, code: Vec<u8>) -> Result<Action, Refusal> {
        // Names in it are quoted as the SQL mode asks in which it was made.
        for modes in [Modes::default(), Modes::ansi_quotes()] {
            let statement = Statement {
                text: code.clone(),
                line: 0,
                has_semicolon: false,
                modes,
            };
            if let Kind::Stored(StoredVerb::Create, kind, object) = classify(&statement) {
                let key = self.make(kind, object, &code, modes)?;
                self.kept = Some(key.clone());
                return Ok(Action::Stored(StoredStep::Keep(key, code, modes)));
            }
        }
        Err(format!("no stored code: {}", first_words(&code)))
    }

    fn stored(
        &mut self,
        verb: StoredVerb,
        kind: StoredKind,
        object: Named,
        statement: &Statement,
    ) -> Result<Action, Refusal> {
        if verb == StoredVerb::Drop {
            let database = self.selected(&object)?;
            self.found.stored.remove(&(database, kind, object.name));
            return Ok(Action::Stored(StoredStep::Drop(kind)));
        }
        let is_plain = kind == StoredKind::View && definition::is_placeholder(statement);
        if matches!(self.rules, Rules::Ours(_)) && self.trust == Trust::Gate && !is_plain {
            return Err(format!(
                "no dump of mail-backup says: {}",
                first_words(&statement.text)
            ));
        }
        let key = self.make(kind, object, &statement.text, statement.modes)?;
        self.found.stored.insert(key.clone());
        Ok(Action::Stored(StoredStep::Create(key)))
    }

    /// Notes what stored code makes and reaches, if it may.
    fn make(
        &mut self,
        kind: StoredKind,
        object: Named,
        text: &[u8],
        modes: Modes,
    ) -> Result<StoredKey, Refusal> {
        let database = self.selected(&object)?;
        let what = format!("{} {}", kind.word(), object.name);
        let reach = reach::of(text, modes);
        if self.trust == Trust::Gate {
            check_reach(kind, &what, &reach)?;
        }
        if reach.is_dynamic && kind == StoredKind::Routine {
            self.found.dynamic.insert(what.clone());
        }
        if reach.calls && matches!(kind, StoredKind::Event | StoredKind::Trigger) {
            self.found.callers.insert(what.clone());
        }
        self.found.definers.extend(reach.definer);
        self.found.reached.push((what, reach.names));
        Ok((database, kind, object.name))
    }

    fn object(&mut self, object: &Named, statement: &Statement) -> Result<Action, Refusal> {
        let database = self.selected(object)?;
        self.made.insert((database, object.name.clone()));
        self.refer(statement)?;
        Ok(Action::Alone)
    }

    fn table(
        &mut self,
        verb: TableVerb,
        table: Named,
        statement: &Statement,
    ) -> Result<Action, Refusal> {
        let database = self.selected(&table)?;
        if verb == TableVerb::Insert && self.has_run_code && self.trust == Trust::Gate {
            return Err(format!(
                "rows of {} after stored code, which they might call",
                table.name
            ));
        }
        let key = (database, table.name);
        let none = TableRows {
            rows: 0,
            is_exact: true,
        };
        match verb {
            TableVerb::Create => {
                self.refer(statement)?;
                if let Some(engine) = definition::engine_elsewhere(statement)
                    && self.trust == Trust::Gate
                {
                    return Err(untrusted(&format!(
                        "the rows of table {} lie elsewhere: its engine is {engine}",
                        key.1
                    )));
                }
                self.made.insert(key.clone());
                self.found.tables.entry(key.clone()).or_insert(none);
            }
            TableVerb::Drop => {
                self.found.tables.remove(&key);
                // The databases that are loaded are new: to drop what is not there would cost as
                // many writes to the server's disk as to make it.
                if !self.made.remove(&key) {
                    return Ok(Action::Nobody);
                }
            }
            TableVerb::Empty => {
                self.found.tables.insert(key.clone(), none);
            }
            TableVerb::Insert | TableVerb::Keys => {}
        }
        Ok(Action::Owner(key, verb))
    }

    /// Counts the rows of an INSERT, which are to be literals. For who reads the dump the first
    /// time: it costs as much as reading.
    pub(super) fn count(&mut self, table: &TableKey, statement: &Statement) -> Result<(), Refusal> {
        let counted = self.check_rows(statement)?;
        if !self.made.contains(table) {
            return Err(format!(
                "rows of table {}, which the dump does not make: it was taken with \
                 --no-create-info; use one with definitions",
                table.1
            ));
        }
        if let Some(found) = self.found.tables.get_mut(table) {
            found.rows += counted.rows;
            found.is_exact &= counted.is_exact;
        }
        Ok(())
    }

    /// Whether the rows of an INSERT may be loaded.
    pub(super) fn check_rows(&self, statement: &Statement) -> Result<TableRows, Refusal> {
        let counted = values::count_rows(&statement.text, statement.modes);
        let is_plain = !values::replaces(&statement.text, statement.modes);
        match (counted, self.trust) {
            (Ok(rows), _) => Ok(TableRows {
                rows,
                is_exact: is_plain,
            }),
            (Err(_), Trust::Full) => Ok(TableRows {
                rows: 0,
                is_exact: false,
            }),
            (Err(values::NotLiteral(what)), Trust::Gate) => Err(untrusted(&format!(
                "rows are literals, and this is an expression: {what}"
            ))),
        }
    }

    /// Notes the databases that a definition names. A foreign key may name any, a default no other
    /// than its own.
    fn refer(&mut self, statement: &Statement) -> Result<(), Refusal> {
        for named in definition::named_databases(statement) {
            let is_own = self.database.as_ref() == Some(&named.name)
                || self.found.databases.contains(&named.name);
            if !is_own && !named.is_referenced && self.trust == Trust::Gate {
                return Err(untrusted(&format!(
                    "the definition of a table names another database: {}",
                    named.name
                )));
            }
            self.found.referenced.insert(named.name);
        }
        Ok(())
    }

    /// The database that is selected: the one in which the object must lie.
    fn selected(&mut self, object: &Named) -> Result<String, Refusal> {
        let database = match (&self.database, &self.rules) {
            (Some(database), _) => database.clone(),
            (None, Rules::Stock(database)) => {
                let database = database.clone();
                self.concern(&database)?;
                self.found.implied = Some(database.clone());
                self.database = Some(database.clone());
                database
            }
            (None, _) => {
                return Err(format!(
                    "{} comes before a database is selected",
                    object.name
                ));
            }
        };
        match &object.database {
            Some(other) if *other != database => {
                Err(format!("{other}.{} lies in another database", object.name))
            }
            _ => {
                self.found.filled.insert(database.clone());
                Ok(database)
            }
        }
    }
}

fn account_action(kind: &Kind, statement: &Statement) -> Result<Action, Refusal> {
    let mut tokens = Tokens::new(&statement.text, Reading::Run, statement.modes);
    let words = [tokens.next(), tokens.next()]
        .map(|token| token.and_then(|token| token.name()).unwrap_or_default());
    let [verb, object] = words.map(|word| word.to_ascii_uppercase());
    let is_of_accounts = matches!(
        (verb.as_str(), object.as_str()),
        ("CREATE", "USER" | "ROLE") | ("GRANT", _) | ("INSTALL", "PLUGIN") | ("SET", "DEFAULT")
    );
    match kind {
        Kind::Session => Ok(Action::Alone),
        Kind::Server(_) if is_of_accounts => Ok(Action::Alone),
        _ => Err(format!(
            "accounts are not saved by: {}",
            first_words(&statement.text)
        )),
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
