//! What a restore would do, found out without writing anything: not even a temporary table.

use std::collections::BTreeSet;

use mail_common::relpath::RelPath;
use mail_mysql::{ConnectionSettings, Privileges, Session};

use super::concern::databases;
use super::error::Error;
use super::journal::Journal;
use super::obstacles;
use super::restore::{Surveyed, Target, check_packet, stranger_warning};
use super::server::{Server, literal};
use super::survey::{Footer, SurveyedDump};

/// What must be held on a database to save it, drop it, and load it with every kind of object.
const NEEDED: [&str; 15] = [
    "SELECT",
    "INSERT",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EXECUTE",
    "EVENT",
    "TRIGGER",
    "DELETE",
];

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Of the server.
    pub server_version: String,
    /// The dumps, in the order in which they would be loaded; the accounts last.
    pub dumps: Vec<InspectedDump>,
    /// Databases that are there and would be replaced.
    pub replaced: Vec<Replaced>,
    /// Databases that are not there.
    pub new: Vec<String>,
    /// Privileges that the account lacks, as far as `SHOW GRANTS` tells. Not empty: a restore would
    /// fail.
    pub lacking: Vec<String>,
    /// What stands in the way: a restore would end before it touches anything.
    pub obstacles: Vec<String>,
    /// What an administrator should know.
    pub warnings: Vec<String>,
}

/// A dump that could be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedDump {
    /// In the set.
    pub path: RelPath,
    /// The databases that it concerns; none for accounts.
    pub databases: Vec<String>,
    /// Of SQL.
    pub bytes: u64,
    /// Statements in it.
    pub statements: u64,
    /// Tables that it makes.
    pub tables: u64,
    /// Rows that its last line names; `None` for dumps of other programs.
    pub rows: Option<u64>,
}

/// A database that would be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its name.
    pub database: String,
    /// Of data and indexes, as the server estimates.
    pub bytes: u64,
    /// Tables and views.
    pub tables: u64,
}

/// Asks the server what stands in the way of `surveyed`.
pub(super) fn inspect(target: &Target, surveyed: &Surveyed) -> Result<Inspection, Error> {
    let mut server = Server::connect(&target.connection)?;
    let all: Vec<_> = surveyed.dumps.iter().chain(&surveyed.accounts).collect();
    let packet_bytes = server.packet_bytes()?;
    for (dump, survey) in &all {
        check_packet(packet_bytes, dump, survey)?;
    }
    let touched = databases(&surveyed.dumps);
    let replaced = replaced(&mut server, &touched)?;
    let is_replaced = |name: &&String| replaced.iter().any(|found| found.database == **name);
    Ok(Inspection {
        server_version: ask(server.cell("SELECT VERSION()"), "its version")?,
        dumps: all.iter().map(|surveyed| inspected(surveyed)).collect(),
        new: touched
            .iter()
            .filter(|name| !is_replaced(name))
            .cloned()
            .collect(),
        lacking: lacking(&target.connection, &touched)?,
        obstacles: obstacles::find(
            &mut server,
            &target.connection,
            &surveyed.dumps,
            target.trust,
        )?,
        warnings: warnings(&mut server, &all, &surveyed.dumps)?,
        replaced,
    })
}

fn inspected((dump, survey): &SurveyedDump) -> InspectedDump {
    let rows = match survey.footer {
        Footer::Counts(counts) => Some(counts.rows),
        _ => None,
    };
    InspectedDump {
        path: dump.path.clone(),
        databases: survey.found.databases.iter().cloned().collect(),
        bytes: survey.bytes,
        statements: survey.statements,
        tables: survey.found.tables.len() as u64,
        rows,
    }
}

fn warnings(
    server: &mut Server,
    all: &[&SurveyedDump],
    dumps: &[SurveyedDump],
) -> Result<Vec<String>, Error> {
    let of_dump = |(dump, survey): &&SurveyedDump| survey.warnings(dump);
    let mut warnings: Vec<_> = all.iter().flat_map(of_dump).collect();
    warnings.extend(stranger_warning(server, dumps));
    for journal in Journal::left(server)? {
        warnings.push(format!(
            "a restore was killed, and left {}: the next one puts that right first",
            journal.database
        ));
    }
    Ok(warnings)
}

fn ask<T>(answer: Result<T, mail_mysql::Cause>, what: &'static str) -> Result<T, Error> {
    answer.map_err(|source| Error::Ask { what, source })
}

fn replaced(server: &mut Server, touched: &BTreeSet<String>) -> Result<Vec<Replaced>, Error> {
    let mut replaced = Vec::new();
    for database in touched {
        let name = literal(database);
        let there = format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}");
        if ask(server.rows(&there), "its databases")?.is_empty() {
            continue;
        }
        let size = format!(
            "SELECT COUNT(*), COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM \
             information_schema.TABLES WHERE TABLE_SCHEMA = {name}"
        );
        let rows = ask(server.rows(&size), "the size of a database")?;
        let number = |at: usize| {
            rows.first()
                .and_then(|row| row.get(at)?.parse().ok())
                .unwrap_or(0)
        };
        replaced.push(Replaced {
            database: database.clone(),
            tables: number(0),
            bytes: number(1),
        });
    }
    Ok(replaced)
}

fn lacking(
    connection: &ConnectionSettings,
    touched: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    let mut session = Session::connect(connection)?;
    let held = ask(Privileges::read(&mut session), "the account's privileges")?;
    let mut lacking = Vec::new();
    // Of the scratch databases, all but the name of the run is known.
    let scratch = format!("{}00000000000000_0000_n0", mail_mysql::scratch::PREFIX);
    let is_lacking = |privilege: &&str| !held.on_database(privilege, &scratch);
    if NEEDED.iter().any(is_lacking) {
        let on = "`mail\\_restore\\_%`.*";
        lacking.push(format!(
            "privileges on the databases that are loaded beside the live ones; run: GRANT ALL ON \
             {on} TO the account"
        ));
    }
    for database in touched {
        let missing: Vec<_> = NEEDED
            .into_iter()
            .filter(|privilege| !held.on_database(privilege, database))
            .collect();
        if !missing.is_empty() {
            let on = super::server::name(database);
            lacking.push(format!(
                "{} on {on}.*; run: GRANT ALL ON {on}.* TO the account",
                missing.join(", ")
            ));
        }
    }
    Ok(lacking)
}
