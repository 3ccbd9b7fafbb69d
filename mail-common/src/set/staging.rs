//! A set under construction in a hidden directory, and the commit that makes it visible.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::layout::{CHECKSUMS, Hidden, MANIFEST, incomplete_path};
use super::lock::{ExclusiveLock, RootLock, try_exclusive};
use super::remove::{Removal, remove_set, retire};
use super::{BackupRoot, Error, SetId};
use crate::atomic::{self, Exchanged, Linked, StoredFile};
use crate::failure::Failed;
use crate::interrupt::Interrupt;
use crate::relpath::RelPath;

const READER_POLL: Duration = Duration::from_millis(50);

/// A set under construction: `daily/.2026-11-23.new/`, mode 0700. Dropped without a commit, it is
/// gone.
#[derive(Debug)]
pub struct Staging<'lock> {
    lock: &'lock RootLock,
    root: PathBuf,
    id: SetId,
    /// The hidden directory.
    path: PathBuf,
    interrupt: Interrupt,
}

/// What a finished run may call its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAs {
    /// `daily/2026-11-23`: everything that was asked for is in it.
    Complete,
    /// `daily/2026-11-23.incomplete`: a component failed. A complete set of that day stays as it
    /// is.
    Incomplete,
}

/// A set that is now visible and on stable storage.
#[derive(Debug)]
pub struct Committed {
    /// Its directory.
    pub path: PathBuf,
    /// Older directories that should be gone and are not; worth a warning.
    pub not_removed: Vec<NotRemoved>,
}

/// An older directory that a commit could not remove. The next run tries again.
#[derive(Debug)]
pub struct NotRemoved {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    pub reason: io::Error,
}

impl<'lock> Staging<'lock> {
    /// Makes the hidden directory for the set `id`, and the directory of its kind above it. Clear
    /// leftovers before.
    ///
    /// # Errors
    /// [`Error::Failed`], for example when a leftover is in the way.
    pub fn create(lock: &'lock RootLock, root: &BackupRoot, id: SetId) -> Result<Self, Error> {
        let path = Hidden::New.sibling(&root.set_path(id));
        create_below(root.path(), &path).map_err(Failed::at("create", &path))?;
        Ok(Self {
            lock,
            root: root.path().to_owned(),
            id,
            path,
            interrupt: Interrupt::default(),
        })
    }

    /// One whose commit no longer waits for readers once `interrupt` is raised.
    #[must_use]
    pub fn watching(mut self, interrupt: &Interrupt) -> Self {
        self.interrupt = interrupt.clone();
        self
    }

    /// The set that this will be.
    #[must_use]
    pub fn id(&self) -> SetId {
        self.id
    }

    /// The hidden directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a file of the set and the directories that lead to it. Several threads may.
    ///
    /// # Errors
    /// As [`StoredFile::create`] and mkdir(2).
    pub fn create_file(&self, path: &RelPath) -> io::Result<StoredFile> {
        let path = self.path.join(path.as_path());
        create_parent(&path)?;
        StoredFile::create(&path)
    }

    /// Takes over the file `path` of the set in directory `source_set`, by a hard link where that
    /// can be.
    ///
    /// # Errors
    /// As [`atomic::link_or_copy`] and mkdir(2).
    pub fn link_from(&self, source_set: &Path, path: &RelPath) -> io::Result<Linked> {
        let target = self.path.join(path.as_path());
        create_parent(&target)?;
        atomic::link_or_copy(&source_set.join(path.as_path()), &target)
    }

