//! What is stored is not what it should be, or cannot be had.

use std::io;

use mail_common::checksum::{self, Sha256};
use mail_common::exit::Exit;
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::manifest;
use mail_common::signature;

use crate::store::StoreError;

/// What is stored is not what it should be, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("read {url}")]
    Read { url: String, source: io::Error },
    #[error("{url} is not a set, or a push of it has not ended")]
    NoSet { url: String },
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
    #[error(
        "{url} has {found} bytes, and the manifest says {expected}; push the set again, \
         or use another"
    )]
    Size {
        url: String,
        expected: u64,
        found: u64,
    },
    #[error(
        "{url} was put there by another program, which recorded no sha256: not proven; \
         `verify --deep` reads it"
    )]
    NoDigest { url: String },
    #[error("read {url}")]
    Manifest {
        url: String,
        source: manifest::Error,
    },
    #[error("read {url}: {reason}; push the set again")]
    Encrypted { url: String, reason: String },
    #[error(transparent)]
    Signature(#[from] signature::Error),
    #[error(
        "{url} is encrypted, and its signature is of what is inside: a pull verifies it. To \
         compare what is stored with its digests alone, run this with ALLOWED_SIGNERS= (empty)"
    )]
    SignedInside { url: String },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Whether what is stored is wrong, and not the way to it.
    pub(crate) fn is_damage(&self) -> bool {
        self.kind().exit() == Exit::Bad
    }

    /// Whether any other request would fail alike.
    pub(crate) fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => error.is_fatal(),
            Self::Interrupted(_) => true,
            _ => false,
        }
    }
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Signature(error) => error.kind(),
            Self::SignedInside { .. } => FailureKind::Usage,
            Self::Read { .. } => FailureKind::Store,
            Self::NoSet { .. } | Self::Missing { .. } => FailureKind::Missing,
            Self::Checksums { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::NoDigest { .. }
            | Self::Manifest { .. }
            | Self::Encrypted { .. } => FailureKind::Damaged,
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}
