//! What to do with each statement of a dump, one after the other: who runs it, and whether it may
//! be run at all.
//!
//! Reading a dump a second time gives the same answers, so that what was found before loading holds
//! while loading.

use std::collections::{BTreeMap, BTreeSet};

use mail_mysql::is_of_the_server;

use super::kind::{DatabaseVerb, Kind, Named, StoredKind, StoredVerb, TableVerb, first_words};
use super::modes::Modes;
use super::reach::{self, Reach};
use super::statement::Statement;
use super::token::{Reading, Token, Tokens};
use super::values;

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

/// How far a dump is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Rows are literals, and stored code reaches no account, no file and no other database.
    #[default]
    Gate,
    /// The administrator knows what is in it.
    Full,
}

/// A table, with the database that was selected.
pub(super) type TableKey = (String, String);

/// A view, trigger, routine or event.
pub(super) type StoredKey = (String, StoredKind, String);

/// Who runs a statement, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Every connection.
    Everyone,
    /// Every connection selects this database.
    Select(String),
    /// One connection, when all others are idle; it concerns this database itself.
    Database(DatabaseVerb, String),
    /// The connection that has the table.
    Owner(TableKey, TableVerb),
    /// One connection, when all others are idle.
    Alone,
    /// One connection, after all tables of all databases are loaded.
    Stored(StoredStep),
    /// Nobody.
    Nobody,
}

/// What a statement does for stored code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredStep {
    /// Makes this.
    Create(StoredKey),
    /// Drops one of this kind.
    Drop(StoredKind),
    /// Keeps this code, which makes this, until it is run.
    Keep(StoredKey, Vec<u8>, Modes),
    /// Runs the code that was kept.
    Run,
}

/// The rows of a table, as a dump has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableRows {
    pub(super) rows: u64,
    /// Not so where rows may replace each other.
    pub(super) is_exact: bool,
}

/// What a dump turned out to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The databases that it concerns.
    pub(super) databases: BTreeSet<String>,
    /// That of them which it does not select, since the file is called so.
    pub(super) implied: Option<String>,
    /// Those of them in which it makes anything.
    pub(super) filled: BTreeSet<String>,
    /// Those of them that it makes itself.
    pub(super) created: BTreeSet<String>,
    /// The tables that are there at its end.
    pub(super) tables: BTreeMap<TableKey, TableRows>,
    /// The stored objects that are there at its end.
    pub(super) stored: BTreeSet<StoredKey>,
    /// Databases of which a foreign key names a table.
    pub(super) referenced: BTreeSet<String>,
    /// What stored code names before a dot, by what names it.
    pub(super) reached: Vec<(String, BTreeSet<String>)>,
    /// In whose names stored code runs.
    pub(super) definers: BTreeSet<(String, String)>,
    /// What is not loaded: the server's own databases, and statements about the server.
    pub(super) passed_over: BTreeSet<String>,
    /// Events and triggers that call procedures.
    callers: BTreeSet<String>,
    /// Routines that run statements out of strings.
    dynamic: BTreeSet<String>,
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
    found: Found,
}

/// Why a statement may not be run.
type Refusal = String;

