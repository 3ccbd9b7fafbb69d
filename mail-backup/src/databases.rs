//! The mysql component: each database as one compressed file of SQL, and the accounts as another.

use std::error::Error as StdError;
use std::io;
use std::sync::atomic::AtomicBool;

use mail_common::atomic::StoredFile;
use mail_common::config::{Config, MysqlSettings};
use mail_common::relpath::RelPath;
use mail_common::report::Report;
use mail_common::set::{Component, Staging};
use zstd::zstd_safe::CParameter;

use crate::saved::{Content, SavedFile};
use mail_mysql::{ConnectionSettings, DumpReport, Session, file_name};

/// What the mysql component is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct DatabasesPlan {
    pub(crate) connection: ConnectionSettings,
    /// By name; empty means all but the system's.
    pub(crate) wanted: Vec<String>,
    /// zstd's.
    level: i32,
}

/// What was saved of the databases, and what was not.
#[derive(Debug, Default)]
pub(crate) struct SavedDatabases {
    pub(crate) files: Vec<SavedFile>,
    /// What is missing from the set, by the file in which it should be.
    pub(crate) failed: Vec<(RelPath, Box<dyn StdError + Send + Sync>)>,
    pub(crate) notices: Vec<String>,
    pub(crate) rows: u64,
}

/// Something that the dump lacks.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Lacking(String);

impl DatabasesPlan {
    /// Reads how the server is reached: environment and settings over the option file.
    pub(crate) fn read(
        config: &Config,
        settings: &MysqlSettings,
        level: i32,
        report: &Report,
    ) -> Result<Self, mail_mysql::Error> {
        let connection = ConnectionSettings::from_config(config, settings, report)?;
        Ok(Self {
            connection,
            wanted: settings.databases.clone(),
            level,
        })
    }

    /// Logs in, and leaves.
    pub(crate) fn try_connection(&self) -> Result<(), mail_mysql::Error> {
        Session::connect(&self.connection).map(drop)
    }

    /// Saves every database that is wanted, and the accounts, from one consistent snapshot.
    ///
    /// # Errors
    /// Only when the set cannot be written, or the run is interrupted; the rest is in the result.
    pub(crate) fn save(
        &self,
        staging: &Staging<'_>,
        stop: &AtomicBool,
        progress: &dyn Fn(u64),
    ) -> Result<SavedDatabases, mail_mysql::Error> {
        let mut saved = SavedDatabases::default();
        let opened = Session::connect(&self.connection).and_then(|mut session| {
            let found = mail_mysql::databases(&mut session, &self.wanted)?;
            Ok((session, found))
        });
        let (mut session, found) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                saved.failed.push((file_name::directory(), error.into()));
                return Ok(saved);
            }
        };
        for missing in found.missing {
            saved
                .failed
                .push((file_name::directory(), Lacking(missing).into()));
        }
        let mut saver = Saver {
            plan: self,
            staging,
            stop,
            progress,
            session: &mut session,
            saved,
        };
        for database in &found.names {
            saver.save_database(database)?;
        }
        saver.save_accounts()?;
        Ok(saver.saved)
    }
}

struct Saver<'a> {
    plan: &'a DatabasesPlan,
    staging: &'a Staging<'a>,
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(u64),
    session: &'a mut Session,
    saved: SavedDatabases,
}

type Compressed = zstd::Encoder<'static, StoredFile>;

impl Saver<'_> {
    fn save_database(&mut self, database: &str) -> Result<(), mail_mysql::Error> {
        let path = file_name::of_database(database);
        let (staging, level) = (self.staging, self.plan.level);
        let mut rows_before = 0;
        let progress = &mut |rows: u64| {
            (self.progress)(rows.saturating_sub(rows_before));
            rows_before = rows;
        };
        let dumped = mail_mysql::dump_database(
            self.session,
            database,
            || open(staging, &path, level),
            self.stop,
            progress,
        );
        self.keep(path, dumped)
    }

    fn save_accounts(&mut self) -> Result<(), mail_mysql::Error> {
        let path = file_name::of_accounts();
        let (staging, level) = (self.staging, self.plan.level);
        let dumped =
            mail_mysql::dump_accounts(self.session, || open(staging, &path, level), self.stop);
        self.keep(path, dumped)
    }

    fn keep(
        &mut self,
        path: RelPath,
        dumped: Result<(Compressed, DumpReport), mail_mysql::Error>,
    ) -> Result<(), mail_mysql::Error> {
        let (encoder, report) = match dumped {
            Ok(dumped) => dumped,
            Err(error) if error.ends_the_run() => return Err(error),
            Err(error) => {
                self.staging
                    .clear(&path)
                    .map_err(|source| write_error(&path, source))?;
                self.saved.failed.push((path, error.into()));
                return Ok(());
            }
        };
        let stored = encoder.finish().and_then(StoredFile::finish);
        let stored = stored.map_err(|source| write_error(&path, source))?;
        let lacking = report
            .missing
            .into_iter()
            .map(|what| (path.clone(), Lacking(what).into()));
        self.saved.failed.extend(lacking);
        self.saved.notices.extend(report.warnings);
        self.saved.rows += report.rows;
        let content = Content {
            entries: report.tables,
            source_bytes: report.source_bytes,
        };
        self.saved
            .files
            .push(SavedFile::written(Component::Mysql, path, &stored, content));
        Ok(())
    }
}

fn write_error(path: &RelPath, source: io::Error) -> mail_mysql::Error {
    mail_mysql::Error::Open {
        database: path.to_string(),
        source,
    }
}

/// Opens the file of a dump, anew when an attempt before it failed. One thread compresses while the
/// rows come in.
fn open(staging: &Staging<'_>, path: &RelPath, level: i32) -> io::Result<Compressed> {
    staging.clear(path)?;
    let mut encoder = zstd::Encoder::new(staging.create_file(path)?, level)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    encoder.multithread(1)?;
    Ok(encoder)
}
