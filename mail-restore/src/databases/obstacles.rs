//! What stands in the way of an exchange, found before anything is touched: by the dry run, too.

use std::path::Path;

use mail_common::set::free_space;
use mail_mysql::{ConnectionSettings, options::Address};

use super::concern::databases;
use super::error::Error;
use super::server::{Server, literal, name};
use super::survey::SurveyedDump;
use super::trust::Trust;

/// What a table takes on a disk though it is empty, about.
const BYTES_A_TABLE: u64 = 128 << 10;

/// Every reason why `dumps` cannot take the place of what is there.
pub(super) fn find(
    server: &mut Server,
    connection: &ConnectionSettings,
    dumps: &[SurveyedDump],
    trust: Trust,
) -> Result<Vec<String>, Error> {
    let mut found = foreign_keys(server, dumps)?;
    if trust == Trust::Gate {
        found.extend(code_that_reaches_elsewhere(server, dumps)?);
    }
    found.extend(lack_of_room(server, connection, dumps)?);
    Ok(found)
}

/// Tables of other databases whose foreign keys lead to a table that would change places: the keys
/// would go with the old one.
fn foreign_keys(server: &mut Server, dumps: &[SurveyedDump]) -> Result<Vec<String>, Error> {
    let mine: Vec<_> = databases(dumps)
        .iter()
        .map(|database| literal(database))
        .collect();
    if mine.is_empty() {
        return Ok(Vec::new());
    }
    let mine = mine.join(", ");
    let query = format!(
        "SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, \
         UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME FROM \
         information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA IN ({mine}) \
         AND CONSTRAINT_SCHEMA NOT IN ({mine})"
    );
    let rows = server.rows(&query).map_err(|source| Error::Ask {
        what: "its foreign keys",
        source,
    })?;
    let mut found = Vec::new();
    for row in rows {
        let [database, table, key, of, to] = &row[..] else {
            continue;
        };
        found.push(format!(
            "table {0}.{1}, which is not restored, refers to {2}.{3} by foreign key {4}; drop it \
             (ALTER TABLE {0}.{1} DROP FOREIGN KEY {4}) and add it again afterwards, or restore \
             {0} too",
            name(database),
            name(table),
            name(of),
            name(to),
            name(key)
        ));
    }
    Ok(found)
}

/// Stored code that names a database of this server that is not restored.
fn code_that_reaches_elsewhere(
    server: &mut Server,
    dumps: &[SurveyedDump],
) -> Result<Vec<String>, Error> {
    let mine = databases(dumps);
    let there = server.names(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA",
        "its databases",
    )?;
    let is_other = |name: &&String| !mine.contains(*name) && *name != "information_schema";
    let others: Vec<_> = there.iter().filter(is_other).collect();
    let mut found = Vec::new();
    for (dump, survey) in dumps {
        for (what, names) in &survey.found.reached {
            if let Some(database) = others.iter().find(|other| names.contains(**other)) {
                found.push(format!(
                    "{}: {what} names another database, {}; if you know where this dump comes \
                     from, --trust-dump loads it",
                    dump.path,
                    name(database)
                ));
            }
        }
    }
    Ok(found)
}

/// The new databases are there beside the old ones. Of a server on another machine, or in a
/// container, the room is not known.
fn lack_of_room(
    server: &mut Server,
    connection: &ConnectionSettings,
    dumps: &[SurveyedDump],
) -> Result<Option<String>, Error> {
    let Address::Socket(_) = connection.address else {
        return Ok(None);
    };
    let asked = server.rows("SELECT @@datadir, @@hostname");
    let rows = asked.map_err(|source| Error::Ask {
        what: "where its data is",
        source,
    })?;
    let [datadir, host] = &rows.into_iter().next().unwrap_or_default()[..] else {
        return Ok(None);
    };
    let own_host = rustix::system::uname();
    let is_here = own_host.nodename().to_bytes() == host.as_bytes();
    let Some(space) = Some(Path::new(datadir))
        .filter(|path| is_here && path.is_dir())
        .and_then(|path| free_space(path).ok())
    else {
        return Ok(None);
    };
    let bytes = |(_, survey): &SurveyedDump| {
        survey.bytes + survey.found.tables.len() as u64 * BYTES_A_TABLE
    };
    let needed_bytes: u64 = dumps.iter().map(bytes).sum();
    Ok((space.bytes_free < needed_bytes).then(|| {
        format!(
            "{datadir} has {} bytes free, and the new databases take about {needed_bytes} beside \
             the old ones; make room",
            space.bytes_free
        )
    }))
}

/// Definers of stored code that this server has no account of; `None` where the accounts may not be
/// read.
pub(super) fn strangers(server: &mut Server, dumps: &[SurveyedDump]) -> Option<Vec<String>> {
    let rows = server.rows("SELECT User, Host FROM mysql.user").ok()?;
    let is_known = |user: &str, host: &str| {
        rows.iter().any(|row| {
            row.first().is_some_and(|own| own == user) && row.get(1).is_some_and(|own| own == host)
        })
    };
    let mut strangers = Vec::new();
    for (_, survey) in dumps {
        for (user, host) in &survey.found.definers {
            let who = format!("{}@{}", name(user), name(host));
            if !is_known(user, host) && !strangers.contains(&who) {
                strangers.push(who);
            }
        }
    }
    Some(strangers)
}
