//! Where a clamd listens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where distributions and containers have clamd listen, the likeliest first.
const USUAL_SOCKETS: [&str; 5] = [
    "/run/clamav/clamd.ctl",
    "/run/clamav/clamd.sock",
    "/run/clamd.scan/clamd.sock",
    "/run/clamd/clamd.sock",
    "/tmp/clamd.sock",
];

const USUAL_PORT: &str = "127.0.0.1:3310";

/// The address of a clamd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `unix:/path`
    Unix(PathBuf),
    /// `tcp:host:port`
    Tcp(String),
}

/// The text is not an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "not the address of a clamd: {0:?}; write it as unix:/run/clamav/clamd.ctl or tcp:host:3310"
)]
pub(crate) struct UnknownAddress(String);

impl FromStr for Address {
    type Err = UnknownAddress;

    fn from_str(text: &str) -> Result<Self, UnknownAddress> {
        let unknown = || UnknownAddress(text.to_owned());
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp", place)) => {
                let (host, port) = place.rsplit_once(':').ok_or_else(unknown)?;
                let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
                if host.is_empty() || !is_port {
                    Err(unknown())
                } else {
                    Ok(Self::Tcp(place.to_owned()))
                }
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(place) => write!(f, "tcp:{place}"),
        }
    }
}

/// The clamd of this machine: the first of the usual sockets that is there, else the usual port.
pub(crate) fn usual_address() -> Address {
    let found = USUAL_SOCKETS
        .iter()
        .map(Path::new)
        .find(|path| path.exists());
    found.map_or_else(
        || Address::Tcp(USUAL_PORT.to_owned()),
        |path| Address::Unix(path.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        let check = |text: &str| assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        check("unix:/run/clamav/clamd.ctl");
        check("tcp:127.0.0.1:3310");
        check("tcp:[::1]:3310");
        check("tcp:av.example.com:3310");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "/run/clamd.sock",
            "unix:",
            "unix:relative",
            "tcp:host",
            "tcp::3310",
            "tcp:host:0",
            "http://x",
        ] {
            assert_eq!(
                text.parse::<Address>(),
                Err(UnknownAddress(text.to_owned()))
            );
        }
    }
}
