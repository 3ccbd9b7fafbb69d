//! What can go wrong with the mailboxes as a whole. A single message that cannot be read is no
//! error of these: it is named in the result.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use mail_common::archive::{dumpdir, index, members};
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::interrupt::Interrupted;

/// Why a mailbox, and with it the run, cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The mail root cannot be opened.
    #[error(transparent)]
    MailRoot(Failed),
    /// The set, or a temporary file beside it, cannot be written.
    #[error(transparent)]
    Write(#[from] Failed),
    /// A frame cannot be compressed: memory is short.
    #[error("compress a frame")]
    Compress(#[source] io::Error),
    /// A temporary file that was just written cannot be read back.
    #[error("read a temporary file in {}", directory.display())]
    ReadBack {
        directory: PathBuf,
        source: index::Error,
    },
    /// The last backup of the mailbox is damaged or cannot be read. The mailbox is then saved
    /// without it.
    #[error("read {} of the last backup", path.display())]
    LastBackup {
        path: PathBuf,
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The indexes that were just written or linked do not go together, which only a bug brings
    /// about, or a disk that does not keep what was written.
    #[error("read the indexes of the new set back")]
    NewIndexes(#[source] members::Error),
    /// The same of the names in them.
    #[error("find the way from the stored names to the present ones")]
    Renames(#[source] dumpdir::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A worker thread is gone, which only a bug brings about.
    #[error("a worker thread ended early")]
    WorkerGone,
}

impl Error {
    /// For `map_err`: a file of the last backup cannot be used.
    pub(crate) fn last_backup<E>(path: &Path) -> impl FnOnce(E) -> Self + use<'_, E>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        move |source| Self::LastBackup {
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::MailRoot(failed) | Self::Write(failed) => failed.kind(),
            Self::Compress(source) => FailureKind::of_io(source),
            Self::ReadBack { .. } | Self::NewIndexes(_) | Self::Renames(_) => FailureKind::Io,
            Self::LastBackup { .. } => FailureKind::State,
            Self::Interrupted(interrupted) => interrupted.kind(),
            Self::WorkerGone => FailureKind::Other,
        }
    }
}
