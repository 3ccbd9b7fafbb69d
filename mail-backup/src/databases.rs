//! The mysql component: each database as one compressed file of SQL, and the accounts as another.

use std::io;

use mail_common::atomic::StoredFile;
use mail_common::config::{Config, MysqlSettings};
use mail_common::failure::Failed;
use mail_common::interrupt::Interrupt;
use mail_common::record::DatabaseRows;
use mail_common::relpath::RelPath;
use mail_common::report::Report;
use mail_common::set::{Component, Staging};
use mail_mysql::{ConnectionSettings, Databases, DumpReport, Session, file_name};
use zstd::zstd_safe::CParameter;

use crate::error::Error;
use crate::part::SavedPart;
use crate::saved::{Content, SavedFile};

/// What the mysql component is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct DatabasesPlan {
    connection: ConnectionSettings,
    /// By name; empty means all but the system's.
    wanted: Vec<String>,
    /// zstd's.
    level: i32,
    /// How to say that there is no server.
    absence: Option<String>,
}

impl DatabasesPlan {
    /// Reads how the server is reached: environment and settings over the option file.
    pub(crate) fn read(
        config: &Config,
        settings: &MysqlSettings,
        level: i32,
        report: &Report,
    ) -> Result<Self, Error> {
        let connection = ConnectionSettings::from_config(config, settings, report)
            .map_err(Error::ConnectionSettings)?;
        Ok(Self {
            connection,
            wanted: settings.databases.clone(),
            level,
            absence: None,
        })
    }

    /// The same, with how to say that there is no server.
    pub(crate) fn where_none(self, absence: Option<String>) -> Self {
        Self { absence, ..self }
    }

    /// Logs in, and leaves.
    pub(crate) fn try_connection(&self) -> Result<(), Error> {
        self.log_in().map(drop)
    }

    /// The databases that would be saved.
    pub(crate) fn find(&self) -> Result<Databases, Error> {
        self.connect().map(|(_, found)| found)
    }

    fn log_in(&self) -> Result<Session, Error> {
        match (Session::connect(&self.connection), &self.absence) {
            (Err(error), Some(say)) => Err(Error::of_log_in(error, say)),
            (connected, _) => Ok(connected?),
        }
    }

    fn connect(&self) -> Result<(Session, Databases), Error> {
        let mut session = self.log_in()?;
        let found = mail_mysql::databases(&mut session, &self.wanted)?;
        Ok((session, found))
    }

    /// Saves every database that is wanted, and the accounts, from one consistent snapshot. Reports
    /// rows to `progress`.
    ///
    /// # Errors
    /// Only when the set cannot be written, or the run is interrupted; the rest is in the result.
    pub(crate) fn save(
        &self,
        staging: &Staging<'_>,
        interrupt: &Interrupt,
        progress: &dyn Fn(u64),
    ) -> Result<SavedPart, Error> {
        let mut saved = SavedPart::default();
        let (mut session, found) = match self.connect() {
            Ok(connected) => connected,
            Err(error) => {
                saved.fail(Some(file_name::directory()), error);
                return Ok(saved);
            }
        };
        for missing in found.missing {
            saved.fail(Some(file_name::directory()), Error::Lacking(missing));
        }
        let mut saver = Saver {
            plan: self,
            staging,
            interrupt,
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
    interrupt: &'a Interrupt,
    progress: &'a dyn Fn(u64),
    session: &'a mut Session,
    saved: SavedPart,
}

type Compressed = zstd::Encoder<'static, StoredFile>;

impl Saver<'_> {
    fn save_database(&mut self, database: &str) -> Result<(), Error> {
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
            &self.interrupt.flag(),
            progress,
        );
        if let Ok((_, report)) = &dumped {
            self.saved.databases.push(DatabaseRows {
                database: database.to_owned(),
                tables: report.rows_of.clone(),
            });
        }
        self.keep(path, dumped)
    }

    fn save_accounts(&mut self) -> Result<(), Error> {
        let path = file_name::of_accounts();
        let (staging, level) = (self.staging, self.plan.level);
        let dumped = mail_mysql::dump_accounts(
            self.session,
            || open(staging, &path, level),
            &self.interrupt.flag(),
        );
        self.keep(path, dumped)
    }

    fn keep(
        &mut self,
        path: RelPath,
        dumped: Result<(Compressed, DumpReport), mail_mysql::Error>,
    ) -> Result<(), Error> {
        let file = self.staging.path().join(path.as_path());
        let (encoder, report) = match dumped {
            Ok(dumped) => dumped,
            Err(error) if error.ends_the_run() => return Err(error.into()),
            Err(error) => {
                let cleared = self.staging.clear(&path);
                cleared.map_err(Failed::at("remove", &file))?;
                self.saved.fail(Some(path), error);
                return Ok(());
            }
        };
        let finished = encoder.finish().and_then(StoredFile::finish);
        let stored = finished.map_err(Failed::at("write", &file))?;
        for missing in report.missing {
            self.saved.fail(Some(path.clone()), Error::Lacking(missing));
        }
        self.saved.notices.extend(report.warnings);
        self.saved.totals.add("rows", report.rows);
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

/// Opens the file of a dump, again when an attempt before it failed. One thread compresses while
/// the rows come in.
fn open(staging: &Staging<'_>, path: &RelPath, level: i32) -> io::Result<Compressed> {
    staging.clear(path)?;
    let mut encoder = zstd::Encoder::new(staging.create_file(path)?, level)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    encoder.multithread(1)?;
    Ok(encoder)
}
