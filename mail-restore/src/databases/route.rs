//! What to do with each statement of a dump, one after the other: who runs it, and whether it may
//! be run at all.
//!
//! Reading a dump a second time gives the same answers, so that what was found before loading holds
//! while loading.

use std::collections::BTreeSet;

use mail_mysql::is_of_the_server;

use super::kind::{DatabaseVerb, Kind, Named, TableVerb, first_words};
use super::sql_mode::Modes;
use super::statement::Statement;
use super::token::{Reading, Token, Tokens};

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

/// A table, with the database that was selected.
pub(super) type TableKey = (String, String);

/// Who runs a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Every connection.
    Everyone,
    /// The connection that has the table.
    Owner(TableKey, TableVerb),
    /// One connection, when all others are idle.
    Alone,
    /// Nobody.
    Nobody,
}

/// What a dump turned out to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The databases that it concerns.
    pub(super) databases: BTreeSet<String>,
    /// That of them which it does not select, since the file is called so.
    pub(super) implied: Option<String>,
    /// Those of them that it makes itself.
    pub(super) created: BTreeSet<String>,
    /// Databases that its views and stored code name.
    pub(super) mentioned: BTreeSet<String>,
    /// CREATE TABLE statements.
    pub(super) tables: u64,
    /// What is not loaded: the server's own databases, and statements about the server.
    pub(super) passed_over: BTreeSet<String>,
}

/// Goes through a dump.
#[derive(Debug)]
pub(super) struct Route {
    rules: Rules,
    database: Option<String>,
    has_run_code: bool,
    found: Found,
}

/// Why a statement may not be run.
type Refusal = String;

impl Route {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            database: None,
            has_run_code: false,
            found: Found::default(),
        }
    }

    pub(super) fn into_found(self) -> Found {
        self.found
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
            Kind::Server(words) => self.server_statement(&words),
            Kind::Session => Ok(Action::Everyone),
            _ if self.database.as_deref().is_some_and(is_of_the_server) => Ok(Action::Nobody),
            Kind::Code(code) => self.code(&code),
            Kind::Table(verb, table) => self.table(verb, table),
            Kind::Object(object) => self.object(&object, &statement.text, statement.modes),
            Kind::RunCode => {
                self.has_run_code = true;
                Ok(Action::Alone)
            }
            Kind::Foreign(words) => Err(format!("no dump of a database says: {words}")),
        }
    }

    fn select(&mut self, database: String) -> Result<Action, Refusal> {
        let action = self.concern(&database)?;
        self.database = Some(database);
        Ok(if action == Action::Nobody {
            Action::Nobody
        } else {
            Action::Everyone
        })
    }

    fn database_statement(
        &mut self,
        verb: DatabaseVerb,
        database: String,
    ) -> Result<Action, Refusal> {
        let action = self.concern(&database)?;
        if verb == DatabaseVerb::Create && action != Action::Nobody {
            self.found.created.insert(database);
        }
        Ok(action)
    }

    /// Notes that the dump concerns `database`, if it may.
    fn concern(&mut self, database: &str) -> Result<Action, Refusal> {
        match &self.rules {
            Rules::Ours(own) if own != database => Err(format!(
                "this is the dump of {own}, and it speaks of another database: {database}"
            )),
            Rules::Stock(_) if is_of_the_server(database) => {
                self.found
                    .passed_over
                    .insert(format!("database {database}"));
                Ok(Action::Nobody)
            }
            _ => {
                self.found.databases.insert(database.to_owned());
                Ok(Action::Alone)
            }
        }
    }

    fn server_statement(&mut self, words: &str) -> Result<Action, Refusal> {
        match self.rules {
            Rules::Stock(_) => {
                self.found.passed_over.insert(format!("statement {words}"));
                Ok(Action::Nobody)
            }
            _ => Err(format!("no dump of a database says: {words}")),
        }
    }

    /// The stored code in a string, which is run by a later statement: it may only make an object.
    fn code(&mut self, code: &[u8]) -> Result<Action, Refusal> {
        // Names in it are quoted as the SQL mode asks in which it was made.
        let modes = [Modes::default(), Modes::ansi_quotes()];
        let object = modes.into_iter().find_map(|modes| {
            let statement = Statement {
                text: code.to_vec(),
                line: 0,
                has_semicolon: false,
                modes,
            };
            match Kind::of(&statement) {
                Kind::Object(object) => Some((object, modes)),
                _ => None,
            }
        });
        let Some((object, modes)) = object else {
            return Err(format!("no stored code: {}", first_words(code)));
        };
        self.object(&object, code, modes)?;
        Ok(Action::Everyone)
    }

    fn object(&mut self, object: &Named, text: &[u8], modes: Modes) -> Result<Action, Refusal> {
        self.selected(object)?;
        mention(text, modes, &mut self.found.mentioned);
        Ok(Action::Alone)
    }

    fn table(&mut self, verb: TableVerb, table: Named) -> Result<Action, Refusal> {
        let database = self.selected(&table)?;
        if verb == TableVerb::Insert && self.has_run_code {
            return Err(format!(
                "rows of {} after stored code, which they might call",
                table.name
            ));
        }
        self.found.tables += u64::from(verb == TableVerb::Create);
        Ok(Action::Owner((database, table.name), verb))
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
            _ => Ok(database),
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

/// Collects what stands before a dot: databases, tables and aliases.
fn mention(text: &[u8], modes: Modes, mentioned: &mut BTreeSet<String>) {
    let mut before = None;
    for token in Tokens::new(text, Reading::Run, modes) {
        let name = token.name();
        if token == Token::Symbol(b'.') {
            mentioned.extend(before.take());
        }
        before = name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::databases::statement::StatementReader;

    fn go(rules: Rules, text: &str) -> Result<(Vec<Action>, Found), String> {
        let (mut reader, mut route) = (StatementReader::new(text.as_bytes()), Route::new(rules));
        let mut actions = Vec::new();
        while let Some(statement) = reader.next().unwrap() {
            actions.push(route.next(&statement)?);
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
        let text = "SET a=1; CREATE DATABASE d; USE d; CREATE TABLE t (a INT); INSERT INTO t VALUES (1);
                    SET @mail_backup_code = 'CREATE VIEW `v` AS select `e`.`x`.`a` from `e`.`x`'; EXECUTE IMMEDIATE @mail_backup_code;";
        let (actions, found) = go(ours(), text).unwrap();
        let table = |verb| Action::Owner(("d".into(), "t".into()), verb);
        let (create, insert) = (table(TableVerb::Create), table(TableVerb::Insert));
        let everyone = Action::Everyone;
        let expected = [
            everyone.clone(),
            Action::Alone,
            everyone.clone(),
            create,
            insert,
            everyone,
            Action::Alone,
        ];
        assert_eq!(actions, expected);
        assert_eq!(
            (found.databases, found.created, found.tables),
            (set(&["d"]), set(&["d"]), 1)
        );
        assert!(found.mentioned.contains("e"));
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
