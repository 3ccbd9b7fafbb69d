//! What can fail when sample mail is made.

use std::io;
use std::path::{Path, PathBuf};

/// Why sample mail could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{doing} {path}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A plan without mailboxes.
    #[error("a mail tree needs at least one mailbox")]
    NoMailbox,
    /// Nothing to change.
    #[error("no Maildir folder under {0}; make one first: make-maildir DIR --messages N")]
    NoFolder(PathBuf),
}

/// A result with this module's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn io<E: Into<io::Error>>(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}
