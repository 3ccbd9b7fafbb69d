//! Loading all dumps beside what is there, then all of them in its place, or none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;
use mail_mysql::{ConnectionSettings, Counts, Session};

use super::accounts::{AccountNames, Accounts};
use super::before;
use super::concern::{check_apart, databases};
use super::dump::Dump;
use super::error::{Error, chain};
use super::exchange;
use super::found::StoredKey;
use super::journal::{Journal, State};
use super::kind::StoredKind;
use super::live;
use super::load::{Load, Watch};
use super::loader_account;
use super::meanwhile;
use super::obstacles;
use super::recover;
use super::relocate::Places;
use super::script::Unmade;
use super::server::{Server, name};
use super::stored_code;
use super::survey::{Footer, Survey, SurveyedDump};
use super::trust::Trust;

/// Where dumps are loaded, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub connection: ConnectionSettings,
    /// How many connections load at the same time.
    pub connections: usize,
    /// How far the dumps are trusted.
    pub trust: Trust,
}

/// A dump that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// In the set.
    pub path: RelPath,
    /// The databases that it made; none for accounts.
    pub databases: Vec<String>,
    /// Of SQL.
    pub bytes: u64,
    /// Tables that are there now.
    pub tables: u64,
    /// Rows that are there now.
    pub rows: u64,
}

/// Databases that are in place, and the way back from them. The next run takes it when this is
/// neither kept nor rolled back.
#[must_use]
#[derive(Debug)]
pub struct Loaded {
    results: Vec<Restored>,
    unmade: Vec<(RelPath, String)>,
    warnings: Vec<String>,
    saved: PathBuf,
    undo: Undo,
    /// Holds the lock of restores, until this is kept or rolled back.
    _lock: Server,
}

/// What it takes to go back.
#[derive(Debug)]
struct Undo {
    connection: ConnectionSettings,
    journal: Journal,
    /// Those that were there, once others may have been made.
    accounts: Option<AccountNames>,
}

/// Dumps that were read to their end.
pub(super) struct Surveyed {
    pub(super) dumps: Vec<SurveyedDump>,
    pub(super) accounts: Option<SurveyedDump>,
}

impl Surveyed {
    fn asked_accounts(&self) -> Accounts {
        match self.accounts {
            Some(_) => Accounts::Load,
            None => Accounts::Leave,
        }
    }
}

impl Loaded {
    /// One for each dump.
    #[must_use]
    pub fn results(&self) -> &[Restored] {
        &self.results
    }

    /// Stored code that could not be made, since what it names is not there, by its file. All else
    /// is in place.
    #[must_use]
    pub fn unmade(&self) -> &[(RelPath, String)] {
        &self.unmade
    }

    /// What an administrator should know.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The set of what was there before.
    #[must_use]
    pub fn saved(&self) -> &Path {
        &self.saved
    }

    /// Keeps what was loaded, and drops what was there before; its dump stays in
    /// [`Loaded::saved`].
    ///
    /// # Errors
    /// [`Error::NotKept`] when that could not be written down: then the next run goes back.
    pub fn keep(mut self) -> Result<Vec<Restored>, Error> {
        let mut server = Server::connect(&self.undo.connection)?;
        let written = self.undo.journal.advance(&mut server, State::Done);
        written.map_err(|source| Error::NotKept {
            source: Box::new(source),
        })?;
        // The old databases are in nobody's way, and the next run drops what is left of them.
        let _ = recover::clear(&mut server, &self.undo.journal);
        Ok(self.results)
    }

    /// Brings back what was there, for a caller whose own work failed.
    ///
    /// # Errors
    /// [`Error::NotRolledBack`] with `cause` in its message.
    pub fn roll_back(self, cause: &str) -> Result<(), Error> {
        self.undo.roll_back().map_err(|failure| {
            self.undo
                .failed(&failure, Error::Elsewhere(cause.to_owned()))
        })
    }
}

