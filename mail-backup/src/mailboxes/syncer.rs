//! Brings finished files to stable storage on a thread of its own, so that the disk works while the next frames are
//! made.

use std::fs::File;
use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Sender, bounded};
use mail_common::relpath::RelPath;

use super::context::Error;

/// Files that may wait; a disk that is slower than the rest of the work slows it down.
const WAITING: usize = 4;

/// Takes finished files.
#[derive(Debug)]
pub(crate) struct Syncer<'scope> {
    files: Sender<(RelPath, File)>,
    thread: ScopedJoinHandle<'scope, Result<(), Error>>,
}

/// Hands files to a [`Syncer`]. It ends when all of these are gone.
pub(crate) type SyncQueue = Sender<(RelPath, File)>;

impl<'scope> Syncer<'scope> {
    /// Starts the thread in `scope`.
    pub(crate) fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (files, queue) = bounded::<(RelPath, File)>(WAITING);
        let thread = scope.spawn(move || {
            let mut result = Ok(());
            for (path, file) in queue {
                result = result.and(file.sync_all().map_err(Error::writing(&path)));
            }
            result
        });
        Self { files, thread }
    }

    /// A way to hand files over.
    pub(crate) fn queue(&self) -> SyncQueue {
        self.files.clone()
    }

    /// Waits until every file is on stable storage. All queues must be gone.
    ///
    /// # Errors
    /// The first file that could not be synced.
    pub(crate) fn finish(self) -> Result<(), Error> {
        drop(self.files);
        self.thread.join().unwrap_or(Err(Error::WorkerGone))
    }
}

/// Hands a file over.
pub(crate) fn hand_over(queue: &SyncQueue, path: &RelPath, file: File) -> Result<(), Error> {
    queue.send((path.clone(), file)).map_err(|_| Error::WorkerGone)
}
