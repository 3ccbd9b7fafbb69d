//! Why a set, or a file of it, did not come back.

use std::path::PathBuf;

use mail_common::checksum::Sha256;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::signature;

use crate::encryption;
use crate::remote;

/// A set, or a file of it, did not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error("{url} is not a set, or not a complete one; see `mail-s3sync list`")]
    NoSet { url: String },
    #[error("{url} is encrypted to {recipients}; give the file of the private key by --identity")]
    NoIdentity { url: String, recipients: String },
    #[error("{url} holds nothing of {what}")]
    NothingWanted { url: String, what: String },
    #[error(transparent)]
    Signature(#[from] signature::Error),
    #[error(transparent)]
    Decrypt(#[from] encryption::Error),
    #[error(
        "{url} came damaged {times} times: its sha256 is {found}, and the set says {expected}; \
         use another set"
    )]
    Damaged {
        url: String,
        times: u32,
        expected: Sha256,
        found: Sha256,
    },
    #[error("{} is being written by another pull; wait for it", path.display())]
    Busy { path: PathBuf },
    #[error(transparent)]
    Write(#[from] Failed),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Whether the other files would fail alike, so that there is no use in going on.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::Remote(error) => error.is_fatal(),
            Self::Interrupted(_) | Self::Signature(_) => true,
            Self::Write(failed) => failed.kind() == FailureKind::NoSpace,
            _ => false,
        }
    }
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Remote(error) => error.kind(),
            Self::NoSet { .. } | Self::NothingWanted { .. } => FailureKind::NoSuch,
            Self::NoIdentity { .. } => FailureKind::Usage,
            Self::Signature(error) => error.kind(),
            Self::Decrypt(error) => error.kind(),
            Self::Damaged { .. } => FailureKind::Damaged,
            // Not of the kind `Locked`, whose exit code is for the lock of a backup root.
            Self::Busy { .. } => FailureKind::Refused,
            Self::Write(failed) => failed.kind(),
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}
