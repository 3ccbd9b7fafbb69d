//! Keeps others away while a run exchanges what is there, and clears what runs left that did not
//! finish.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::failure::Failed;
use mail_common::set::{self, BackupRoot, Component, RootLock};
use mail_common::tool::Session;

use crate::error::Error;
use crate::places::FilePlace;
use crate::plan::{Plan, existing_ancestor};
use crate::setup::Destination;
use crate::swap::{Cleared, TargetLock, clear_leftovers};

/// Held until the run ends.
#[derive(Debug)]
pub(crate) struct Locks {
    _root: Option<RootLock>,
    _targets: Vec<TargetLock>,
}

impl Locks {
    /// Takes the locks, and clears what earlier runs left beside any target whose directory is
    /// locked now, also of components that this run does not restore.
    pub(crate) fn take(plan: &Plan, session: &Session, now: &ZonedDateTime) -> Result<Self, Error> {
        let root = match plan.destination {
            Destination::Live => lock_root(&plan.root, now)?,
            Destination::Directory(_) => None,
        };
        let targets = plan.targets();
        let parents: BTreeSet<PathBuf> = targets
            .iter()
            .map(|target| existing_ancestor(target.path))
            .collect();
        let locks = parents
            .iter()
            .map(|parent| lock_target(parent))
            .collect::<Result<_, Error>>()?;
        for target in known_targets(plan) {
            if target
                .parent()
                .is_some_and(|parent| parents.contains(parent))
            {
                clear(&target, session)?;
            }
        }
        Ok(Self {
            _root: root,
            _targets: locks,
        })
    }
}

fn lock_target(directory: &Path) -> Result<TargetLock, Error> {
    TargetLock::try_take(directory)?.ok_or_else(|| Error::TargetLocked {
        directory: directory.to_owned(),
    })
}

/// Clears what earlier runs left in the directory of `--to`, for a run that exchanges nothing
/// there. Where another run is at work, what is there may be its own, and stays.
pub(crate) fn clear_directory(
    directory: &Path,
    plan: &Plan,
    session: &Session,
) -> Result<(), Error> {
    let Some(_lock) = TargetLock::try_take(directory)? else {
        return Ok(());
    };
    for target in known_targets(plan) {
        clear(&target, session)?;
    }
    Ok(())
}

/// Where anything could have been restored with these settings, by this run or an earlier one.
fn known_targets(plan: &Plan) -> BTreeSet<PathBuf> {
    let places = &plan.places;
    match &plan.destination {
        Destination::Directory(directory) => {
            let components = Component::ALL.into_iter().map(Component::name);
            let names = components.chain(["project"]);
            names.map(|name| directory.join(name)).collect()
        }
        Destination::Live => {
            let trees = Component::ALL
                .into_iter()
                .filter_map(|component| places.tree(component));
            let files = [&places.compose, &places.env];
            let of_project = plan.jobs.files.iter().map(|job| &*job.target);
            trees
                .chain(files.into_iter().filter_map(FilePlace::path))
                .chain(of_project)
                .map(Path::to_owned)
                .collect()
        }
    }
}

fn clear(target: &Path, session: &Session) -> Result<(), Error> {
    let cleared = clear_leftovers(target);
    for cleared in cleared.map_err(Failed::at(
        "clear what an earlier restore left beside",
        target,
    ))? {
        session.report.warning(leftover_text(&cleared));
    }
    Ok(())
}

/// No backup may save what is half restored. Where there is no root, or it cannot be written, no
/// backup can be at work.
fn lock_root(root: &Path, now: &ZonedDateTime) -> Result<Option<RootLock>, set::Error> {
    let Ok(root) = BackupRoot::open(root) else {
        return Ok(None);
    };
    match RootLock::acquire(&root, now) {
        Err(set::Error::Failed(Failed { source, .. }))
            if source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
        {
            Ok(None)
        }
        lock => Ok(Some(lock?)),
    }
}

fn leftover_text(cleared: &Cleared) -> String {
    match cleared {
        Cleared::Removed(path) => format!(
            "removed {}, left by a restore that did not finish",
            path.display()
        ),
        Cleared::Kept(path) => format!(
            "an earlier restore ended before it could say that it was done; what was there \
             before is {}",
            path.display()
        ),
        Cleared::PutBack(path) => format!(
            "{} is back, which a restore that did not finish had moved aside",
            path.display()
        ),
    }
}
