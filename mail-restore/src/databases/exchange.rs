//! The new databases in the place of the old, and back.
//!
//! Everything is made ready beside the live databases first. The exchange itself is one RENAME of
//! all tables of all databases, after the old stored code is dropped, since a table with a trigger
//! cannot be renamed (1435) and a view may have a new table's name; and before the new stored code
//! is made. Every step can be undone by what the journal names: the tables go back by a RENAME, and
//! the old stored code is made again from the dump of what was there, which was rehearsed before.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use mail_common::relpath::RelPath;
use mail_common::set::Inventory;
use mail_mysql::ConnectionSettings;

use super::dump::{Dump, Dumps};
use super::error::Error;
use super::found::StoredKey;
use super::journal::{Journal, Place, State};
use super::kind::StoredKind;
use super::relocate::{self, Places};
use super::script::{self, Part, Unmade};
use super::server::{Server, literal, name};
use super::survey::Survey;
use super::trust::Trust;

/// A dump with what was found in it.
pub(super) type SurveyedDump = (Dump, Survey);

/// The places of new databases, for who loads.
pub(super) fn new_places(journal: &Journal) -> Places {
    let place = |place: &Place| (place.live.clone(), place.new.clone());
    journal.places.iter().map(place).collect()
}

fn old_places(journal: &Journal) -> Places {
    let place = |place: &Place| (place.live.clone(), place.old.clone());
    journal.places.iter().map(place).collect()
}

/// Sees that the server takes the stored code of `dumps`, in scratch databases, and gives back what
/// could not be made there since it names what is not there.
pub(super) fn rehearse(
    connection: &ConnectionSettings,
    dumps: &[SurveyedDump],
    places: &Places,
) -> Result<Vec<Unmade>, Error> {
    let mut unmade = Vec::new();
    for (dump, survey) in dumps {
        let run = survey
            .script
            .run(connection, &dump.path, places, Part::Rehearsal);
        unmade.extend(run?);
    }
    script::retry(connection, unmade)
}

/// Sees that the stored code that is there now could be made again. A trigger needs its table, so
/// an empty one like it is made for the rehearsal.
pub(super) fn rehearse_the_way_back(
    server: &mut Server,
    connection: &ConnectionSettings,
    journal: &Journal,
    saved: &[SurveyedDump],
) -> Result<(), Error> {
    for place in journal
        .places
        .iter()
        .filter(|place| place.options.is_some())
    {
        let query = format!(
            "SELECT DISTINCT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {}",
            literal(&place.live)
        );
        for table in server.names(&query, "the triggers of a database")? {
            let like = format!(
                "CREATE TABLE {}.{table} LIKE {}.{table}",
                name(&place.old),
                name(&place.live),
                table = name(&table)
            );
            server.prepare(&place.live, &like)?;
        }
    }
    let rehearsed = rehearse(connection, saved, &old_places(journal));
    rehearsed.map_err(|error| Error::NoWayBack {
        source: Box::new(error),
    })?;
    for place in journal
        .places
        .iter()
        .filter(|place| place.options.is_some())
    {
        server.drop(&place.old)?;
        server.prepare(
            &place.live,
            &format!("CREATE DATABASE {}", name(&place.old)),
        )?;
    }
    Ok(())
}

/// Puts the new databases in place. What fails here is to be undone.
pub(super) fn exchange(
    server: &mut Server,
    connection: &ConnectionSettings,
    journal: &mut Journal,
    dumps: &[SurveyedDump],
) -> Result<Vec<Unmade>, Error> {
    for place in &mut journal.places {
        drop_stored(server, &place.new)?;
        place.new_tables = tables(server, &place.new)?;
        place.old_tables = tables(server, &place.live)?;
    }
    let defaults = sequence_defaults(server, journal)?;
    // A client that holds a table for long must not leave the others without their views so long.
    server.prepare("all of them", "SET SESSION lock_wait_timeout = 20")?;
    journal.advance(server, State::Exchanging)?;
    for place in &journal.places {
        match place.options {
            Some(_) => drop_stored(server, &place.live)?,
            None => server.prepare(
                &place.live,
                &format!("CREATE DATABASE IF NOT EXISTS {}", name(&place.live)),
            )?,
        }
    }
    let mut moves = Vec::new();
    for place in &journal.places {
        moves.extend(all_to(&place.old_tables, &place.live, &place.old));
        moves.extend(all_to(&place.new_tables, &place.new, &place.live));
    }
    rename(server, &moves)?;
    for statement in &defaults {
        server.prepare("a default", statement)?;
    }
    for place in &journal.places {
        let options = options(server, &place.new)?.unwrap_or_default();
        alter(server, &place.live, &options)?;
    }
    let none = Places::new();
    let mut unmade = Vec::new();
    for (dump, survey) in dumps {
        unmade.extend(
            survey
                .script
                .run(connection, &dump.path, &none, Part::Code)?,
        );
    }
    let mut unmade = script::retry(connection, unmade)?;
    for (dump, survey) in dumps {
        unmade.extend(
            survey
                .script
                .run(connection, &dump.path, &none, Part::Events)?,
        );
    }
    let unmade = script::retry(connection, unmade)?;
    // The scripts set the options of their databases, as the dumps say.
    for place in &journal.places {
        let options = options(server, &place.new)?.unwrap_or_default();
        alter(server, &place.live, &options)?;
    }
    let over = compare(server, journal, dumps, &unmade)?;
    Ok(unmade.into_iter().chain(over).collect())
}

