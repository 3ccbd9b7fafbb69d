//! What can go wrong with the database, and on which database and table. No message holds a
//! password.

use std::io;
use std::path::PathBuf;

use mail_common::failure::{Failure, FailureKind};

/// A failure of the `mysql` component.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The option file is there but cannot be read.
    #[error("read option file {}", path.display())]
    ReadOptionFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of the option file cannot be understood.
    #[error("option file {} line {line}: {reason}", path.display())]
    ParseOptionFile {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A port that is not a number from 0 to 65535.
    #[error("{name} is not a port: {value:?}")]
    BadPort {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// Nobody answers.
    #[error(
        "connect to MariaDB at {address}; is it running, \
         and are MYSQL_HOST, MYSQL_PORT or MYSQL_SOCKET right?"
    )]
    Connect {
        /// Socket path, or host and port.
        address: String,
        /// Why.
        source: Cause,
    },
    /// The server is there but refuses the account.
    #[error(
        "log in to MariaDB at {address} as {user:?}; \
         set user and password in ~/.my.cnf, or MYSQL_USER and MYSQL_PWD; \
         an account that requires TLS also needs ssl or ssl-ca in ~/.my.cnf"
    )]
    LogIn {
        /// Socket path, or host and port.
        address: String,
        /// Account name.
        user: String,
        /// Why.
        source: Cause,
    },
    /// TLS was asked for and did not come about.
    #[error(
        "secure the connection to MariaDB at {address}; \
         check ssl, ssl-ca and ssl-verify-server-cert"
    )]
    Secure {
        /// Host and port.
        address: String,
        /// Why.
        source: Cause,
    },
    /// The session cannot be prepared or its snapshot taken.
    #[error("prepare the session: {statement}")]
    Prepare {
        /// The statement that failed.
        statement: String,
        /// Why.
        source: Cause,
    },
    /// The server shows versioned tables as they were at another moment.
    #[error(
        "the server has system_versioning_asof = {value:?}, \
         so that it shows versioned tables as they were then; \
         run: SET GLOBAL system_versioning_asof = DEFAULT"
    )]
    OtherMoment {
        /// The moment.
        value: String,
    },
    /// A wanted database is not there, or the account may not see it.
    #[error("no database {database:?} that this account may see; check MYSQL_DATABASES")]
    NoDatabase {
        /// Its name.
        database: String,
    },
    /// The server does not say what there is.
    #[error("list {what}")]
    List {
        /// Databases, accounts, or the objects of a database.
        what: String,
        /// Why.
        source: Cause,
    },
    /// The connection ended, or the query was killed.
    #[error("dump {database}: connection lost at {object}")]
    Lost {
        /// The database, or `accounts`.
        database: String,
        /// The table or other object being read.
        object: String,
        /// Why.
        source: Cause,
    },
    /// Tables were changed during every attempt.
    #[error(
        "dump {database}: {object} was changed during each of {attempts} attempts; \
         dump when no migration runs"
    )]
    Changing {
        /// The database.
        database: String,
        /// The table or other object that changed last.
        object: String,
        /// How often it was tried.
        attempts: u32,
        /// What the server said last.
        source: Cause,
    },
    /// The output cannot be opened.
    #[error("create the dump of {database}")]
    Open {
        /// The database, or `accounts`.
        database: String,
        /// Why.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("write the dump of {database}")]
    Write {
        /// The database, or `accounts`.
        database: String,
        /// Why.
        source: io::Error,
    },
    /// The run was asked to stop.
    #[error("dump {database}: stopped")]
    Stopped {
        /// The database, or `accounts`.
        database: String,
    },
}

impl Error {
    pub(crate) fn prepare(statement: &str, source: Cause) -> Self {
        Self::Prepare {
            statement: statement.to_owned(),
            source,
        }
    }

    /// Whether nothing more can be saved, of whatever component: the set cannot be written, or the
    /// run is to stop.
    #[must_use]
    pub fn ends_the_run(&self) -> bool {
        matches!(
            self,
            Self::Open { .. } | Self::Write { .. } | Self::Stopped { .. }
        )
    }
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::ReadOptionFile { .. } | Self::ParseOptionFile { .. } | Self::BadPort { .. } => {
                FailureKind::Configuration
            }
            Self::LogIn { .. } => FailureKind::Denied,
            Self::NoDatabase { .. }
            | Self::Connect { .. }
            | Self::Secure { .. }
            | Self::Prepare { .. }
            | Self::OtherMoment { .. }
            | Self::List { .. }
            | Self::Lost { .. } => FailureKind::Database,
            Self::Changing { .. } => FailureKind::Changed,
            Self::Open { source, .. } | Self::Write { source, .. } => FailureKind::of_io(source),
            Self::Stopped { .. } => FailureKind::Interrupted,
        }
    }
}

/// Why a statement failed, as the server or the connection says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The server's own error.
    #[error("{message} (MariaDB error {code})")]
    Server {
        /// The number in MariaDB's list of error codes.
        code: u16,
        /// The server's text.
        message: String,
    },
    /// The connection broke, or could not be secured.
    #[error("{0}")]
    Connection(String),
    /// The answer holds bytes where a dump can only carry text.
    #[error("it holds bytes that are not UTF-8, which a dump cannot carry exactly")]
    NotText,
    /// The rows that were read are not all that are there.
    #[error("{read} rows were read, and COUNT(*) in the same snapshot is {counted}")]
    Count {
        /// By SELECT.
        read: u64,
        /// By COUNT(*).
        counted: u64,
    },
}

/// What a [`Cause`] means for a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing more can be asked: the connection or the query was ended.
    Lost,
    /// The definition changed after the snapshot, or a lock wait was given up: worth another
    /// attempt.
    Changed,
    /// The object is not there any more: worth another attempt, too.
    Gone,
    /// The account may not do this, or the object itself is damaged: name it and go on.
    Withheld,
}

impl Cause {
    /// What this means for a dump; the numbers are those of MariaDB's error list.
    pub(crate) fn meaning(&self) -> Meaning {
        match self {
            Self::Connection(_) => Meaning::Lost,
            Self::NotText | Self::Count { .. } => Meaning::Withheld,
            Self::Server { code, .. } => match code {
                // Shutdown, interrupted, connection killed, statement time exceeded.
                1053 | 1317 | 1927 | 1969 => Meaning::Lost,
                // Lock wait, deadlock, table definition changed.
                1205 | 1213 | 1412 => Meaning::Changed,
                // Database, column, table, routine or savepoint, kind of object, trigger, event,
                // sequence.
                1049 | 1054 | 1146 | 1305 | 1347 | 1360 | 1539 | 4091 => Meaning::Gone,
                _ => Meaning::Withheld,
            },
        }
    }
}

impl From<::mysql::Error> for Cause {
    fn from(error: ::mysql::Error) -> Self {
        match error {
            ::mysql::Error::MySqlError(error) => Self::Server {
                code: error.code,
                message: error.message,
            },
            ::mysql::Error::IoError(error) => Self::Connection(error.to_string()),
            ::mysql::Error::DriverError(error) => Self::Connection(error.to_string()),
            ::mysql::Error::CodecError(error) => Self::Connection(error.to_string()),
            ::mysql::Error::TlsError(error) => Self::Connection(error.to_string()),
            ::mysql::Error::UrlError(error) => Self::Connection(error.to_string()),
            // These carry a value of the database, which does not belong in a message.
            ::mysql::Error::FromValueError(_) | ::mysql::Error::FromRowError(_) => {
                Self::Connection("an answer of an unexpected shape".to_owned())
            }
        }
    }
}
