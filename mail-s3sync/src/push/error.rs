//! Why a set, or a file of it, was not pushed.

use std::path::PathBuf;

use jiff::Timestamp;
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;
use mail_common::set::{self, InventoryError, NotASetId};

use crate::encryption;
use crate::remote;
use crate::store::{LocalError, StoreError};

/// A set, or a file of it, was not pushed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Lock(#[from] set::Error),
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    #[error("{} is not named like a set", directory.display())]
    Name {
        directory: PathBuf,
        source: NotASetId,
    },
    #[error(
        "{} is damaged: {count} files that its checksums list are missing, such as {example}; \
         use another set",
        set.display()
    )]
    Missing {
        set: PathBuf,
        count: usize,
        example: RelPath,
    },
    #[error(
        "{} has no manifest, since it was made by the old scripts; \
         only sets of mail-backup can be encrypted",
        set.display()
    )]
    NoManifest { set: PathBuf },
    /// Nothing has been touched yet.
    #[error("look at what the store holds")]
    LookFirst(#[source] remote::Error),
    #[error("the set is not pushed")]
    Key(#[source] StoreError),
    #[error(
        "{url} has no Object Lock, so that --lock-days cannot be kept; \
         it is switched on when a bucket is made"
    )]
    NoObjectLock { url: String },
    #[error(
        "a rule of the bucket removes what is in {url} after {days} days, and S3_POOL_DAYS is \
         {wanted}: sets would lose files; make the rules by scripts/aws/make-bucket, or set \
         S3_LAYOUT=plain"
    )]
    Rule { url: String, days: u32, wanted: u32 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] LocalError),
    #[error(transparent)]
    Encrypt(#[from] encryption::Error),
    #[error(
        "{url} is not what was confirmed a moment ago: another program writes there; \
         push again when it is done"
    )]
    Changed { url: String },
    #[error(
        "a prune is at work in {url} since {since}, and may take what was written again a moment \
         ago; push again when it has ended"
    )]
    Pruned { url: String, since: Timestamp },
    #[error("write the manifest of the encrypted set")]
    Manifest(#[source] serde_json::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Whether the other files would fail alike, so that there is no use in going on.
    pub(super) fn is_fatal(&self) -> bool {
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
            Self::Lock(set::Error::NotASet { .. }) => FailureKind::NoSuch,
            Self::Lock(_) | Self::Name { .. } => FailureKind::Usage,
            Self::NoManifest { .. } | Self::NoObjectLock { .. } => FailureKind::Usage,
            Self::Rule { .. } => FailureKind::Configuration,
            Self::Inventory(_) => FailureKind::Damaged,
            Self::Missing { .. } => FailureKind::Missing,
            Self::LookFirst(error) => error.kind(),
            Self::Key(_) | Self::Manifest(_) => FailureKind::Refused,
            Self::Store(error) => match error.kind() {
                // Objects may have been written by now: this is no longer a run that touched
                // nothing.
                FailureKind::Configuration => FailureKind::Denied,
                kind => kind,
            },
            Self::File(error) => error.kind(),
            Self::Encrypt(error) => error.kind(),
            Self::Changed { .. } | Self::Pruned { .. } => FailureKind::Changed,
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}