/// Whether everything is in place: the tables of each database, and all stored code but what could
/// not be made. Gives back the events whose time is over: they are gone as soon as they are made.
fn compare(
    server: &mut Server,
    journal: &Journal,
    dumps: &[SurveyedDump],
    unmade: &[Unmade],
) -> Result<Vec<Unmade>, Error> {
    for place in &journal.places {
        let there: BTreeSet<_> = tables(server, &place.live)?.into_iter().collect();
        let absent = place
            .new_tables
            .iter()
            .find(|table| !there.contains(*table));
        if let Some(table) = absent {
            return Err(Error::Absent {
                what: format!("table {}.{}", name(&place.live), name(table)),
            });
        }
    }
    let mut expected: BTreeSet<StoredKey> = dumps
        .iter()
        .flat_map(|(_, survey)| survey.found.stored.iter().cloned())
        .collect();
    for unmade in unmade {
        expected.remove(&unmade.key);
    }
    let absent = script::absent(server, &expected).map_err(|source| Error::Ask {
        what: "what is in place",
        source,
    })?;
    let mut over = Vec::new();
    for key in absent {
        let of_key = dumps
            .iter()
            .find(|(_, survey)| survey.found.stored.contains(&key));
        match of_key {
            Some((dump, _)) if key.1 == StoredKind::Event => {
                over.push(Unmade::over(key, dump.path.clone()));
            }
            _ => {
                return Err(Error::Absent {
                    what: format!("{} {}.{}", key.1.word(), name(&key.0), name(&key.2)),
                });
            }
        }
    }
    Ok(over)
}

/// Puts everything back as it was, from any state but done, however far the exchange came.
pub(super) fn undo(
    server: &mut Server,
    connection: &ConnectionSettings,
    journal: &Journal,
) -> Result<(), Error> {
    if journal.state == State::Exchanging {
        // Databases that were not there have no stored code to come back.
        let was_there = journal.places.iter().any(|place| place.options.is_some());
        let saved = match journal.saved.as_ref().filter(|_| was_there) {
            Some(dir) => survey_saved(Path::new(dir))?,
            None => Vec::new(),
        };
        take_back(server, journal)?;
        let none = Places::new();
        let mut unmade = Vec::new();
        for part in [Part::Code, Part::Events] {
            for (dump, survey) in &saved {
                unmade.extend(survey.script.run(connection, &dump.path, &none, part)?);
            }
            unmade = script::retry(connection, unmade)?;
        }
        if let Some(unmade) = unmade.into_iter().next() {
            return Err(Error::Absent {
                what: format!("{} {}.{}", unmade.key.1.word(), unmade.key.0, unmade.key.2),
            });
        }
        for place in &journal.places {
            if let Some(options) = &place.options {
                alter(server, &place.live, options)?;
            }
        }
    }
    clear(server, journal)
}

/// Renames all tables back to where they were.
fn take_back(server: &mut Server, journal: &Journal) -> Result<(), Error> {
    let mut moves = Vec::new();
    for place in &journal.places {
        let there = |tables: Vec<String>| tables.into_iter().collect::<BTreeSet<_>>();
        let live = there(tables(server, &place.live)?);
        let new = there(tables(server, &place.new)?);
        let old = there(tables(server, &place.old)?);
        let was_old = |table: &String| place.old_tables.contains(table) && !old.contains(table);
        let is_moved =
            |table: &&String| live.contains(*table) && !new.contains(*table) && !was_old(table);
        let back: Vec<_> = place.new_tables.iter().filter(is_moved).cloned().collect();
        moves.extend(all_to(&back, &place.live, &place.new));
        let is_there = |table: &&String| old.contains(*table);
        let back: Vec<_> = place.old_tables.iter().filter(is_there).cloned().collect();
        moves.extend(all_to(&back, &place.old, &place.live));
    }
    for place in &journal.places {
        drop_stored(server, &place.live)?;
    }
    rename(server, &moves)?;
    for place in journal
        .places
        .iter()
        .filter(|place| place.options.is_none())
    {
        // It was not there. What somebody else has put into it since is not ours to drop.
        if tables(server, &place.live)?.is_empty() {
            server.drop(&place.live)?;
        }
    }
    Ok(())
}