/// Loads what was surveyed.
pub(super) fn restore(
    target: &Target,
    surveyed: &Surveyed,
    (root, now): (&Path, &ZonedDateTime),
    watch: Watch<'_>,
) -> Result<Loaded, Error> {
    let mut server = Server::connect(&target.connection)?;
    lock(&mut server)?;
    let mut warnings = recover::recover(&mut server, &target.connection)?;
    let packet_bytes = server.packet_bytes()?;
    warnings.extend(check(&mut server, packet_bytes, target, surveyed)?);
    let names = databases(&surveyed.dumps);
    let began = meanwhile::now(&mut server)?;
    let asked = surveyed.asked_accounts();
    let before = before::save(&target.connection, &names, asked, (root, now), watch.stop)?;
    warnings.extend(before.warnings);
    // It is read to its end as any dump: a record that does not load is none.
    let saved = before::survey_saved(&before.dir)?;
    for (dump, survey) in &saved {
        check_packet(packet_bytes, dump, survey)?;
    }
    let mut journal = Journal::begin(&mut server, &token(now), names.iter())?;
    journal.saved = Some(before.dir.to_string_lossy().into_owned());
    let work = Work {
        server,
        target,
        surveyed,
        saved: &saved,
        began,
        watch,
        undo: Undo {
            connection: target.connection.clone(),
            journal,
            accounts: None,
        },
    };
    work.finish(warnings, before.dir)
}

/// Whether the server would take all of it; gives back what an administrator should know.
fn check(
    server: &mut Server,
    packet_bytes: u64,
    target: &Target,
    surveyed: &Surveyed,
) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    for (dump, survey) in surveyed.dumps.iter().chain(&surveyed.accounts) {
        check_packet(packet_bytes, dump, survey)?;
        warnings.extend(survey.warnings(dump));
    }
    let found = obstacles::find(server, &target.connection, &surveyed.dumps, target.trust)?;
    if !found.is_empty() {
        return Err(Error::Obstacles { found });
    }
    warnings.extend(stranger_warning(server, &surveyed.dumps));
    Ok(warnings)
}

/// No other restore may be at work on this server, from whatever root. The lock goes with the
/// connection; a server may notice only after a moment that the one of a killed run is gone.
fn lock(server: &mut Server) -> Result<(), Error> {
    let taken = server.names(
        "SELECT GET_LOCK('mail_restore', 10)",
        "the lock of restores",
    )?;
    if taken == ["1"] {
        Ok(())
    } else {
        Err(Error::Busy)
    }
}

/// Of this run alone: the time, and what the process adds to it.
fn token(now: &ZonedDateTime) -> String {
    let low = std::process::id() & 0xffff;
    format!("{}_{low:04x}", now.strftime("%Y%m%d%H%M%S"))
}

/// Names the definers that the server has no account of.
pub(super) fn stranger_warning(server: &mut Server, dumps: &[SurveyedDump]) -> Option<String> {
    let strangers = obstacles::strangers(server, dumps)?;
    (!strangers.is_empty()).then(|| {
        format!(
            "stored code runs with the rights of {}, who is not an account of this server: make \
             the account, or the code fails when it is used",
            strangers.join(", ")
        )
    })
}

/// Reads dumps to their ends.
pub(super) fn survey_all(
    dumps: &[Dump],
    trust: Trust,
    stop: &std::sync::atomic::AtomicBool,
) -> Result<Vec<SurveyedDump>, Error> {
    let survey = |dump: &Dump| Ok((dump.clone(), Survey::of_database(dump, trust, stop)?));
    let surveyed = dumps
        .iter()
        .map(survey)
        .collect::<Result<Vec<_>, Error>>()?;
    check_apart(&surveyed)?;
    Ok(surveyed)
}

/// Whether the server takes the longest statement; the driver's own packets need a little room.
pub(super) fn check_packet(limit: u64, dump: &Dump, survey: &Survey) -> Result<(), Error> {
    const ROOM_BYTES: u64 = 64;
    if survey.longest_bytes + ROOM_BYTES <= limit {
        return Ok(());
    }
    Err(Error::Packet {
        file: dump.path.clone(),
        bytes: survey.longest_bytes,
        limit,
    })
}

