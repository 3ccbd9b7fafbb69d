//! One restore at a time to a directory: a flock(2) on the directory in which targets are
//! exchanged. It ends with the process, however it ends.

use std::fs::File;
use std::path::Path;

use mail_common::failure::Failed;
use mail_common::flock::{self, Flock};
use mail_common::trusted;

/// Nobody else exchanges what is in a directory while this is held.
#[derive(Debug)]
pub(crate) struct TargetLock {
    _directory: Option<Flock<File>>,
}

impl TargetLock {
    /// Takes the lock; `None` when another restore has it.
    pub(crate) fn try_take(directory: &Path) -> Result<Option<Self>, Failed> {
        let opened = trusted::open(directory).map_err(Failed::at("open", directory))?;
        let locked = match Flock::try_exclusive(opened) {
            Ok(Some(locked)) => Some(locked),
            Ok(None) => return Ok(None),
            // The lock of the backup root remains.
            Err(error) if flock::is_unsupported(&error) => None,
            Err(error) => return Err(Failed::at("lock", directory)(error)),
        };
        Ok(Some(Self { _directory: locked }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let first = TargetLock::try_take(dir.path()).unwrap();
        assert!(first.is_some());
        assert!(TargetLock::try_take(dir.path()).unwrap().is_none());
        drop(first);
        assert!(TargetLock::try_take(dir.path()).unwrap().is_some());
    }
}
