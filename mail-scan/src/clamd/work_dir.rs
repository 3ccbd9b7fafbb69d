//! The directory of a private clamd: in memory where there is room. What a killed run left there is
//! cleared by the next.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use mail_common::flock::Flock;
use mail_common::set::free_space;
use mail_common::trusted;
use rustix::fs::OFlags;
use tempfile::TempDir;

const PREFIX: &str = "mail-scan-";

/// Locked while the run lives (flock(2)).
const LOCK: &str = "lock";

/// clamd writes parts of what it unpacks; in memory where there is so much of it.
const MEMORY_FREE_BYTES: u64 = 2 << 30;

/// A directory that goes when it is dropped, or else when another run makes one.
#[derive(Debug)]
pub(super) struct WorkDir {
    dir: TempDir,
    _lock: Flock<File>,
}

impl WorkDir {
    /// Makes one, readable for nobody else, and clears those of runs that were killed.
    pub(super) fn new() -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let is_roomy = free_space(memory).is_ok_and(|space| space.bytes_free >= MEMORY_FREE_BYTES);
        match is_roomy.then(|| Self::new_in(memory)) {
            Some(Ok(dir)) => Ok(dir),
            _ => Self::new_in(&std::env::temp_dir()),
        }
    }

    fn new_in(base: &Path) -> io::Result<Self> {
        clear(base);
        let private = fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(private)
            .tempdir_in(base)?;
        let lock = open_lock(dir.path(), OpenOptions::new().create_new(true))?;
        let lock = Flock::try_exclusive(lock)?.ok_or(io::ErrorKind::WouldBlock)?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what runs left behind that are no more. Whatever cannot be removed stays: it is small.
fn clear(base: &Path) {
    for entry in trusted::read_dir(base).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_left_behind(&entry.path())
        {
            // Another run may have been faster.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Only the owner of the lock file, which clamd's account has not been given, could have made it
/// so; it is held while a run lives.
fn is_left_behind(dir: &Path) -> bool {
    let Ok(lock) = open_lock(dir, &mut OpenOptions::new()) else {
        return false;
    };
    let is_ours = lock
        .metadata()
        .is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw());
    is_ours && matches!(Flock::try_exclusive(lock), Ok(Some(_)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is made here, or is looked at by whose it is, and no link is followed"
)]
fn open_lock(dir: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(dir.join(LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_cleared_and_what_lives_stays() {
        let base = tempfile::tempdir().unwrap();
        let alive = WorkDir::new_in(base.path()).unwrap();
        let killed = WorkDir::new_in(base.path()).unwrap();
        let left = killed.path().to_owned();
        // As if the process had ended: the lock goes, the directory stays.
        std::mem::forget(killed.dir);
        drop(killed._lock);
        let foreign = base.path().join("mail-scan-other");
        fs::create_dir(&foreign).unwrap();
        let next = WorkDir::new_in(base.path()).unwrap();
        assert!(!left.exists());
        assert!(alive.path().exists() && foreign.exists() && next.path().exists());
    }
}
