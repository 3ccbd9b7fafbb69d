//! Loading all dumps, or none: what is there is saved first, and any failure brings it back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use jiff::ZonedDateTime;
use mail_common::relpath::RelPath;
use mail_mysql::{ConnectionSettings, Session};

use super::Accounts;
use super::accounts::{AccountNames, database_options};
use super::before::{self, Before};
use super::dump::Dump;
use super::error::{Error, chain};
use super::load::{Load, Watch};
use super::order::{databases, in_order};
use super::server::Server;
use super::survey::{Footer, Survey, TablesAndRows};

/// Where dumps are loaded, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub connection: ConnectionSettings,
    /// How many connections load at the same time.
    pub connections: usize,
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

/// Databases that were loaded, and the way back from them. Dropped without [`Loaded::roll_back`],
/// they stay.
#[must_use]
#[derive(Debug)]
pub struct Loaded {
    results: Vec<Restored>,
    undo: Undo,
    warnings: Vec<String>,
}

/// What was there, and what was touched since.
#[derive(Debug)]
struct Undo {
    target: Target,
    before: Before,
    saved: Vec<(Dump, Survey)>,
    touched: BTreeSet<String>,
    /// Those that were there, once others may have been made.
    accounts: Option<AccountNames>,
}

/// Dumps that were read to their end.
pub(super) struct Surveyed {
    pub(super) dumps: Vec<(Dump, Survey)>,
    pub(super) accounts: Option<(Dump, Survey)>,
}

impl Loaded {
    /// One for each dump.
    #[must_use]
    pub fn results(&self) -> &[Restored] {
        &self.results
    }

    /// What an administrator should know.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The set of what was there before.
    #[must_use]
    pub fn saved(&self) -> &Path {
        &self.undo.before.dir
    }

