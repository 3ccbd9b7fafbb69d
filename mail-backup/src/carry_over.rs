//! The components of the day's set that a run with `--component` leaves as they are.

use std::io;
use std::path::PathBuf;

use mail_common::manifest::{self, Manifest};
use mail_common::record::ErrorRecord;
use mail_common::relpath::RelPath;
use mail_common::set::{self, BackupRoot, Component, FoundSet, MANIFEST, SetId, SetState, Staging};

use crate::saved::SavedFile;

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
}

/// Why the day's set cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Sets(#[from] set::Error),
    #[error("read the set of the day; run mail-backup without --component to make it anew")]
    Manifest(#[from] manifest::Error),
    #[error(
        "{path} is not a set that parts can be added to: it was made by the old scripts, or is damaged; \
         run mail-backup without --component, or move it away"
    )]
    NotOurs { path: PathBuf },
    #[error("take {path} over from the set of the day")]
    Link { path: String, source: io::Error },
}

/// The set of `id`, complete or not; `None` when the day has none.
pub(crate) fn find(root: &BackupRoot, id: SetId) -> Result<Option<Base>, Error> {
    let sets: Vec<FoundSet> = root
        .sets(id.kind())?
        .into_iter()
        .filter(|set| set.id == id)
        .collect();
    if let Some(other) = sets
        .iter()
        .find(|set| matches!(set.state, SetState::Legacy | SetState::Damaged))
    {
        return Err(Error::NotOurs {
            path: other.path.clone(),
        });
    }
    let in_state = |state| sets.iter().find(move |set| set.state == state);
    let Some(found) = in_state(SetState::Complete).or_else(|| in_state(SetState::Incomplete))
    else {
        return Ok(None);
    };
    Ok(Some(Base {
        manifest: Manifest::read(&found.path.join(MANIFEST))?,
        directory: found.path.clone(),
    }))
}

impl Base {
    /// Links every file that does not belong to one of `asked` into the set under way.
    pub(crate) fn carry_over(
        self,
        asked: &[Component],
        staging: &Staging<'_>,
    ) -> Result<CarriedOver, Error> {
        let mut carried = CarriedOver::default();
        for artifact in self
            .manifest
            .artifacts
            .iter()
            .filter(|artifact| !asked.contains(&artifact.component))
        {
            let link_error = |source| Error::Link {
                path: artifact.path.path.clone(),
                source,
            };
            let path = RelPath::try_from(&artifact.path)
                .map_err(io::Error::other)
                .map_err(link_error)?;
            staging
                .link_from(&self.directory, &path)
                .map_err(link_error)?;
            carried.files.push(
                SavedFile::reused(artifact)
                    .map_err(io::Error::other)
                    .map_err(link_error)?,
            );
        }
        let is_left = |error: &ErrorRecord| {
            error
                .component
                .is_some_and(|component| !asked.contains(&component))
        };
        carried.errors = self.manifest.errors.into_iter().filter(is_left).collect();
        Ok(carried)
    }
}
