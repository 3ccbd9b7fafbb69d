//! What the backup root holds.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use mail_common::manifest::Manifest;
use mail_common::record::{Artifact, EndStatus};
use mail_common::relpath::RelPath;
use mail_common::set::{
    self, BackupRoot, CHECKSUMS, Component, FoundSet, MANIFEST, SetId, SetKind, SetState, Space,
    free_space,
};

use super::chain::Chains;
use super::changes::{self, Changes};

/// How many of the newest daily sets are looked into: the newest, and the seven that it is compared
/// with.
const LOOKED_INTO: usize = 8;

/// And of the newest hourly ones: a run that failed may be followed by more.
const HOURLY_LOOKED_INTO: usize = 3;

/// What a backup root holds.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) daily: Vec<Set>,
    pub(super) weekly: Vec<Set>,
    pub(super) hourly: Vec<Set>,
    pub(super) root: String,
    /// What a complete set of the server holds now.
    pub(super) wanted: Vec<Component>,
    pub(super) space: Option<Space>,
    pub(super) changes: Changes,
    /// Sets that are gone from between others, or are not those that were there.
    pub(super) breaks: Vec<String>,
}

/// A set, the newest of its kind first.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) id: SetId,
    pub(super) state: SetState,
    /// When it was done; `None` when nothing tells.
    pub(super) done: Option<Timestamp>,
    /// What its run recorded; `None` for the old scripts, and for sets that were not looked into.
    pub(super) contents: Option<Contents>,
    /// Why its manifest cannot be read, or which files of it are gone.
    pub(super) damage: Option<String>,
}

/// What a run recorded of its set.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub(super) status: EndStatus,
    pub(super) components: Vec<Component>,
    /// What a complete set of the server held then.
    pub(super) wanted: Vec<Component>,
    /// Size of its files.
    pub(super) bytes: u64,
    /// Size of those that were not linked from an earlier set.
    pub(super) new_bytes: u64,
    pub(super) errors: Vec<String>,
    /// What the run found that had changed by itself on a disk.
    pub(super) damaged_files: u64,
}

impl Facts {
    /// The sets of a kind, the newest first.
    pub(super) fn of(&self, kind: SetKind) -> &[Set] {
        match kind {
            SetKind::Daily => &self.daily,
            SetKind::Weekly => &self.weekly,
            SetKind::Hourly => &self.hourly,
        }
    }
}

pub(super) fn gather(
    root: &Path,
    wanted: Vec<Component>,
    chains: Option<Chains>,
) -> Result<Facts, set::Error> {
    let backups = BackupRoot::open(root)?;
    Ok(Facts {
        daily: newest_first(backups.sets(SetKind::Daily)?, LOOKED_INTO),
        weekly: newest_first(backups.sets(SetKind::Weekly)?, 1),
        hourly: newest_first(backups.sets(SetKind::Hourly)?, HOURLY_LOOKED_INTO),
        root: root.display().to_string(),
        wanted,
        space: free_space(root).ok(),
        changes: changes::gather(&backups)?,
        breaks: match chains {
            Some(chains) => chains.breaks(&backups)?,
            None => Vec::new(),
        },
    })
}

fn newest_first(sets: Vec<FoundSet>, looked_into: usize) -> Vec<Set> {
    sets.into_iter()
        .rev()
        .enumerate()
        .map(|(number, found)| look_into(&found, number < looked_into))
        .collect()
}

fn look_into(found: &FoundSet, read_manifest: bool) -> Set {
    let (contents, damage) = match found.state {
        SetState::Complete | SetState::Incomplete if read_manifest => read(&found.path),
        // The old scripts called them `mail`.
        SetState::Legacy if found.path.join(Component::Mailboxes.name()).is_dir() => {
            (None, Some(format!("its {MANIFEST} is gone")))
        }
        _ => (None, None),
    };
    Set {
        id: found.id,
        state: found.state,
        done: done(found),
        contents,
        damage,
    }
}

/// The checksums are written last of all.
fn done(found: &FoundSet) -> Option<Timestamp> {
    let modified = fs::metadata(found.path.join(CHECKSUMS))
        .and_then(|metadata| metadata.modified())
        .ok()?;
    Timestamp::try_from(modified).ok()
}

fn read(set: &Path) -> (Option<Contents>, Option<String>) {
    match Manifest::read(&set.join(MANIFEST)) {
        Ok(manifest) => (Some(contents(&manifest)), absence(set, &manifest)),
        Err(error) => (None, Some(mail_common::report::chain(&error))),
    }
}

/// Which recorded files are not there with their recorded size; nothing of their content is read,
/// so that this costs little every five minutes. `mail-check set` reads them.
fn absence(set: &Path, manifest: &Manifest) -> Option<String> {
    let absent: Vec<&str> = manifest
        .artifacts
        .iter()
        .filter(|artifact| !is_there(set, artifact))
        .map(|artifact| artifact.path.path.as_str())
        .collect();
    let first = absent.first()?;
    let others = match absent.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Some(format!(
        "{first}{others} is missing or has another size; run mail-check set {}",
        set.display()
    ))
}

fn is_there(set: &Path, artifact: &Artifact) -> bool {
    let Ok(path) = RelPath::try_from(&artifact.path) else {
        return false;
    };
    fs::symlink_metadata(set.join(path.as_path()))
        .is_ok_and(|found| found.is_file() && found.len() == artifact.bytes)
}

fn contents(manifest: &Manifest) -> Contents {
    let new = manifest
        .artifacts
        .iter()
        .filter(|artifact| !artifact.reused);
    Contents {
        status: manifest.end.status,
        components: manifest.components(),
        wanted: manifest.wanted(),
        bytes: manifest.total_bytes(),
        new_bytes: new.map(|artifact| artifact.bytes).sum(),
        errors: manifest
            .errors
            .iter()
            .map(|error| error.message.clone())
            .collect(),
        damaged_files: manifest
            .end
            .totals
            .get("damaged_files")
            .copied()
            .unwrap_or(0),
    }
}
