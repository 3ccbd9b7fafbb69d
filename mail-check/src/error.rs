//! Why nothing was checked.

use std::path::PathBuf;

use mail_common::config;
use mail_common::failure::{Failed, Failure, FailureKind};

use crate::notify;

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no check is called {name:?}; known are {known}, set DIR, all and -")]
    UnknownCheck { name: String, known: String },
    /// `set` is the last word.
    #[error("`set` wants the directory of a set after it, such as `set latest`")]
    NoDirectory,
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    ReadSettings(Failed),
    /// The cause names the line and shows it.
    #[error("read the file of checks {}: {}", path.display(), source.to_string().trim_end())]
    Settings {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
    #[error(transparent)]
    Notify(#[from] notify::ConfigError),
    #[error(
        "no home directory, so nowhere to keep what the next run needs; \
         name a directory with --state"
    )]
    NoState,
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::UnknownCheck { .. } | Self::NoDirectory => FailureKind::Usage,
            Self::Config(error) => error.kind(),
            Self::ReadSettings(_) | Self::Settings { .. } | Self::Notify(_) | Self::NoState => {
                FailureKind::Configuration
            }
        }
    }
}
