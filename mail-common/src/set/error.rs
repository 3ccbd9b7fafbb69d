//! What can go wrong with sets.

use std::io;
use std::path::PathBuf;

use super::SetId;
use super::holder::{Holder, holder_text};
use crate::failure::{Failed, Failure, FailureKind};
use crate::interrupt::Interrupted;

/// A set, or the root that holds it, could not be found, locked, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in the root cannot be read or written. A set that cannot be committed is gone, and
    /// the one that was there before still is.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// The backup root cannot be used.
    #[error("open backup root {path}")]
    OpenRoot {
        /// The root.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The symlink `latest` cannot be replaced.
    #[error("point {path} at {id}")]
    SetLatest {
        /// The symlink.
        path: PathBuf,
        /// Where it should lead.
        id: SetId,
        /// Why.
        source: io::Error,
    },
    /// An operand names no set.
    #[error(
        "no set {operand:?}: it is neither `latest` nor the name of a set in {root}, such as \
         daily/2026-11-23, nor a kind of which there is one, nor a directory; a path begins with / \
         or ./"
    )]
    NoSuchSet {
        /// As given.
        operand: PathBuf,
        /// Where it was looked for.
        root: PathBuf,
    },
    /// What a dead run left cannot be cleared.
    #[error("clear {path}, left by a run that was killed")]
    ClearLeftover {
        /// The hidden directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A set was to be called complete without the files that make it so.
    #[error("commit {id}: it has no {missing}")]
    NotComplete {
        /// The set.
        id: SetId,
        /// The file.
        missing: &'static str,
    },
    /// A signal asked the run to stop before its set was visible.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The set that is to be replaced did not stop being read.
    #[error(
        "replace {path}: still being read after {waited_seconds} s; \
         run again when restore, scan or push is done"
    )]
    Busy {
        /// The set.
        path: PathBuf,
        /// How long the commit waited.
        waited_seconds: u64,
    },
    /// Another run holds the root (exit code 4).
    #[error("lock held by {}; wait for it to end", holder_text(holder.as_ref()))]
    Held {
        /// Who, unless it is just writing that down.
        holder: Option<Holder>,
    },
    /// The set is being read; it can be neither replaced nor removed now.
    #[error("{path} is being read")]
    BeingRead {
        /// The set.
        path: PathBuf,
    },
    /// The set is being replaced or removed for longer than a reader waits.
    #[error("{path} is being replaced; try again when the backup is done")]
    BeingReplaced {
        /// The set.
        path: PathBuf,
    },
    /// The directory is not a set, or no longer one.
    #[error("no set at {path}: it has neither manifest.jsonl nor checksums.sha256")]
    NotASet {
        /// The directory.
        path: PathBuf,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Failed(failed) => failed.kind(),
            Self::OpenRoot { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                FailureKind::NotMounted
            }
            Self::OpenRoot { source, .. }
            | Self::SetLatest { source, .. }
            | Self::ClearLeftover { source, .. } => FailureKind::of_io(source),
            Self::NoSuchSet { .. } | Self::NotASet { .. } => FailureKind::NoSuch,
            Self::NotComplete { .. } => FailureKind::Missing,
            Self::Interrupted(interrupted) => interrupted.kind(),
            Self::Busy { .. }
            | Self::Held { .. }
            | Self::BeingRead { .. }
            | Self::BeingReplaced { .. } => FailureKind::Locked,
        }
    }
}
