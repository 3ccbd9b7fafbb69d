//! The views, triggers, routines and events of a database, as the server has them.

use std::collections::BTreeSet;

use mail_mysql::Cause;

use super::error::Error;
use super::found::StoredKey;
use super::kind::StoredKind;
use super::server::{Server, literal, name};

/// In the order in which they are dropped: packages go before the routines of the same name.
const KINDS: [StoredKind; 4] = [
    StoredKind::Event,
    StoredKind::Trigger,
    StoredKind::View,
    StoredKind::Routine,
];

/// The word by which the server drops it, and its name.
type Listed = (String, String);

/// What of `expected` the server does not have.
pub(super) fn absent(
    server: &mut Server,
    expected: &BTreeSet<StoredKey>,
) -> Result<Vec<StoredKey>, Cause> {
    let mut there = BTreeSet::new();
    let databases: BTreeSet<_> = expected.iter().map(|(database, ..)| database).collect();
    for database in databases {
        for kind in KINDS {
            for (_, object) in list(server, database, kind)? {
                there.insert((database.clone(), kind, object.to_lowercase()));
            }
        }
    }
    let is_absent = |(database, kind, object): &&StoredKey| {
        !there.contains(&(database.clone(), *kind, object.to_lowercase()))
    };
    Ok(expected.iter().filter(is_absent).cloned().collect())
}

/// Drops all of a database.
pub(super) fn drop_all(server: &mut Server, database: &str) -> Result<(), Error> {
    for kind in KINDS {
        let listed = list(server, database, kind).map_err(|source| Error::Ask {
            what: "the stored code of a database",
            source,
        })?;
        match kind {
            StoredKind::View => drop_views(server, database, &listed)?,
            _ => drop_each(server, database, &listed)?,
        }
    }
    Ok(())
}

fn list(server: &mut Server, database: &str, kind: StoredKind) -> Result<Vec<Listed>, Cause> {
    let (word, object, table, schema) = match kind {
        StoredKind::Event => ("'EVENT'", "EVENT_NAME", "EVENTS", "EVENT_SCHEMA"),
        StoredKind::Trigger => ("'TRIGGER'", "TRIGGER_NAME", "TRIGGERS", "TRIGGER_SCHEMA"),
        StoredKind::View => ("'VIEW'", "TABLE_NAME", "VIEWS", "TABLE_SCHEMA"),
        StoredKind::Routine => ("ROUTINE_TYPE", "ROUTINE_NAME", "ROUTINES", "ROUTINE_SCHEMA"),
    };
    let rows = server.rows(&format!(
        "SELECT {word}, {object} FROM information_schema.{table} \
         WHERE {schema} = {0} AND BINARY {schema} = {0} ORDER BY 1 DESC",
        literal(database)
    ))?;
    let pair = |row: Vec<String>| <[String; 2]>::try_from(row).ok().map(Into::into);
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// Drops many in a statement: each statement of this kind waits for the server's disk.
fn drop_views(server: &mut Server, database: &str, listed: &[Listed]) -> Result<(), Error> {
    const AT_ONCE: usize = 100;
    let place = |(_, view): &Listed| format!("{}.{}", name(database), name(view));
    for some in listed.chunks(AT_ONCE) {
        let views: Vec<_> = some.iter().map(place).collect();
        let views = views.join(", ");
        server.prepare(database, &format!("DROP VIEW IF EXISTS {views}"))?;
    }
    Ok(())
}

fn drop_each(server: &mut Server, database: &str, listed: &[Listed]) -> Result<(), Error> {
    for (word, object) in listed {
        let (database_name, object) = (name(database), name(object));
        let statement = format!("DROP {word} IF EXISTS {database_name}.{object}");
        if word.starts_with("PACKAGE") {
            drop_package(server, database, &statement)?;
        } else {
            server.prepare(database, &statement)?;
        }
    }
    Ok(())
}

/// DROP PACKAGE is known in Oracle's mode alone.
fn drop_package(server: &mut Server, database: &str, statement: &str) -> Result<(), Error> {
    server.prepare(database, "SET SESSION sql_mode = 'ORACLE'")?;
    let dropped = server.prepare(database, statement);
    server.prepare(database, "SET SESSION sql_mode = ''")?;
    dropped
}
