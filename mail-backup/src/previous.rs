//! The sets of earlier runs, newest first: what this run may link instead of reading again, and how
//! much it has to do.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::{Path, PathBuf};

use mail_common::beneath;
use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::manifest::Manifest;
use mail_common::record::Artifact;
use mail_common::relpath::RelPath;
use mail_common::report::{self, Report};
use mail_common::set::{self, BackupRoot, CHECKSUMS, MANIFEST, SetKind, SetState};

/// A complete set, and its manifest, which is what the set's checksums say.
pub(crate) struct KnownSet {
    pub(crate) directory: PathBuf,
    pub(crate) manifest: Manifest,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// What has changed since the newest set.
    Changes,
    /// Everything, so that one damaged file cannot reach every set.
    Everything,
}

/// Complete sets, newest first by the time at which they were begun.
#[derive(Debug)]
pub(crate) struct PreviousSets {
    sets: Vec<PreviousSet>,
    reading: Reading,
}

/// A complete set with its files by path.
#[derive(Debug)]
pub(crate) struct PreviousSet {
    pub(crate) directory: PathBuf,
    files: BTreeMap<RelPath, Artifact>,
}

/// The complete sets whose manifests can be trusted, daily ones first. The others are named in a
/// warning.
pub(crate) fn known_sets(root: &BackupRoot, report: &Report) -> Result<Vec<KnownSet>, set::Error> {
    let mut known = Vec::new();
    for kind in SetKind::ALL {
        for set in root.sets(kind)? {
            if set.state != SetState::Complete {
                continue;
            }
            match trusted_manifest(&set.path) {
                Ok(manifest) => known.push(KnownSet {
                    directory: set.path,
                    manifest,
                }),
                Err(error) => report.warning(format!(
                    "{} is not used to find what has changed: {}",
                    set.path.display(),
                    report::chain(&*error)
                )),
            }
        }
    }
    Ok(known)
}

/// The manifest of a set, when it is what the set's checksums say.
fn trusted_manifest(set: &Path) -> Result<Manifest, Box<dyn StdError>> {
    let checksums = ChecksumFile::parse(&beneath::read(&set.join(CHECKSUMS))?)?;
    let (found, _) = Sha256::of_reader(beneath::regular_file(&set.join(MANIFEST))?)?;
    let recorded = checksums
        .entries()
        .iter()
        .find(|(_, path)| path.as_bytes() == MANIFEST.as_bytes());
    if recorded.is_none_or(|(digest, _)| *digest != found) {
        return Err(format!("{MANIFEST} is not what {CHECKSUMS} says").into());
    }
    Ok(Manifest::read(&set.join(MANIFEST))?)
}

impl KnownSet {
    /// When the run that made it was begun. Times with different offsets compare as instants.
    pub(crate) fn begun(&self) -> Option<jiff::Timestamp> {
        self.manifest.begin.time.parse().ok()
    }
}

impl PreviousSets {
    /// Takes sets in any order.
    pub(crate) fn new(mut known: Vec<KnownSet>, reading: Reading) -> Self {
        known.sort_by_key(|set| std::cmp::Reverse(set.begun()));
        Self {
            sets: known.into_iter().map(PreviousSet::new).collect(),
            reading,
        }
    }

    /// The newest set that has the file `path`.
    pub(crate) fn newest_with(&self, path: &RelPath) -> Option<&PreviousSet> {
        self.sets.iter().find(|set| set.files.contains_key(path))
    }

    /// The same, to be linked from: none when everything is read.
    pub(crate) fn linkable_with(&self, path: &RelPath) -> Option<&PreviousSet> {
        match self.reading {
            Reading::Changes => self.newest_with(path),
            Reading::Everything => None,
        }
    }
}

impl PreviousSet {
    fn new(set: KnownSet) -> Self {
        let mut files = BTreeMap::new();
        for artifact in set.manifest.artifacts {
            if let Ok(path) = RelPath::try_from(&artifact.path) {
                files.insert(path, artifact);
            }
        }
        Self {
            directory: set.directory,
            files,
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
