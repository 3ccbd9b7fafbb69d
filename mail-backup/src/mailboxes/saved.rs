//! What was saved of a mailbox, and what was not.

use std::io;
use std::path::PathBuf;

use mail_common::relpath::RelPath;

use super::changes::Compared;
use crate::saved::SavedFile;

/// A mailbox as it was saved.
#[derive(Debug, Default)]
pub(crate) struct SavedMailbox {
    pub(crate) files: Vec<SavedFile>,
    /// What is missing from the set, and why.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Messages that are missing since they moved whenever they were to be read.
    pub(crate) still_moving: Vec<RelPath>,
    /// What a person should know and what does not make the backup bad.
    pub(crate) notices: Vec<String>,
    /// What changed by itself. The set is good all the same.
    pub(crate) damage: Vec<Damage>,
    pub(crate) counts: Counts,
    pub(crate) comparison: Comparing,
}

/// What is known of the changes of a mailbox.
#[derive(Debug, Default)]
pub(crate) enum Comparing {
    /// There is nothing to compare with, or nothing that is judged.
    #[default]
    None,
    /// What there is cannot be read.
    Impossible,
    Done(Compared),
}

/// What a run that reads everything found to have changed by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A file of the last backup, which is saved again from the live mailbox.
    Stored(PathBuf),
    /// A file of the live mailbox.
    Live {
        path: RelPath,
        /// The set that has it as it was.
        set: PathBuf,
    },
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages that were not read again.
    pub(crate) unchanged: u64,
    /// Bytes that were read from the live tree.
    pub(crate) read_bytes: u64,
    /// Messages that went away while the backup ran.
    pub(crate) expunged: u64,
    /// Lock and temporary files, left out by design.
    pub(crate) scratch_files: u64,
}
