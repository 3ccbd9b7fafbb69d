//! What a statement does, as far as loading must know: whom it concerns, and whether a dump may say
//! it at all.
//!
//! The list is one of what is allowed. Names of other databases are seen here; what a stored
//! function does when a row calls it is not.

use super::modes::Modes;
use super::settings::{self, Setting};
use super::statement::Statement;
use super::text::unescaped;
use super::token::{Reading, Token, Tokens, is_skipped};

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sets something of the session.
    Session,
    /// As [`Kind::Session`]: a variable that will be run by EXECUTE IMMEDIATE.
    Code(Vec<u8>),
    /// Selects a database.
    Use(String),
    /// Makes, changes or drops a database.
    Database(DatabaseVerb, String),
    /// Concerns one table and no other.
    Table(TableVerb, Named),
    /// Concerns a sequence, or a table as others may depend on it.
    Object(Named),
    /// Makes or drops a view, a trigger, a routine or an event.
    Stored(StoredVerb, StoredKind, Named),
    /// Runs the variable of [`Kind::Code`].
    RunCode,
    /// Locks and transactions, which are the loader's own business.
    Superfluous,
    /// Has no effect but an answer that nobody reads, or is for another server, by these words.
    Idle(String),
    /// Concerns accounts or the server, by these words.
    Server(String),
    /// No dump says this.
    Foreign(String),
}

/// What becomes of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatabaseVerb {
    Create,
    Alter,
    Drop,
}

/// What becomes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableVerb {
    Create,
    Drop,
    Insert,
    /// DELETE of all rows.
    Empty,
    /// DISABLE KEYS, ENABLE KEYS.
    Keys,
}

/// What becomes of a stored object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredVerb {
    Create,
    Drop,
}

/// What the database keeps beside tables and sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StoredKind {
    View,
    Trigger,
    /// A procedure, a function or a package.
    Routine,
    Event,
}

/// A name, perhaps with the database before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) database: Option<String>,
    pub(super) name: String,
}

/// The variable in which a dump of mail-backup keeps stored code.
const CODE_VARIABLE: &str = "mail_backup_code";

/// What may follow the first executable comment of a statement that consists of several.
const CONTINUATIONS: [&str; 10] = [
    "DEFINER",
    "SQL",
    "VIEW",
    "TRIGGER",
    "EVENT",
    "PROCEDURE",
    "FUNCTION",
    "ALGORITHM",
    "PACKAGE",
    "WITH",
];

/// The kinds of objects beside tables; `None` is a sequence.
const OBJECTS: [(&str, Option<StoredKind>); 7] = [
    ("VIEW", Some(StoredKind::View)),
    ("TRIGGER", Some(StoredKind::Trigger)),
    ("PROCEDURE", Some(StoredKind::Routine)),
    ("FUNCTION", Some(StoredKind::Routine)),
    ("EVENT", Some(StoredKind::Event)),
    ("SEQUENCE", None),
    ("PACKAGE", Some(StoredKind::Routine)),
];

/// How many words of a statement are quoted in messages.
const QUOTED_BYTES: usize = 60;

impl Kind {
    /// That of `statement`. It is the same for servers that run its executable comments and for
    /// those that skip them.
    pub(super) fn of(statement: &Statement) -> Self {
        if is_skipped(&statement.text) {
            return Self::Idle(first_words(&statement.text));
        }
        let run = Self::read(&statement.text, Reading::Run, statement.modes);
        let is_plain = memchr::memmem::find(&statement.text, b"/*").is_none();
        if is_plain || has_one_meaning(statement, &run) {
            return run;
        }
        Self::Foreign(first_words(&statement.text))
    }

