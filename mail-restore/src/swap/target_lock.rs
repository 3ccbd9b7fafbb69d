//! One restore at a time to a directory: a flock(2) on the directory in which targets are
//! exchanged. It ends with the process, however it ends.

use std::fs::File;
use std::path::{Path, PathBuf};

use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::flock::{self, Flock};
use mail_common::trusted;

/// Nobody else exchanges what is in a directory while this is held.
#[derive(Debug)]
pub(crate) struct TargetLock {
    _directory: Option<Flock<File>>,
}

/// The lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("another restore is at work in {}; wait for it to end", directory.display())]
    Held { directory: PathBuf },
    #[error(transparent)]
    Failed(#[from] Failed),
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Held { .. } => FailureKind::Locked,
            Self::Failed(failed) => failed.kind(),
        }
    }
}

impl TargetLock {
    /// Takes the lock, or fails at once.
    pub(crate) fn take(directory: &Path) -> Result<Self, Error> {
        let opened = trusted::open(directory).map_err(Failed::at("open", directory))?;
        let locked = match Flock::try_exclusive(opened) {
            Ok(Some(locked)) => Some(locked),
            Ok(None) => {
                return Err(Error::Held {
                    directory: directory.to_owned(),
                });
            }
            // The lock of the backup root remains.
            Err(error) if flock::is_unsupported(&error) => None,
            Err(error) => return Err(Failed::at("lock", directory)(error).into()),
        };
        Ok(Self { _directory: locked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let first = TargetLock::take(dir.path()).unwrap();
        assert!(matches!(
            TargetLock::take(dir.path()),
            Err(Error::Held { .. })
        ));
        drop(first);
        TargetLock::take(dir.path()).unwrap();
    }
}
