//! What was listed of a live tree. A message that is moved meanwhile, from a directory that was not
//! listed yet to one that was, would be in neither: directories that changed since are listed
//! again, and what was not found before is scanned.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::tree::{Identity, Tree};

/// Within the tick of the clock of a file system, which is some milliseconds, a directory may
/// change without a trace.
const TICK: Duration = Duration::from_millis(20);

/// The directories and files that were found, shared between threads.
#[derive(Debug, Default)]
pub(crate) struct Listed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Each directory as it was before it was listed.
    directories: HashMap<PathBuf, Directory>,
    /// Inodes by device: eight bytes a message.
    files: HashMap<u64, HashSet<u64>>,
    /// Those that were gone, and have not been found elsewhere yet.
    lost: HashSet<Identity>,
}

/// A directory, when it was listed.
#[derive(Debug)]
struct Directory {
    tree: Arc<Tree>,
    mtime_ns: i128,
}

impl Listed {
    /// `directory`, which is `opened`, is going to be listed.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(crate) fn add_directory(
        &self,
        tree: &Arc<Tree>,
        directory: &Path,
        opened: impl AsFd,
    ) -> io::Result<()> {
        let mut mtime = mtime_ns(&opened)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let age = i128::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(0) - mtime;
        if (0..TICK.as_nanos().cast_signed()).contains(&age) {
            thread::sleep(TICK);
            mtime = mtime_ns(&opened)?;
        }
        let tree = Arc::clone(tree);
        let listed = Directory {
            tree,
            mtime_ns: mtime,
        };
        self.lock().directories.insert(directory.to_owned(), listed);
        Ok(())
    }

    pub(crate) fn has_directory(&self, directory: &Path) -> bool {
        self.lock().directories.contains_key(directory)
    }

    /// Adds a file; false where it was found before.
    pub(crate) fn add_file(&self, file: Identity) -> bool {
        let mut state = self.lock();
        state.lost.remove(&file);
        let inodes = state.files.entry(file.device).or_default();
        inodes.insert(file.inode)
    }

    /// The file was gone before it could be read: it may be elsewhere.
    pub(crate) fn lose(&self, file: Identity) {
        let mut state = self.lock();
        if let Some(inodes) = state.files.get_mut(&file.device) {
            inodes.remove(&file.inode);
        }
        state.lost.insert(file);
    }

    /// How many files were gone and have not been found elsewhere.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost.len() as u64
    }

    /// The directories that have changed since they were listed, in order.
    pub(crate) fn changed(&self) -> Vec<(Arc<Tree>, PathBuf)> {
        let state = self.lock();
        let has_changed = |(path, listed): &(&PathBuf, &Directory)| {
            let now = listed.tree.directory(path).and_then(mtime_ns);
            // What was in a directory that is gone is elsewhere, or gone too.
            now.is_ok_and(|now| now != listed.mtime_ns)
        };
        let changed = state.directories.iter().filter(has_changed);
        let mut changed: Vec<_> = changed
            .map(|(path, listed)| (Arc::clone(&listed.tree), path.clone()))
            .collect();
        changed.sort_by(|a, b| a.1.cmp(&b.1));
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mtime_ns(directory: impl AsFd) -> io::Result<i128> {
    let stat = rustix::fs::fstat(directory)?;
    Ok(i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_changed_since_it_was_listed_is_named_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let listed = Listed::default();
        let tree = Arc::new(Tree::open(dir.path()).unwrap());
        let changed =
            || -> Vec<PathBuf> { listed.changed().into_iter().map(|(_, path)| path).collect() };
        for directory in [&one, &two] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("file"), "x").unwrap();
            let opened = tree.directory(directory).unwrap();
            listed.add_directory(&tree, directory, opened).unwrap();
        }
        assert_eq!(changed(), Vec::<PathBuf>::new());
        fs::rename(one.join("file"), two.join("moved")).unwrap();
        assert_eq!(changed(), [one.clone(), two.clone()]);
        let opened = tree.directory(&two).unwrap();
        listed.add_directory(&tree, &two, opened).unwrap();
        assert_eq!(changed(), std::slice::from_ref(&one));
        fs::remove_dir(&one).unwrap();
        assert_eq!(changed(), Vec::<PathBuf>::new());
        assert!(listed.has_directory(&two) && !listed.has_directory(dir.path()));
    }

    #[test]
    fn a_file_is_known_by_another_name_until_it_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let identity = |name: &str| tree.entry(&dir.path().join(name)).unwrap().identity;
        let listed = Listed::default();
        assert!(listed.add_file(identity("a")));
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(!listed.add_file(identity("b")));
        listed.lose(identity("b"));
        assert_eq!(listed.lost(), 1);
        assert!(listed.add_file(identity("b")));
        assert_eq!(listed.lost(), 0);
    }
}
