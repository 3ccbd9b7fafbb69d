//! What killed runs left beside a target: new things that never got there are removed, old ones are
//! kept under their visible name, and a target that has nothing gets its old one back.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mail_common::atomic;
use mail_common::trusted;

use super::hidden::{Hidden, kept_path};

/// What was done with a leftover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cleared {
    /// A new thing that never got to its target is gone.
    Removed(PathBuf),
    /// The old thing is kept here; the new one is at the target.
    Kept(PathBuf),
    /// The old thing is at the target again.
    PutBack(PathBuf),
}

/// Clears what killed runs left beside `target`. The caller has its [`super::TargetLock`].
pub(crate) fn clear_leftovers(target: &Path) -> io::Result<Vec<Cleared>> {
    let mut cleared = Vec::new();
    for (hidden, path) in leftovers(target)? {
        cleared.push(clear(target, &hidden, path)?);
    }
    Ok(cleared)
}

fn leftovers(target: &Path) -> io::Result<Vec<(Hidden, PathBuf)>> {
    let parent = target.parent().unwrap_or(Path::new("/"));
    let listing = match trusted::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry?;
        if let Some(hidden) = Hidden::parse(target, entry.file_name().as_bytes()) {
            found.push((hidden, entry.path()));
        }
    }
    Ok(found)
}

fn clear(target: &Path, hidden: &Hidden, path: PathBuf) -> io::Result<Cleared> {
    let is_old = |inode: u64| fs::symlink_metadata(&path).map(|metadata| metadata.ino() != inode);
    match hidden {
        Hidden::Named { time, inode } if is_old(*inode)? => {
            let kept = kept_path(target, time);
            atomic::rename_into_place(&path, &kept)?;
            atomic::sync_parent(target)?;
            Ok(Cleared::Kept(kept))
        }
        Hidden::Named { time, .. }
            if target.symlink_metadata().is_err() && put_back(target, time)? =>
        {
            atomic::remove_tree(&path)?;
            Ok(Cleared::PutBack(target.to_owned()))
        }
        Hidden::Named { .. } | Hidden::Fresh => {
            atomic::remove_tree(&path)?;
            Ok(Cleared::Removed(path))
        }
    }
}

/// Gives back to a target that has nothing what was moved aside at `time`, where the file system
/// cannot exchange names.
fn put_back(target: &Path, time: &str) -> io::Result<bool> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".bak.{time}"));
    let kept = target.with_file_name(name);
    if kept.symlink_metadata().is_err() {
        return Ok(false);
    }
    atomic::rename_into_place(&kept, target)?;
    atomic::sync_parent(target)?;
    Ok(true)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what killed runs left is made here"
)]
mod tests {
    use super::super::staged::{NodeKind, Staged};
    use super::*;

    /// A live tree `mail` and a new one under its hidden name.
    fn fixture() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("mail");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "").unwrap();
        let staged = Staged::create(&target, NodeKind::Directory, "T").unwrap();
        fs::write(staged.path().join("new"), "").unwrap();
        let path = staged.path().to_owned();
        // As a process that is killed: nothing is cleaned up.
        std::mem::forget(staged);
        (dir, target, path)
    }

    fn check(dir: &Path, target: &Path, expected: &Cleared, names: &[&str]) {
        assert_eq!(
            clear_leftovers(target).unwrap(),
            std::slice::from_ref(expected)
        );
        let mut found: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, names);
        assert_eq!(clear_leftovers(target).unwrap(), []);
    }

    #[test]
    fn a_new_one_that_never_got_there_is_removed() {
        let (dir, target, hidden) = fixture();
        check(dir.path(), &target, &Cleared::Removed(hidden), &["mail"]);
        assert!(target.join("old").exists());
    }

    #[test]
    fn an_old_one_that_was_exchanged_is_kept() {
        let (dir, target, hidden) = fixture();
        atomic::exchange(&hidden, &target).unwrap();
        let kept = dir.path().join("mail.bak.T");
        check(
            dir.path(),
            &target,
            &Cleared::Kept(kept.clone()),
            &["mail", "mail.bak.T"],
        );
        assert!(target.join("new").exists() && kept.join("old").exists());
    }

    #[test]
    fn an_old_one_that_was_moved_aside_is_put_back() {
        let (dir, target, _) = fixture();
        fs::rename(&target, dir.path().join("mail.bak.T")).unwrap();
        check(
            dir.path(),
            &target,
            &Cleared::PutBack(target.clone()),
            &["mail"],
        );
        assert!(target.join("old").exists());
    }

    #[test]
    fn what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            ".mail.restoring.notes",
            ".other.restoring",
            "mail.bak.T",
            ".mail",
        ] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        assert_eq!(clear_leftovers(&dir.path().join("mail")).unwrap(), []);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }
}
