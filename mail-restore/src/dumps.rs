//! The databases of a run: which dumps, where to, and what the records say of them.

use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupt;
use mail_common::record::{Record, Restored};
use mail_common::relpath::{PathField, RelPath};
use mail_common::report::Report;
use mail_common::report::Unit;
use mail_common::set::{Component, Inventory, SetFile};
use mail_common::tool::{Session, Totals, human_size};
use mail_mysql::ConnectionSettings;

use crate::args::Args;
use crate::build::Built;
use crate::databases::{
    Accounts, Databases, Error, Inspection, Loaded, Target, Trust, Watch, WrittenSql,
};
use crate::error::Error as RunError;
use crate::setup::{Destination, Setup};
use crate::unpack::Unpacked;

/// The dumps of a set that a run restores.
#[derive(Debug)]
pub(crate) struct DumpsJob {
    databases: Databases,
    /// The files of the set that are used.
    pub(crate) files: Vec<SetFile>,
    to: To,
}

/// Where dumps go.
#[derive(Debug)]
enum To {
    Server(Target),
    /// `DIR/mysql`, as plain SQL.
    Directory(PathBuf),
}

/// What a run says of one dump.
struct DumpLine<'a> {
    path: &'a RelPath,
    target: String,
    bytes: u64,
    tables: u64,
}

impl DumpsJob {
    /// Finds the dumps and reads how the server is reached. Accounts are loaded when that is asked
    /// for; into a directory they come with the rest.
    pub(crate) fn plan(
        args: &Args,
        setup: &Setup,
        inventory: &Inventory,
        destination: &Destination,
        report: &Report,
    ) -> Result<Self, RunError> {
        let databases = choose(args, inventory, destination)?;
        let to = match destination {
            Destination::Directory(directory) => {
                To::Directory(directory.join(Component::Mysql.name()))
            }
            Destination::Live => To::Server(target(args, setup, report)?),
        };
        for ignored in databases.ignored() {
            report.warning(format!("{ignored} is not restored: it is not a dump"));
        }
        let files = databases
            .paths()
            .filter_map(|path| inventory.file(path))
            .cloned()
            .collect();
        Ok(Self {
            databases,
            files,
            to,
        })
    }

    /// The directory that the dumps are unpacked into; `None` for the server.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.to {
            To::Server(_) => None,
            To::Directory(directory) => Some(directory),
        }
    }

    /// Reads every dump to its end, asks the server, and says what would be done.
    pub(crate) fn show(&self, session: &Session, interrupt: &Interrupt, totals: &mut Totals) {
        match &self.to {
            To::Directory(directory) => self.show_files(directory, session, totals),
            To::Server(target) => match self.databases.inspect(target, &interrupt.flag()) {
                Ok(inspection) => show_inspection(session, &inspection, totals),
                Err(error) => session.fail(Some(Component::Mysql), None, &error),
            },
        }
    }

    /// What can be known without unpacking: digests are verified, sizes are recorded.
    fn show_files(&self, directory: &Path, session: &Session, totals: &mut Totals) {
        for file in &self.files {
            let (bytes, tables) = file
                .recorded
                .map_or((0, 0), |recorded| (recorded.source_bytes, recorded.entries));
            let target = directory.display().to_string();
            emit(
                session,
                &DumpLine {
                    path: &file.path,
                    target,
                    bytes,
                    tables,
                },
                Mode::DryRun,
                totals,
            );
        }
    }

    /// Loads the dumps, where they go to a server. What was loaded can be taken back until it is
    /// kept.
    ///
    /// # Errors
    /// When they are not restored; the databases are as they were then, or the error says where
    /// what they were is.
    pub(crate) fn load(
        &self,
        root: &Path,
        session: &Session,
        interrupt: &Interrupt,
        now: &ZonedDateTime,
    ) -> Result<Option<Loaded>, Error> {
        let To::Server(target) = &self.to else {
            return Ok(None);
        };
        let progress = session
            .report
            .progress("mysql", Unit::Bytes, Some(self.source_bytes()));
        let advance = |bytes| progress.advance(bytes);
        let watch = Watch {
            stop: &interrupt.flag(),
            progress: &advance,
        };
        self.databases.restore(target, root, now, watch).map(Some)
    }

    /// Unpacks the dumps into the empty directory `path`.
    ///
    /// # Errors
    /// When one cannot be read or written; what is in `path` is to be thrown away then.
    pub(crate) fn unpack(
        &self,
        path: &Path,
        session: &Session,
        interrupt: &Interrupt,
    ) -> Result<Vec<Built>, Error> {
        let progress = session
            .report
            .progress("mysql", Unit::Bytes, Some(self.source_bytes()));
        let advance = |bytes| progress.advance(bytes);
        let written = self.databases.write_sql(
            path,
            Watch {
                stop: &interrupt.flag(),
                progress: &advance,
            },
        )?;
        let built = |file: WrittenSql| Built {
            component: Component::Mysql,
            path: file.path,
            unpacked: Unpacked {
                entries: file.tables,
                bytes: file.bytes,
            },
        };
        Ok(written.into_iter().map(built).collect())
    }

    fn source_bytes(&self) -> u64 {
        self.files
            .iter()
            .filter_map(|file| file.recorded)
            .map(|recorded| recorded.source_bytes)
            .sum()
    }
}

