//! What a server holds: its databases, and the objects of each with their definitions.
//!
//! Names come from information_schema, definitions from SHOW CREATE. Comparisons there ignore case
//! and accents, so queries that go by database compare bytes as well.

use crate::error::{Cause, Error};
use crate::privilege::Privileges;
use crate::scratch;
use crate::script::{StoredCode, literal, name};
use crate::session::{Cells, Session};

/// The server's own databases, which it makes itself.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// The databases of a run.
#[derive(Debug, Default)]
pub struct Databases {
    /// Their names, sorted.
    pub names: Vec<String>,
    /// Why there may be others that the account cannot see.
    pub missing: Vec<String>,
}

/// A table with rows of its own.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Empty when the server cannot open the table.
    pub(crate) engine: String,
    pub(crate) versioning: Versioning,
}

/// Whether a table keeps the history of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versioning {
    None,
    System,
}

/// A column, visible or not.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Such as `varchar`.
    pub(crate) data_type: String,
    /// Such as `enum('a','b')`.
    pub(crate) column_type: String,
    /// Empty where the type has none.
    pub(crate) character_set: String,
    pub(crate) origin: Origin,
}

impl Column {
    /// The server shows the members of an ENUM or SET as text: bytes that are none become question
    /// marks.
    pub(crate) fn has_lost_members(&self) -> bool {
        let is_list = self.data_type == "enum" || self.data_type == "set";
        is_list && self.character_set == "binary" && self.column_type.contains('?')
    }
}

/// Where the values of a column come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// They are stored.
    Stored,
    /// The server computes them.
    Generated,
    /// The server keeps the row's period in it.
    RowPeriod,
}

/// The kinds of stored code, as SHOW CREATE names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CodeKind {
    Trigger,
    Event,
    /// PROCEDURE, FUNCTION, PACKAGE or PACKAGE BODY.
    Routine(String),
}

/// Stored code by name.
#[derive(Clone, Debug)]
pub(crate) struct CodeName {
    pub(crate) kind: CodeKind,
    pub(crate) name: String,
}

/// Every object of one database.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) tables: Vec<Table>,
    pub(crate) sequences: Vec<String>,
    pub(crate) views: Vec<String>,
    pub(crate) routines: Vec<CodeName>,
    pub(crate) triggers: Vec<CodeName>,
    pub(crate) events: Vec<CodeName>,
}

/// Whether `database` is one that the server makes itself and no dump holds.
#[must_use]
pub fn is_of_the_server(database: &str) -> bool {
    SYSTEM
        .iter()
        .any(|name| name.eq_ignore_ascii_case(database))
}

/// The databases named in `wanted`, or all but the system's when it is empty.
///
/// # Errors
/// When a wanted one is not there, or the server does not answer.
pub fn databases(session: &mut Session, wanted: &[String]) -> Result<Databases, Error> {
    let visible = visible_databases(session).map_err(|source| Error::List {
        what: "databases".into(),
        source,
    })?;
    if let Some(absent) = wanted.iter().find(|name| !visible.contains(name)) {
        return Err(Error::NoDatabase {
            database: absent.clone(),
        });
    }
    if !wanted.is_empty() {
        let names = visible
            .into_iter()
            .filter(|name| wanted.contains(name))
            .collect();
        return Ok(Databases {
            names,
            missing: Vec::new(),
        });
    }
    let (of_restores, visible): (Vec<_>, Vec<_>) = visible
        .into_iter()
        .partition(|name| scratch::is_scratch(name));
    let names = visible
        .into_iter()
        .filter(|name| !is_of_the_server(name))
        .collect();
    let listed = |what: &str| {
        let what = what.to_owned();
        |source| Error::List { what, source }
    };
    let mut missing = unseen_databases(session).map_err(listed("privileges"))?;
    missing.extend(old_names(session).map_err(listed("databases"))?);
    missing.extend(of_restores.first().map(|name| {
        format!(
            "a restore is at work, or was killed while it exchanged databases ({name}): \
             what is in them may be of before or after; the next run of mail-restore with the \
             component mysql puts it right first"
        )
    }));
    Ok(Databases { names, missing })
}