    fn read(text: &[u8], reading: Reading, modes: Modes) -> Self {
        let mut words = Words(Tokens::new(text, reading, modes));
        let foreign = || Self::Foreign(first_words(text));
        let server = || Self::Server(first_words(text));
        let Some(Token::Word(verb)) = words.next() else {
            return foreign();
        };
        let kind = match verb.to_ascii_uppercase().as_slice() {
            b"INSERT" | b"REPLACE" => words.insert(),
            b"SET" => return set(words, text, modes),
            b"USE" => words.name().map(|named| Self::Use(named.name)),
            b"CREATE" => return create(words, text),
            b"ALTER" => return alter(words, text),
            b"DROP" => return drop_object(words, text),
            b"TRUNCATE" => {
                words.accept("TABLE");
                words
                    .name()
                    .map(|table| Self::Table(TableVerb::Empty, table))
            }
            b"DO" => words.set_value().map(Self::Object),
            b"SELECT" => return select(words, text),
            b"DELETE" => words.delete_all(),
            b"SHOW" | b"CHECK" | b"CHECKSUM" | b"OPTIMIZE" | b"REPAIR" | b"DESCRIBE"
            | b"EXPLAIN" | b"DESC" => Some(Self::Idle(first_words(text))),
            b"EXECUTE" => words.is_run_code().then_some(Self::RunCode),
            b"LOCK" | b"UNLOCK" | b"COMMIT" => Some(Self::Superfluous),
            b"START" if words.accept("TRANSACTION") => Some(Self::Superfluous),
            b"BEGIN" => words.next().is_none().then_some(Self::Superfluous),
            b"GRANT" | b"REVOKE" | b"FLUSH" | b"INSTALL" | b"UNINSTALL" | b"CHANGE"
            | b"ANALYZE" | b"START" | b"STOP" | b"RESET" | b"PURGE" => return server(),
            _ => None,
        };
        kind.unwrap_or_else(foreign)
    }
}

/// Whether every server sees the statement that `run` is, whichever executable comments it skips.
fn has_one_meaning(statement: &Statement, run: &Kind) -> bool {
    let Statement { text, modes, .. } = statement;
    let has_code_outside = Tokens::new(text, Reading::Skip, *modes).next().is_some();
    if has_code_outside && !matches!(run, Kind::Code(_)) {
        return begins_outside(text, *modes) && *run == Kind::read(text, Reading::Skip, *modes);
    }
    let mut before = Token::Symbol(b' ');
    let mut comments = 0;
    Tokens::new(text, Reading::Run, *modes).all(|token| {
        let follows = |words: &[&str]| words.iter().any(|word| token.is_word(word));
        let is_good = match before {
            Token::Open if comments > 1 => token == Token::Close || follows(&CONTINUATIONS),
            // WITH CHECK OPTION goes on, while WITH and a name would begin a query.
            Token::Word(_) if before.is_word("WITH") && comments > 1 => {
                follows(&["CASCADED", "LOCAL", "CHECK"])
            }
            _ => true,
        };
        comments += u32::from(token == Token::Open);
        before = token;
        is_good
    })
}

fn begins_outside(text: &[u8], modes: Modes) -> bool {
    !matches!(
        Tokens::new(text, Reading::Run, modes).next(),
        Some(Token::Open) | None
    )
}

/// SETVAL of a sequence, or an answer that nobody reads. Into a file it would be one that somebody
/// does.
fn select(words: Words<'_>, text: &[u8]) -> Kind {
    if let Some(sequence) = words.clone().set_value() {
        return Kind::Object(sequence);
    }
    let mut words = words;
    let reaches = [
        "INTO",
        "SETVAL",
        "NEXTVAL",
        "NEXT",
        "LASTVAL",
        "LOAD_FILE",
        "GET_LOCK",
    ];
    if words.any(|word| reaches.iter().any(|reach| word.is_word(reach))) {
        return Kind::Foreign(first_words(text));
    }
    Kind::Idle(first_words(text))
}

fn set(mut words: Words<'_>, text: &[u8], modes: Modes) -> Kind {
    if let Some(code) = words.clone().code() {
        return Kind::Code(code);
    }
    if words.accept("STATEMENT") {
        return Kind::Foreign(first_words(text));
    }
    let is_server = |word: &Token<'_>| {
        ["GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "ROLE"]
            .iter()
            .any(|name| word.is_word(name))
    };
    if words.clone().any(|word| is_server(&word)) {
        return Kind::Server(first_words(text));
    }
    if words.any(|word| word.is_word("AUTOCOMMIT")) {
        return Kind::Superfluous;
    }
    match settings::judge(text, modes) {
        Setting::Run => Kind::Session,
        Setting::PassOver => Kind::Idle(first_words(text)),
        Setting::Foreign => Kind::Foreign(first_words(text)),
    }
}