    /// Removes the directory `path` of the set with all in it, to write it again.
    ///
    /// # Errors
    /// As unlink(2); none when it is not there.
    pub fn clear(&self, path: &RelPath) -> io::Result<()> {
        match atomic::remove_tree(&self.path.join(path.as_path())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Makes the set visible. The caller has finished every file, `checksums.sha256` as the last
    /// one.
    ///
    /// Syncs every directory, then gives the hidden one its name, in one step, in exchange for the
    /// set that has it now. One that is being read is waited for up to `patience`, and is deleted
    /// once nobody can read it.
    ///
    /// # Errors
    /// [`Error::NotComplete`], [`Error::Busy`], [`Error::Interrupted`],
    /// [`Error::Failed`]: the new set is gone then, the old one is untouched.
    pub fn commit(self, commit_as: CommitAs, patience: Duration) -> Result<Committed, Error> {
        let path = match commit_as {
            CommitAs::Complete => self.complete_path()?,
            CommitAs::Incomplete => incomplete_path(&self.root, self.id),
        };
        atomic::sync_tree(&self.path).map_err(Failed::at("commit", &path))?;
        let mut not_removed = Vec::new();
        match path.symlink_metadata() {
            Ok(_) => not_removed.extend(self.replace(&path, patience)?),
            Err(_) => put_in_place(&self.path, &path).map_err(Failed::at("commit", &path))?,
        }
        if commit_as == CommitAs::Complete {
            not_removed.extend(self.remove_incomplete());
        }
        Ok(Committed { path, not_removed })
    }

    /// The final path, once the files that make a set complete are there.
    fn complete_path(&self) -> Result<PathBuf, Error> {
        let missing = [MANIFEST, CHECKSUMS]
            .into_iter()
            .find(|name| !self.path.join(name).is_file());
        match missing {
            None => Ok(self.id.path_below(&self.root)),
            Some(missing) => Err(Error::NotComplete {
                id: self.id,
                missing,
            }),
        }
    }

    /// Takes the name `path` from the set that has it, and deletes that one. Tells when it could
    /// not be deleted.
    fn replace(&self, path: &Path, patience: Duration) -> Result<Option<NotRemoved>, Error> {
        let guard = wait_for_readers(path, patience, &self.interrupt)?;
        let old = take_name(&self.path, path).map_err(Failed::at("commit", path))?;
        let not_removed = retire(&old, path)
            .err()
            .map(|reason| NotRemoved { path: old, reason });
        drop(guard); // Only now: a reader that waits for it finds the new set.
        Ok(not_removed)
    }

    /// The day is saved now: what an earlier run kept of it goes.
    fn remove_incomplete(&self) -> Option<NotRemoved> {
        let path = incomplete_path(&self.root, self.id);
        path.symlink_metadata().ok()?;
        match remove_set(self.lock, &path) {
            Removal::Removed => None,
            Removal::Busy => Some(NotRemoved {
                path,
                reason: io::Error::other("it is being read"),
            }),
            Removal::Failed(reason) => Some(NotRemoved { path, reason }),
        }
    }
}

impl Drop for Staging<'_> {
    /// After a commit there is nothing left under the hidden name, or only the old tree.
    fn drop(&mut self) {
        let _ = atomic::remove_tree(&self.path);
    }
}

fn create_below(root: &Path, staging: &Path) -> io::Result<()> {
    create_parent(staging)?;
    atomic::sync_dir(root)?;
    atomic::create_dir(staging)
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), atomic::create_dir_all)
}

fn put_in_place(hidden: &Path, path: &Path) -> io::Result<()> {
    atomic::rename_into_place(hidden, path)?;
    atomic::sync_parent(path).inspect_err(|_| {
        // Not known to be on stable storage, so not visible; the first error says why.
        let _ = atomic::rename_into_place(path, hidden);
    })
}

/// Gives the tree `new` the name `path`, and says where the tree is now that had it.
fn take_name(new: &Path, path: &Path) -> io::Result<PathBuf> {
    match atomic::exchange(new, path)? {
        Exchanged::Done => sync_exchange(new, path),
        Exchanged::Unsupported => swap_by_moving_aside(new, path),
    }
}

/// Syncs an exchange, or takes it back. Returns where the old set is now.
fn sync_exchange(hidden: &Path, path: &Path) -> io::Result<PathBuf> {
    atomic::sync_parent(path).inspect_err(|_| {
        // Otherwise the old tree would be deleted under its hidden name; the first error says why.
        let _ = atomic::exchange(hidden, path);
    })?;
    Ok(hidden.to_owned())
}

/// Shuts readers out of the set at `path`, once those that are there have gone.
fn wait_for_readers(
    path: &Path,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<ExclusiveLock, Error> {
    let start = Instant::now();
    loop {
        match try_exclusive(path) {
            Err(Error::BeingRead { .. }) if start.elapsed() < patience => {
                interrupt.check()?;
                thread::sleep(READER_POLL);
            }
            Err(Error::BeingRead { path }) => {
                return Err(Error::Busy {
                    path,
                    waited_seconds: patience.as_secs(),
                });
            }
            result => return result,
        }
    }
}

/// For file systems that cannot exchange two names: for a moment the old set has only its hidden
/// name. If the process dies then, `clear_leftovers` gives it back. Returns where the old set is
/// now.
fn swap_by_moving_aside(new: &Path, path: &Path) -> io::Result<PathBuf> {
    let aside = Hidden::Old.sibling(path);
    atomic::remove_tree(&aside)?;
    atomic::rename_into_place(path, &aside)?;
    if let Err(error) = atomic::rename_into_place(new, path) {
        // Should this fail as well, `clear_leftovers` does it; the first error says why.
        let _ = atomic::rename_into_place(&aside, path);
        return Err(error);
    }
    atomic::sync_parent(path)?;
    Ok(aside)
}

#[cfg(test)]
#[path = "staging_tests.rs"]
mod tests;
