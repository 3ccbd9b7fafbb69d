//! Where the server is, who asks, and under what protection.
//!
//! Each source gives an [`Options`]; `explicit.or(environment).or(file)` puts them in order of
//! precedence and [`Options::settle`] adds the defaults.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mail_common::secret::Secret;
use mail_common::trusted;

use crate::error::Error;
use crate::option_file::{self, Setting};

const DEFAULT_SOCKET: &str = "/run/mysqld/mysqld.sock";
const DEFAULT_PORT: u16 = 3306;

/// What one source says; `None` where it is silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Account name.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Name or address; `localhost` means the socket.
    pub host: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// Unix socket.
    pub socket: Option<PathBuf>,
    /// PEM file of the authorities that the server's certificate must come from. Asks for TLS. A
    /// server certificate that is marked as an authority itself (`CA:TRUE`) is refused by the TLS
    /// library.
    pub ssl_ca: Option<PathBuf>,
    /// PEM file of the client's certificate. Asks for TLS.
    pub ssl_cert: Option<PathBuf>,
    /// PEM file of the client's key.
    pub ssl_key: Option<PathBuf>,
    /// Whether to use TLS.
    pub ssl: Option<bool>,
    /// Whether the server's certificate must be valid for its host name.
    pub ssl_verify_server_cert: Option<bool>,
}

/// Everything that a connection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Account name.
    pub user: String,
    /// Its password; none for accounts that log in by socket or without one.
    pub password: Option<Secret>,
    /// Where the server listens.
    pub address: Address,
    /// Protection on TCP; a unix socket needs none.
    pub tls: Tls,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Socket(PathBuf),
    /// A name or address, and a port.
    Tcp(String, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// Protection of a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// None.
    Off,
    /// Encrypted. A server without TLS is an error, never a fallback.
    On {
        /// Additional authorities.
        authorities: Option<PathBuf>,
        /// The client's certificate and key.
        identity: Option<(PathBuf, PathBuf)>,
        /// What is asked of the server's certificate.
        verify: Verify,
    },
}

/// What is asked of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing, as the stock client does for `ssl` alone: no protection from an active attacker.
    Nothing,
    /// It comes from the given authorities.
    Chain,
    /// It also names the host.
    ChainAndName,
}

/// An option file that was read.
#[derive(Debug, Default)]
pub struct OptionFile {
    /// What it says.
    pub options: Options,
    /// What its owner should know: others may read it.
    pub warning: Option<String>,
}

