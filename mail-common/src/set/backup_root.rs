//! The directory that holds the sets, as lock and root name it.

use std::path::{Path, PathBuf};

/// A directory that holds `daily/`, `weekly/` and `latest`.
#[derive(Clone, Debug)]
pub struct BackupRoot {
    pub(super) path: PathBuf,
}

impl BackupRoot {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
