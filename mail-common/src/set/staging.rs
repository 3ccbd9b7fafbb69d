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
mod tests {
    use super::super::fixture::{Fixture, acquire, fill, names};
    use super::super::{ReadLock, SetState};
    use super::*;
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};

    const NO_PATIENCE: Duration = Duration::ZERO;

    fn content(set: &Path) -> String {
        fs::read_to_string(set.join("content")).unwrap()
    }

    #[test]
    fn a_set_is_hidden_until_it_is_committed() {
        let fixture = Fixture::new();
        let staging = fixture.stage("daily/2026-11-23", "one");
        assert_eq!(
            staging.path(),
            fixture.root.path().join("daily/.2026-11-23.new")
        );
        assert_eq!(
            fs::metadata(staging.path()).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert!(fixture.root.sets(staging.id().kind()).unwrap().is_empty());
        let committed = staging.commit(CommitAs::Complete, NO_PATIENCE).unwrap();
        assert_eq!(committed.path, fixture.root.path().join("daily/2026-11-23"));
        assert_eq!(names(&fixture.root.path().join("daily")), ["2026-11-23"]);
        assert!(committed.not_removed.is_empty());
    }

    #[test]
    fn a_dropped_staging_is_gone() {
        let fixture = Fixture::new();
        drop(fixture.stage("weekly/2026-week-47", "one"));
        assert!(names(&fixture.root.path().join("weekly")).is_empty());
    }

    #[test]
    fn a_leftover_in_the_way_is_an_error() {
        let fixture = Fixture::new();
        let staging = fixture.stage("daily/2026-11-23", "one");
        let second = Staging::create(&fixture.lock, &fixture.root, staging.id());
        assert!(matches!(second, Err(Error::Failed(_))));
    }

    #[test]
    fn a_set_without_manifest_or_checksums_is_not_complete() {
        for missing in [MANIFEST, CHECKSUMS] {
            let fixture = Fixture::new();
            let staging = fixture.stage("daily/2026-11-23", "one");
            fs::remove_file(staging.path().join(missing)).unwrap();
            let error = staging.commit(CommitAs::Complete, NO_PATIENCE).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("commit daily/2026-11-23: it has no {missing}")
            );
            assert!(names(&fixture.root.path().join("daily")).is_empty());
        }
    }

    #[test]
    fn the_second_run_of_a_day_replaces_the_first() {
        let fixture = Fixture::new();
        fixture.commit("daily/2026-11-23", "one");
        let set = fixture.commit("daily/2026-11-23", "two");
        assert_eq!(content(&set), "two");
        assert_eq!(names(&fixture.root.path().join("daily")), ["2026-11-23"]);
    }

    #[test]
    fn an_incomplete_set_leaves_the_complete_one_and_goes_with_the_next_success() {
        let fixture = Fixture::new();
        let daily = fixture.root.path().join("daily");
        fixture.commit("daily/2026-11-23", "one");
        for text in ["part", "other part"] {
            let staging = fixture.stage("daily/2026-11-23", text);
            let committed = staging.commit(CommitAs::Incomplete, NO_PATIENCE).unwrap();
            assert_eq!(committed.path, daily.join("2026-11-23.incomplete"));
            assert_eq!(content(&committed.path), text);
            assert_eq!(SetState::of(&committed.path), SetState::Incomplete);
        }
        assert_eq!(content(&daily.join("2026-11-23")), "one");
        assert_eq!(names(&daily), ["2026-11-23", "2026-11-23.incomplete"]);
        fixture.commit("daily/2026-11-23", "two");
        assert_eq!(names(&daily), ["2026-11-23"]);
    }

    #[test]
    fn an_incomplete_set_that_is_being_read_stays_and_is_reported() {
        let fixture = Fixture::new();
        let staging = fixture.stage("daily/2026-11-23", "part");
        let incomplete = staging
            .commit(CommitAs::Incomplete, NO_PATIENCE)
            .unwrap()
            .path;
        let _reader = ReadLock::acquire(&incomplete).unwrap();
        let committed = fixture
            .stage("daily/2026-11-23", "one")
            .commit(CommitAs::Complete, NO_PATIENCE)
            .unwrap();
        assert_eq!(committed.not_removed[0].path, incomplete);
        assert_eq!(content(&incomplete), "part");
    }

    #[test]
    fn a_set_that_is_being_read_is_not_replaced() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        let reader = ReadLock::acquire(&set).unwrap();
        let busy = fixture
            .stage("daily/2026-11-23", "two")
            .commit(CommitAs::Complete, Duration::from_millis(120));
        assert!(matches!(busy, Err(Error::Busy { .. })));
        assert_eq!(content(&set), "one");
        assert_eq!(names(&fixture.root.path().join("daily")), ["2026-11-23"]);

        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(200));
                drop(reader);
            });
            fixture
                .stage("daily/2026-11-23", "two")
                .commit(CommitAs::Complete, Duration::from_secs(10))
                .unwrap();
        });
        assert_eq!(content(&set), "two");
    }

    #[test]
    fn at_no_moment_is_there_no_set() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "0");
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut seen = 0_u64;
                while !is_done.load(Ordering::Relaxed) {
                    assert!(
                        set.join(CHECKSUMS).exists(),
                        "the set was absent or in part after {seen} looks"
                    );
                    seen += 1;
                }
                seen
            });
            for number in 1..=200 {
                fixture.commit("daily/2026-11-23", &number.to_string());
            }
            is_done.store(true, Ordering::Relaxed);
            assert!(watcher.join().unwrap() > 200);
        });
        assert_eq!(content(&set), "200");
    }

    #[test]
    fn a_reader_always_sees_one_set_from_start_to_end() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "0");
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    let reader = ReadLock::acquire(&set).unwrap();
                    let before = content(&set);
                    thread::yield_now();
                    assert_eq!(content(&set), before);
                    drop(reader);
                    thread::sleep(Duration::from_millis(2));
                }
            });
            for number in 1..=100 {
                let staging = fixture.stage("daily/2026-11-23", &number.to_string());
                staging
                    .commit(CommitAs::Complete, Duration::from_secs(30))
                    .unwrap();
            }
            is_done.store(true, Ordering::Relaxed);
        });
    }

    /// The child of the next test; by itself it does nothing.
    #[test]
    fn commits_until_it_is_killed() {
        let Ok(root) = std::env::var(KILLED_ROOT) else {
            return;
        };
        let root = BackupRoot::open(Path::new(&root)).unwrap();
        let lock = acquire(&root);
        for number in 0.. {
            let staging =
                Staging::create(&lock, &root, "daily/2026-11-23".parse().unwrap()).unwrap();
            for name in 0..20 {
                let path = format!("mailboxes/{number}-{name}").parse().unwrap();
                staging
                    .create_file(&path)
                    .unwrap()
                    .finish_unsynced()
                    .unwrap();
            }
            fill(&staging, MANIFEST);
            fill(&staging, CHECKSUMS);
            staging.commit(CommitAs::Complete, NO_PATIENCE).unwrap();
            if number == 0 {
                println!("\n{READY}");
            }
        }
    }

    #[test]
    fn a_run_that_is_killed_at_any_moment_leaves_one_whole_set() {
        let dir = tempfile::tempdir().unwrap();
        let root = BackupRoot::open(dir.path()).unwrap();
        let set = dir.path().join("daily/2026-11-23");
        for round in 0..40 {
            let mut process = spawn_committer(dir.path());
            thread::sleep(Duration::from_micros(round * 1_777));
            process.kill().unwrap(); // SIGKILL
            process.wait().unwrap();

            assert!(names(&set).contains(&CHECKSUMS.to_owned()), "round {round}");
            let runs: Vec<String> = names(&set.join("mailboxes"))
                .iter()
                .map(|name| name.split_once('-').unwrap().0.to_owned())
                .collect();
            assert_eq!(runs, vec![runs[0].clone(); 20], "round {round}");
            let lock = acquire(&root);
            root.clear_leftovers(&lock).unwrap();
            assert_eq!(
                names(&dir.path().join("daily")),
                ["2026-11-23"],
                "round {round}"
            );
        }
    }

    const KILLED_ROOT: &str = "MAIL_TEST_COMMITS_UNTIL_KILLED";
    const READY: &str = "ready";

    /// This test program again, running only the child test.
    fn spawn_committer(root: &Path) -> Child {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "set::staging::tests::commits_until_it_is_killed",
                "--nocapture",
            ])
            .env(KILLED_ROOT, root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap() == READY),
            "the child did not start"
        );
        process
    }

    #[test]
    fn without_exchange_the_old_set_is_moved_aside() {
        let fixture = Fixture::new();
        let set = fixture.commit("daily/2026-11-23", "one");
        let staging = fixture.stage("daily/2026-11-23", "two");
        let aside = swap_by_moving_aside(staging.path(), &set).unwrap();
        assert_eq!(aside, fixture.root.path().join("daily/.2026-11-23.old"));
        assert_eq!(
            (content(&set).as_str(), content(&aside).as_str()),
            ("two", "one")
        );

        // The new set is not there: the old one gets its name back.
        assert!(swap_by_moving_aside(&fixture.root.path().join("absent"), &set).is_err());
        assert_eq!(content(&set), "two");
    }

    #[test]
    fn what_has_the_name_of_a_set_is_replaced_and_not_followed() {
        let fixture = Fixture::new();
        let elsewhere = fixture.root.path().join("elsewhere");
        fs::create_dir_all(elsewhere.join("kept")).unwrap();
        fs::create_dir(fixture.root.path().join("daily")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, fixture.root.path().join("daily/2026-11-23"))
            .unwrap();
        let set = fixture.commit("daily/2026-11-23", "one");
        assert!(fs::symlink_metadata(&set).unwrap().is_dir());
        assert_eq!(names(&elsewhere), ["kept"]);
    }

    #[test]
    fn files_are_created_and_linked_at_any_depth_and_with_any_name() {
        let fixture = Fixture::new();
        let odd = RelPath::new(b"mailboxes/a b/\xff\n'\\/0001.tar.zst").unwrap();
        let staging = fixture.stage("daily/2026-11-22", "one");
        let mut file = staging.create_file(&odd).unwrap();
        file.write_all(b"segment").unwrap();
        file.finish().unwrap();
        let old = staging
            .commit(CommitAs::Complete, NO_PATIENCE)
            .unwrap()
            .path;

        let staging = fixture.stage("daily/2026-11-23", "two");
        assert_eq!(staging.link_from(&old, &odd).unwrap(), Linked::HardLink);
        let new = staging
            .commit(CommitAs::Complete, NO_PATIENCE)
            .unwrap()
            .path;
        let inode = |set: &Path| fs::metadata(set.join(odd.as_path())).unwrap().ino();
        assert_eq!(inode(&old), inode(&new));
        fs::remove_dir_all(&old).unwrap();
        assert_eq!(fs::read(new.join(odd.as_path())).unwrap(), b"segment");
        assert_eq!(
            fs::metadata(new.join("mailboxes/a b"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
    }

    #[test]
    fn a_full_disk_costs_the_new_set_and_not_the_old_one() {
        let Some(fixture) = Fixture::on_small_tmpfs() else {
            return;
        };
        let set = fixture.commit("daily/2026-11-23", "one");
        let staging = fixture.stage("daily/2026-11-23", "two");
        let mut file = staging.create_file(&"big".parse().unwrap()).unwrap();
        let error = file
            .write_all(&vec![7; 4 << 20])
            .and_then(|()| file.finish().map(|_| ()))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        drop(staging);
        assert_eq!(content(&set), "one");
        fill(&fixture.stage("daily/2026-11-24", "room again"), "more");
    }
}
