//! The sets of earlier runs, newest first: what this run may link instead of reading again, and how
//! much it has to do.
//!
//! With hourly sets there may be hundreds. All that is read of each is when it was begun; the
//! manifest of one is read when something is looked for in it, which is mostly the newest alone.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use mail_common::beneath;
use mail_common::checksum::Sha256;
use mail_common::config::WeeklySets;
use mail_common::jsonl::RecordReader;
use mail_common::manifest::Manifest;
use mail_common::record::{Artifact, Begin, PreviousSet as Before, Record};
use mail_common::relpath::RelPath;
use mail_common::report::{self, Report};
use mail_common::set::{self, BackupRoot, CHECKSUMS, FoundSet, MANIFEST, SetId, SetKind, SetState};
use mail_common::signature::AllowedSigners;

use crate::trust::trusted_manifest;

/// A complete set, and how its run began. That says nothing of what it holds.
#[derive(Debug)]
pub(crate) struct KnownSet {
    pub(crate) id: SetId,
    pub(crate) directory: PathBuf,
    /// `None` when the manifest does not say so.
    pub(crate) begin: Option<Begin>,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// What has changed since the last set.
    Changes,
    /// Everything that lives and everything that is linked, so that damage is found.
    Checked,
    /// Everything that lives; nothing is linked.
    Everything,
}

/// Sets that may share files with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// Those of every kind.
    All,
    DailyAndHourly,
    Weekly,
}

/// How a run uses the sets of earlier ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reuse {
    pub(crate) reading: Reading,
    pub(crate) chain: Chain,
}

/// Complete sets, newest first by the time at which they were begun.
#[derive(Debug)]
pub(crate) struct PreviousSets {
    sets: Vec<UnreadSet>,
    reuse: Reuse,
    report: Report,
}

/// A complete set that is read when something is looked for in it.
#[derive(Debug)]
struct UnreadSet {
    id: SetId,
    directory: PathBuf,
    /// Whose sets are accepted; `None`: any set is.
    signers: Option<AllowedSigners>,
    /// `None` inside: it cannot be trusted, and that was said.
    read: OnceLock<Option<PreviousSet>>,
}

/// A complete set with its files by path.
#[derive(Debug)]
pub(crate) struct PreviousSet {
    pub(crate) directory: PathBuf,
    files: BTreeMap<RelPath, Artifact>,
}

/// The complete sets of every kind.
pub(crate) fn known_sets(root: &BackupRoot) -> Result<Vec<KnownSet>, set::Error> {
    let mut known = Vec::new();
    for kind in SetKind::ALL {
        for set in root.sets(kind)? {
            if set.state == SetState::Complete {
                known.push(KnownSet {
                    id: set.id,
                    begin: begin_of(&set.path),
                    directory: set.path,
                });
            }
        }
    }
    Ok(known)
}

/// The newest complete set of the same kind that is older than `id`, with the digest of its
/// checksums. One that cannot be read is not named: a new set is made all the same.
pub(crate) fn set_before(root: &BackupRoot, id: SetId) -> Option<Before> {
    let is_before = |set: &FoundSet| set.state == SetState::Complete && set.id < id;
    let before = root.sets(id.kind()).ok()?.into_iter().rfind(is_before)?;
    let checksums = beneath::regular_file(&before.path.join(CHECKSUMS)).ok()?;
    let (sha256, _) = Sha256::of_reader(checksums).ok()?;
    Some(Before {
        set: before.id.to_string(),
        sha256,
    })
}

/// The first record of the manifest of a set.
pub(crate) fn begin_of(set: &Path) -> Option<Begin> {
    let manifest = beneath::regular_file(&set.join(MANIFEST)).ok()?;
    let first = RecordReader::new(BufReader::new(manifest)).next()?;
    match first.ok()?.record {
        Some(Record::Begin(begin)) => Some(begin),
        _ => None,
    }
}

impl KnownSet {
    /// When the run that made it was begun. Times with different offsets compare as instants.
    pub(crate) fn begun(&self) -> Option<jiff::Timestamp> {
        self.begin.as_ref()?.time.parse().ok()
    }
}

impl Chain {
    /// The chain of a set of `kind`.
    pub(crate) fn of(kind: SetKind, weekly_sets: WeeklySets) -> Self {
        match (weekly_sets, kind) {
            (WeeklySets::Shared, _) => Self::All,
            (WeeklySets::Independent, SetKind::Weekly) => Self::Weekly,
            (WeeklySets::Independent, SetKind::Daily | SetKind::Hourly) => Self::DailyAndHourly,
        }
    }

