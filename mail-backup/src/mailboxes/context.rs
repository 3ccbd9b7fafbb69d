//! What all mailboxes of a run share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mail_common::archive::index;
use mail_common::relpath::RelPath;
use mail_common::set::Staging;

use super::pool::{FramePool, RebuildError};
use super::syncer::SyncQueue;
use crate::previous::PreviousSets;
use crate::source::tree::SourceTree;

/// The surroundings of the mailboxes of one run.
pub(crate) struct Context<'a> {
    pub(crate) tree: &'a SourceTree,
    pub(crate) staging: &'a Staging<'a>,
    /// What may be linked; empty when everything is read.
    pub(crate) previous: &'a PreviousSets,
    pub(crate) pool: FramePool,
    /// Where finished files go.
    pub(crate) syncing: SyncQueue,
    /// For unnamed temporary files.
    pub(crate) scratch: &'a Path,
    pub(crate) stop: &'a AtomicBool,
    /// zstd's.
    pub(crate) level: i32,
    pub(crate) now_seconds: i64,
    /// Told of each entry saved or kept, in bytes of the source.
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
}

/// Why a mailbox, and with it the run, cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The mail root cannot be read.
    #[error("read the mail root {path}")]
    OpenRoot {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// zstd has no such level.
    #[error("compress at level {level}")]
    Level {
        /// As asked for.
        level: i32,
        /// The cause.
        source: io::Error,
    },
    /// Temporary files cannot be written: the disk that holds the backup root may be full.
    #[error("write a temporary file in {path}")]
    Scratch {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A spool that was just written cannot be read back.
    #[error("read a temporary file in {path}")]
    Spool {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: index::Error,
    },
    /// The set cannot be written.
    #[error("write {path} of the set")]
    Write {
        /// Relative to the set.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// The last backup holds something else than its index says.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The index of the last backup was read a moment ago and cannot be read again.
    #[error("read the last index again")]
    Reread(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// SIGTERM or SIGINT.
    #[error("interrupted by a signal")]
    Interrupted,
    /// A worker thread is gone.
    #[error("a worker of the frame pool ended early")]
    WorkerGone,
}

impl Error {
    /// For `map_err`: names a file of the set.
    pub(crate) fn writing(path: &RelPath) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.clone();
        move |source| Self::Write { path, source }
    }
}

impl Context<'_> {
    pub(crate) fn check_stop(&self) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Why a worker dropped its work.
    pub(crate) fn no_answer(&self) -> Error {
        self.check_stop().err().unwrap_or(Error::WorkerGone)
    }

    /// Names the directory of temporary files in an error.
    pub(crate) fn scratch_error(&self, source: io::Error) -> Error {
        Error::Scratch {
            path: self.scratch.to_owned(),
            source,
        }
    }

    pub(crate) fn spool_error(&self, source: index::Error) -> Error {
        Error::Spool {
            path: self.scratch.to_owned(),
            source,
        }
    }
}
