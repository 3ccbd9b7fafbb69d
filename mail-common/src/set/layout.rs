//! The names in a backup root, visible and hidden, and of the files that are about a set.
//!
//! Hidden siblings belong to the one writer: `.2026-11-23.new` is under construction (or, after an
//! exchange, the old tree on its way out), `.2026-11-23.old` was moved aside, `.2026-11-23.removed`
//! is being deleted.

use std::path::{Path, PathBuf};

use super::{SetId, SetKind};
use crate::relpath::RelPath;

/// The run's records in a set.
pub const MANIFEST: &str = "manifest.jsonl";
/// The digests of every other file of a set; written last.
pub const CHECKSUMS: &str = "checksums.sha256";
/// Their signature, where sets are signed; it is in no list.
pub const SIGNATURE: &str = "checksums.sha256.sig";
/// The summary for people in a set.
pub const LOG: &str = "backup.log";
/// The directory of further files of the Compose project in a set, under their paths in it.
pub const PROJECT: &str = "config/project";
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

/// Whether a file of a set is about the set, and not of what was saved.
pub(super) fn is_about_set(file: &RelPath) -> bool {
    [MANIFEST, LOG]
        .iter()
        .any(|name| file.as_bytes() == name.as_bytes())
}
