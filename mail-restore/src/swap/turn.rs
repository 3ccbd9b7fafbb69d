//! One restore at a time to a directory: a flock(2) on the directory in which targets are
//! exchanged. It ends with the process, however it ends.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// The right to exchange what is in a directory.
#[derive(Debug)]
pub(crate) struct Turn {
    _directory: File,
}

/// The right was not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    #[error("another restore is at work in {}; wait for it to end", directory.display())]
    Taken { directory: PathBuf },
    #[error("lock {}", directory.display())]
    Open {
        directory: PathBuf,
        source: io::Error,
    },
}

impl Turn {
    /// Takes it, or fails at once.
    pub(crate) fn take(directory: &Path) -> Result<Self, TurnError> {
        let failed = |source| TurnError::Open {
            directory: directory.to_owned(),
            source,
        };
        let opened = File::open(directory).map_err(failed)?;
        match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            // A network file system may not lock what is open for reading; the lock of the backup
            // root remains.
            Ok(()) | Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL) => {
                Ok(Self { _directory: opened })
            }
            Err(Errno::WOULDBLOCK) => Err(TurnError::Taken {
                directory: directory.to_owned(),
            }),
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let first = Turn::take(dir.path()).unwrap();
        assert!(matches!(
            Turn::take(dir.path()),
            Err(TurnError::Taken { .. })
        ));
        drop(first);
        Turn::take(dir.path()).unwrap();
    }
}
