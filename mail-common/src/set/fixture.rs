//! Roots and sets for the tests of this module.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::ZonedDateTime;
use tempfile::TempDir;

use super::layout::{CHECKSUMS, MANIFEST};
use super::{BackupRoot, CommitAs, RootLock, Staging};

/// An empty root in a temporary directory, locked since 02:00.
pub(super) struct Fixture {
    pub(super) root: BackupRoot,
    pub(super) lock: RootLock,
    mounted: Option<PathBuf>,
    _dir: TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::in_directory(tempfile::tempdir().unwrap(), None)
    }

    /// On a file system of 2 MiB; says so and gives `None` where that needs a privilege that is not
    /// there.
    pub(super) fn on_small_tmpfs() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            let path = dir.path().to_owned();
            return Some(Self::in_directory(dir, Some(path)));
        }
        eprintln!("skipped: mounting a small tmpfs needs root");
        None
    }

    fn in_directory(dir: TempDir, mounted: Option<PathBuf>) -> Self {
        let root = BackupRoot::open(dir.path()).unwrap();
        let lock = acquire(&root);
        Self {
            root,
            lock,
            mounted,
            _dir: dir,
        }
    }

    /// A staging directory with everything that makes a set complete, and `text` in the file
    /// `content`.
    pub(super) fn stage(&self, id: &str, text: &str) -> Staging<'_> {
        let staging = Staging::create(&self.lock, &self.root, id.parse().unwrap()).unwrap();
        fill(&staging, "content");
        fs::File::options()
            .write(true)
            .open(staging.path().join("content"))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        fill(&staging, MANIFEST);
        fill(&staging, CHECKSUMS);
        staging
    }

    /// A complete set with `text` in the file `content`.
    pub(super) fn commit(&self, id: &str, text: &str) -> PathBuf {
        self.stage(id, text)
            .commit(CommitAs::Complete, Duration::ZERO)
            .unwrap()
            .path
    }

    /// A bare directory below the root.
    pub(super) fn make(&self, path: &str) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(mount_point) = &self.mounted {
            // Lazy: the lock file is still open.
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(mount_point)
                .status();
        }
    }
}

pub(super) fn now(text: &str) -> ZonedDateTime {
    text.parse().unwrap()
}

pub(super) fn acquire(root: &BackupRoot) -> RootLock {
    RootLock::acquire(root, &now("2026-11-23T02:00:00+09:00[+09:00]")).unwrap()
}

/// An empty file of a set.
pub(super) fn fill(staging: &Staging<'_>, name: &str) {
    staging
        .create_file(&name.parse().unwrap())
        .unwrap()
        .finish()
        .unwrap();
}

/// Everything in `dir`, hidden names too, sorted.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Lets flock(1) of util-linux hold a lock on `file` until it is killed.
pub(super) fn flock_held_by_process(file: &Path, mode: &str) -> Child {
    let mut process = Command::new("flock")
        .args(["--no-fork", mode])
        .arg(file)
        .args(["sh", "-c", "echo held; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "held\n");
    process
}
