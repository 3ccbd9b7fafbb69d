//! How a set leaves its root: under a name that is never taken for a set, so that it is never
//! visible in part.

use std::io;
use std::path::Path;

use super::layout::Hidden;
use super::lock::{LockError, RootLock, try_exclusive};
use crate::atomic;

/// What became of a set that was to be removed.
#[derive(Debug)]
pub enum Outcome {
    /// Gone.
    Removed,
    /// It is being read and was left alone; the next run tries again.
    Busy,
    /// It is still there, or hidden and cleared by the next run.
    Failed(io::Error),
}

/// Removes the directory `set` so that it is never visible in part; a set that is being read is
/// left alone.
pub(super) fn remove_set(_: &RootLock, set: &Path) -> Outcome {
    let guard = match try_exclusive(set) {
        Ok(guard) => guard,
        Err(LockError::Busy { .. }) => return Outcome::Busy,
        Err(error) => return Outcome::Failed(io::Error::other(error)),
    };
    let removed = retire(set, set);
    drop(guard); // Only now: a reader that waits for it finds that the set is gone.
    match removed {
        Ok(()) => Outcome::Removed,
        Err(error) => Outcome::Failed(error),
    }
}

/// Deletes `tree`, which is the directory `set` or was one, under a name that is never taken for a
/// set again.
pub(super) fn retire(tree: &Path, set: &Path) -> io::Result<()> {
    let removed = Hidden::Removed.sibling(set);
    atomic::remove_tree(&removed)?;
    atomic::rename_into_place(tree, &removed)?;
    atomic::sync_parent(set)?;
    atomic::remove_tree(&removed)
}
