//! The one connection of a run: its settings, its snapshot, one statement a call.

use std::time::Duration;

use ::mysql::prelude::Queryable;
use ::mysql::{ClientIdentity, Conn, OptsBuilder, QueryResult, SslOpts, Text, Value};

use crate::error::{Cause, Error};
use crate::options::{Address, ConnectionSettings, Tls, Verify};
use crate::pinned::{Purpose, pin};

/// The largest packet of the protocol: a row may hold a LONGBLOB.
const MAX_PACKET_BYTES: usize = 1 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that stands in one consistent snapshot.
pub struct Session {
    conn: Conn,
    history: History,
}

/// Whether this server's SQL can carry the history of system-versioned tables (MariaDB 10.11 and
/// later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// By `system_versioning_insert_history`.
    Insertable,
    /// Not at all.
    Lost,
}

/// One row of a short answer; `None` is NULL.
pub(crate) type Cells = Vec<Option<Vec<u8>>>;

impl Session {
    /// Connects, applies the settings and takes the snapshot.
    ///
    /// # Errors
    /// When nobody answers, the account is refused, TLS was asked for and fails, or a setting is
    /// refused.
    pub fn connect(settings: &ConnectionSettings) -> Result<Self, Error> {
        let mut session = Self {
            conn: connect(settings)?,
            history: History::Lost,
        };
        pin(Purpose::Read, &mut |statement| {
            session.first_cell(statement)
        })?;
        session.prepare("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        if session
            .cells("SELECT @@system_versioning_insert_history")
            .is_ok()
        {
            session.history = History::Insertable;
        }
        session.renew_snapshot()?;
        Ok(session)
    }

    /// Leaves the snapshot and takes a new one, of now.
    pub(crate) fn renew_snapshot(&mut self) -> Result<(), Error> {
        self.prepare("ROLLBACK")?;
        self.prepare("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    }

    pub(crate) fn history(&self) -> History {
        self.history
    }

    /// Runs a statement that gives no rows.
    pub(crate) fn run(&mut self, statement: &str) -> Result<(), Cause> {
        Ok(self.conn.query_drop(statement)?)
    }

    /// The rows of a short answer.
    pub(crate) fn cells(&mut self, query: &str) -> Result<Vec<Cells>, Cause> {
        let mut rows = Vec::new();
        for row in self.conn.query_iter(query)? {
            rows.push(row?.unwrap().into_iter().map(bytes_of).collect());
        }
        Ok(rows)
    }

    /// The same as text; NULL is empty. All names are text, since the session's character set is
    /// utf8mb4; a definition may hold bytes.
    pub(crate) fn texts(&mut self, query: &str) -> Result<Vec<Vec<String>>, Cause> {
        let mut rows = Vec::new();
        for row in self.cells(query)? {
            let texts: Result<Vec<_>, _> = row
                .into_iter()
                .map(|cell| String::from_utf8(cell.unwrap_or_default()))
                .collect();
            rows.push(texts.map_err(|_| Cause::NotText)?);
        }
        Ok(rows)
    }

    /// The first cell of a short answer, as text.
    pub(crate) fn first_cell(&mut self, query: &str) -> Result<Option<String>, Cause> {
        Ok(self.texts(query)?.into_iter().flatten().next())
    }

    /// The rows of a long answer, as they arrive.
    pub(crate) fn stream(&mut self, query: &str) -> Result<QueryResult<'_, '_, '_, Text>, Cause> {
        Ok(self.conn.query_iter(query)?)
    }

    fn prepare(&mut self, statement: &str) -> Result<(), Error> {
        self.run(statement)
            .map_err(|source| Error::prepare(statement, source))
    }
}

/// A connection as the server gives it: no settings, no snapshot. It caches no prepared statement,
/// and a server that asks for a file of this machine (LOAD DATA LOCAL) gets an empty one.
///
/// # Errors
/// When nobody answers, the account is refused, or TLS was asked for and fails.
pub fn connect(settings: &ConnectionSettings) -> Result<Conn, Error> {
    Conn::new(driver_options(settings)).map_err(|error| connect_error(settings, error))
}

/// As [`connect`], where connecting, and each answer after that, takes no longer than `within`.
///
/// # Errors
/// As [`connect`], and when the server does not answer in time.
pub fn connect_within(settings: &ConnectionSettings, within: Duration) -> Result<Conn, Error> {
    let options = driver_options(settings)
        .tcp_connect_timeout(Some(within))
        .read_timeout(Some(within))
        .write_timeout(Some(within));
    Conn::new(options).map_err(|error| connect_error(settings, error))
}

/// The text protocol sends nothing but bytes and NULL.
fn bytes_of(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn driver_options(settings: &ConnectionSettings) -> OptsBuilder {
    let options = OptsBuilder::new()
        .user(Some(&settings.user))
        .pass(
            settings
                .password
                .as_ref()
                .map(mail_common::secret::Secret::expose),
        )
        // Without this a TCP connection to loopback would be exchanged for the server's socket.
        .prefer_socket(false)
        .stmt_cache_size(0)
        .max_allowed_packet(Some(MAX_PACKET_BYTES))
        .tcp_connect_timeout(Some(CONNECT_TIMEOUT))
        .tcp_keepalive_time_ms(Some(60_000));
    match &settings.address {
        Address::Socket(path) => options.socket(Some(path.to_string_lossy())),
        Address::Tcp(host, port) => options
            .ip_or_hostname(Some(host))
            .tcp_port(*port)
            .ssl_opts(tls_options(&settings.tls)),
    }
}

fn tls_options(tls: &Tls) -> Option<SslOpts> {
    let Tls::On {
        authorities,
        identity,
        verify,
    } = tls
    else {
        return None;
    };
    let identity = identity
        .clone()
        .map(|(cert, key)| ClientIdentity::new(cert, key));
    Some(
        SslOpts::default()
            .with_root_cert_path(authorities.clone())
            .with_client_identity(identity)
            .with_danger_accept_invalid_certs(*verify == Verify::Nothing)
            .with_danger_skip_domain_validation(*verify != Verify::ChainAndName),
    )
}

fn connect_error(settings: &ConnectionSettings, error: ::mysql::Error) -> Error {
    let address = settings.address.to_string();
    let about_tls = is_about_tls(&error);
    let source = Cause::from(error);
    match source {
        // Access denied in its forms, for the account, its host or its authentication plugin.
        Cause::Server {
            code: 1044 | 1045 | 1130 | 1251 | 1524 | 1698 | 1820 | 1862 | 4151,
            ..
        } => Error::LogIn {
            address,
            user: settings.user.clone(),
            source,
        },
        _ if about_tls => Error::Secure { address, source },
        _ => Error::Connect { address, source },
    }
}

/// The TLS library reports a refused certificate as invalid data, of its first read or write.
fn is_about_tls(error: &::mysql::Error) -> bool {
    let invalid = |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidData;
    match error {
        ::mysql::Error::TlsError(_)
        | ::mysql::Error::DriverError(::mysql::DriverError::TlsNotSupported) => true,
        ::mysql::Error::IoError(error) => invalid(error),
        ::mysql::Error::CodecError(error) => std::error::Error::source(error)
            .and_then(|source| source.downcast_ref())
            .is_some_and(invalid),
        _ => false,
    }
}
