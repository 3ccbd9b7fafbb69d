//! The tables and rows that a database holds now, counted by the rules by which a dump counts them:
//! whoever loads a dump compares them with what the dump holds.

use std::collections::BTreeMap;

use crate::dump::ELSEWHERE;
use crate::error::Error;
use crate::schema;
use crate::script::name;
use crate::session::Session;
use crate::table::{count_rows, plan_rows};

/// What a database holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The rows of each table, whatever its engine, history included where a dump has it; `None`
    /// where they live elsewhere. No views, no sequences.
    pub rows_of: BTreeMap<String, Option<u64>>,
    /// Of all tables.
    pub rows: u64,
    /// Tables.
    pub tables: u64,
    /// Sequences.
    pub sequences: u64,
    /// Views.
    pub views: u64,
    /// Procedures, functions and packages.
    pub routines: u64,
    /// Triggers.
    pub triggers: u64,
    /// Events.
    pub events: u64,
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
    let objects = schema::objects(session, database).map_err(failed)?;
    let mut counts = Counts {
        tables: objects.tables.len() as u64,
        sequences: objects.sequences.len() as u64,
        views: objects.views.len() as u64,
        routines: objects.routines.len() as u64,
        triggers: objects.triggers.len() as u64,
        events: objects.events.len() as u64,
        ..Counts::default()
    };
    for table in objects.tables {
        // A table of BLACKHOLE takes rows and has none.
        if ELSEWHERE.contains(&table.engine.as_str()) || table.engine == "BLACKHOLE" {
            counts.rows_of.insert(table.name, None);
            continue;
        }
        let columns = schema::columns(session, database, &table.name).map_err(failed)?;
        let past = plan_rows(&table.name, &columns, table.versioning, session.history()).past;
        let rows = count_rows(session, &table.name, past).map_err(failed)?;
        counts.rows += rows;
        counts.rows_of.insert(table.name, Some(rows));
    }
    Ok(counts)
}
