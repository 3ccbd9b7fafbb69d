//! Why nothing was removed, or not all that is due.

use jiff::Timestamp;
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupted;

use crate::remote;
use crate::store::StoreError;

/// Why nothing was removed, or not all that is due.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing has been touched yet.
    #[error("look at what the store holds")]
    LookFirst(#[source] remote::Error),
    #[error(
        "another prune is at work in {url} since {since}; wait until it has ended. If it was \
         killed, delete that object, or wait for a day"
    )]
    UnderWay { url: String, since: Timestamp },
    #[error(
        "the clock of this machine says {here}, and that of the store {there}: what is past its \
         days is not known; set the clock right"
    )]
    Clock { here: Timestamp, there: Timestamp },
    #[error(
        "{url}, which says that a prune is at work, is gone or another: does another prune run? \
         Nothing more was removed; run it again"
    )]
    MarkLost { url: String },
    #[error(
        "what {set} uses is not known, so nothing is removed from the pool; push the set again, \
         or delete it if it cannot be mended"
    )]
    Unreadable {
        set: String,
        #[source]
        source: remote::Error,
    },
    #[error("it has taken {hours} hours, and pushes do not wait for longer; run it again")]
    TooLong { hours: i64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Whether everything else would fail alike.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => error.is_fatal(),
            _ => true,
        }
    }
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::LookFirst(error) => error.kind(),
            Self::UnderWay { .. } => FailureKind::Locked,
            Self::Clock { .. } => FailureKind::Clock,
            Self::MarkLost { .. } => FailureKind::Changed,
            Self::Unreadable { source, .. } => source.kind(),
            Self::TooLong { .. } => FailureKind::Store,
            Self::Store(error) => match error.kind() {
                // Something may have been removed by now.
                FailureKind::Configuration => FailureKind::Denied,
                kind => kind,
            },
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}