fn create(mut words: Words<'_>, text: &[u8]) -> Kind {
    let foreign = || Kind::Foreign(first_words(text));
    if words.accept("OR") {
        words.next();
    }
    if words.accept("DATABASE") || words.accept("SCHEMA") {
        return words.name().map_or_else(foreign, |named| {
            Kind::Database(DatabaseVerb::Create, named.name)
        });
    }
    if ["USER", "ROLE", "SERVER"]
        .iter()
        .any(|what| words.accept(what))
    {
        return Kind::Server(first_words(text));
    }
    if words.accept("TABLE") {
        let Some(table) = words.name() else {
            return foreign();
        };
        return table_definition(words, table, text);
    }
    if ["INDEX", "UNIQUE", "FULLTEXT", "SPATIAL"]
        .iter()
        .any(|kind| words.accept(kind))
    {
        // CREATE INDEX i USING BTREE ON t (a)
        let found = words.by_ref().take(8).any(|word| word.is_word("ON"));
        return match words.name().filter(|_| found) {
            Some(table) => Kind::Object(table),
            None => foreign(),
        };
    }
    // Before the kind stand definer, algorithm, security.
    let Some((kind, stored)) = words.by_ref().take(24).find_map(|word| object_kind(&word)) else {
        return foreign();
    };
    words.accept("BODY");
    let Some(object) = words.name() else {
        return foreign();
    };
    // A loadable function is code of the server's machine.
    if kind == "FUNCTION" && words.take(6).any(|word| word.is_word("SONAME")) {
        return Kind::Server(first_words(text));
    }
    match stored {
        Some(stored) => Kind::Stored(StoredVerb::Create, stored, object),
        None => Kind::Object(object),
    }
}

fn object_kind(word: &Token<'_>) -> Option<(&'static str, Option<StoredKind>)> {
    OBJECTS.into_iter().find(|(kind, _)| word.is_word(kind))
}

/// What a table may not have: rows of a query, files that lie elsewhere, another server. LIKE
/// depends on another table.
fn table_definition(words: Words<'_>, table: Named, text: &[u8]) -> Kind {
    let rest: Vec<_> = words.collect();
    let has = |wanted: &[&str]| {
        rest.iter()
            .any(|word| wanted.iter().any(|known| word.is_word(known)))
    };
    let follows = |first: &str, second: &str| {
        rest.windows(2)
            .any(|pair| pair[0].is_word(first) && pair[1].is_word(second))
    };
    if has(&["SELECT", "LOAD_FILE"])
        || follows("DATA", "DIRECTORY")
        || follows("INDEX", "DIRECTORY")
    {
        return Kind::Foreign(format!(
            "{} (a query, or files elsewhere)",
            first_words(text)
        ));
    }
    if rest.first() == Some(&Token::Symbol(b'(')) && !has(&["LIKE"]) {
        Kind::Table(TableVerb::Create, table)
    } else {
        Kind::Object(table)
    }
}

fn alter(mut words: Words<'_>, text: &[u8]) -> Kind {
    let foreign = || Kind::Foreign(first_words(text));
    if words.accept("DATABASE") || words.accept("SCHEMA") {
        return words.name().map_or_else(foreign, |named| {
            Kind::Database(DatabaseVerb::Alter, named.name)
        });
    }
    if !words.accept("TABLE") {
        return foreign();
    }
    let Some(table) = words.name() else {
        return foreign();
    };
    let mut keys = words.clone();
    if (keys.accept("DISABLE") || keys.accept("ENABLE"))
        && keys.accept("KEYS")
        && keys.next().is_none()
    {
        return Kind::Table(TableVerb::Keys, table);
    }
    match words.any(|word| word.is_word("RENAME") || word.is_word("EXCHANGE")) {
        true => foreign(),
        false => Kind::Object(table),
    }
}

fn drop_object(mut words: Words<'_>, text: &[u8]) -> Kind {
    let foreign = || Kind::Foreign(first_words(text));
    if words.accept("DATABASE") || words.accept("SCHEMA") {
        return words.name().map_or_else(foreign, |named| {
            Kind::Database(DatabaseVerb::Drop, named.name)
        });
    }
    let is_table = words.accept("TABLE");
    let found = OBJECTS.iter().find(|(kind, _)| words.accept(kind));
    if !is_table && found.is_none() {
        return foreign();
    }
    words.accept("BODY");
    let stored = found.and_then(|(_, stored)| *stored);
    match (words.name(), words.next(), stored) {
        (Some(table), None, _) if is_table => Kind::Table(TableVerb::Drop, table),
        (Some(object), None, Some(stored)) => Kind::Stored(StoredVerb::Drop, stored, object),
        (Some(object), None, None) => Kind::Object(object),
        _ => foreign(),
    }
}

