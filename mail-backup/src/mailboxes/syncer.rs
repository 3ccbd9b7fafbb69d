//! Brings finished files to stable storage on threads of their own, so that the disk works while
//! the next frames are made.

use std::fs::File;
use std::path::PathBuf;
use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use mail_common::failure::Failed;

use super::error::Error;

/// Files that may wait; a disk that is slower than the rest of the work slows it down.
const WAITING: usize = 4;

/// A journalling file system brings several files to the disk in one go.
const THREADS: usize = 4;

/// The threads that sync.
#[derive(Debug)]
pub(crate) struct Syncer<'scope> {
    queue: SyncQueue,
    threads: Vec<ScopedJoinHandle<'scope, Result<(), Error>>>,
}

/// Takes finished files for a [`Syncer`], which ends when all of these are gone.
#[derive(Clone, Debug)]
pub(crate) struct SyncQueue(Sender<(PathBuf, File)>);

impl<'scope> Syncer<'scope> {
    /// Starts the threads in `scope`.
    pub(crate) fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (files, waiting) = bounded(WAITING);
        let threads = (0..THREADS)
            .map(|_| {
                let waiting = waiting.clone();
                scope.spawn(move || sync_all(&waiting))
            })
            .collect();
        Self {
            queue: SyncQueue(files),
            threads,
        }
    }

    /// A queue to hand files over by.
    pub(crate) fn queue(&self) -> SyncQueue {
        self.queue.clone()
    }

    /// Waits until every file is on stable storage. All other queues must be gone.
    ///
    /// # Errors
    /// The first file that could not be synced.
    pub(crate) fn finish(self) -> Result<(), Error> {
        drop(self.queue);
        let mut result = Ok(());
        for thread in self.threads {
            result = result.and(thread.join().unwrap_or(Err(Error::WorkerGone)));
        }
        result
    }
}

/// Syncs every file, also after one has failed: whoever hands files over must never wait for a
/// thread that is gone. Gives the first failure.
fn sync_all(waiting: &Receiver<(PathBuf, File)>) -> Result<(), Error> {
    let mut result = Ok(());
    for (path, file) in waiting {
        result = result.and(file.sync_all().map_err(Failed::at("sync", &path)));
    }
    Ok(result?)
}

impl SyncQueue {
    /// Hands a file over.
    pub(crate) fn push(&self, path: PathBuf, file: File) -> Result<(), Error> {
        self.0.send((path, file)).map_err(|_| Error::WorkerGone)
    }
}