/// Drops everything that is only there for a while. The journal goes last.
pub(super) fn clear(server: &mut Server, journal: &Journal) -> Result<(), Error> {
    for place in &journal.places {
        server.drop(&place.new)?;
        server.drop(&place.old)?;
    }
    if let Some(account) = &journal.account {
        server.prepare(account, &format!("DROP USER IF EXISTS {account}"))?;
    }
    server.drop(&journal.database)
}

/// What runs before this one left, put right: those that were not done are undone. Gives back what
/// an administrator should know.
pub(super) fn recover(
    server: &mut Server,
    connection: &ConnectionSettings,
) -> Result<Vec<String>, Error> {
    let mut told = Vec::new();
    for journal in Journal::left(server)? {
        let databases: Vec<_> = journal.places.iter().map(|place| &*place.live).collect();
        let databases = databases.join(", ");
        match journal.state {
            State::Done => {
                clear(server, &journal)?;
                told.push(format!(
                    "a restore of {databases} was killed after it was done: what was there before is dropped now"
                ));
            }
            state => {
                let undone = undo(server, connection, &journal);
                undone.map_err(|error| Error::NotRecovered {
                    database: journal.database.clone(),
                    source: Box::new(error),
                })?;
                let text = if state == State::Loading {
                    format!(
                        "what a killed restore had loaded beside the databases is dropped ({databases})"
                    )
                } else {
                    format!(
                        "a restore of {databases} was killed while it exchanged them: they are as they were before it"
                    )
                };
                told.push(text);
            }
        }
    }
    Ok(told)
}

/// The dumps of what was there before, read to their ends.
pub(super) fn survey_saved(dir: &Path) -> Result<Vec<SurveyedDump>, Error> {
    let failed = |error| Error::Write {
        path: dir.to_owned(),
        source: std::io::Error::other(error),
    };
    let inventory = Inventory::read(dir).map_err(failed)?;
    let never = AtomicBool::new(false);
    let survey = |dump: Dump| {
        let survey = Survey::of_database(&dump, Trust::Full, &never)?;
        Ok((dump, survey))
    };
    Dumps::of(&inventory)
        .databases
        .into_iter()
        .map(survey)
        .collect()
}

/// Tables and sequences of a database, or none where it is not there.
pub(super) fn tables(server: &mut Server, database: &str) -> Result<Vec<String>, Error> {
    let query = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE <> 'VIEW' \
         AND TABLE_SCHEMA = {0} AND BINARY TABLE_SCHEMA = {0} ORDER BY BINARY TABLE_NAME",
        literal(database)
    );
    server.names(&query, "the tables of a database")
}

/// By what ALTER DATABASE gives a database the options that it has; `None` where it is not there.
pub(super) fn options(server: &mut Server, database: &str) -> Result<Option<String>, Error> {
    const UNKNOWN_COLUMN: u16 = 1054;
    let of = |comment: &str| {
        format!(
            "SELECT CONCAT('CHARACTER SET ', DEFAULT_CHARACTER_SET_NAME, ' COLLATE ', DEFAULT_COLLATION_NAME{comment}) \
             FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {0} AND BINARY SCHEMA_NAME = {0}",
            literal(database)
        )
    };
    let rows = match server.rows(&of(", ' COMMENT ', QUOTE(SCHEMA_COMMENT)")) {
        // Servers before 10.5 keep no comment.
        Err(mail_mysql::Cause::Server {
            code: UNKNOWN_COLUMN,
            ..
        }) => server.rows(&of("")),
        rows => rows,
    };
    let rows = rows.map_err(|source| Error::Ask {
        what: "the character set of a database",
        source,
    })?;
    Ok(rows.into_iter().flatten().next())
}

fn alter(server: &mut Server, database: &str, options: &str) -> Result<(), Error> {
    server.prepare(
        database,
        &format!("ALTER DATABASE {} {options}", name(database)),
    )
}

