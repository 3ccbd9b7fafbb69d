//! What can go wrong with a server. Each message is whole: it stands in a finding, where no chain
//! of causes is shown.

use std::io;
use std::time::Duration;

use super::place::Place;

/// Why a server was not spoken with to the end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    #[error("the name of {place} cannot be resolved: {source}; see the machine's DNS")]
    Resolve { place: Place, source: io::Error },
    #[error("nobody listens at {place}: {source}; is the service running?")]
    Refused { place: Place, source: io::Error },
    #[error("{place} cannot be reached: {source}")]
    Unreachable { place: Place, source: io::Error },
    #[error(
        "{place} hangs: it has not sent {wanted} within {:.1} s; look at its load and its log",
        within.as_secs_f64()
    )]
    Silent {
        place: Place,
        wanted: &'static str,
        within: Duration,
    },
    #[error("{place} closed the connection instead of sending {wanted}; see its log")]
    Closed { place: Place, wanted: &'static str },
    #[error("the connection to {place} broke before {wanted}: {source}; see its log")]
    Broken {
        place: Place,
        wanted: &'static str,
        source: io::Error,
    },
    #[error(
        "{place} sends more than it may instead of {wanted}; is another service listening there?"
    )]
    Endless { place: Place, wanted: &'static str },
    #[error("{place} sends {reply:?} instead of {wanted}; is another service listening there?")]
    Unexpected {
        place: Place,
        wanted: &'static str,
        reply: String,
    },
    #[error("{place} refuses {command}: {reply}")]
    Refuses {
        place: Place,
        command: &'static str,
        reply: String,
    },
    #[error("{place} does not offer {wanted}; see its TLS and authentication settings")]
    NotOffered { place: Place, wanted: &'static str },
    #[error("TLS with {place} failed: {reason}; see its certificate and TLS settings")]
    Tls { place: Place, reason: String },
}

impl NetError {
    /// What reading or writing `wanted` failed with.
    pub(super) fn of(
        place: &Place,
        wanted: &'static str,
        within: Duration,
        source: io::Error,
    ) -> Self {
        let place = place.clone();
        match source.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silent {
                place,
                wanted,
                within,
            },
            io::ErrorKind::UnexpectedEof => Self::Closed { place, wanted },
            io::ErrorKind::InvalidData => Self::Tls {
                place,
                reason: source.to_string(),
            },
            _ => Self::Broken {
                place,
                wanted,
                source,
            },
        }
    }
}
