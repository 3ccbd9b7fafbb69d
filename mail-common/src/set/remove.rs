//! How a set leaves its root: under a name that is never taken for a set, so that it is never
//! visible in part.

use std::io;
use std::path::Path;

use super::error::Error;
use super::layout::Hidden;
use super::lock::{RootLock, try_exclusive};
use crate::atomic;

/// How many of the newest sets of a kind and worth stay, however old, here and in the copy
/// elsewhere: a clock that jumped, or weeks without a success, must not cost the good ones.
pub const ALWAYS_KEPT_SETS: usize = 7;

/// What became of a set that was to be removed.
#[derive(Debug)]
pub enum Removal {
    /// Gone.
    Removed,
    /// It is being read and was left alone; the next run tries again.
    Busy,
    /// It is still there, or hidden and cleared by the next run.
    Failed(io::Error),
}

/// Removes the directory `set` so that it is never visible in part; a set that is being read is
/// left alone.
#[must_use]
pub fn remove_set(_: &RootLock, set: &Path) -> Removal {
    let guard = match try_exclusive(set) {
        Ok(guard) => guard,
        Err(Error::BeingRead { .. }) => return Removal::Busy,
        Err(error) => return Removal::Failed(io::Error::other(error)),
    };
    let removed = retire(set, set);
    drop(guard); // Only now: a reader that waits for it finds that the set is gone.
    match removed {
        Ok(()) => Removal::Removed,
        Err(error) => Removal::Failed(error),
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

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, names};
    use super::super::{CommitAs, ReadLock};
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_removed_is_gone_and_what_is_read_stays() {
        let fixture = Fixture::new();
        let gone = fixture.commit("daily/2026-10-01", "a");
        let read = fixture.commit("daily/2026-10-02", "b");
        let part = fixture
            .stage("daily/2026-10-03", "c")
            .commit(CommitAs::Incomplete, Duration::ZERO)
            .unwrap()
            .path;
        assert_eq!(
            part,
            fixture
                .root
                .incomplete_path("daily/2026-10-03".parse().unwrap())
        );
        let _reader = ReadLock::acquire(&read).unwrap();
        let remove = |set: &Path| remove_set(&fixture.lock, set);
        let absent = gone.with_file_name("2026-09-30");
        assert!(matches!(remove(&absent), Removal::Failed(_)));
        assert!(matches!(remove(&gone), Removal::Removed));
        assert!(matches!(remove(&read), Removal::Busy));
        assert!(matches!(remove(&part), Removal::Removed));
        assert_eq!(names(&fixture.root.path().join("daily")), ["2026-10-02"]);
    }
}
