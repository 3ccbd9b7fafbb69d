//! The new databases in the place of the old, and back.
//!
//! Everything is made ready beside the live databases first. The exchange itself is one RENAME of
//! all tables of all databases, after the old stored code is dropped, since a table with a trigger
//! cannot be renamed (1435) and a view may have a new table's name; and before the new stored code
//! is made. Every step can be undone by what the journal names: the tables go back by a RENAME, and
//! the old stored code is made again from the dump of what was there, which was rehearsed before.

use std::collections::BTreeSet;

use mail_mysql::ConnectionSettings;

use super::error::Error;
use super::found::StoredKey;
use super::journal::{Journal, Place, State};
use super::kind::StoredKind;
use super::live::{alter, options, tables};
use super::moves::{Move, all_to, rename};
use super::relocate::{self, Places};
use super::script::{self, Part, Unmade};
use super::server::{Server, literal, name};
use super::stored_code;
use super::survey::SurveyedDump;

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
            "SELECT DISTINCT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE \
             TRIGGER_SCHEMA = {}",
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
        stored_code::drop_all(server, &place.new)?;
        place.new_tables = tables(server, &place.new)?;
        place.old_tables = tables(server, &place.live)?;
    }
    let defaults = sequence_defaults(server, journal)?;
    // A client that holds a table for long must not leave the others without their views so long.
    server.prepare("all of them", "SET SESSION lock_wait_timeout = 20")?;
    journal.advance(server, State::Exchanging)?;
    clear_the_way(server, journal)?;
    rename(server, &moves(journal))?;
    for statement in &defaults {
        server.prepare("a default", statement)?;
    }
    set_options(server, journal)?;
    let unmade = make_stored_code(connection, dumps)?;
    // The scripts set the options of their databases, as the dumps say.
    set_options(server, journal)?;
    let over = compare(server, journal, dumps, &unmade)?;
    Ok(unmade.into_iter().chain(over).collect())
}

/// Drops the old stored code, and makes the databases that are not there.
fn clear_the_way(server: &mut Server, journal: &Journal) -> Result<(), Error> {
    for place in &journal.places {
        if place.options.is_some() {
            stored_code::drop_all(server, &place.live)?;
        } else {
            let create = format!("CREATE DATABASE IF NOT EXISTS {}", name(&place.live));
            server.prepare(&place.live, &create)?;
        }
    }
    Ok(())
}

fn moves(journal: &Journal) -> Vec<Move> {
    let mut moves = Vec::new();
    for place in &journal.places {
        moves.extend(all_to(&place.old_tables, &place.live, &place.old));
        moves.extend(all_to(&place.new_tables, &place.new, &place.live));
    }
    moves
}

/// Gives the live databases the options of the new ones.
fn set_options(server: &mut Server, journal: &Journal) -> Result<(), Error> {
    for place in &journal.places {
        let options = options(server, &place.new)?.unwrap_or_default();
        alter(server, &place.live, &options)?;
    }
    Ok(())
}

/// Makes the stored code of all dumps in its place, events last, and gives back what names
/// something that is not there.
pub(super) fn make_stored_code(
    connection: &ConnectionSettings,
    dumps: &[SurveyedDump],
) -> Result<Vec<Unmade>, Error> {
    let in_place = Places::new();
    let mut unmade = Vec::new();
    for part in [Part::Code, Part::Events] {
        for (dump, survey) in dumps {
            let run = survey.script.run(connection, &dump.path, &in_place, part);
            unmade.extend(run?);
        }
        unmade = script::retry(connection, unmade)?;
    }
    Ok(unmade)
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
    let absent = stored_code::absent(server, &expected).map_err(|source| Error::Ask {
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
