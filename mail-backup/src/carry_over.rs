//! What the day's set holds that this run does not save: it stays as it is.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use mail_common::failure::Failed;
use mail_common::manifest::{DayRecords, Manifest};
use mail_common::record::{Artifact, ErrorRecord};
use mail_common::set::{BackupRoot, Component, FoundSet, SetId, SetState, Staging};
use mail_common::signature::AllowedSigners;
use mail_common::suspicion;

use crate::error::Error;
use crate::saved::SavedFile;
use crate::trust::trusted_manifest;

/// The day's set as it is.
#[derive(Debug)]
pub(crate) struct Base {
    directory: PathBuf,
    manifest: Manifest,
}

/// What was carried over.
#[derive(Debug, Default)]
pub(crate) struct CarriedOver {
    pub(crate) files: Vec<SavedFile>,
    /// What was missing from the day's set already, and still is.
    pub(crate) errors: Vec<ErrorRecord>,
    /// What the day's set says of components that are not saved again.
    pub(crate) day: DayRecords,
}

/// The complete set of `id`, for a run that saves all that the server has; `None` when the day has
/// none that can be used.
pub(crate) fn find_complete(
    root: &BackupRoot,
    id: SetId,
    signers: Option<&AllowedSigners>,
) -> Result<Option<Base>, Error> {
    let directory = root.set_path(id);
    if SetState::of(&directory) != SetState::Complete {
        return Ok(None);
    }
    let manifest = trusted_manifest(&directory, signers).ok();
    Ok(manifest.map(|manifest| Base {
        directory,
        manifest,
    }))
}

/// The set of `id`, complete or not, for a run that saves parts of it; `None` when the day has
/// none.
pub(crate) fn find(
    root: &BackupRoot,
    id: SetId,
    signers: Option<&AllowedSigners>,
) -> Result<Option<Base>, Error> {
    let mut base: Option<FoundSet> = None;
    for set in root.sets(id.kind())? {
        if set.id != id {
            continue;
        }
        match set.state {
            SetState::Legacy | SetState::Damaged => {
                return Err(Error::NotExtendable { set: set.path });
            }
            SetState::Complete => base = Some(set),
            SetState::Incomplete => base = base.or(Some(set)),
        }
    }
    let Some(set) = base else {
        return Ok(None);
    };
    Ok(Some(Base {
        manifest: trusted_manifest(&set.path, signers).map_err(Error::DaysSet)?,
        directory: set.path,
    }))
}

impl CarriedOver {
    /// What the set `set` still lacks, where anything of it failed before.
    pub(crate) fn lack(&self, set: SetId) -> Option<Error> {
        let lacking: BTreeSet<Component> = self
            .errors
            .iter()
            .filter_map(|error| error.component)
            .collect();
        let names: Vec<&str> = lacking.iter().map(|component| component.name()).collect();
        let first = *lacking.first()?;
        Some(Error::StillLacking {
            set: format!("{set}.incomplete"),
            components: names.join(", "),
            first,
        })
    }
}

/// What the day's set says of components that are not `asked` for.
fn of_others(mut day: DayRecords, asked: &[Component]) -> DayRecords {
    if asked.contains(&Component::Mailboxes) {
        day.changes = None;
        day.mailboxes.clear();
        day.canary = None;
    }
    if asked.contains(&Component::Mysql) {
        day.databases.clear();
    }
    day.watched.retain(|file| !asked.contains(&file.component));
    day.alarms
        .retain(|alarm| !asked.iter().any(|it| suspicion::is_about(alarm, *it)));
    day
}

impl Base {
    /// Links every file that does not belong to one of `asked` into the set under way. What failed
    /// of the other `wanted` components is still missing.
    pub(crate) fn carry_over(
        self,
        asked: &[Component],
        wanted: &[Component],
        staging: &Staging<'_>,
    ) -> Result<CarriedOver, Error> {
        let mut carried = CarriedOver::default();
        for artifact in &self.manifest.artifacts {
            if !asked.contains(&artifact.component) {
                let file = self.link(artifact, staging).map_err(Failed::at(
                    "take over from the set of the day",
                    &self.directory.join(&artifact.path.path),
                ))?;
                carried.files.push(file);
            }
        }
        let is_left = |error: &ErrorRecord| {
            error
                .component
                .is_some_and(|component| !asked.contains(&component) && wanted.contains(&component))
        };
        carried.day = of_others(self.manifest.day, asked);
        carried.errors = self.manifest.errors.into_iter().filter(is_left).collect();
        Ok(carried)
    }

    fn link(&self, artifact: &Artifact, staging: &Staging<'_>) -> io::Result<SavedFile> {
        let file = SavedFile::reused(artifact).map_err(io::Error::other)?;
        staging.link_from(&self.directory, &file.path)?;
        Ok(file)
    }
}
