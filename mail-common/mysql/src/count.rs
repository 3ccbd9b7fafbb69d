//! The tables and rows that a database holds now, counted by the rules by which a dump counts them:
//! whoever loads a dump compares them with its last line.

use crate::dump::ELSEWHERE;
use crate::error::Error;
use crate::schema;
use crate::script::name;
use crate::session::Session;
use crate::table::{Past, plan_rows};

/// What a database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tables, whatever their engine; no views, no sequences.
    pub tables: u64,
    /// Rows, history included where a dump has it; not those that live elsewhere.
    pub rows: u64,
}

/// Counts what `database` holds in the session's snapshot.
///
/// # Errors
/// When the database is not there or cannot be read.
pub fn count_database(session: &mut Session, database: &str) -> Result<Counts, Error> {
    let failed = |source| Error::List {
        what: format!("tables and rows of {database}"),
        source,
    };
    session
        .run(&format!("USE {}", name(database)))
        .map_err(failed)?;
    let tables = schema::objects(session, database).map_err(failed)?.tables;
    let mut counts = Counts {
        tables: tables.len() as u64,
        rows: 0,
    };
    for table in tables
        .iter()
        .filter(|table| !ELSEWHERE.contains(&table.engine.as_str()))
    {
        let columns = schema::columns(session, database, &table.name).map_err(failed)?;
        let past = plan_rows(&table.name, &columns, table.versioning, session.history()).past;
        let when = if past == Past::Saved {
            " FOR SYSTEM_TIME ALL"
        } else {
            ""
        };
        let answer = session
            .texts(&format!("SELECT COUNT(*) FROM {}{when}", name(&table.name)))
            .map_err(failed)?;
        counts.rows += answer.concat().concat().parse::<u64>().unwrap_or(0);
    }
    Ok(counts)
}
