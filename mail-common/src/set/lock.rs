//! Who may do what at the same time: one writer to a root, any number of readers to a set.
//!
//! All locks are flock(2): they end with the process, however it ends.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;

use super::backup_root::BackupRoot;
use super::error::Error;
use super::holder::{read_holder, write_holder};
use super::layout::{CHECKSUMS, Hidden, LOCK, MANIFEST};
use crate::beneath;
use crate::failure::Failed;
use crate::flock::Flock;

/// A replacement or a removal holds a set for as long as it takes to delete the old tree.
const READER_PATIENCE: Duration = Duration::from_secs(30);
const READER_POLL: Duration = Duration::from_millis(10);

/// The one writer to a backup root. Dropping it, or dying, lets the next one in.
#[derive(Debug)]
pub struct RootLock {
    _flock: Flock<File>,
}

/// A reader of a set: while it lives, the set is neither replaced nor removed.
#[derive(Debug)]
pub struct ReadLock {
    _flock: Flock<File>,
}

/// Nobody reads the set, and nobody can begin to.
#[derive(Debug)]
pub(super) struct ExclusiveLock {
    /// `None` for a directory without any file that a reader could lock.
    _flock: Option<Flock<File>>,
}

impl RootLock {
    /// Takes the lock of `root` or fails at once, and writes down who has it since when.
    ///
    /// # Errors
    /// [`Error::Held`] when another process has it, [`Error::Failed`] when the file cannot
    /// be made or written.
    pub fn acquire(root: &BackupRoot, now: &ZonedDateTime) -> Result<Self, Error> {
        let path = root.path().join(LOCK);
        let failed = || Failed::at("lock", &path);
        let file = beneath::own_file(&path).map_err(failed())?;
        let Some(mut flock) = Flock::try_exclusive(file).map_err(failed())? else {
            return Err(Error::Held {
                holder: read_holder(&path, now),
            });
        };
        write_holder(flock.file_mut(), now).map_err(failed())?;
        Ok(Self { _flock: flock })
    }
}

impl ReadLock {
    /// Locks the set in directory `set` against replacement and removal.
    ///
    /// A set that is just being replaced is waited for; it is the new one that is locked then.
    ///
    /// # Errors
    /// [`Error::NotASet`], [`Error::BeingReplaced`] after 30 seconds, or
    /// [`Error::Failed`].
    pub fn acquire(set: &Path) -> Result<Self, Error> {
        let start = Instant::now();
        loop {
            if let Some(flock) = try_shared(set)? {
                return Ok(Self { _flock: flock });
            }
            if start.elapsed() > READER_PATIENCE {
                return Err(Error::BeingReplaced {
                    path: set.to_owned(),
                });
            }
            thread::sleep(READER_POLL);
        }
    }
}

/// Shuts readers out of the set in directory `set`, or fails at once when there are any.
///
/// # Errors
/// [`Error::BeingRead`] when it is being read, [`Error::Failed`] when its file cannot be used.
pub(super) fn try_exclusive(set: &Path) -> Result<ExclusiveLock, Error> {
    // NFS grants an exclusive flock only on a file that is open for writing (flock(2)).
    let Some((file, path)) = open_lockable(set, beneath::regular_file_to_write)? else {
        return Ok(ExclusiveLock { _flock: None });
    };
    match Flock::try_exclusive(file).map_err(Failed::at("lock", &path))? {
        Some(flock) => Ok(ExclusiveLock {
            _flock: Some(flock),
        }),
        None => Err(Error::BeingRead {
            path: set.to_owned(),
        }),
    }
}

/// A shared lock on the set that `set` names now; `None` when it is, or was just, being replaced.
fn try_shared(set: &Path) -> Result<Option<Flock<File>>, Error> {
    let Some((file, path)) = open_lockable(set, beneath::regular_file)? else {
        // Where two names cannot be exchanged, the set is absent for a moment while its successor
        // takes its name.
        let is_moved_aside = Hidden::Old.sibling(set).exists();
        return if is_moved_aside {
            Ok(None)
        } else {
            Err(Error::NotASet {
                path: set.to_owned(),
            })
        };
    };
    let locked = Flock::try_shared(file).map_err(Failed::at("lock", &path))?;
    Ok(locked.filter(|flock| still_stands_for(set, &path, flock.file())))
}

