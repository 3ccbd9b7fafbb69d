//! Why a file of a project cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a file of a project cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A compose file cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A compose file is not what the specification says.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line where that is known.
        reason: String,
    },
    /// A file of variables cannot be used.
    #[error("{} cannot be read: {cause}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}
