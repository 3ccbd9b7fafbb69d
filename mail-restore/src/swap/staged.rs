//! A new file or directory beside its target, and its exchange for what is there.
//!
//! The order of the steps is what makes a kill harmless. A new thing is made under a name without a
//! number, and only then renamed to the name that holds its inode number: so a name with a number
//! never lies about what is new. After the exchange that same name holds the *old* thing, whose
//! number is another, and the next run knows from the difference that it must be kept and not
//! removed. Only then does the old thing get its visible name, and the parent is synced last: a
//! caller hears of success when a power cut can no longer take it back.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mail_common::atomic::{self, Exchanged, StoredFile};

use super::hidden::{Hidden, kept_path};

/// What is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Directory,
    File,
}

/// A new thing under construction, mode 0700 or 0600. Dropped without a swap, it is gone.
#[derive(Debug)]
pub(crate) struct Staged {
    target: PathBuf,
    path: PathBuf,
    time: String,
    /// Whether the hidden name stays for the next run: it is that of the old one, which could not
    /// be put back, or the target is gone, and by it the next run knows where the old one is.
    is_left: bool,
}

/// Something new that did not come to its target.
#[derive(Debug)]
pub(crate) struct NotSwapped {
    pub(crate) source: io::Error,
    /// What is not as it was.
    pub(crate) left: Option<Left>,
}

/// What could not be taken back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The old one is here, and not at the target any more.
    Old(PathBuf),
    /// The new one is at the target, where nothing was.
    New,
}

impl From<io::Error> for NotSwapped {
    fn from(source: io::Error) -> Self {
        Self { source, left: None }
    }
}

/// A new thing that is at its target. Dropped, it stays there.
#[derive(Debug)]
pub(crate) struct Swapped {
    target: PathBuf,
    hidden: PathBuf,
    /// Where the old one is; `None` where there was none.
    kept: Option<PathBuf>,
}

impl Staged {
    /// Makes an empty directory or file for `target`, whose leftovers are cleared. `time` names
    /// what will be kept.
    pub(crate) fn create(target: &Path, kind: NodeKind, time: &str) -> io::Result<Self> {
        let fresh = Hidden::Fresh.beside(target);
        match kind {
            NodeKind::Directory => atomic::create_dir(&fresh)?,
            NodeKind::File => drop(StoredFile::create(&fresh)?.finish()?),
        }
        let inode = fs::symlink_metadata(&fresh)?.ino();
        let path = Hidden::Named {
            time: time.to_owned(),
            inode,
        }
        .beside(target);
        atomic::rename_into_place(&fresh, &path)?;
        Ok(Self {
            target: target.to_owned(),
            path,
            time: time.to_owned(),
            is_left: false,
        })
    }

    /// Where it is built.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it at its target; what was there is kept beside it.
    ///
    /// # Errors
    /// As rename(2) and fsync(2); what was at the target is there then, unless
    /// [`NotSwapped::left`] says otherwise.
    pub(crate) fn swap(mut self) -> Result<Swapped, NotSwapped> {
        let hidden = self.path.clone();
        let kept = match self.target.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                atomic::rename_into_place(&hidden, &self.target)?;
                None
            }
            Err(error) => return Err(error.into()),
            Ok(_) => Some(self.exchange()?),
        };
        let swapped = Swapped {
            target: self.target.clone(),
            hidden,
            kept,
        };
        match atomic::sync_parent(&self.target) {
            Ok(()) => Ok(swapped),
            Err(source) => {
                // Not known to be on stable storage, so not there; the first error says why.
                let left = swapped.kept.clone().map_or(Left::New, Left::Old);
                self.is_left = swapped.roll_back().is_err();
                let left = Some(left).filter(|_| self.is_left);
                Err(NotSwapped { source, left })
            }
        }
    }

    /// Returns where the old one is now.
    fn exchange(&mut self) -> Result<PathBuf, NotSwapped> {
        let kept = kept_path(&self.target, &self.time);
        if atomic::exchange(&self.path, &self.target)? == Exchanged::Unsupported {
            return self.move_aside(kept);
        }
        let Err(source) = atomic::rename_into_place(&self.path, &kept) else {
            return Ok(kept);
        };
        // The old one has the hidden name. If it cannot come back it must not be thrown away: the
        // next run knows it by its inode number.
        let is_back = atomic::exchange(&self.path, &self.target).is_ok();
        self.is_left = !is_back;
        let left = Some(Left::Old(self.path.clone())).filter(|_| !is_back);
        Err(NotSwapped { source, left })
    }

    /// The same where the file system cannot exchange two names.
    fn move_aside(&mut self, kept: PathBuf) -> Result<PathBuf, NotSwapped> {
        let Err(source) = move_aside(&self.path, &self.target, &kept) else {
            return Ok(kept);
        };
        self.is_left = self.target.symlink_metadata().is_err();
        let left = Some(Left::Old(kept)).filter(|_| self.is_left);
        Err(NotSwapped { source, left })
    }
}

impl Drop for Staged {
    /// After a swap nothing is left under this name.
    fn drop(&mut self) {
        if !self.is_left {
            let _ = atomic::remove_tree(&self.path);
        }
    }
}