/// Tokens without the ends of executable comments, one ahead of the reader where that is asked for.
#[derive(Clone)]
struct Words<'a>(Tokens<'a>);

impl<'a> Iterator for Words<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.0
            .by_ref()
            .find(|token| !matches!(token, Token::Open | Token::Close))
    }
}

impl Words<'_> {
    /// Passes over `word`, if it is next.
    fn accept(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let is_next = ahead.next().is_some_and(|token| token.is_word(word));
        if is_next {
            *self = ahead;
        }
        is_next
    }

    /// A name, after IF EXISTS or IF NOT EXISTS.
    fn name(&mut self) -> Option<Named> {
        if self.accept("IF") {
            self.accept("NOT");
            self.accept("EXISTS");
        }
        let first = self.next()?.name()?;
        let mut ahead = self.clone();
        if ahead.next() != Some(Token::Symbol(b'.')) {
            return Some(Named {
                database: None,
                name: first,
            });
        }
        let name = ahead.next()?.name()?;
        *self = ahead;
        Some(Named {
            database: Some(first),
            name,
        })
    }

    /// INSERT, with values: with a query it would depend on other tables.
    fn insert(&mut self) -> Option<Kind> {
        for option in ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"] {
            self.accept(option);
        }
        self.accept("INTO");
        let table = self.name()?;
        let mut depth = 0;
        let values = self.by_ref().find(|token| {
            match token {
                Token::Symbol(b'(') => depth += 1,
                Token::Symbol(b')') => depth -= 1,
                _ => {}
            }
            depth == 0 && *token != Token::Symbol(b')')
        })?;
        let is_values = values.is_word("VALUES") || values.is_word("VALUE");
        is_values.then_some(Kind::Table(TableVerb::Insert, table))
    }

    /// `SETVAL(sequence, ...)`, and nothing that takes the answer elsewhere.
    fn set_value(&mut self) -> Option<Named> {
        let is_call = self.accept("SETVAL") && self.next() == Some(Token::Symbol(b'('));
        let sequence = self.name().filter(|_| is_call)?;
        let mut rest = self.skip_while(|token| *token != Token::Symbol(b')'));
        (rest.next().is_some() && rest.next().is_none()).then_some(sequence)
    }

    /// `DELETE FROM table`, and nothing that chooses rows.
    fn delete_all(&mut self) -> Option<Kind> {
        let table = self.accept("FROM").then(|| self.name()).flatten()?;
        self.next()
            .is_none()
            .then_some(Kind::Table(TableVerb::Empty, table))
    }

    fn is_run_code(&mut self) -> bool {
        self.accept("IMMEDIATE")
            && self.next() == Some(Token::Symbol(b'@'))
            && self.accept(CODE_VARIABLE)
            && self.next().is_none()
    }

    /// The value of `@mail_backup_code = '...'`.
    fn code(&mut self) -> Option<Vec<u8>> {
        let is_code = self.next()? == Token::Symbol(b'@')
            && self.accept(CODE_VARIABLE)
            && self.next()? == Token::Symbol(b'=');
        match (is_code, self.next()?, self.next()) {
            (true, Token::Text(text), None) => Some(unescaped(text, b'\'', Modes::default())),
            (true, Token::Word(digits), None) => bytes_of(digits.strip_prefix(b"0x")?),
            _ => None,
        }
    }
}

/// What hexadecimal digits mean.
fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| u8::try_from(digit(&pair[0])? * 16 + digit(&pair[1])?).ok())
        .collect()
}