/// A restore on its way.
struct Work<'a> {
    server: Server,
    target: &'a Target,
    surveyed: &'a Surveyed,
    saved: &'a [SurveyedDump],
    /// When what was there began to be saved, by the server's clock.
    began: String,
    watch: Watch<'a>,
    undo: Undo,
}

impl Work<'_> {
    /// Runs to its end, or goes back.
    fn finish(mut self, mut warnings: Vec<String>, saved: PathBuf) -> Result<Loaded, Error> {
        match self.run(&mut warnings) {
            Ok((results, unmade)) => Ok(Loaded {
                results,
                unmade: unmade.iter().map(Unmade::describe).collect(),
                warnings,
                saved,
                undo: self.undo,
                _lock: self.server,
            }),
            Err(cause) => {
                // What this connection has not committed would hold the journal's table, and the
                // way back, which has a connection of its own, would wait for it.
                let _rolled_back = self.server.run("ROLLBACK");
                Err(self.undo.back_from(cause))
            }
        }
    }

    /// Until the exchange, the live databases are not touched.
    fn run(&mut self, warnings: &mut Vec<String>) -> Result<(Vec<Restored>, Vec<Unmade>), Error> {
        self.make_places()?;
        let connection = self.target.connection.clone();
        let dumps = &self.surveyed.dumps;
        let made = loader_account::make(
            &mut self.server,
            &connection,
            &mut self.undo.journal,
            dumps,
            self.target.trust,
        );
        let loader = made.unwrap_or_else(|| connection.clone());
        let places = exchange::new_places(&self.undo.journal);
        let mut results = Vec::new();
        for (dump, survey) in dumps {
            self.load(&loader, dump, survey, &places)?;
            results.push(self.result(dump, survey, &places)?);
        }
        loader_account::drop(&mut self.server, &mut self.undo.journal)?;
        let unmade = exchange::rehearse(&connection, dumps, &places)?;
        self.check_stored(&places, &unmade)?;
        exchange::rehearse_the_way_back(
            &mut self.server,
            &connection,
            &self.undo.journal,
            self.saved,
        )?;
        if self.watch.stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        let unmade =
            exchange::exchange(&mut self.server, &connection, &mut self.undo.journal, dumps)?;
        let journal = &self.undo.journal;
        warnings.extend(meanwhile::warning(&mut self.server, journal, &self.began)?);
        if let Some((dump, survey)) = &self.surveyed.accounts {
            self.undo.accounts = Some(AccountNames::read(&mut self.server)?);
            self.load(&connection, dump, survey, &Places::new())?;
            results.push(self.result(dump, survey, &places)?);
        }
        // What was read leaves no lock behind.
        self.server.prepare("all of them", "COMMIT")?;
        Ok((results, unmade))
    }

    /// The databases that hold the new and the old for a while. One that its dump makes itself is
    /// made by it.
    fn make_places(&mut self) -> Result<(), Error> {
        let created: BTreeSet<_> = self
            .surveyed
            .dumps
            .iter()
            .flat_map(|(_, survey)| &survey.found.created)
            .collect();
        for place in &mut self.undo.journal.places {
            place.options = live::options(&mut self.server, &place.live)?;
            let make = |database: &str, options: &str| {
                format!("CREATE DATABASE {} {options}", name(database))
            };
            if !created.contains(&place.live) {
                let options = place.options.clone().unwrap_or_default();
                self.server
                    .prepare(&place.live, &make(&place.new, &options))?;
            }
            self.server.prepare(&place.live, &make(&place.old, ""))?;
        }
        self.undo.journal.write(&mut self.server)
    }

    fn load(
        &self,
        connection: &ConnectionSettings,
        dump: &Dump,
        survey: &Survey,
        places: &Places,
    ) -> Result<(), Error> {
        Load {
            dump,
            survey,
            connection,
            connections: self.target.connections,
            places,
            trust: self.target.trust,
            watch: self.watch,
        }
        .run()
    }

    /// Counts what was loaded, and compares it with the dump.
    fn result(&self, dump: &Dump, survey: &Survey, places: &Places) -> Result<Restored, Error> {
        let mut restored = Restored {
            path: dump.path.clone(),
            databases: survey.found.databases.iter().cloned().collect(),
            bytes: survey.bytes,
            tables: 0,
            rows: 0,
        };
        if restored.databases.is_empty() {
            return Ok(restored);
        }
        let mut session = Session::connect(&self.target.connection)?;
        for database in &restored.databases {
            let place = places.get(database).unwrap_or(database);
            let counts = mail_mysql::count_database(&mut session, place)?;
            compare(dump, survey, database, &counts)?;
            restored.tables += counts.tables;
            restored.rows += counts.rows;
        }
        Ok(restored)
    }

    /// Whether all stored code was made in the rehearsal, but what names something that is not
    /// there.
    fn check_stored(&mut self, places: &Places, unmade: &[Unmade]) -> Result<(), Error> {
        let mut expected = BTreeSet::new();
        for (_, survey) in &self.surveyed.dumps {
            for key in &survey.found.stored {
                let is_unmade = unmade.iter().any(|unmade| unmade.key == *key);
                // An event whose time is over is dropped as soon as it is made.
                if is_unmade || key.1 == StoredKind::Event {
                    continue;
                }
                let (database, kind, object) = key.clone();
                let place = places.get(&database).cloned().unwrap_or(database);
                expected.insert((place, kind, object) as StoredKey);
            }
        }
        let absent =
            stored_code::absent(&mut self.server, &expected).map_err(|source| Error::Ask {
                what: "what was made",
                source,
            })?;
        match absent.into_iter().next() {
            None => Ok(()),
            Some((_, kind, object)) => Err(Error::Absent {
                what: format!("{} {}", kind.word(), name(&object)),
            }),
        }
    }
}