impl Route {
    pub(super) fn new(rules: Rules, trust: Trust) -> Self {
        Self {
            rules,
            trust,
            database: None,
            has_run_code: false,
            kept: None,
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
        let kind = Kind::of(statement);
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
            if let Kind::Stored(StoredVerb::Create, kind, object) = Kind::of(&statement) {
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
        let is_plain = kind == StoredKind::View && is_placeholder(statement);
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
        self.selected(object)?;
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
                if let Some(engine) = engine_elsewhere(statement)
                    && self.trust == Trust::Gate
                {
                    return Err(untrusted(&format!(
                        "the rows of table {} lie elsewhere: its engine is {engine}",
                        key.1
                    )));
                }
                self.found.tables.entry(key.clone()).or_insert(none);
            }
            TableVerb::Drop => {
                self.found.tables.remove(&key);
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
        if let Some(found) = self.found.tables.get_mut(table) {
            found.rows += counted.rows;
            found.is_exact &= counted.is_exact;
        }
        Ok(())
    }

    /// Whether the rows of an INSERT may be loaded.
    pub(super) fn check_rows(&self, statement: &Statement) -> Result<TableRows, Refusal> {
        let counted = values::count_rows(&statement.text, statement.modes);
        let is_plain = !replaces(statement);
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
        let mut before: Option<(String, bool)> = None;
        let mut follows_references = false;
        for token in Tokens::new(&statement.text, Reading::Run, statement.modes) {
            if token == Token::Symbol(b'.')
                && let Some((database, is_reference)) = before.take()
            {
                let is_own = self.database.as_ref() == Some(&database)
                    || self.found.databases.contains(&database);
                if !is_own && !is_reference && self.trust == Trust::Gate {
                    return Err(untrusted(&format!(
                        "the definition of a table names another database: {database}"
                    )));
                }
                self.found.referenced.insert(database);
            }
            before = token.name().map(|name| (name, follows_references));
            follows_references = token.is_word("REFERENCES");
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

impl StoredKind {
    /// For messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Trigger => "trigger",
            Self::Routine => "routine",
            Self::Event => "event",
        }
    }
}

/// What to say of what only an administrator can know.
fn untrusted(reason: &str) -> String {
    format!("{reason}; if you know where this dump comes from, --trust-dump loads it")
}

/// Whether stored code may be made: it reaches no account, no file and no database of the server.
fn check_reach(kind: StoredKind, what: &str, reach: &Reach) -> Result<(), Refusal> {
    const OF_THE_SERVER: [&str; 3] = ["mysql", "performance_schema", "sys"];
    if let Some(words) = &reach.forbidden {
        return Err(untrusted(&format!(
            "{what} reaches beyond its database: {words}"
        )));
    }
    let named = reach.names.iter().find(|name| {
        OF_THE_SERVER
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
    });
    if let Some(database) = named {
        return Err(untrusted(&format!(
            "{what} names a database of the server: {database}"
        )));
    }
    if kind == StoredKind::Event && reach.is_dynamic {
        return Err(untrusted(&format!("{what} runs statements out of strings")));
    }
    Ok(())
}

/// `CREATE VIEW name AS SELECT 1 AS a, 1 AS b`, which stands for a view until that is made.
fn is_placeholder(statement: &Statement) -> bool {
    let mut tokens = Tokens::new(&statement.text, Reading::Run, statement.modes);
    let selects = tokens.find(|token| token.is_word("SELECT")).is_some();
    let is_part = |token: Token<'_>| match token {
        Token::Word(word) => word == b"1" || word.eq_ignore_ascii_case(b"AS"),
        Token::Name(_) | Token::Symbol(b',') => true,
        _ => false,
    };
    selects && tokens.all(is_part)
}

/// Engines whose tables are files of the server's machine, or tables of another server: what is
/// inserted into them goes there.
fn engine_elsewhere(statement: &Statement) -> Option<&'static str> {
    const ELSEWHERE: [&str; 6] = ["CONNECT", "FEDERATED", "S3", "SPHINX", "SPIDER", "VP"];
    let mut tokens = Tokens::new(&statement.text, Reading::Run, statement.modes).significant();
    while let Some(token) = tokens.next() {
        if !token.is_word("ENGINE") || tokens.next() != Some(Token::Symbol(b'=')) {
            continue;
        }
        let engine = tokens.next()?;
        let name = match &engine {
            Token::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            other => other.name(),
        }?;
        if let Some(known) = ELSEWHERE
            .iter()
            .find(|known| name.eq_ignore_ascii_case(known))
        {
            return Some(known);
        }
    }
    None
}

/// Whether rows of the statement may take the place of others, or be left out.
fn replaces(statement: &Statement) -> bool {
    let tokens = Tokens::new(&statement.text, Reading::Run, statement.modes).significant();
    tokens
        .take_while(|token| !token.is_word("INTO"))
        .take(4)
        .any(|token| token.is_word("REPLACE") || token.is_word("IGNORE"))
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
mod tests {
    use super::*;
    use crate::databases::statement::StatementReader;

    fn go(rules: Rules, text: &str) -> Result<(Vec<Action>, Found), String> {
        let (mut reader, mut route) = (
            StatementReader::new(text.as_bytes()),
            Route::new(rules, Trust::Gate),
        );
        let mut actions = Vec::new();
        while let Some(statement) = reader.next().unwrap() {
            let action = route.next(&statement)?;
            if let Action::Owner(table, TableVerb::Insert) = &action {
                route.count(table, &statement)?;
            }
            actions.push(action);
        }
        if let Some(refusal) = route.refusal() {
            return Err(refusal);
        }
        Ok((actions, route.into_found()))
    }

    fn ours() -> Rules {
        Rules::Ours("d".into())
    }

    fn stock() -> Rules {
        Rules::Stock("d".into())
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check_refused(rules: Rules, text: &str, expected: &str) {
        let error = go(rules, text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn our_dump_concerns_its_database_alone() {
        let text = "SET NAMES utf8; CREATE DATABASE d; USE d; CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2);
                    CREATE VIEW v AS SELECT 1 AS `a`; DROP VIEW v;
                    SET @mail_backup_code = 'CREATE VIEW `v` AS select `e`.`x`.`a` from `e`.`x`'; EXECUTE IMMEDIATE @mail_backup_code;";
        let (actions, found) = go(ours(), text).unwrap();
        let table = |verb| Action::Owner(("d".into(), "t".into()), verb);
        let view = ("d".to_owned(), StoredKind::View, "v".to_owned());
        let code = b"CREATE VIEW `v` AS select `e`.`x`.`a` from `e`.`x`".to_vec();
        let expected = [
            Action::Everyone,
            Action::Database(DatabaseVerb::Create, "d".into()),
            Action::Select("d".into()),
            table(TableVerb::Create),
            table(TableVerb::Insert),
            Action::Stored(StoredStep::Create(view.clone())),
            Action::Stored(StoredStep::Drop(StoredKind::View)),
            Action::Stored(StoredStep::Keep(view.clone(), code, Modes::default())),
            Action::Stored(StoredStep::Run),
        ];
        assert_eq!(actions, expected);
        assert_eq!((found.databases, found.created), (set(&["d"]), set(&["d"])));
        assert_eq!(found.tables.values().next().unwrap().rows, 2);
        assert_eq!(found.stored, [view].into());
    }

    #[test]
    fn our_dump_that_reaches_elsewhere_is_refused() {
        check_refused(ours(), "USE e;", "another database: e");
        check_refused(ours(), "USE mysql;", "another database: mysql");
        check_refused(ours(), "CREATE DATABASE e;", "another database: e");
        check_refused(ours(), "USE d; DROP DATABASE e;", "another database: e");
        check_refused(
            ours(),
            "USE d; INSERT INTO e.t VALUES (1);",
            "e.t lies in another database",
        );
        check_refused(
            ours(),
            "USE d; CREATE VIEW e.v AS SELECT 1;",
            "e.v lies in another database",
        );
        check_refused(
            ours(),
            "CREATE TABLE t (a INT);",
            "before a database is selected",
        );
        check_refused(ours(), "USE d; GRANT ALL ON *.* TO x;", "GRANT ALL");
        check_refused(ours(), "USE d; SHUTDOWN;", "SHUTDOWN");
        check_refused(
            ours(),
            "USE d; SET @mail_backup_code = 'DROP DATABASE e';",
            "no stored code: DROP DATABASE e",
        );
        check_refused(
            ours(),
            "USE d; SET @mail_backup_code = 'CREATE PROCEDURE e.p() SELECT 1';",
            "another database",
        );
        check_refused(
            ours(),
            "USE d; CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1;",
            "no dump of mail-backup says",
        );
        check_refused(
            ours(),
            "USE d; CREATE VIEW v AS SELECT user();",
            "no dump of mail-backup says",
        );
        let rows_after = "USE d; EXECUTE IMMEDIATE @mail_backup_code; INSERT INTO t VALUES (f());";
        check_refused(ours(), rows_after, "after stored code");
    }

    #[test]
    fn a_stock_dump_says_what_it_concerns_or_is_what_its_file_is_called() {
        let (_, found) = go(stock(), "CREATE TABLE t (a INT); INSERT INTO t VALUES (1);").unwrap();
        assert_eq!((found.databases, found.created), (set(&["d"]), set(&[])));
        let (_, found) = go(
            stock(),
            "CREATE DATABASE a; USE a; CREATE TABLE t (a INT); USE b; DROP VIEW v;",
        )
        .unwrap();
        assert_eq!(
            (found.databases, found.created),
            (set(&["a", "b"]), set(&["a"]))
        );
        check_refused(
            stock(),
            "USE a; INSERT INTO e.t VALUES (1);",
            "e.t lies in another database",
        );
        check_refused(
            stock(),
            "LOAD DATA INFILE '/x' INTO TABLE t;",
            "LOAD DATA INFILE",
        );
    }

    #[test]
    fn a_stock_dump_of_everything_leaves_the_server_alone() {
        for name in ["mysql", "information_schema", "Sys"] {
            let (actions, found) = go(
                Rules::Stock(name.into()),
                "DROP TABLE db; CREATE TABLE db (a INT); INSERT INTO db VALUES (f()); SHUTDOWN;",
            )
            .unwrap();
            assert_eq!(actions, [const { Action::Nobody }; 4]);
            assert_eq!(found.databases, set(&[]));
        }
        let text = "CREATE DATABASE mysql; USE mysql; DROP TABLE user; INSERT INTO user VALUES (1); FLUSH PRIVILEGES;
                    USE a; CREATE TABLE t (a INT);";
        let (actions, found) = go(stock(), text).unwrap();
        assert_eq!(actions[..5], [const { Action::Nobody }; 5]);
        assert_eq!(found.databases, set(&["a"]));
        assert_eq!(
            found.passed_over,
            set(&["database mysql", "statement FLUSH PRIVILEGES"])
        );
    }

    #[test]
    fn a_dump_that_acts_elsewhere_is_refused() {
        for (text, expected) in [
            (
                "INSERT INTO t VALUES (LOAD_FILE('/x'));",
                "an expression: LOAD_FILE(",
            ),
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO GRANT ALL ON *.* TO x;",
                "event e reaches beyond its database: GRANT",
            ),
            (
                "CREATE VIEW v AS SELECT * FROM mysql.user;",
                "view v names a database of the server: mysql",
            ),
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO EXECUTE IMMEDIATE 'x';",
                "runs statements out of strings",
            ),
            (
                "CREATE PROCEDURE p() EXECUTE IMMEDIATE @x; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO CALL p();",
                "event e calls a procedure by itself",
            ),
            (
                "CREATE TABLE t (a INT DEFAULT nextval(other.s));",
                "names another database: other",
            ),
            (
                "CREATE TABLE t (a INT) ENGINE=MRG_MyISAM UNION=(other.secret);",
                "names another database: other",
            ),
        ] {
            check_refused(stock(), text, expected);
        }
        let foreign =
            "CREATE TABLE t (a INT, CONSTRAINT c FOREIGN KEY (a) REFERENCES `other`.`x` (`id`));";
        assert_eq!(go(stock(), foreign).unwrap().1.referenced, set(&["other"]));
        let trigger = "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW DELETE FROM other.secret;";
        assert_eq!(
            go(stock(), trigger).unwrap().1.reached,
            [("trigger r".to_owned(), set(&["other"]))]
        );
    }

    #[test]
    fn accounts_are_made_and_nothing_else() {
        let text = "SET NAMES utf8mb4; INSTALL PLUGIN IF NOT EXISTS x SONAME 'y'; CREATE USER IF NOT EXISTS `u`@`h`;
                    CREATE ROLE r; GRANT SELECT ON d.* TO `u`@`h`; SET DEFAULT ROLE r FOR `u`@`h`;";
        assert_eq!(
            go(Rules::Accounts, text).unwrap().0,
            [const { Action::Alone }; 6]
        );
        for text in [
            "USE d;",
            "DROP USER u;",
            "SET GLOBAL a=1;",
            "CREATE TABLE t (a INT);",
            "CREATE SERVER s;",
        ] {
            check_refused(Rules::Accounts, text, "accounts are not saved by");
        }
    }
}