/// The dumps that are asked for. As plain files, accounts come where the set has them.
fn choose(
    args: &Args,
    inventory: &Inventory,
    destination: &Destination,
) -> Result<Databases, Error> {
    match (args.accounts, destination) {
        (true, _) => Databases::plan(inventory, Accounts::Load),
        (false, Destination::Live) => Databases::plan(inventory, Accounts::Leave),
        (false, Destination::Directory(_)) => match Databases::plan(inventory, Accounts::Load) {
            Err(Error::NoAccounts) => Databases::plan(inventory, Accounts::Leave),
            planned => planned,
        },
    }
}

fn target(args: &Args, setup: &Setup, report: &Report) -> Result<Target, RunError> {
    if !setup.root.is_dir() {
        return Err(RunError::NoRoot {
            root: setup.root.clone(),
        });
    }
    let settings = &setup.settings.mysql;
    let connection = ConnectionSettings::from_config(&setup.config, settings, report)
        .map_err(RunError::Connection)?;
    Ok(Target {
        connection,
        connections: args.threads().get().max(2),
        trust: if args.trust_dump {
            Trust::Full
        } else {
            Trust::Gate
        },
    })
}

/// Keeps what was loaded, and says it. What could not be made is named alone.
pub(crate) fn report(loaded: Loaded, session: &Session, totals: &mut Totals) {
    for warning in loaded.warnings() {
        session.report.warning(warning);
    }
    for (path, text) in loaded.unmade() {
        session.fail(Some(Component::Mysql), Some(path), &Unmade(text.clone()));
    }
    let saved = loaded.saved().display().to_string();
    let restored = match loaded.keep() {
        Ok(restored) => restored,
        Err(error) => return session.fail(Some(Component::Mysql), None, &error),
    };
    session.report.summary(format!(
        "a dump of what the databases were before is kept in {saved}, which is a set"
    ));
    for dump in restored {
        let target = target_text(&dump.databases);
        let line = DumpLine {
            path: &dump.path,
            target,
            bytes: dump.bytes,
            tables: dump.tables,
        };
        emit(session, &line, Mode::Apply, totals);
    }
}

fn show_inspection(session: &Session, inspection: &Inspection, totals: &mut Totals) {
    session
        .report
        .summary(format!("mysql: MariaDB {}", inspection.server_version));
    for replaced in &inspection.replaced {
        let (name, size) = (&replaced.database, human_size(replaced.bytes));
        session.report.summary(format!(
            "mysql: database {name} would be replaced: {} tables, {size}",
            replaced.tables
        ));
    }
    for new in &inspection.new {
        session
            .report
            .summary(format!("mysql: database {new} would be made"));
    }
    for warning in &inspection.warnings {
        session.report.warning(warning);
    }
    for obstacle in &inspection.obstacles {
        let obstacle = Obstacle(obstacle.clone());
        session.fail(Some(Component::Mysql), None, &obstacle);
    }
    for privilege in &inspection.lacking {
        let lacking = Lacking(privilege.clone());
        session.fail(Some(Component::Mysql), None, &lacking);
    }
    for dump in &inspection.dumps {
        let target = target_text(&dump.databases);
        let line = DumpLine {
            path: &dump.path,
            target,
            bytes: dump.bytes,
            tables: dump.tables,
        };
        emit(session, &line, Mode::DryRun, totals);
    }
}

/// A privilege without which a restore would fail.
#[derive(Debug, thiserror::Error)]
#[error("the database account lacks {0}")]
struct Lacking(String);

impl Failure for Lacking {
    fn kind(&self) -> FailureKind {
        FailureKind::Denied
    }
}

/// What would keep a restore from touching anything.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Obstacle(String);

impl Failure for Obstacle {
    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }
}

/// Stored code that was not restored.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unmade(String);

impl Failure for Unmade {
    fn kind(&self) -> FailureKind {
        FailureKind::Database
    }
}

fn target_text(databases: &[String]) -> String {
    if databases.is_empty() {
        "accounts".to_owned()
    } else {
        databases.join(", ")
    }
}

/// Whether it was done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Apply,
    DryRun,
}

fn emit(session: &Session, line: &DumpLine<'_>, mode: Mode, totals: &mut Totals) {
    session.emit(&Record::Restored(Restored {
        component: Component::Mysql,
        path: PathField::from(line.path),
        target: line.target.clone(),
        bytes: line.bytes,
        entries: line.tables,
        dry_run: mode == Mode::DryRun,
    }));
    totals.add("files", 1);
    totals.add("tables", line.tables);
    totals.add("bytes", line.bytes);
}
