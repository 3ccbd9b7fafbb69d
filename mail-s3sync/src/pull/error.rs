//! Why a set, or a file of it, did not come back.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use mail_common::checksum::Sha256;
use mail_common::exit::Exit;
use mail_common::interrupt::Interrupted;

use crate::encryption;
use crate::remote;
use crate::store::StoreError;

/// A set, or a file of it, did not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error("{url} is no set, or one that is not complete; see `mail-s3sync list`")]
    NoSet { url: String },
    #[error("{url} is encrypted to {recipients}; give the file of the private key by --identity")]
    NoIdentity { url: String, recipients: String },
    #[error("{url} holds nothing of {what}")]
    NothingWanted { url: String, what: String },
    #[error(transparent)]
    Decrypt(#[from] encryption::Error),
    #[error(
        "{url} came damaged {times} times: its sha256 is {found}, and the set says {expected}; use another set"
    )]
    Damaged {
        url: String,
        times: u32,
        expected: Sha256,
        found: Sha256,
    },
    #[error("{} is being written by another pull; wait for it", path.display())]
    Busy { path: PathBuf },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Remote(error.into())
    }
}

impl Error {
    /// That `path` could not be written.
    pub(super) fn write(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether there is no use in going on with the other files.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::Remote(error) => error.is_fatal(),
            Self::Interrupted(_) => true,
            Self::Write { source, .. } => source.kind() == ErrorKind::StorageFull,
            _ => false,
        }
    }

    /// What a run that ended so came to.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Remote(error) => error.exit(),
            Self::NoSet { .. } | Self::NoIdentity { .. } | Self::NothingWanted { .. } => {
                Exit::Usage
            }
            // Found out before anything was written.
            Self::Decrypt(encryption::Error::NoKey(_)) => Exit::Usage,
            Self::Damaged { .. } => Exit::Bad,
            Self::Decrypt(_) | Self::Busy { .. } | Self::Write { .. } | Self::Interrupted(_) => {
                Exit::Unfinished
            }
        }
    }
}
