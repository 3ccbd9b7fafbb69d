//! Why a file, or a part of a run, has no verdict.

use std::io;
use std::path::PathBuf;

use mail_common::archive::reader;
use mail_common::checksum::Sha256;
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::relpath::UnsafePath;
use mail_common::set::{self, InventoryError, MailboxError};

/// Why a file, or a set, has no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("list {place}")]
    List { place: String, source: io::Error },
    #[error("read {place}")]
    Read { place: String, source: io::Error },
    #[error("{place} is {what}, not a file")]
    NoFile { place: String, what: &'static str },
    #[error("unpack {place}: it is damaged or cut short")]
    Unpack { place: String, source: io::Error },
    #[error("unpack {place}: it is damaged or cut short")]
    Tar {
        place: String,
        source: reader::Error,
    },
    #[error(
        "{place} is not what its set has on record: its digest is {found}, not {expected}; \
         use another set"
    )]
    Digest {
        place: String,
        found: Sha256,
        expected: Sha256,
    },
    #[error("{place} is listed, and not there; use another set")]
    Missing { place: String },
    #[error("hold the set {}", set.display())]
    Lock { set: PathBuf, source: set::Error },
    #[error("read the set {}", set.display())]
    Inventory {
        set: PathBuf,
        source: InventoryError,
    },
    /// What is said of the members of archives does not fit.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The same, for an archive of that mailbox.
    #[error("it is not known which of its members were in the mailbox: {reason}")]
    State { reason: String },
    #[error("a record names {path:?}")]
    Path { path: String, source: UnsafePath },
    #[error("a record names the root {root:?}, which is not an absolute path")]
    Root { root: String },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::List { source, .. } | Self::Read { source, .. } => FailureKind::of_io(source),
            Self::NoFile { .. } => FailureKind::Unscanned,
            Self::Unpack { .. }
            | Self::Tar { .. }
            | Self::Digest { .. }
            | Self::Inventory { .. }
            | Self::State { .. } => FailureKind::Damaged,
            Self::Mailbox(error) => error.kind(),
            Self::Missing { .. } => FailureKind::Missing,
            Self::Lock { .. } => FailureKind::NoSuch,
            Self::Path { .. } | Self::Root { .. } => FailureKind::Refused,
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}