/// The file that stands for the set in locks: its manifest, or its checksums where an old script
/// made it.
fn open_lockable(
    set: &Path,
    open: fn(&Path) -> io::Result<File>,
) -> Result<Option<(File, PathBuf)>, Error> {
    for name in [MANIFEST, CHECKSUMS] {
        let path = set.join(name);
        match open(&path) {
            Ok(file) => return Ok(Some((file, path))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(source) => return Err(Failed::at("lock", &path)(source).into()),
        }
    }
    Ok(None)
}

/// Whether the locked `file` at `path` is what stands for the set that `set` names now, and not for
/// one that was just replaced.
fn still_stands_for(set: &Path, path: &Path, file: &File) -> bool {
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let is_manifest_missed = path.ends_with(CHECKSUMS) && set.join(MANIFEST).exists();
    let (Ok(named), Ok(locked)) = (fs::metadata(path), file.metadata()) else {
        return false;
    };
    inode(named) == inode(locked) && !is_manifest_missed
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, acquire, flock_held_by_process, now};
    use super::*;
    use std::io::Write;
    use std::sync::mpsc;

    #[test]
    fn a_second_writer_learns_who_holds_the_lock() {
        let fixture = Fixture::new();
        let held = RootLock::acquire(&fixture.root, &now("2026-11-23T14:05:09+09:00[+09:00]"))
            .unwrap_err();
        let pid = std::process::id();
        assert_eq!(
            held.to_string(),
            format!("lock held by pid {pid} since 02:00; wait for it to end")
        );
        let held = RootLock::acquire(&fixture.root, &now("2026-11-24T02:00:00+09:00[+09:00]"))
            .unwrap_err();
        assert_eq!(
            held.to_string(),
            format!("lock held by pid {pid} since 2026-11-23 02:00; wait for it to end")
        );
        let line = fs::read_to_string(fixture.root.path().join(".lock")).unwrap();
        assert_eq!(line, format!("{pid} 2026-11-23T02:00:00+09:00\n"));
    }

    fn empty_root() -> (tempfile::TempDir, BackupRoot) {
        let dir = tempfile::tempdir().unwrap();
        let root = BackupRoot::open(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn a_dropped_lock_is_free() {
        let (_dir, root) = empty_root();
        for _ in 0..3 {
            drop(acquire(&root));
        }
    }

    #[test]
    fn the_lock_of_another_process_ends_when_it_is_killed() {
        let (_dir, root) = empty_root();
        let mut process = flock_held_by_process(&root.path().join(".lock"), "--exclusive");
        let held = RootLock::acquire(&root, &now("2026-11-23T03:00:00+09:00[+09:00]"));
        assert!(matches!(held, Err(Error::Held { holder: None })));
        process.kill().unwrap(); // SIGKILL
        process.wait().unwrap();
        acquire(&root);
    }

    #[test]
    fn garbage_in_the_lock_file_names_nobody() {
        let fixture = Fixture::new();
        let path = fixture.root.path().join(".lock");
        for content in [
            &b""[..],
            b"812",
            b"x 2026",
            b"812 \x1b[31mred",
            b"\xff\xff 1",
            &[b'9'; 4096],
        ] {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&path)
                .unwrap();
            file.write_all(content).unwrap();
            let held = RootLock::acquire(&fixture.root, &now("2026-11-23T03:00:00+09:00[+09:00]"))
                .unwrap_err();
            assert_eq!(
                held.to_string(),
                "lock held by another run; wait for it to end"
            );
        }
    }

    #[test]
    fn a_lock_file_that_is_a_symlink_is_refused() {
        let (_dir, root) = empty_root();
        std::os::unix::fs::symlink("elsewhere", root.path().join(".lock")).unwrap();
        let error =
            RootLock::acquire(&root, &now("2026-11-23T03:00:00+09:00[+09:00]")).unwrap_err();
        assert!(matches!(error, Error::Failed(_)));
        assert!(!root.path().join("elsewhere").exists());
    }

    #[test]
    fn readers_share_a_set_and_keep_the_writer_out() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        let readers = [
            ReadLock::acquire(&set).unwrap(),
            ReadLock::acquire(&set).unwrap(),
        ];
        assert!(matches!(try_exclusive(&set), Err(Error::BeingRead { .. })));
        drop(readers);
        try_exclusive(&set).unwrap();
    }

    #[test]
    fn a_reader_in_another_process_keeps_the_writer_out_until_it_is_killed() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        let mut process = flock_held_by_process(&set.join(MANIFEST), "--shared");
        ReadLock::acquire(&set).unwrap();
        assert!(matches!(try_exclusive(&set), Err(Error::BeingRead { .. })));
        process.kill().unwrap();
        process.wait().unwrap();
        try_exclusive(&set).unwrap();
    }

    #[test]
    fn a_set_of_the_old_scripts_is_locked_by_its_checksums() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        fs::remove_file(set.join(MANIFEST)).unwrap();
        let reader = ReadLock::acquire(&set).unwrap();
        assert!(matches!(try_exclusive(&set), Err(Error::BeingRead { .. })));
        drop(reader);
        fs::remove_file(set.join(CHECKSUMS)).unwrap();
        assert!(matches!(
            ReadLock::acquire(&set),
            Err(Error::NotASet { .. })
        ));
        try_exclusive(&set).unwrap();
    }

    #[test]
    fn a_reader_waits_for_a_replacement_and_reads_the_new_set() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        let writer = try_exclusive(&set).unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _reader = ReadLock::acquire(&set).unwrap();
                sender
                    .send(fs::read_to_string(set.join("content")).unwrap())
                    .unwrap();
            });
            assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
            let aside = Hidden::Old.sibling(&set);
            let newer = fixture.commit("daily/2026-11-24", "two");
            crate::atomic::rename_into_place(&set, &aside).unwrap();
            thread::sleep(READER_POLL * 3);
            crate::atomic::rename_into_place(&newer, &set).unwrap();
            drop(writer);
            assert_eq!(
                receiver.recv_timeout(Duration::from_secs(10)).unwrap(),
                "two"
            );
        });
    }
}
