//! What was listed of a live tree. A message that is moved meanwhile, from a directory that was not
//! listed yet to one that was, would be in neither: directories that changed since are listed
//! again, and what was not found before is scanned.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::tree::Tree;

/// Within the tick of the clock of a file system, which is some milliseconds, a directory may
/// change without a trace.
const TICK: Duration = Duration::from_millis(20);

/// The file behind a name: its device and inode, which stay when it is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// The directories and files that were found, shared between threads.
#[derive(Debug, Default)]
pub(crate) struct Listed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Each directory as it was before it was listed.
    directories: HashMap<PathBuf, Directory>,
    /// Inodes by device: eight bytes a message.
    files: HashMap<u64, HashSet<u64>>,
}

/// A directory, when it was listed.
#[derive(Debug)]
struct Directory {
    tree: Arc<Tree>,
    mtime_ns: i128,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

impl Listed {
    /// `directory` is going to be listed.
    pub(crate) fn add_directory(&self, tree: &Arc<Tree>, directory: &Path) {
        let Ok(metadata) = directory.symlink_metadata() else {
            return;
        };
        if metadata
            .modified()
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age < TICK))
        {
            thread::sleep(TICK);
        }
        let Some(mtime_ns) = mtime_ns(directory) else {
            return;
        };
        let tree = Arc::clone(tree);
        self.lock()
            .directories
            .insert(directory.to_owned(), Directory { tree, mtime_ns });
    }

    pub(crate) fn has_directory(&self, directory: &Path) -> bool {
        self.lock().directories.contains_key(directory)
    }

    /// Adds a file; false where it was found before.
    pub(crate) fn add_file(&self, file: Identity) -> bool {
        self.lock()
            .files
            .entry(file.device)
            .or_default()
            .insert(file.inode)
    }

    /// The file was gone before it could be read: it may be elsewhere.
    pub(crate) fn lose(&self, file: Identity) {
        if let Some(inodes) = self.lock().files.get_mut(&file.device) {
            inodes.remove(&file.inode);
        }
    }

    /// The directories that have changed since they were listed, in order.
    pub(crate) fn changed(&self) -> Vec<(Arc<Tree>, PathBuf)> {
        let state = self.lock();
        let has_changed = |(path, listed): &(&PathBuf, &Directory)| {
            mtime_ns(path).is_some_and(|now| now != listed.mtime_ns)
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

/// `None` for a directory that is gone: what was in it is elsewhere, or gone too.
fn mtime_ns(directory: &Path) -> Option<i128> {
    let metadata = directory.symlink_metadata().ok()?;
    Some(i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()))
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
            listed.add_directory(&tree, directory);
        }
        assert_eq!(changed(), Vec::<PathBuf>::new());
        fs::rename(one.join("file"), two.join("moved")).unwrap();
        assert_eq!(changed(), [one.clone(), two.clone()]);
        listed.add_directory(&tree, &two);
        assert_eq!(changed(), std::slice::from_ref(&one));
        fs::remove_dir(&one).unwrap();
        assert_eq!(changed(), Vec::<PathBuf>::new());
        assert!(listed.has_directory(&two) && !listed.has_directory(dir.path()));
    }

    #[test]
    fn a_file_is_known_by_another_name_until_it_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        let identity =
            |name: &str| Identity::of(&dir.path().join(name).symlink_metadata().unwrap());
        let listed = Listed::default();
        assert!(listed.add_file(identity("a")));
        fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(!listed.add_file(identity("b")));
        listed.lose(identity("b"));
        assert!(listed.add_file(identity("b")));
    }
}