/// Drops views, triggers, routines and events. Packages go before the routines of the same name.
fn drop_stored(server: &mut Server, database: &str) -> Result<(), Error> {
    let of = |family: &str| {
        format!(
            "{family} = {0} AND BINARY {family} = {0}",
            literal(database)
        )
    };
    let listed = [
        (
            StoredKind::Event,
            format!(
                "SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS WHERE {}",
                of("EVENT_SCHEMA")
            ),
        ),
        (
            StoredKind::Trigger,
            format!(
                "SELECT 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE {}",
                of("TRIGGER_SCHEMA")
            ),
        ),
        (
            StoredKind::View,
            format!(
                "SELECT 'VIEW', TABLE_NAME FROM information_schema.VIEWS WHERE {}",
                of("TABLE_SCHEMA")
            ),
        ),
        (
            StoredKind::Routine,
            format!(
                "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE {} ORDER BY ROUTINE_TYPE DESC",
                of("ROUTINE_SCHEMA")
            ),
        ),
    ];
    for (of_kind, query) in listed {
        let rows = server.rows(&query).map_err(|source| Error::Ask {
            what: "the stored code of a database",
            source,
        })?;
        if of_kind == StoredKind::View {
            drop_views(server, database, &rows)?;
            continue;
        }
        for row in rows {
            let [kind, object] = &row[..] else { continue };
            // DROP PACKAGE is known in Oracle's mode alone.
            if kind.starts_with("PACKAGE") {
                server.prepare(database, "SET SESSION sql_mode = 'ORACLE'")?;
            }
            let dropped = server.prepare(
                database,
                &format!("DROP {kind} IF EXISTS {}.{}", name(database), name(object)),
            );
            if kind.starts_with("PACKAGE") {
                server.prepare(database, "SET SESSION sql_mode = ''")?;
            }
            dropped?;
        }
    }
    Ok(())
}

/// Drops many in a statement: each statement of this kind waits for the server's disk.
fn drop_views(server: &mut Server, database: &str, rows: &[Vec<String>]) -> Result<(), Error> {
    const AT_ONCE: usize = 100;
    for some in rows.chunks(AT_ONCE) {
        let place = |view: &String| format!("{}.{}", name(database), name(view));
        let views: Vec<_> = some
            .iter()
            .filter_map(|row| row.get(1))
            .map(place)
            .collect();
        server.prepare(
            database,
            &format!("DROP VIEW IF EXISTS {}", views.join(", ")),
        )?;
    }
    Ok(())
}

/// A table's move: from, to.
type Move = (String, String);

fn all_to(tables: &[String], from: &str, to: &str) -> Vec<Move> {
    let place = |database: &str, table: &String| format!("{}.{}", name(database), name(table));
    let to_place = |table| (place(from, table), place(to, table));
    tables.iter().map(to_place).collect()
}

/// Renames in one statement: if one table cannot be renamed, none is. Only where the server takes no
/// statement as long as that, there are several; they are undone like one.
fn rename(server: &mut Server, moves: &[Move]) -> Result<(), Error> {
    const ROOM_BYTES: usize = 1024;
    let limit = usize::try_from(server.packet_bytes()?).unwrap_or(usize::MAX);
    let mut parts: Vec<String> = Vec::new();
    for (from, to) in moves {
        let part = format!("{from} TO {to}");
        match parts.last_mut() {
            Some(last) if last.len() + part.len() + ROOM_BYTES < limit => {
                last.push_str(", ");
                last.push_str(&part);
            }
            _ => parts.push(part),
        }
    }
    for part in parts {
        server.prepare("all of them", &format!("RENAME TABLE {part}"))?;
    }
    Ok(())
}

/// Defaults of new tables that take the next value of a sequence: they name its database, and a
/// RENAME leaves that as it is. By these statements they name the right one afterwards.
fn sequence_defaults(server: &mut Server, journal: &Journal) -> Result<Vec<String>, Error> {
    let back: Places = journal
        .places
        .iter()
        .map(|place| (place.new.clone(), place.live.clone()))
        .collect();
    let mut statements = Vec::new();
    for place in &journal.places {
        let query = format!(
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = {} AND COLUMN_DEFAULT LIKE '%nextval%'",
            literal(&place.new)
        );
        let rows = server.rows(&query).map_err(|source| Error::Ask {
            what: "defaults of new tables",
            source,
        })?;
        for row in rows {
            let [table, column, default] = &row[..] else {
                continue;
            };
            let moved = relocate::names(default.as_bytes(), super::modes::Modes::default(), &back);
            // Only names were replaced, by names.
            let moved = String::from_utf8(moved).unwrap_or_default();
            statements.push(format!(
                "ALTER TABLE {}.{} ALTER COLUMN {} SET DEFAULT ({moved})",
                name(&place.live),
                name(table),
                name(column)
            ));
        }
    }
    if !statements.is_empty() {
        statements.insert(
            0,
            "SET SESSION system_versioning_alter_history = 'KEEP'".to_owned(),
        );
    }
    Ok(statements)
}

/// What could not be made, for messages.
pub(super) fn describe(unmade: &Unmade) -> (RelPath, String) {
    let (database, kind, object) = &unmade.key;
    let text = format!(
        "{} {}.{} is not restored (line {}): {}; all else is in place",
        kind.word(),
        name(database),
        name(object),
        unmade.line,
        unmade.cause
    );
    (unmade.file.clone(), text)
}