/// All databases that the account may see, sorted; not the directories that are none
/// (`lost+found`).
pub(crate) fn visible_databases(session: &mut Session) -> Result<Vec<String>, Cause> {
    let rows = session.texts("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")?;
    let mut names: Vec<_> = rows
        .into_iter()
        .flatten()
        .filter(|name| !name.starts_with("#mysql50#"))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Databases whose directories have names of before MySQL 5.1, which no dump can make. A directory
/// without tables (`lost+found`) is not a database.
fn old_names(session: &mut Session) -> Result<Vec<String>, Cause> {
    let query = "SELECT DISTINCT TABLE_SCHEMA FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA LIKE '#mysql50#%'";
    let rows = session.texts(query)?;
    let missing = rows.into_iter().flatten().map(|database| {
        let database = name(&database);
        format!(
            "database {database} has a name of before MySQL 5.1, which no dump can carry; \
             run: ALTER DATABASE {database} \
             UPGRADE DATA DIRECTORY NAME"
        )
    });
    Ok(missing.collect())
}

fn unseen_databases(session: &mut Session) -> Result<Vec<String>, Cause> {
    let privileges = Privileges::read(session)?;
    let sees_all = privileges.everywhere("SELECT") || privileges.everywhere("SHOW DATABASES");
    let missing = "databases that the account may not see, if any: grant SHOW DATABASES on *.*, \
                   or set MYSQL_DATABASES";
    Ok(if sees_all {
        Vec::new()
    } else {
        vec![missing.to_owned()]
    })
}

/// Lists every object of `database`.
pub(crate) fn objects(session: &mut Session, database: &str) -> Result<Objects, Cause> {
    let mut objects = Objects::default();
    let query = format!(
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = {} \
         ORDER BY BINARY TABLE_NAME",
        literal(database)
    );
    for row in session.texts(&query)? {
        let [name, kind, engine] = three(row);
        match kind.as_str() {
            "VIEW" => objects.views.push(name),
            "SEQUENCE" => objects.sequences.push(name),
            "SYSTEM VERSIONED" => objects.tables.push(Table {
                name,
                engine,
                versioning: Versioning::System,
            }),
            _ => objects.tables.push(Table {
                name,
                engine,
                versioning: Versioning::None,
            }),
        }
    }
    objects.routines = code_names(
        session,
        database,
        "ROUTINE_TYPE, ROUTINE_NAME",
        "ROUTINE",
        "ROUTINE_TYPE",
    )?;
    // In the order in which the server fires them: each is appended to those before it.
    let order = "BINARY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER";
    objects.triggers = code_names(
        session,
        database,
        "'TRIGGER', TRIGGER_NAME",
        "TRIGGER",
        order,
    )?;
    objects.events = code_names(session, database, "'EVENT', EVENT_NAME", "EVENT", "1")?;
    Ok(objects)
}

fn code_names(
    session: &mut Session,
    database: &str,
    columns: &str,
    family: &str,
    order: &str,
) -> Result<Vec<CodeName>, Cause> {
    let query = format!(
        "SELECT {columns} FROM information_schema.{family}S WHERE {family}_SCHEMA = {database} \
         AND BINARY {family}_SCHEMA = {database} ORDER BY {order}, BINARY {family}_NAME",
        database = literal(database)
    );
    let code = |row| {
        let [kind, name, _] = three(row);
        let kind = match family {
            "TRIGGER" => CodeKind::Trigger,
            "EVENT" => CodeKind::Event,
            _ => CodeKind::Routine(kind),
        };
        CodeName { kind, name }
    };
    Ok(session.texts(&query)?.into_iter().map(code).collect())
}

/// The columns of a table or view, in order.
pub(crate) fn columns(
    session: &mut Session,
    database: &str,
    table: &str,
) -> Result<Vec<Column>, Cause> {
    let query = format!(
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, \
         IS_GENERATED, GENERATION_EXPRESSION \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
         ORDER BY ORDINAL_POSITION",
        literal(database),
        literal(table)
    );
    Ok(session
        .texts(&query)?
        .into_iter()
        .filter_map(column)
        .collect())
}

fn column(row: Vec<String>) -> Option<Column> {
    let [
        name,
        data_type,
        column_type,
        character_set,
        generated,
        expression,
    ] = row.try_into().ok()?;
    let origin = match (generated.as_str(), expression.as_str()) {
        ("ALWAYS", "ROW START" | "ROW END") => Origin::RowPeriod,
        ("ALWAYS", _) => Origin::Generated,
        _ => Origin::Stored,
    };
    Some(Column {
        name,
        data_type,
        column_type,
        character_set,
        origin,
    })
}

/// The engines whose tables a snapshot covers.
pub(crate) fn transactional_engines(session: &mut Session) -> Result<Vec<String>, Cause> {
    let query = "SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'";
    Ok(session.texts(query)?.into_iter().flatten().collect())
}

/// The CREATE statement of a database.
pub(crate) fn create_database(session: &mut Session, database: &str) -> Result<String, Cause> {
    cell(
        session,
        &format!("SHOW CREATE DATABASE IF NOT EXISTS {}", name(database)),
        1,
    )
}

/// The character set and the collation that new tables of a database get.
pub(crate) fn database_collation(
    session: &mut Session,
    database: &str,
) -> Result<(String, String), Cause> {
    let query = format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
         FROM information_schema.SCHEMATA \
         WHERE SCHEMA_NAME = {0} AND BINARY SCHEMA_NAME = {0}",
        literal(database)
    );
    let [character_set, collation, _] = three(
        session
            .texts(&query)?
            .into_iter()
            .next()
            .unwrap_or_default(),
    );
    Ok((character_set, collation))
}

/// The CREATE statement of a table. A default of bytes stands in it as bytes.
pub(crate) fn create_table(session: &mut Session, table: &str) -> Result<Vec<u8>, Cause> {
    let rows = session.cells(&format!("SHOW CREATE TABLE {}", name(table)))?;
    Ok(bytes_at(rows, 1))
}