/// Whether `counts` of a database are what its dump holds: by the last line of one of ours, and
/// table by table.
fn compare(dump: &Dump, survey: &Survey, database: &str, counts: &Counts) -> Result<(), Error> {
    let different = |found: String, expected: String| Error::Different {
        database: database.to_owned(),
        file: dump.path.clone(),
        found,
        expected,
    };
    if let Footer::Counts(expected) = survey.footer
        && (expected.tables, expected.rows) != (counts.tables, counts.rows)
    {
        let found = format!("{} tables, {} rows", counts.tables, counts.rows);
        return Err(different(found, expected.to_string()));
    }
    let of_database = survey
        .found
        .tables
        .iter()
        .filter(|((of, _), _)| of == database);
    for ((_, table), expected) in of_database {
        match counts.rows_of.get(table) {
            None => {
                let found = format!("no table {}", name(table));
                return Err(different(found, "one".to_owned()));
            }
            Some(Some(rows)) if expected.is_exact && *rows != expected.rows => {
                let text = |rows: u64| format!("{rows} rows in table {}", name(table));
                return Err(different(text(*rows), text(expected.rows)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

impl Undo {
    /// Goes back, and says what became of that.
    fn back_from(self, cause: Error) -> Error {
        let was_touched = self.journal.state == State::Exchanging;
        match self.roll_back() {
            // Until the exchange nothing was touched: what is left beside it, the next run drops.
            Err(failure) if was_touched => self.failed(&failure, cause),
            _ => Error::RolledBack {
                source: Box::new(cause),
            },
        }
    }

    fn failed(&self, failure: &Error, cause: Error) -> Error {
        Error::NotRolledBack {
            journal: self.journal.database.clone(),
            failure: chain(failure),
            source: Box::new(cause),
        }
    }

    /// No signal ends it.
    fn roll_back(&self) -> Result<(), Error> {
        let mut server = Server::connect(&self.connection)?;
        recover::undo(&mut server, &self.connection, &self.journal)?;
        match &self.accounts {
            Some(accounts) => accounts.drop_others(&mut server),
            None => Ok(()),
        }
    }
}
