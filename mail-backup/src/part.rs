//! What was saved of a component, and what was not.

use mail_common::record::{DatabaseRows, WatchedFile};
use mail_common::relpath::RelPath;
use mail_common::tool::Totals;

use crate::error::Error;
use crate::saved::SavedFile;

/// A part of a set: a component, or a mailbox or tree of it.
#[derive(Debug, Default)]
pub(crate) struct SavedPart {
    pub(crate) files: Vec<SavedFile>,
    /// What is missing from the set, with its path in the set or in the mail tree.
    pub(crate) failures: Vec<(Option<RelPath>, Error)>,
    /// What a person should know and what does not make the backup bad.
    pub(crate) notices: Vec<String>,
    /// What was left out because the settings say so.
    pub(crate) remarks: Vec<String>,
    /// For the `end` record.
    pub(crate) totals: Totals,
    /// The databases among them.
    pub(crate) databases: Vec<DatabaseRows>,
    /// Private keys, and files of the Compose project.
    pub(crate) watched: Vec<WatchedFile>,
}

impl SavedPart {
    /// A part of which nothing could be saved.
    pub(crate) fn nothing(error: impl Into<Error>) -> Self {
        let mut part = Self::default();
        part.fail(None, error);
        part
    }

    pub(crate) fn fail(&mut self, path: Option<RelPath>, error: impl Into<Error>) {
        self.failures.push((path, error.into()));
    }
}
