//! Why a set, or a file of it, was not pushed.

use std::path::PathBuf;

use mail_common::exit::Exit;
use mail_common::interrupt::Interrupted;

use super::local;
use crate::encryption;
use crate::remote;
use crate::store::{LocalError, StoreError};

/// A set, or a file of it, was not pushed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Local(#[from] local::Error),
    /// Nothing has been touched yet.
    #[error("look at what the store holds")]
    LookFirst(#[source] remote::Error),
    #[error("the set is not pushed")]
    Key(#[source] StoreError),
    #[error("{} has no manifest, since it was made by the old scripts; only sets of mail-backup can be encrypted", set.display())]
    NoManifest { set: PathBuf },
    #[error(
        "{url} has no Object Lock, so that --lock-days cannot be kept; it is switched on when a bucket is made"
    )]
    NoObjectLock { url: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] LocalError),
    #[error(transparent)]
    Encrypt(#[from] encryption::Error),
    #[error(
        "{url} is not what was confirmed a moment ago: another program writes there; push again when it is done"
    )]
    Changed { url: String },
    #[error("write the manifest of the encrypted set")]
    Manifest(#[source] serde_json::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Whether there is no use in going on with the other files.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => error.is_fatal(),
            Self::Interrupted(_) => true,
            _ => false,
        }
    }

    /// What a run that ended so came to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Local(local::Error::Lock(_) | local::Error::Name { .. })
            | Self::NoManifest { .. }
            | Self::NoObjectLock { .. } => Exit::Usage,
            Self::Local(_) | Self::File(_) => Exit::Bad,
            Self::LookFirst(error) => error.exit(),
            Self::Store(error) if error.is_local_damage() => Exit::Bad,
            Self::Encrypt(encryption::Error::Local(_)) => Exit::Bad,
            Self::Key(_)
            | Self::Store(_)
            | Self::Encrypt(_)
            | Self::Changed { .. }
            | Self::Manifest(_)
            | Self::Interrupted(_) => Exit::Unfinished,
        }
    }
}
