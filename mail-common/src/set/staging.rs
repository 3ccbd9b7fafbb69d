//! A set under construction in a hidden directory, and the commit that makes it visible.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::layout::{CHECKSUMS, Hidden, MANIFEST, Outcome, incomplete_path, remove_set};
use super::lock::{ExclusiveLock, LockError, RootLock, try_exclusive};
use super::{BackupRoot, Error, SetId};
use crate::atomic::{self, Exchanged, Linked, StoredFile};
use crate::relpath::RelPath;

const READER_POLL: Duration = Duration::from_millis(50);

/// A set under construction: `daily/.2026-11-23.new/`, mode 0700. Dropped without a commit, it is gone.
#[derive(Debug)]
pub struct Staging<'lock> {
    lock: &'lock RootLock,
    root: PathBuf,
    id: SetId,
    /// The hidden directory.
    path: PathBuf,
}

/// What a finished run may call its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAs {
    /// `daily/2026-11-23`: everything that was asked for is in it.
    Complete,
    /// `daily/2026-11-23.incomplete`: a component failed. A complete set of that day stays as it is.
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
    /// Makes the hidden directory for the set `id`, and `daily/` or `weekly/` above it. Clear leftovers before.
    ///
    /// # Errors
    /// [`Error::CreateStaging`], for example when a leftover is in the way.
    pub fn create(lock: &'lock RootLock, root: &BackupRoot, id: SetId) -> Result<Self, Error> {
        let path = Hidden::New.sibling(&root.set_path(id));
        create_below(root.path(), &path).map_err(|source| Error::CreateStaging { path: path.clone(), source })?;
        Ok(Self { lock, root: root.path().to_owned(), id, path })
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

    /// Takes over the file `path` of the set in directory `source_set`, by a hard link where that can be.
    ///
    /// # Errors
    /// As [`atomic::link_or_copy`] and mkdir(2).
    pub fn link_from(&self, source_set: &Path, path: &RelPath) -> io::Result<Linked> {
        let target = self.path.join(path.as_path());
        create_parent(&target)?;
        atomic::link_or_copy(&source_set.join(path.as_path()), &target)
    }

    /// Removes the directory `path` of the set with all in it, to write it anew.
    ///
    /// # Errors
    /// As unlink(2); none when it is not there.
    pub fn clear(&self, path: &RelPath) -> io::Result<()> {
        match atomic::remove_tree(&self.path.join(path.as_path())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Makes the set visible. The caller has finished every file, `checksums.sha256` as the last one.
    ///
    /// Syncs every directory, then gives the hidden one its name, in one step, in exchange for the set that has it now.
    /// One that is being read is waited for up to `patience`, and is deleted once nobody can read it.
    ///
    /// # Errors
    /// [`Error::NotComplete`], [`Error::Busy`], [`Error::Lock`], [`Error::Commit`]: the new set is gone then, the old one
    /// is untouched.
    pub fn commit(self, commit_as: CommitAs, patience: Duration) -> Result<Committed, Error> {
        let path = match commit_as {
            CommitAs::Complete => self.root_path_of_complete()?,
            CommitAs::Incomplete => incomplete_path(&self.root, self.id),
        };
        let failed = |source| Error::Commit { path: path.clone(), source };
        atomic::sync_tree(&self.path).map_err(failed)?;
        let mut not_removed = Vec::new();
        match path.symlink_metadata() {
            Ok(_) => not_removed.extend(self.replace(&path, patience)?),
            Err(_) => put_in_place(&self.path, &path).map_err(failed)?,
        }
        if commit_as == CommitAs::Complete {
            not_removed.extend(self.remove_incomplete());
        }
        Ok(Committed { path, not_removed })
    }

    /// The final path, once the files that make a set complete are there.
    fn root_path_of_complete(&self) -> Result<PathBuf, Error> {
        let missing = [MANIFEST, CHECKSUMS].into_iter().find(|name| !self.path.join(name).is_file());
        match missing {
            None => Ok(self.id.path_below(&self.root)),
            Some(missing) => Err(Error::NotComplete { id: self.id, missing }),
        }
    }

    /// Takes the name `path` from the set that has it; that one goes, unless that fails, which is told.
    fn replace(&self, path: &Path, patience: Duration) -> Result<Option<NotRemoved>, Error> {
        let failed = |source| Error::Commit { path: path.to_owned(), source };
        let guard = wait_for_readers(path, patience)?;
        let old = match atomic::exchange(&self.path, path).map_err(failed)? {
            Exchanged::Done => self.path.clone(),
            Exchanged::Unsupported => swap_by_moving_aside(&self.path, path).map_err(failed)?,
        };
        atomic::sync_parent(path).map_err(failed)?;
        let not_removed = atomic::remove_tree(&old).err().map(|reason| NotRemoved { path: old, reason });
        drop(guard); // Only now: a reader that waits for it finds the new set.
        Ok(not_removed)
    }

    /// The day is saved now: what an earlier run kept of it goes.
    fn remove_incomplete(&self) -> Option<NotRemoved> {
        let path = incomplete_path(&self.root, self.id);
        path.symlink_metadata().ok()?;
        match remove_set(self.lock, &path) {
            Outcome::Removed => None,
            Outcome::Busy => Some(NotRemoved { path, reason: io::Error::other("it is being read") }),
            Outcome::Failed(reason) => Some(NotRemoved { path, reason }),
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
    atomic::sync_parent(path)
}

/// Shuts readers out of the set at `path`, once those that are there have gone.
fn wait_for_readers(path: &Path, patience: Duration) -> Result<ExclusiveLock, Error> {
    let give_up = Instant::now() + patience;
    loop {
        match try_exclusive(path) {
            Err(LockError::Busy { .. }) if Instant::now() < give_up => thread::sleep(READER_POLL),
            Err(LockError::Busy { path }) => return Err(Error::Busy { path, waited_seconds: patience.as_secs() }),
            result => return Ok(result?),
        }
    }
}

/// For file systems that cannot exchange two names: for a moment the old set has only its hidden name. If the process
/// dies then, `clear_leftovers` gives it back. Returns where the old set is now.
fn swap_by_moving_aside(new: &Path, path: &Path) -> io::Result<PathBuf> {
    let aside = Hidden::Old.sibling(path);
    atomic::remove_tree(&aside)?;
    atomic::rename_into_place(path, &aside)?;
    if let Err(error) = atomic::rename_into_place(new, path) {
        // Should this fail as well, `clear_leftovers` does it; the first error says why.
        let _ = atomic::rename_into_place(&aside, path);
        return Err(error);
    }
    Ok(aside)
}