/// The beginning of a statement, for messages. It stops at the first value, which nobody else need
/// read.
pub(super) fn first_words(text: &[u8]) -> String {
    let end = memchr::memchr3(b'\'', b'"', b'\n', text).unwrap_or(text.len());
    let text = String::from_utf8_lossy(&text[..end.min(4 * QUOTED_BYTES)])
        .trim_end()
        .to_owned();
    match text.char_indices().nth(QUOTED_BYTES) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Kind {
        let text = text.as_bytes().to_vec();
        Kind::of(&Statement {
            text,
            line: 1,
            has_semicolon: false,
            modes: Modes::default(),
        })
    }

    fn named(name: &str) -> Named {
        match name.split_once('.') {
            Some((database, name)) => Named {
                database: Some(database.into()),
                name: name.into(),
            },
            None => Named {
                database: None,
                name: name.into(),
            },
        }
    }

    #[track_caller]
    fn check(texts: &[&str], expected: &Kind) {
        for text in texts {
            assert_eq!(of(text), *expected, "{text}");
        }
    }

    #[test]
    fn tables_have_statements_of_their_own() {
        let table = |verb| Kind::Table(verb, named("t"));
        let inserts = [
            "INSERT INTO `t` VALUES (1)",
            "insert ignore into t (a, `b)`) values (')')",
            "REPLACE INTO `t` VALUES(1)",
        ];
        check(&inserts, &table(TableVerb::Insert));
        check(
            &[
                "CREATE TABLE `t` (a INT)",
                "CREATE TABLE IF NOT EXISTS t(a INT)",
            ],
            &table(TableVerb::Create),
        );
        check(&["DROP TABLE IF EXISTS `t`"], &table(TableVerb::Drop));
        check(
            &["/*!40000 ALTER TABLE `t` DISABLE KEYS */"],
            &table(TableVerb::Keys),
        );
        check(
            &["INSERT INTO `o``d`.t VALUES (1)"],
            &Kind::Table(TableVerb::Insert, named("o`d.t")),
        );
    }

    #[test]
    fn objects_that_others_depend_on() {
        let stored = |verb, kind, texts: &[&str]| {
            check(texts, &Kind::Stored(verb, kind, named("v")));
        };
        let drops = [
            "DROP VIEW IF EXISTS `v`",
            "/*!50001 DROP VIEW IF EXISTS `v`*/",
        ];
        stored(StoredVerb::Drop, StoredKind::View, &drops);
        let views = [
            "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50013 DEFINER=`r`@`h` SQL SECURITY DEFINER */ /*!50001 VIEW `v` AS select 1 */ /*!50002 WITH CASCADED CHECK OPTION */",
        ];
        stored(StoredVerb::Create, StoredKind::View, &views);
        let triggers = [
            "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`h`*/ /*!50003 TRIGGER v BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1 */",
        ];
        stored(StoredVerb::Create, StoredKind::Trigger, &triggers);
        let routines = [
            "CREATE DEFINER=`r`@`h` PROCEDURE `v`() SELECT 1",
            "CREATE OR REPLACE AGGREGATE FUNCTION IF NOT EXISTS v (x INT) RETURNS INT RETURN 1",
            "CREATE PACKAGE BODY v AS END",
        ];
        stored(StoredVerb::Create, StoredKind::Routine, &routines);
        let objects = [
            "CREATE TABLE v LIKE w",
            "CREATE INDEX i ON v (a)",
            "CREATE SEQUENCE `v` START WITH 1",
            "SELECT SETVAL(`v`, 1, 0)",
            "DO SETVAL(`v`, 5, 0, 1)",
            "ALTER TABLE v ADD KEY (a)",
        ];
        check(&objects, &Kind::Object(named("v")));
        check(
            &["CREATE VIEW other.v AS SELECT 1"],
            &Kind::Stored(StoredVerb::Create, StoredKind::View, named("other.v")),
        );
    }

    #[test]
    fn databases_are_named() {
        check(&["USE `a b`"], &Kind::Use("a b".into()));
        let create = [
            "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `d` /*!40100 DEFAULT CHARACTER SET latin1 */",
            "create schema d",
        ];
        check(&create, &Kind::Database(DatabaseVerb::Create, "d".into()));
        check(
            &["/*!40000 DROP DATABASE IF EXISTS `d`*/"],
            &Kind::Database(DatabaseVerb::Drop, "d".into()),
        );
        check(
            &["ALTER DATABASE `d` COLLATE x"],
            &Kind::Database(DatabaseVerb::Alter, "d".into()),
        );
    }

    #[test]
    fn sessions_and_stored_code() {
        check(
            &[
                "SET NAMES utf8mb4",
                "/*!40101 SET @a=@@SQL_MODE, SQL_MODE='x' */",
                "SET @x = 'GLOBAL'",
            ],
            &Kind::Session,
        );
        check(
            &[r"SET @mail_backup_code = 'it\'s \\ \0'"],
            &Kind::Code(b"it's \\ \0".to_vec()),
        );
        check(&["EXECUTE IMMEDIATE @mail_backup_code"], &Kind::RunCode);
        check(
            &[
                "LOCK TABLES `t` WRITE",
                "UNLOCK TABLES",
                "COMMIT",
                "START TRANSACTION",
                "BEGIN",
                "SET autocommit=0",
            ],
            &Kind::Superfluous,
        );
    }

    #[test]
    fn what_has_no_effect_is_idle() {
        for text in [
            "SELECT 'loading' AS INFO",
            "/*!50717 SELECT COUNT(*) INTO @rocks FROM x */",
            "/*!50717 PREPARE s FROM @rocks_get */",
            "SET @@SESSION.SQL_LOG_BIN= 0",
            "SHOW WARNINGS",
            "OPTIMIZE TABLE t",
        ] {
            assert!(matches!(of(text), Kind::Idle(_)), "{text}: {:?}", of(text));
        }
        check(
            &["DELETE FROM `t`", "TRUNCATE TABLE t"],
            &Kind::Table(TableVerb::Empty, named("t")),
        );
        check(
            &["SET @mail_backup_code = 0x41FF"],
            &Kind::Code(b"A\xff".to_vec()),
        );
    }

    #[test]
    fn what_concerns_the_server_is_told_apart() {
        for text in [
            "GRANT ALL ON *.* TO x",
            "CREATE USER x",
            "SET GLOBAL a=1",
            "SET @a=1, @@GLOBAL.b=2",
            "SET PASSWORD = 'x'",
            "FLUSH PRIVILEGES",
            "CHANGE MASTER TO MASTER_LOG_FILE='x'",
            "CREATE FUNCTION f RETURNS STRING SONAME 'x.so'",
            "INSTALL PLUGIN x SONAME 'y'",
            "SET DEFAULT ROLE x",
            "STOP ALL SLAVES",
            "START SLAVE",
            "RESET MASTER",
        ] {
            assert!(
                matches!(of(text), Kind::Server(_)),
                "{text}: {:?}",
                of(text)
            );
        }
    }

    #[test]
    fn what_no_dump_says_is_foreign() {
        for text in [
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
            "SELECT 1 INTO OUTFILE '/x'",
            "SELECT SETVAL(a, 1) INTO @x",
            "SHUTDOWN",
            "KILL 1",
            "CALL p()",
            "UPDATE t SET a=1",
            "RENAME TABLE a TO b.c",
            "EXECUTE IMMEDIATE @x",
            "EXECUTE IMMEDIATE 'DROP DATABASE x'",
            "PREPARE s FROM 'x'",
            "SET STATEMENT a=1 FOR DROP DATABASE x",
            "BEGIN NOT ATOMIC DROP DATABASE x",
            "DROP TABLE a, other.b",
            "ALTER TABLE a RENAME TO other.a",
            "ALTER TABLE a DISABLE KEYS, RENAME TO other.a",
            "HANDLER t OPEN",
            "INSERT INTO t SELECT * FROM other.t",
            "CREATE TABLE t (a INT) SELECT 1",
            "CREATE TABLE t (a TEXT DEFAULT (LOAD_FILE('/x')))",
            "CREATE TABLE t (a INT) ENGINE=MyISAM DATA DIRECTORY='/x'",
            "SELECT 1 INTO @x",
            "DELETE FROM t WHERE a = 1",
            "DROP USER x",
            "'x'",
            "",
        ] {
            assert!(
                matches!(of(text), Kind::Foreign(_)),
                "{text}: {:?}",
                of(text)
            );
        }
    }

    #[test]
    fn what_servers_read_differently_is_foreign() {
        for text in [
            "/*!999999 SET @x=1 */ DROP DATABASE y",
            "/*!999999 SET @x=1, */ /*!40000 DROP DATABASE y */",
            "INSERT INTO /*!999999 t VALUES (1) -- */ other.t VALUES (1)",
            "DROP TABLE /*!999999 t */ /*!40000 x */",
            "/*!999999 DROP VIEW */ /*!40000 WITH x AS (SELECT 1) SELECT * FROM x INTO OUTFILE '/x' */",
            "CREATE DATABASE /*!999999 a */ b",
        ] {
            assert!(
                matches!(of(text), Kind::Foreign(_)),
                "{text}: {:?}",
                of(text)
            );
        }
    }

    #[test]
    fn messages_quote_the_beginning_and_no_value() {
        assert_eq!(
            first_words(b"INSERT INTO t VALUES ('secret')"),
            "INSERT INTO t VALUES ("
        );
        assert_eq!(
            first_words("é".repeat(90).as_bytes()),
            format!("{}...", "é".repeat(60))
        );
    }
}