impl Options {
    /// What the environment says, by `lookup`: MYSQL_HOST, MYSQL_PORT, MYSQL_SOCKET, MYSQL_USER,
    /// MYSQL_PWD. An empty variable is an unset one.
    ///
    /// # Errors
    /// When MYSQL_PORT is no port.
    pub fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Ok(Self {
            user: get("MYSQL_USER"),
            password: get("MYSQL_PWD").map(Secret::new),
            host: get("MYSQL_HOST"),
            port: get("MYSQL_PORT")
                .map(|text| parse_port("MYSQL_PORT", &text))
                .transpose()?,
            socket: get("MYSQL_SOCKET").map(PathBuf::from),
            ..Self::default()
        })
    }

    /// What the option file at `path` says. A missing file says nothing.
    ///
    /// # Errors
    /// When it is there but cannot be read or understood; the error names the line, never its text.
    pub fn from_file(path: &Path) -> Result<OptionFile, Error> {
        let failed = |source| Error::ReadOptionFile {
            path: path.to_owned(),
            source,
        };
        let bytes = match trusted::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(OptionFile::default());
            }
            Err(error) => return Err(failed(error)),
        };
        let mode = std::fs::metadata(path).map_err(failed)?.mode();
        let options = Self::parse(&bytes).map_err(|bad| Error::ParseOptionFile {
            path: path.to_owned(),
            line: bad.line,
            reason: bad.reason,
        })?;
        Ok(OptionFile {
            options,
            warning: readable_by_others(path, mode),
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, option_file::BadLine> {
        let mut options = Self::default();
        for setting in option_file::parse(bytes)? {
            options.set(setting)?;
        }
        Ok(options)
    }

    /// Keys that are not about the connection are left alone: the file also serves other clients.
    fn set(&mut self, setting: Setting) -> Result<(), option_file::BadLine> {
        let Setting { key, value, line } = setting;
        let bad = |reason| option_file::BadLine { line, reason };
        match (key.as_str(), value) {
            ("user", value) => self.user = value,
            ("password", value) => self.password = value.map(Secret::new),
            ("host", value) => self.host = value,
            ("port", Some(value)) => {
                self.port = Some(value.parse().map_err(|_| bad("port is not a number"))?);
            }
            ("socket", value) => self.socket = value.map(PathBuf::from),
            ("ssl-ca", value) => self.ssl_ca = value.map(PathBuf::from),
            ("ssl-cert", value) => self.ssl_cert = value.map(PathBuf::from),
            ("ssl-key", value) => self.ssl_key = value.map(PathBuf::from),
            ("ssl" | "enable-ssl", value) => self.ssl = Some(is_on(value.as_deref())),
            ("skip-ssl" | "disable-ssl", _) => self.ssl = Some(false),
            ("ssl-verify-server-cert", value) => {
                self.ssl_verify_server_cert = Some(is_on(value.as_deref()));
            }
            ("skip-ssl-verify-server-cert" | "disable-ssl-verify-server-cert", _) => {
                self.ssl_verify_server_cert = Some(false);
            }
            _ => {}
        }
        Ok(())
    }

    /// These options, and those of `weaker` where these are silent.
    ///
    /// An address is one thing: a source that names a host or a port hides a weaker source's
    /// socket, and one that names a socket hides a weaker host and port.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        let has_tcp = self.host.is_some() || self.port.is_some();
        let has_socket = self.socket.is_some();
        Self {
            user: self.user.or(weaker.user),
            password: self.password.or(weaker.password),
            host: self.host.or(weaker.host.filter(|_| !has_socket)),
            port: self.port.or(weaker.port.filter(|_| !has_socket)),
            socket: self.socket.or(weaker.socket.filter(|_| !has_tcp)),
            ssl_ca: self.ssl_ca.or(weaker.ssl_ca),
            ssl_cert: self.ssl_cert.or(weaker.ssl_cert),
            ssl_key: self.ssl_key.or(weaker.ssl_key),
            ssl: self.ssl.or(weaker.ssl),
            ssl_verify_server_cert: self
                .ssl_verify_server_cert
                .or(weaker.ssl_verify_server_cert),
        }
    }

    /// Adds the defaults: `login_name` as user, the Debian socket for no host or `localhost`, else
    /// port 3306.
    #[must_use]
    pub fn settle(self, login_name: &str) -> ConnectionSettings {
        ConnectionSettings {
            tls: self.tls(),
            address: self.address(),
            user: self.user.unwrap_or_else(|| login_name.to_owned()),
            password: self.password,
        }
    }

    fn address(&self) -> Address {
        match self.host.as_deref() {
            Some(host) if !host.is_empty() && host != "localhost" => {
                Address::Tcp(host.to_owned(), self.port.unwrap_or(DEFAULT_PORT))
            }
            _ => Address::Socket(
                self.socket
                    .clone()
                    .unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)),
            ),
        }
    }

    fn tls(&self) -> Tls {
        let asked = self.ssl_ca.is_some()
            || self.ssl_cert.is_some()
            || self.ssl_verify_server_cert == Some(true);
        if !self.ssl.unwrap_or(asked) {
            return Tls::Off;
        }
        let verify = match (self.ssl_verify_server_cert, &self.ssl_ca) {
            (Some(true), _) => Verify::ChainAndName,
            (_, Some(_)) => Verify::Chain,
            _ => Verify::Nothing,
        };
        let identity = self.ssl_cert.clone().map(|cert| {
            let key = self.ssl_key.clone().unwrap_or_else(|| cert.clone());
            (cert, key)
        });
        Tls::On {
            authorities: self.ssl_ca.clone(),
            identity,
            verify,
        }
    }
}

fn parse_port(name: &'static str, text: &str) -> Result<u16, Error> {
    text.parse().map_err(|_| Error::BadPort {
        name,
        value: text.to_owned(),
    })
}