impl Swapped {
    /// Where the old one is kept.
    pub(crate) fn kept(&self) -> Option<&Path> {
        self.kept.as_deref()
    }

    /// Puts the old one back, and removes the new one.
    ///
    /// # Errors
    /// As rename(2); the old one is not at the target then.
    pub(crate) fn roll_back(self) -> io::Result<()> {
        let mut new = &self.hidden;
        match &self.kept {
            None => atomic::rename_into_place(&self.target, &self.hidden)?,
            Some(kept) => match atomic::exchange(kept, &self.target)? {
                Exchanged::Done => new = self.hide(kept),
                Exchanged::Unsupported => move_aside(kept, &self.target, &self.hidden)?,
            },
        }
        // The old one is there again. That the rest fails takes nothing from that.
        let _ = atomic::sync_parent(&self.target);
        let _ = atomic::remove_tree(new);
        Ok(())
    }

    /// Gives the new one, which has the name `kept` for a moment, its hidden name again, under
    /// which the next run knows it. Returns the name that it has.
    fn hide<'a>(&'a self, kept: &'a PathBuf) -> &'a PathBuf {
        match atomic::rename_into_place(kept, &self.hidden) {
            Ok(()) => &self.hidden,
            Err(_) => kept,
        }
    }
}

/// For file systems that cannot exchange two names: for a moment there is nothing at `target`. A
/// process that dies then is healed by the next run.
fn move_aside(new: &Path, target: &Path, old_to: &Path) -> io::Result<()> {
    atomic::rename_into_place(target, old_to)?;
    atomic::rename_into_place(new, target).inspect_err(|_| {
        // Should this fail as well, the next run does it; the first error says why.
        let _ = atomic::rename_into_place(old_to, target);
    })
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "files of a live system are no stored files"
)]
mod tests {
    use super::super::leftovers::{Cleared, clear_leftovers};
    use super::*;

    pub(in super::super) fn names(dir: &Path) -> Vec<String> {
        let name =
            |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
        names.sort();
        names
    }

    fn live() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("mail");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old"), "").unwrap();
        (dir, target)
    }

    fn staged(target: &Path) -> Staged {
        let staged = Staged::create(target, NodeKind::Directory, "T").unwrap();
        fs::write(staged.path().join("new"), "").unwrap();
        staged
    }

    #[test]
    fn the_old_one_is_kept_and_comes_back() {
        let (dir, target) = live();
        let swapped = staged(&target).swap().unwrap();
        assert_eq!(names(&target), ["new"]);
        assert_eq!(names(dir.path()), ["mail", "mail.bak.T"]);
        assert_eq!(swapped.kept(), Some(&*dir.path().join("mail.bak.T")));
        swapped.roll_back().unwrap();
        assert_eq!(names(&target), ["old"]);
        assert_eq!(names(dir.path()), ["mail"]);
    }

    #[test]
    fn where_nothing_was_nothing_is_kept() {
        let (dir, _) = live();
        let target = dir.path().join("ssl");
        let swapped = staged(&target).swap().unwrap();
        assert_eq!(
            (names(&target), swapped.kept()),
            (vec!["new".to_owned()], None)
        );
        swapped.roll_back().unwrap();
        assert_eq!(names(dir.path()), ["mail"]);
    }

    #[test]
    fn a_file_is_swapped_too() {
        let (dir, _) = live();
        let target = dir.path().join("env");
        fs::write(&target, "old").unwrap();
        let staged = Staged::create(&target, NodeKind::File, "T").unwrap();
        fs::write(staged.path(), "new").unwrap();
        staged.swap().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(
            fs::read_to_string(dir.path().join("env.bak.T")).unwrap(),
            "old"
        );
    }

    #[test]
    fn what_is_dropped_is_gone() {
        let (dir, target) = live();
        drop(staged(&target));
        assert_eq!(names(dir.path()), ["mail"]);
        assert_eq!(names(&target), ["old"]);
    }

    #[test]
    fn what_could_not_be_moved_back_is_put_back_by_the_next_run() {
        let (dir, target) = live();
        let mut staged = staged(&target);
        let kept = dir.path().join("mail.bak.T");
        // As after a move that failed, and was not undone either.
        fs::rename(&target, &kept).unwrap();
        let not_swapped = staged.move_aside(kept.clone()).unwrap_err();
        assert_eq!(not_swapped.left, Some(Left::Old(kept)));
        drop(staged);
        let cleared = clear_leftovers(&target).unwrap();
        assert_eq!(cleared, [Cleared::PutBack(target.clone())]);
        assert_eq!(names(&target), ["old"]);
        assert_eq!(names(dir.path()), ["mail"]);
    }

    #[test]
    fn without_an_exchange_the_old_one_is_moved_aside() {
        let (dir, target) = live();
        let staged = staged(&target);
        move_aside(staged.path(), &target, &dir.path().join("mail.bak.T")).unwrap();
        assert_eq!(names(&target), ["new"]);
        assert_eq!(names(&dir.path().join("mail.bak.T")), ["old"]);
    }
}
