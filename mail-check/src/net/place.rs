//! Where a server listens: `host:port`, `tcp:host:port` or `unix:/path`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// It is not an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address; such are 127.0.0.1:587, mail.example.com:993 and unix:/path")]
pub(crate) struct NotAPlace(String);

impl Place {
    /// The name or address of its machine, without brackets; `localhost` for a unix socket.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host.trim_start_matches('[').trim_end_matches(']'),
            Self::Unix(_) => "localhost",
        }
    }

    /// Whether what is sent to it stays on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let is_loopback = |host: &str| {
            host.parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
        };
        matches!(self, Self::Unix(_)) || self.host() == "localhost" || is_loopback(self.host())
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let none = || NotAPlace(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(none())
            };
        }
        let (host, port) = text
            .strip_prefix("tcp:")
            .unwrap_or(text)
            .rsplit_once(':')
            .ok_or_else(none)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let port = port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(none)?;
        if host.is_empty() || host.contains(['/', ' ']) || (host.contains(':') && !bracketed) {
            return Err(none());
        }
        Ok(Self::Tcp {
            host: host.to_owned(),
            port,
        })
    }
}

impl TryFrom<String> for Place {
    type Error = NotAPlace;

    fn try_from(text: String) -> Result<Self, NotAPlace> {
        text.parse()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_machine_is_local() {
        let is_local = |text: &str| text.parse::<Place>().unwrap().is_local();
        assert!(
            ["unix:/s", "localhost:1", "127.0.0.9:1", "[::1]:1"]
                .into_iter()
                .all(is_local)
        );
        assert!(
            !["10.0.0.1:1", "mail.example.com:1", "localhost.evil.test:1"]
                .into_iter()
                .any(is_local)
        );
    }

    #[test]
    fn addresses_are_read() {
        let check = |text: &str, shown: &str, host: &str| {
            let place: Place = text.parse().unwrap();
            assert_eq!((place.to_string().as_str(), place.host()), (shown, host));
        };
        check("127.0.0.1:587", "127.0.0.1:587", "127.0.0.1");
        check(
            "tcp:mail.example.com:25",
            "mail.example.com:25",
            "mail.example.com",
        );
        check("[::1]:993", "[::1]:993", "::1");
        check("unix:/run/lmtp", "unix:/run/lmtp", "localhost");
        for wrong in [
            "",
            "host",
            "host:0",
            ":25",
            "unix:relative",
            "::1:25",
            "http://x:80",
            "host:99999",
        ] {
            assert_eq!(
                wrong.parse::<Place>(),
                Err(NotAPlace(wrong.to_owned())),
                "{wrong}"
            );
        }
    }
}
