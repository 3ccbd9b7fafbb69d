//! The way back: from an exchange that failed, and from one that was killed.

use std::collections::BTreeSet;
use std::path::Path;

use mail_mysql::ConnectionSettings;

use super::before::survey_saved;
use super::error::Error;
use super::exchange::make_stored_code;
use super::journal::{Journal, State};
use super::live::{alter, tables};
use super::moves::{all_to, rename};
use super::server::Server;
use super::stored_code;
use super::survey::SurveyedDump;

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
                    "a restore of {databases} was killed after it was done: what was there before \
                     is dropped now"
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
                        "what a killed restore had loaded beside the databases is dropped \
                         ({databases})"
                    )
                } else {
                    format!(
                        "a restore of {databases} was killed while it exchanged them: they are as \
                         they were before it"
                    )
                };
                told.push(text);
            }
        }
    }
    Ok(told)
}

/// Puts everything back as it was, from any state but done, however far the exchange came.
pub(super) fn undo(
    server: &mut Server,
    connection: &ConnectionSettings,
    journal: &Journal,
) -> Result<(), Error> {
    if journal.state == State::Exchanging {
        let saved = saved_before(journal)?;
        take_back(server, journal)?;
        let unmade = make_stored_code(connection, &saved)?;
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

/// The dumps of what was there. Databases that were not there have no stored code to come back.
fn saved_before(journal: &Journal) -> Result<Vec<SurveyedDump>, Error> {
    let was_there = journal.places.iter().any(|place| place.options.is_some());
    match journal.saved.as_ref().filter(|_| was_there) {
        Some(dir) => survey_saved(Path::new(dir)),
        None => Ok(Vec::new()),
    }
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
        stored_code::drop_all(server, &place.live)?;
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
