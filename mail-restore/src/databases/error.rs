//! What can go wrong with databases on their way back, on which file and line, and what to do next.

use std::io;
use std::path::PathBuf;

use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;
use mail_mysql::Cause;

use super::statement::ReadError;

/// A failure of the databases' way back. Unless it is [`Error::NotRolledBack`],
/// [`Error::NotRecovered`] or [`Error::NotKept`], the live databases are as they were.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two files for one database.
    #[error(
        "{first} and {second} both hold database {database}; load the one that you want by hand: \
         zcat FILE | mariadb"
    )]
    Twice {
        /// The database.
        database: String,
        /// A file of the set.
        first: RelPath,
        /// Another.
        second: RelPath,
    },
    /// `mysqldump --tab`: the rows are not in SQL.
    #[error(
        "{file} has no rows: they are in {rows}, and only SQL is read (mysqldump --tab); load the \
         definitions, then the rows with mariadb-import"
    )]
    Tab {
        /// The definition of a table.
        file: RelPath,
        /// Its rows.
        rows: RelPath,
    },
    /// The set has no accounts, and they were asked for.
    #[error("the set has no mysql/_accounts.sql.zst; restore without accounts")]
    NoAccounts,
    /// The set has files of the component, and none is a dump.
    #[error(
        "no file of the set is a dump of a database that would be restored{}",
        ignored_text(ignored)
    )]
    NoDumps {
        /// The files beside.
        ignored: Vec<RelPath>,
    },
    /// All dumps are of databases of the server.
    #[error("the dumps hold nothing but databases of the server itself, which are never restored")]
    OfTheServer,
    /// Another restore is at work on the server.
    #[error("another restore is at work on this server; wait for it")]
    Busy,
    /// What prevents an exchange.
    #[error("nothing was touched: {}", found.join("; "))]
    Obstacles {
        /// Each of them.
        found: Vec<String>,
    },
    /// The journal cannot be written or understood.
    #[error("the journal in database {database}: {reason}")]
    Journal {
        /// The database that holds it.
        database: String,
        /// What is wrong.
        reason: String,
    },
    /// Stored code that is there now could not be made again, so it is not dropped.
    #[error(
        "what is there now could not be made again if the restore failed, so it is not touched; \
         where the server forbids a function, SET GLOBAL log_bin_trust_function_creators=1 allows \
         it"
    )]
    NoWayBack {
        /// What the server said of it.
        source: Box<Error>,
    },
    /// Something is not there after it was made.
    #[error("{what} is not there after it was made")]
    Absent {
        /// What.
        what: String,
    },
    /// The new databases are in place, and that could not be written down.
    #[error(
        "the new databases are in place, but the server went away before that was settled: the \
         next run puts the old ones back"
    )]
    NotKept {
        /// Why.
        source: Box<Error>,
    },
    /// What a killed run left cannot be put right.
    #[error(
        "a restore was killed while it exchanged databases (its journal is in {database}), and \
         what it left cannot be put right"
    )]
    NotRecovered {
        /// The database that holds the journal.
        database: String,
        /// Why.
        source: Box<Error>,
    },
    /// A dump cannot be read, or is no dump.
    #[error("read {file}")]
    Read {
        /// The dump.
        file: RelPath,
        /// Why.
        source: ReadError,
    },
    /// A dump says what it may not say.
    #[error("{file} line {line}: {reason}; nothing was loaded")]
    Refused {
        /// The dump.
        file: RelPath,
        /// In which the statement begins.
        line: u64,
        /// Why.
        reason: String,
    },
    /// A dump is not all there.
    #[error("{file}: {reason}; use another set")]
    Incomplete {
        /// The dump.
        file: RelPath,
        /// What is missing.
        reason: String,
    },
    /// The server cannot take the longest statement.
    #[error(
        "{file} has a statement of {bytes} bytes, and the server takes {limit}; raise it: SET \
         GLOBAL max_allowed_packet=1073741824"
    )]
    Packet {
        /// The dump.
        file: RelPath,
        /// Of the statement.
        bytes: u64,
        /// The server's max_allowed_packet.
        limit: u64,
    },
    /// No connection.
    #[error(transparent)]
    Connect(#[from] mail_mysql::Error),
    /// The server does not say what is there.
    #[error("ask the server for {what}")]
    Ask {
        /// What.
        what: &'static str,
        /// Why.
        source: Cause,
    },
    /// What is there now cannot be saved whole.
    #[error(
        "database {database} cannot be saved as it is now: {}; nothing was loaded; give the \
         account what it lacks, or repair or drop what is broken, then run again",
        missing.join("; ")
    )]
    NotSaved {
        /// The database.
        database: String,
        /// What the dump would lack.
        missing: Vec<String>,
    },
    /// The dump of what is there now failed.
    #[error("save database {database} as it is now; nothing was loaded")]
    Save {
        /// The database, or `accounts`.
        database: String,
        /// Why.
        source: mail_mysql::Error,
    },
    /// A file cannot be written.
    #[error("write {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A statement failed.
    #[error("{file} line {line}: {statement}")]
    Statement {
        /// The dump.
        file: RelPath,
        /// In which the statement begins.
        line: u64,
        /// Its first words.
        statement: String,
        /// What the server said.
        source: Cause,
    },
    /// The text is in no character set that can be sent.
    #[error(
        "{file} line {line}: text that is not UTF-8 and that cannot be sent as it is; convert the \
         dump with iconv"
    )]
    NotText {
        /// The dump.
        file: RelPath,
        /// In which the statement begins.
        line: u64,
    },
    /// The database is not made or dropped.
    #[error("prepare database {database}")]
    Prepare {
        /// The database.
        database: String,
        /// What the server said.
        source: Cause,
    },
    /// What was loaded is not what the dump holds.
    #[error("database {database} has {found} after loading, and {file} holds {expected}")]
    Different {
        /// The database.
        database: String,
        /// The dump.
        file: RelPath,
        /// Tables and rows that are there.
        found: String,
        /// Tables and rows that the dump's last line names.
        expected: String,
    },
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// Another part of the restore failed.
    #[error("{0}")]
    Elsewhere(String),
    /// A thread ended by itself.
    #[error("a thread of the loader panicked")]
    Panicked,
    /// Loading failed, and the server is as it was.
    #[error("the databases were not restored; all of them are as they were before")]
    RolledBack {
        /// Why.
        source: Box<Error>,
    },
    /// Loading failed, and so did the way back.
    #[error(
        "the databases are in the middle of an exchange that could not be undone ({failure}); its \
         journal is in the database {journal}: the next run of mail-restore with the component \
         mysql puts back what was there, before anything else"
    )]
    NotRolledBack {
        /// The database that holds the journal.
        journal: String,
        /// Why the way back failed.
        failure: String,
        /// Why it was taken.
        source: Box<Error>,
    },
}

