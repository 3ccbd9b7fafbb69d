//! What changes places with something new, and what must be there for it.

use std::path::{Path, PathBuf};

/// What changes places with something new.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) path: &'a Path,
    /// What it must be where it is there: `directory` or `file`.
    pub(super) wanted: &'static str,
    /// The directory that must be there; those between it and the target are made.
    pub(super) base: &'a Path,
}

impl<'a> Target<'a> {
    pub(super) fn new(path: &'a Path, wanted: &'static str) -> Self {
        Self {
            path,
            wanted,
            base: path.parent().unwrap_or(path),
        }
    }
}

/// The nearest directory above `path` that is there.
pub(crate) fn existing_ancestor(path: &Path) -> PathBuf {
    path.ancestors()
        .skip(1)
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
        .to_owned()
}
