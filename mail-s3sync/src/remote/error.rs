//! What is stored is not what it should be, or cannot be had.

use std::io;

use mail_common::checksum::{self, Sha256};
use mail_common::exit::Exit;

use crate::store::StoreError;

/// What is stored is not what it should be, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("read {url}")]
    Read { url: String, source: io::Error },
    #[error("{url} is missing; push the set again, or use another")]
    Missing { url: String },
    #[error("read {url}: it is not what it should be; push the set again")]
    Checksums {
        url: String,
        source: checksum::ParseError,
    },
    #[error("{url}: its sha256 is {found}, and {expected} was recorded; push the set again")]
    Digest {
        url: String,
        expected: Sha256,
        found: Sha256,
    },
    #[error("read {url}: {reason}; push the set again")]
    Manifest { url: String, reason: String },
}

impl Error {
    /// Whether what is stored is wrong, and not the way to it.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Store(_) | Self::Read { .. } => false,
            Self::Missing { .. }
            | Self::Checksums { .. }
            | Self::Digest { .. }
            | Self::Manifest { .. } => true,
        }
    }

    /// Whether any other request would fail alike.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_fatal())
    }

    /// What a run that ended so came to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Store(error) if error.is_configuration() => Exit::Usage,
            error if error.is_damage() => Exit::Bad,
            _ => Exit::Unfinished,
        }
    }
}
