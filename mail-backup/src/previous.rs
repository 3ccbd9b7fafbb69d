//! The sets of earlier runs, newest first: what this run may link instead of reading again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mail_common::manifest::Manifest;
use mail_common::record::Artifact;
use mail_common::relpath::RelPath;

/// Complete sets, newest first by the time at which they were begun.
#[derive(Debug, Default)]
pub(crate) struct PreviousSets {
    sets: Vec<PreviousSet>,
}

/// A complete set with its files by path.
#[derive(Debug)]
pub(crate) struct PreviousSet {
    pub(crate) directory: PathBuf,
    files: BTreeMap<RelPath, Artifact>,
}

impl PreviousSets {
    /// Takes sets with their manifests, in any order.
    pub(crate) fn new(mut found: Vec<(PathBuf, Manifest)>) -> Self {
        found.sort_by_key(|(_, manifest)| std::cmp::Reverse(begun(manifest)));
        Self {
            sets: found
                .into_iter()
                .map(|(directory, manifest)| PreviousSet::new(directory, manifest))
                .collect(),
        }
    }

    /// The newest set that has the file `path`.
    pub(crate) fn newest_with(&self, path: &RelPath) -> Option<&PreviousSet> {
        self.sets.iter().find(|set| set.files.contains_key(path))
    }
}

/// Times with different offsets compare as instants.
fn begun(manifest: &Manifest) -> Option<jiff::Timestamp> {
    manifest.begin.time.parse().ok()
}

impl PreviousSet {
    pub(crate) fn new(directory: PathBuf, manifest: Manifest) -> Self {
        let named = |artifact: Artifact| Some((RelPath::try_from(&artifact.path).ok()?, artifact));
        Self {
            directory,
            files: manifest.artifacts.into_iter().filter_map(named).collect(),
        }
    }

    /// The record of a file.
    pub(crate) fn file(&self, path: &RelPath) -> Option<&Artifact> {
        self.files.get(path)
    }

    /// The files directly in `directory`.
    pub(crate) fn files_in(&self, directory: &RelPath) -> Vec<(&RelPath, &Artifact)> {
        let below = self
            .files
            .range(directory.clone()..)
            .take_while(|(path, _)| path.is_within(directory));
        below
            .filter(|(path, _)| path.parent().is_some_and(|parent| parent == *directory))
            .collect()
    }

    /// Where a file lies.
    pub(crate) fn locate(&self, path: &RelPath) -> PathBuf {
        self.directory.join(path.as_path())
    }

    /// Whether the file still has the size that its record says.
    pub(crate) fn is_there(&self, artifact: &Artifact, path: &Path) -> bool {
        std::fs::symlink_metadata(path)
            .is_ok_and(|found| found.is_file() && found.len() == artifact.bytes)
    }
}
