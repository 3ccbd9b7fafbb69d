//! Where a server listens: `host:port`, `tcp:host:port` or `unix:/path`.

use std::fmt;
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

/// It is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no address: {0:?}; such are 127.0.0.1:587, mail.example.com:993 and unix:/path")]
pub(crate) struct NoPlace(String);

impl Place {
    /// The name or address of its machine, without brackets; `localhost` for a unix socket.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host.trim_start_matches('[').trim_end_matches(']'),
            Self::Unix(_) => "localhost",
        }
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let none = || NoPlace(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(none()) };
        }
        let (host, port) = text.strip_prefix("tcp:").unwrap_or(text).rsplit_once(':').ok_or_else(none)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(none)?;
        if host.is_empty() || host.contains(['/', ' ']) || (host.contains(':') && !bracketed) {
            return Err(none());
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Place {
    type Error = NoPlace;

    fn try_from(text: String) -> Result<Self, NoPlace> {
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
    fn addresses_are_read() {
        let check = |text: &str, shown: &str, host: &str| {
            let place: Place = text.parse().unwrap();
            assert_eq!((place.to_string().as_str(), place.host()), (shown, host));
        };
        check("127.0.0.1:587", "127.0.0.1:587", "127.0.0.1");
        check("tcp:mail.example.com:25", "mail.example.com:25", "mail.example.com");
        check("[::1]:993", "[::1]:993", "::1");
        check("unix:/run/lmtp", "unix:/run/lmtp", "localhost");
        for wrong in ["", "host", "host:0", ":25", "unix:relative", "::1:25", "http://x:80", "host:99999"] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace(wrong.to_owned())), "{wrong}");
        }
    }
}
