//! What all mailboxes of a run share.

use std::io;
use std::path::{Path, PathBuf};

use mail_common::archive::index;
use mail_common::failure::Failed;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::report::Progress;
use mail_common::set::Staging;

use super::error::Error;
use super::pool::FramePool;
use super::progress::MailProgress;
use super::syncer::SyncQueue;
use crate::previous::PreviousSets;
use crate::source::tree::SourceTree;

/// What the run gives to the mailboxes.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    pub(crate) staging: &'a Staging<'a>,
    pub(crate) previous: &'a PreviousSets,
    pub(crate) interrupt: &'a Interrupt,
    /// From which the age of messages is counted, in seconds since 1970.
    pub(crate) now_seconds: i64,
    /// How long what was deleted may stay in the segments.
    pub(crate) purge_days: u32,
    /// How long after the last set of the chain this one comes, in seconds; 0 for the first.
    pub(crate) interval_seconds: i64,
    pub(crate) progress: &'a Progress,
}

/// The environment, and what the mailboxes set up for themselves.
pub(crate) struct Context<'a> {
    pub(crate) environment: Environment<'a>,
    pub(crate) tree: &'a SourceTree,
    pub(crate) pool: FramePool,
    pub(crate) progress: MailProgress<'a>,
    /// Whether there is a last backup to compare with.
    pub(crate) compares: bool,
    /// Where finished files go.
    pub(crate) sync_queue: SyncQueue,
    /// zstd's.
    pub(crate) level: i32,
}

impl Context<'_> {
    pub(crate) fn check_interrupt(&self) -> Result<(), Error> {
        Ok(self.environment.interrupt.check()?)
    }

    /// Why a worker dropped its work.
    pub(crate) fn no_answer(&self) -> Error {
        self.check_interrupt().err().unwrap_or(Error::WorkerGone)
    }

    /// Where a file of the set under way lies.
    pub(crate) fn in_set(&self, path: &RelPath) -> PathBuf {
        self.environment.staging.path().join(path.as_path())
    }

    /// The directory of unnamed temporary files: the disk of the set has the room for them.
    pub(crate) fn scratch(&self) -> &Path {
        self.environment.staging.path()
    }

    /// For `map_err`: a temporary file cannot be written.
    pub(crate) fn scratch_error(&self, source: io::Error) -> Error {
        Failed::at("write a temporary file in", self.scratch())(source).into()
    }

    /// For `map_err`: a temporary file cannot be read back.
    pub(crate) fn read_back_error(&self, source: index::Error) -> Error {
        Error::ReadBack {
            directory: self.scratch().to_owned(),
            source,
        }
    }
}
