//! Brings finished files to stable storage on threads of their own, so that the disk works while
//! the next frames are made.

use std::fs::File;
use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use mail_common::relpath::RelPath;

use super::context::Error;

/// Files that may wait; a disk that is slower than the rest of the work slows it down.
const WAITING: usize = 4;

/// A journalling file system brings several files to the disk in one go.
const THREADS: usize = 4;

/// Takes finished files.
#[derive(Debug)]
pub(crate) struct Syncer<'scope> {
    files: Sender<(RelPath, File)>,
    threads: Vec<ScopedJoinHandle<'scope, Result<(), Error>>>,
}

/// Hands files to a [`Syncer`]. It ends when all of these are gone.
pub(crate) type SyncQueue = Sender<(RelPath, File)>;

impl<'scope> Syncer<'scope> {
    /// Starts the threads in `scope`.
    pub(crate) fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (files, queue) = bounded::<(RelPath, File)>(WAITING);
        let sync = |queue: Receiver<(RelPath, File)>| {
            let one =
                |(path, file): (RelPath, File)| file.sync_all().map_err(Error::writing(&path));
            queue.iter().map(one).fold(Ok(()), Result::and)
        };
        let threads = (0..THREADS)
            .map(|_| queue.clone())
            .map(|queue| scope.spawn(move || sync(queue)))
            .collect();
        Self { files, threads }
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
        let ended = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(Error::WorkerGone)));
        ended.fold(Ok(()), Result::and)
    }
}

/// Hands a file over.
pub(crate) fn hand_over(queue: &SyncQueue, path: &RelPath, file: File) -> Result<(), Error> {
    queue
        .send((path.clone(), file))
        .map_err(|_| Error::WorkerGone)
}