/// The CREATE statement of a sequence.
pub(crate) fn create_sequence(session: &mut Session, sequence: &str) -> Result<String, Cause> {
    cell(
        session,
        &format!("SHOW CREATE SEQUENCE {}", name(sequence)),
        1,
    )
}

/// The first value that a sequence has not handed out to any cache, and how often it went round.
pub(crate) fn sequence_state(
    session: &mut Session,
    sequence: &str,
) -> Result<(String, String), Cause> {
    let query = format!(
        "SELECT next_not_cached_value, cycle_count FROM {}",
        name(sequence)
    );
    let [next, rounds, _] = three(
        session
            .texts(&query)?
            .into_iter()
            .next()
            .unwrap_or_default(),
    );
    Ok((next, rounds))
}

/// The definition of a view.
pub(crate) fn view(session: &mut Session, view: &str) -> Result<StoredCode, Cause> {
    let rows = session.cells(&format!("SHOW CREATE VIEW {}", name(view)))?;
    Ok(StoredCode {
        character_set_client: text_at(&rows, 2)?,
        collation_connection: text_at(&rows, 3)?,
        create: bytes_at(rows, 1),
        sql_mode: None,
        time_zone: None,
        database_collation: None,
    })
}

/// The definition of a trigger, routine or event. Its text is empty when the account may not see
/// it.
pub(crate) fn code(session: &mut Session, code: &CodeName) -> Result<StoredCode, Cause> {
    let rows = session.cells(&format!(
        "SHOW CREATE {} {}",
        code.kind.sql(),
        name(&code.name)
    ))?;
    let is_event = code.kind == CodeKind::Event;
    // An event has its time zone between its mode and its text.
    let shift = usize::from(is_event);
    let time_zone = if is_event {
        Some(text_at(&rows, 2)?)
    } else {
        None
    };
    Ok(StoredCode {
        sql_mode: Some(text_at(&rows, 1)?),
        time_zone,
        character_set_client: text_at(&rows, 3 + shift)?,
        collation_connection: text_at(&rows, 4 + shift)?,
        database_collation: Some(text_at(&rows, 5 + shift)?),
        create: bytes_at(rows, 2 + shift),
    })
}

/// Whether the text of `code`, which the server has converted to utf8mb4, becomes what it was when
/// it is converted back. Of UTF-8 nothing was converted, and latin1 has a character for each byte.
pub(crate) fn survives(
    session: &mut Session,
    code: &CodeName,
    definition: &StoredCode,
) -> Result<bool, Cause> {
    let set = definition.character_set_client.as_str();
    let is_exact = ["utf8", "utf8mb3", "utf8mb4", "latin1", "binary"].contains(&set);
    if is_exact || definition.create.is_ascii() {
        return Ok(true);
    }
    session.run("SET character_set_results = binary")?;
    let raw = self::code(session, code);
    session.run("SET character_set_results = utf8mb4")?;
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02X}")).collect() };
    let query = format!(
        "SELECT BINARY CONVERT(_utf8mb4 X'{}' USING {set}) = X'{}'",
        hex(&definition.create),
        hex(&raw?.create)
    );
    Ok(session.first_cell(&query)?.as_deref() == Some("1"))
}

/// Whether an event would be dropped, or switched off, as soon as it is made: its time is over.
pub(crate) fn is_over(session: &mut Session, database: &str, event: &str) -> Result<bool, Cause> {
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.EVENTS \
         WHERE EVENT_SCHEMA = {database} AND BINARY EVENT_SCHEMA = {database} \
         AND EVENT_NAME = {event} \
         AND (ON_COMPLETION = 'NOT PRESERVE' OR STATUS = 'ENABLED') \
         AND COALESCE(CONVERT_TZ(COALESCE(EXECUTE_AT, ENDS), TIME_ZONE, '+00:00'), \
         EXECUTE_AT, ENDS) <= UTC_TIMESTAMP()",
        database = literal(database),
        event = literal(event)
    );
    Ok(session.first_cell(&query)?.as_deref() == Some("1"))
}

impl CodeKind {
    /// The keyword in SHOW CREATE and DROP.
    pub(crate) fn sql(&self) -> &str {
        match self {
            Self::Trigger => "TRIGGER",
            Self::Event => "EVENT",
            Self::Routine(kind) => kind,
        }
    }
}

fn cell(session: &mut Session, query: &str, index: usize) -> Result<String, Cause> {
    let first = session.texts(query)?.into_iter().next().unwrap_or_default();
    Ok(first.into_iter().nth(index).unwrap_or_default())
}

/// A cell of the first row; empty where there is none.
fn bytes_at(rows: Vec<Cells>, index: usize) -> Vec<u8> {
    let first = rows.into_iter().next().unwrap_or_default();
    first.into_iter().nth(index).flatten().unwrap_or_default()
}

fn text_at(rows: &[Cells], index: usize) -> Result<String, Cause> {
    let cell = rows.first().and_then(|row| row.get(index)?.clone());
    String::from_utf8(cell.unwrap_or_default()).map_err(|_| Cause::NotText)
}

/// A row of up to three cells; absent ones are empty.
fn three(row: Vec<String>) -> [String; 3] {
    let mut cells = row.into_iter();
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}
