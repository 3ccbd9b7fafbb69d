//! The names in a backup root, visible and hidden, and how a set leaves it.
//!
//! Hidden siblings belong to the one writer: `.2026-11-23.new` is under construction (or, after an
//! exchange, the old tree on its way out), `.2026-11-23.old` was moved aside, `.2026-11-23.removed`
//! is being deleted.

use std::io;
use std::path::{Path, PathBuf};

use super::lock::{LockError, RootLock, try_exclusive};
use super::{SetId, SetKind};
use crate::atomic;

/// The run's records in a set.
pub const MANIFEST: &str = "manifest.jsonl";
/// The digests of every other file of a set; written last.
pub const CHECKSUMS: &str = "checksums.sha256";
/// The symlink to the newest complete set.
pub const LATEST: &str = "latest";
/// The file that the one writer locks.
pub const LOCK: &str = ".lock";

const INCOMPLETE_SUFFIX: &str = ".incomplete";

/// What a hidden sibling of a set is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Under construction.
    New,
    /// Moved aside for a moment while its successor takes its name.
    Old,
    /// On its way out.
    Removed,
}

/// What became of a set that was to be removed.
#[derive(Debug)]
pub enum Outcome {
    /// Gone.
    Removed,
    /// It is being read and was left alone; the next run tries again.
    Busy,
    /// It is still there, or hidden and cleared by the next run.
    Failed(io::Error),
}

impl Hidden {
    const ALL: [Self; 3] = [Self::New, Self::Old, Self::Removed];

    const fn suffix(self) -> &'static str {
        match self {
            Self::New => ".new",
            Self::Old => ".old",
            Self::Removed => ".removed",
        }
    }

    /// The hidden sibling of the directory `set`.
    pub(super) fn sibling(self, set: &Path) -> PathBuf {
        let name = set.file_name().unwrap_or_default().to_string_lossy();
        set.with_file_name(format!(".{name}{}", self.suffix()))
    }

    /// The role and the visible name of a hidden sibling; `None` for a name that is not ours.
    pub(super) fn parse(kind: SetKind, name: &str) -> Option<(Self, &str)> {
        let rest = name.strip_prefix('.')?;
        let (role, visible) = Self::ALL
            .into_iter()
            .find_map(|role| Some((role, rest.strip_suffix(role.suffix())?)))?;
        parse_visible(kind, visible).map(|_| (role, visible))
    }
}

/// Whether the directory `set` is a hidden sibling of a set: under construction, or on its way out.
pub(super) fn is_hidden(set: &Path) -> bool {
    let name = set.file_name().unwrap_or_default().to_string_lossy();
    SetKind::ALL
        .into_iter()
        .any(|kind| Hidden::parse(kind, &name).is_some())
}

/// The set that a visible directory name stands for, complete or not.
pub(super) fn parse_visible(kind: SetKind, name: &str) -> Option<SetId> {
    let name = name.strip_suffix(INCOMPLETE_SUFFIX).unwrap_or(name);
    SetId::parse_name(kind, name).ok()
}

/// Where what was saved of a set is kept when a part of it failed.
pub(super) fn incomplete_path(root: &Path, id: SetId) -> PathBuf {
    root.join(id.kind().name())
        .join(id.name() + INCOMPLETE_SUFFIX)
}

/// Removes the directory `set` so that it is never visible in part; a set that is being read is
/// left alone.
pub(super) fn remove_set(_: &RootLock, set: &Path) -> Outcome {
    let guard = match try_exclusive(set) {
        Ok(guard) => guard,
        Err(LockError::Busy { .. }) => return Outcome::Busy,
        Err(error) => return Outcome::Failed(io::Error::other(error)),
    };
    let removed = retire(set, set);
    drop(guard); // Only now: a reader that waits for it finds that the set is gone.
    match removed {
        Ok(()) => Outcome::Removed,
        Err(error) => Outcome::Failed(error),
    }
}

/// Deletes `tree`, which is the directory `set` or was one, under a name that is never taken for a
/// set again.
pub(super) fn retire(tree: &Path, set: &Path) -> io::Result<()> {
    let removed = Hidden::Removed.sibling(set);
    atomic::remove_tree(&removed)?;
    atomic::rename_into_place(tree, &removed)?;
    atomic::sync_parent(set)?;
    atomic::remove_tree(&removed)
}