    /// Keeps what was loaded. What was there before stays in [`Loaded::saved`].
    pub fn keep(self) -> Vec<Restored> {
        self.results
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
    let all = || surveyed.dumps.iter().chain(&surveyed.accounts);
    let packet_bytes = server.packet_bytes()?;
    all().try_for_each(|(dump, survey)| check_packet(packet_bytes, dump, survey))?;
    let asked = if surveyed.accounts.is_some() {
        Accounts::Load
    } else {
        Accounts::Leave
    };
    let before = before::save(
        &target.connection,
        &databases(&surveyed.dumps),
        asked,
        (root, now),
        watch.stop,
    )?;
    let saved = survey_all(&before.dumps.databases, watch.stop)?;
    saved
        .iter()
        .try_for_each(|(dump, survey)| check_packet(packet_bytes, dump, survey))?;
    let mut warnings: Vec<_> = all()
        .flat_map(|(dump, survey)| survey.warnings(dump))
        .collect();
    warnings.extend_from_slice(&before.warnings);
    let mut undo = Undo {
        target: target.clone(),
        before,
        saved,
        touched: BTreeSet::new(),
        accounts: None,
    };
    match load_all(&mut server, surveyed, &mut undo, watch) {
        Ok(results) => Ok(Loaded {
            results,
            undo,
            warnings,
        }),
        Err(cause) => Err(undo.back_from(cause)),
    }
}

/// Reads dumps to their ends, and puts them into the order in which they load.
pub(super) fn survey_all(dumps: &[Dump], stop: &AtomicBool) -> Result<Vec<(Dump, Survey)>, Error> {
    let survey = |dump: &Dump| Ok((dump.clone(), Survey::of_database(dump, stop)?));
    in_order(dumps.iter().map(survey).collect::<Result<_, Error>>()?)
}

/// Whether the server takes the longest statement; the driver's own packets need a little room.
pub(super) fn check_packet(limit: u64, dump: &Dump, survey: &Survey) -> Result<(), Error> {
    const ROOM_BYTES: u64 = 64;
    match survey.longest_bytes + ROOM_BYTES > limit {
        true => Err(Error::Packet {
            file: dump.path.clone(),
            bytes: survey.longest_bytes,
            limit,
        }),
        false => Ok(()),
    }
}

fn load_all(
    server: &mut Server,
    surveyed: &Surveyed,
    undo: &mut Undo,
    watch: Watch<'_>,
) -> Result<Vec<Restored>, Error> {
    let mut results = Vec::new();
    for (dump, survey) in &surveyed.dumps {
        for database in &survey.found.databases {
            undo.touched.insert(database.clone());
            replace(server, database, survey)?;
        }
        results.push(load_one(&undo.target, dump, survey, watch)?);
    }
    if let Some((dump, survey)) = &surveyed.accounts {
        undo.accounts = Some(AccountNames::read(server)?);
        results.push(load_one(&undo.target, dump, survey, watch)?);
    }
    Ok(results)
}

/// Drops `database`, so that afterwards it holds what the dump holds and nothing else, and makes it
/// where the dump does not: with the character set that it had.
fn replace(server: &mut Server, database: &str, survey: &Survey) -> Result<(), Error> {
    let options = database_options(server, database)?;
    server.drop(database)?;
    if survey.found.created.contains(database) {
        Ok(())
    } else {
        server.create(database, &options)
    }
}

fn load_one(
    target: &Target,
    dump: &Dump,
    survey: &Survey,
    watch: Watch<'_>,
) -> Result<Restored, Error> {
    let Target {
        connection,
        connections,
    } = target;
    Load {
        dump,
        survey,
        connection,
        connections: *connections,
        watch,
    }
    .run()?;
    let databases: Vec<_> = survey.found.databases.iter().cloned().collect();
    let counts = count(connection, &databases)?;
    if let (Footer::Counts(expected), [database]) = (survey.footer, &databases[..])
        && expected != counts
    {
        return Err(Error::Different {
            database: database.clone(),
            file: dump.path.clone(),
            found: counts.to_string(),
            expected: expected.to_string(),
        });
    }
    let TablesAndRows { tables, rows } = counts;
    Ok(Restored {
        path: dump.path.clone(),
        databases,
        bytes: survey.bytes,
        tables,
        rows,
    })
}

fn count(connection: &ConnectionSettings, databases: &[String]) -> Result<TablesAndRows, Error> {
    let mut total = TablesAndRows { tables: 0, rows: 0 };
    if databases.is_empty() {
        return Ok(total);
    }
    let mut session = Session::connect(connection)?;
    for database in databases {
        let counts = mail_mysql::count_database(&mut session, database)?;
        total.tables += counts.tables;
        total.rows += counts.rows;
    }
    Ok(total)
}

impl Undo {
    /// Goes back, and says what became of that.
    fn back_from(self, cause: Error) -> Error {
        match self.roll_back() {
            Ok(()) => Error::RolledBack {
                source: Box::new(cause),
            },
            Err(failure) => self.failed(&failure, cause),
        }
    }

    fn failed(&self, failure: &Error, cause: Error) -> Error {
        Error::NotRolledBack {
            saved: self.before.dir.clone(),
            new: self
                .touched
                .difference(&self.before.existing)
                .cloned()
                .collect(),
            failure: chain(failure),
            source: Box::new(cause),
        }
    }

    /// Drops what was touched and loads what was there. No signal ends it.
    fn roll_back(&self) -> Result<(), Error> {
        if self.touched.is_empty() && self.accounts.is_none() {
            return Ok(());
        }
        let mut server = Server::connect(&self.target.connection)?;
        for database in &self.touched {
            server.drop(database)?;
        }
        let never = AtomicBool::new(false);
        let watch = Watch {
            stop: &never,
            progress: &|_| {},
        };
        for (dump, survey) in &self.saved {
            if !survey.found.databases.is_disjoint(&self.touched) {
                load_one(&self.target, dump, survey, watch)?;
            }
        }
        match &self.accounts {
            Some(accounts) => accounts.drop_others(&mut server),
            None => Ok(()),
        }
    }
}
