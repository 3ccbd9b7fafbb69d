//! flock(2): a lock on an open file or directory. It ends with the process that holds it, however
//! the process ends.
//!
//! std's `File::try_lock` is not used: it takes no directory descriptors of our own and does not
//! say which of its errors means that a network file system cannot lock at all.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// A lock, and the descriptor that holds it.
#[derive(Debug)]
pub struct Flock<F: AsFd>(F);

impl<F: AsFd> Flock<F> {
    /// Locks `file` against everybody else, at once; `None` when another one holds a lock on it.
    ///
    /// # Errors
    /// As flock(2); see [`is_unsupported`].
    pub fn try_exclusive(file: F) -> io::Result<Option<Self>> {
        Self::try_lock(file, FlockOperation::NonBlockingLockExclusive)
    }

    /// Locks `file` together with other readers, at once; `None` when it is locked exclusively.
    ///
    /// # Errors
    /// As flock(2).
    pub fn try_shared(file: F) -> io::Result<Option<Self>> {
        Self::try_lock(file, FlockOperation::NonBlockingLockShared)
    }

    fn try_lock(file: F, operation: FlockOperation) -> io::Result<Option<Self>> {
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Some(Self(file))),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// What is locked.
    pub const fn file(&self) -> &F {
        &self.0
    }

    /// The same, for who writes to it.
    pub const fn file_mut(&mut self) -> &mut F {
        &mut self.0
    }
}

impl<F: AsFd> Drop for Flock<F> {
    /// Closing is not enough while a child process that is just starting still has a copy of the
    /// descriptor (flock(2)).
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Whether the error says that this file system cannot lock what is open like this: some network
/// file systems want a descriptor for writing, which a directory cannot have, or lock nothing.
#[must_use]
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL)
    )
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn one_writer_or_many_readers() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::open(dir.path()).unwrap();
        let writer = Flock::try_exclusive(open()).unwrap().unwrap();
        assert!(Flock::try_exclusive(open()).unwrap().is_none());
        assert!(Flock::try_shared(open()).unwrap().is_none());
        drop(writer);

        let readers = [open(), open()].map(|file| Flock::try_shared(file).unwrap().unwrap());
        assert!(Flock::try_exclusive(open()).unwrap().is_none());
        drop(readers);
        assert!(Flock::try_exclusive(open()).unwrap().is_some());
    }

    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::open(dir.path()).unwrap();
        let file = open();
        let copy = file.try_clone().unwrap();
        drop(Flock::try_exclusive(file).unwrap().unwrap());
        assert!(Flock::try_exclusive(open()).unwrap().is_some());
        drop(copy);
    }
}