/// What stands where dumps are looked for and is not one by its name.
fn ignored_text(ignored: &[RelPath]) -> String {
    let Some(path) = ignored.first() else {
        return String::new();
    };
    format!(" ({path} is not .sql, .sql.zst, .sql.gz, .sql.bz2 or .sql.xz)")
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Twice { .. } | Self::NoAccounts | Self::NoDumps { .. } | Self::OfTheServer => {
                FailureKind::NoSuch
            }
            Self::Busy => FailureKind::Locked,
            Self::Read { source, .. } => match source {
                ReadError::Input(source) => FailureKind::of_io(source),
                ReadError::Unended { .. } | ReadError::TooLong { .. } => FailureKind::Damaged,
                ReadError::ClientCommand { .. } | ReadError::Ambiguous { .. } => {
                    FailureKind::Refused
                }
            },
            Self::Refused { .. }
            | Self::NotText { .. }
            | Self::Obstacles { .. }
            | Self::Tab { .. } => FailureKind::Refused,
            Self::Incomplete { .. } | Self::Different { .. } => FailureKind::Damaged,
            Self::Connect(source) | Self::Save { source, .. } => source.kind(),
            Self::Write { source, .. } => FailureKind::of_io(source),
            Self::Interrupted(interrupted) => interrupted.kind(),
            Self::RolledBack { source }
            | Self::NotRolledBack { source, .. }
            | Self::NotRecovered { source, .. }
            | Self::NoWayBack { source } => source.kind(),
            Self::Packet { .. }
            | Self::Journal { .. }
            | Self::Absent { .. }
            | Self::NotKept { .. }
            | Self::Ask { .. }
            | Self::NotSaved { .. }
            | Self::Statement { .. }
            | Self::Prepare { .. } => FailureKind::Database,
            Self::Elsewhere(_) | Self::Panicked => FailureKind::Other,
        }
    }
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