/// A bare option is on, as in MariaDB; so is any value that is not a word for off.
fn is_on(value: Option<&str>) -> bool {
    !value.is_some_and(|v| ["0", "off", "false", "no"].contains(&v.to_ascii_lowercase().as_str()))
}

fn readable_by_others(path: &Path, mode: u32) -> Option<String> {
    (mode & 0o077 != 0).then(|| {
        format!(
            "{} can be read by others (mode {:04o}); run: chmod 600 {0}",
            path.display(),
            mode & 0o7777
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Options {
        Options::parse(text.as_bytes()).unwrap()
    }

    fn environment(pairs: &[(&str, &str)]) -> Options {
        let get = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Options::from_environment(get).unwrap()
    }

    fn address(options: Options) -> String {
        options.settle("login").address.to_string()
    }

    #[test]
    fn explicit_over_environment_over_file_over_default() {
        let low = file("[client]\nuser=file\npassword=p1\nhost=h1\nport=1\n");
        let mid = environment(&[
            ("MYSQL_USER", "env"),
            ("MYSQL_PWD", "p2"),
            ("MYSQL_HOST", "h2"),
        ]);
        let high = Options {
            user: Some("flag".into()),
            ..Options::default()
        };
        let settings = high.or(mid).or(low).settle("login");
        assert_eq!(settings.user, "flag");
        assert_eq!(settings.password.unwrap().expose(), "p2");
        assert_eq!(settings.address.to_string(), "h2:1");
        assert_eq!(Options::default().settle("login").user, "login");
    }

    #[test]
    fn the_address_of_the_strongest_source_is_used_whole() {
        assert_eq!(address(Options::default()), "/run/mysqld/mysqld.sock");
        assert_eq!(
            address(file("[client]\nhost=localhost\nport=3307")),
            "/run/mysqld/mysqld.sock"
        );
        assert_eq!(address(file("[client]\nsocket=/s\nport=3306")), "/s");
        assert_eq!(address(file("[client]\nhost=127.0.0.1")), "127.0.0.1:3306");
        assert_eq!(
            address(environment(&[("MYSQL_HOST", "db")]).or(file("[client]\nsocket=/s"))),
            "db:3306"
        );
        assert_eq!(
            address(environment(&[("MYSQL_SOCKET", "/e")]).or(file("[client]\nhost=db\nport=1"))),
            "/e"
        );
        assert_eq!(
            address(environment(&[("MYSQL_HOST", "")]).or(file("[client]\nhost=db"))),
            "db:3306"
        );
    }

    #[test]
    fn tls_is_on_when_asked_for() {
        assert_eq!(file("[client]").tls(), Tls::Off);
        assert_eq!(file("[client]\nssl-ca=/ca\nskip-ssl").tls(), Tls::Off);
        let on = |authorities: Option<&str>, verify| Tls::On {
            authorities: authorities.map(PathBuf::from),
            identity: None,
            verify,
        };
        assert_eq!(file("[client]\nssl").tls(), on(None, Verify::Nothing));
        assert_eq!(
            file("[client]\nssl=1\nssl-verify-server-cert=OFF").tls(),
            on(None, Verify::Nothing)
        );
        assert_eq!(
            file("[client]\nssl_ca=/ca").tls(),
            on(Some("/ca"), Verify::Chain)
        );
        assert_eq!(
            file("[client]\nssl-ca=/ca\nssl-verify-server-cert").tls(),
            on(Some("/ca"), Verify::ChainAndName)
        );
    }

    #[test]
    fn a_bad_port_is_refused_and_secrets_stay_hidden() {
        let error =
            Options::from_environment(|name| (name == "MYSQL_PORT").then(|| "x".to_owned()))
                .unwrap_err();
        assert_eq!(error.to_string(), "MYSQL_PORT is not a port: \"x\"");
        let text = format!("{:?}", file("[client]\npassword=hunter2").settle("x"));
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_file_that_others_may_read_is_named() {
        assert_eq!(readable_by_others(Path::new("/f"), 0o100_600), None);
        let warning = readable_by_others(Path::new("/f"), 0o100_644).unwrap();
        assert_eq!(
            warning,
            "/f can be read by others (mode 0644); run: chmod 600 /f"
        );
    }
}
