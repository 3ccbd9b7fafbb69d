//! Why a dump, or one object of it, is not saved.

use std::io;

use crate::error::{Cause, Error};
use crate::table::RowFailure;

/// Why one attempt ended.
pub(crate) enum Failure {
    /// Definitions changed after the snapshot.
    Changed { object: String, source: Cause },
    /// No other attempt would help.
    Fatal(Error),
}

impl Failure {
    pub(crate) fn write(database: &str, source: io::Error) -> Self {
        Self::Fatal(Error::Write {
            database: database.to_owned(),
            source,
        })
    }
}

/// Why one object is not saved.
pub(crate) enum StepFailure {
    Read(Cause),
    Write(io::Error),
    Stopped,
    /// The server shows its name but not its text.
    Hidden,
}

impl From<Cause> for StepFailure {
    fn from(cause: Cause) -> Self {
        Self::Read(cause)
    }
}

impl From<io::Error> for StepFailure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<RowFailure> for StepFailure {
    fn from(failure: RowFailure) -> Self {
        match failure {
            RowFailure::Read(cause) => Self::Read(cause),
            RowFailure::Write(error) => Self::Write(error),
            RowFailure::Stopped => Self::Stopped,
        }
    }
}