    /// Whether sets of `kind` belong to it.
    pub(crate) fn has(self, kind: SetKind) -> bool {
        match self {
            Self::All => true,
            Self::DailyAndHourly => kind != SetKind::Weekly,
            Self::Weekly => kind == SetKind::Weekly,
        }
    }
}

impl PreviousSets {
    /// Takes sets in any order. What cannot be trusted, as one that none of `signers` has signed,
    /// is named to `report` when it is met.
    pub(crate) fn new(
        mut known: Vec<KnownSet>,
        reuse: Reuse,
        signers: Option<&AllowedSigners>,
        report: &Report,
    ) -> Self {
        // Of sets that were begun in one second, the later name is the newer one.
        known.sort_by(|a, b| {
            let newer_first = b.begun().cmp(&a.begun());
            newer_first.then_with(|| b.directory.cmp(&a.directory))
        });
        let unread = known.into_iter().map(|set| UnreadSet {
            id: set.id,
            directory: set.directory,
            signers: signers.cloned(),
            read: OnceLock::new(),
        });
        Self {
            sets: unread.collect(),
            reuse,
            report: report.clone(),
        }
    }

    /// What this run reads.
    pub(crate) fn reading(&self) -> Reading {
        self.reuse.reading
    }

    /// How much later the set `new` is than the last one of its chain, in seconds by their names;
    /// 0 for the first.
    pub(crate) fn seconds_since_last(&self, new: SetId) -> i64 {
        let last = self.sets.iter().find(|set| self.is_of_chain(set));
        last.map_or(0, |last| {
            new.start().duration_since(last.id.start()).as_secs()
        })
    }

    /// The newest set that has one of the files `paths`.
    pub(crate) fn newest_with_any(&self, paths: &[RelPath]) -> Option<&PreviousSet> {
        let mut sets = self.sets.iter().filter_map(|set| set.read(&self.report));
        sets.find(|set| paths.iter().any(|path| set.files.contains_key(path)))
    }

    fn is_of_chain(&self, set: &UnreadSet) -> bool {
        self.reuse.chain.has(set.id.kind())
    }

    /// The newest set of the chain that has one of the files `paths`, to be linked from: none when
    /// nothing is.
    pub(crate) fn linkable_with_any(&self, paths: &[RelPath]) -> Option<&PreviousSet> {
        if self.reuse.reading == Reading::Everything {
            return None;
        }
        let of_chain = self.sets.iter().filter(|set| self.is_of_chain(set));
        let mut sets = of_chain.filter_map(|set| set.read(&self.report));
        sets.find(|set| paths.iter().any(|path| set.files.contains_key(path)))
    }

    /// Whether the file `path` of a set of this chain is the same file in the newest set of the
    /// other chain, as where weekly sets were shared before: a link would not be a second copy.
    /// Only a run that reads everything goes to that length.
    pub(crate) fn is_tied(&self, set: &PreviousSet, path: &RelPath) -> bool {
        if self.reuse.reading != Reading::Checked {
            return false;
        }
        let mut others = self.sets.iter().filter(|set| !self.is_of_chain(set));
        let identity = |directory: &Path| {
            let found = std::fs::symlink_metadata(directory.join(path.as_path())).ok()?;
            Some((found.dev(), found.ino()))
        };
        let other = others.next().and_then(|other| identity(&other.directory));
        other.is_some_and(|other| identity(&set.directory) == Some(other))
    }
}

impl UnreadSet {
    fn read(&self, report: &Report) -> Option<&PreviousSet> {
        let read = || match trusted_manifest(&self.directory, self.signers.as_ref()) {
            Ok(manifest) => Some(PreviousSet::new(self.directory.clone(), manifest)),
            Err(error) => {
                report.warning(format!(
                    "{} is not used to find what has changed: {}",
                    self.directory.display(),
                    report::chain(&error)
                ));
                None
            }
        };
        self.read.get_or_init(read).as_ref()
    }
}

impl PreviousSet {
    fn new(directory: PathBuf, manifest: Manifest) -> Self {
        let mut files = BTreeMap::new();
        for artifact in manifest.artifacts {
            if let Ok(path) = RelPath::try_from(&artifact.path) {
                files.insert(path, artifact);
            }
        }
        Self { directory, files }
    }

    /// The paths of its files, in order.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &RelPath> {
        self.files.keys()
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
