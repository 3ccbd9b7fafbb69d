//! The files of sets: all that a set lists, and what lies in it beside that; or the artifacts that
//! another tool has named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::record::Artifact;
use mail_common::relpath::{PathField, RelPath, UnsafePath};
use mail_common::report::chain;
use mail_common::set::{Inventory, InventoryError, LockError, ReadLock};

use super::{Closed, Outlet};
use crate::item::{Finding, Item, Opened, Place};
use crate::maildir;
use crate::packing::Packing;
use crate::plan::SetOperand;
use crate::run::Run;

/// Why nothing of a set, or not all of it, was scanned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    #[error("hold the set {}", set.display())]
    Lock { set: PathBuf, source: LockError },
    #[error("read the set {}", set.display())]
    Inventory {
        set: PathBuf,
        source: InventoryError,
    },
    #[error("{place} is listed, and not there; use another set")]
    Missing { place: String },
    #[error("a record names {path:?}")]
    Path { path: String, source: UnsafePath },
    #[error("a record names the root {root:?}, which is no absolute path")]
    Root { root: String },
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Sends every file of a set, held against replacement. A file that is listed and not there is told
/// as not scanned.
pub(crate) fn feed_set(
    run: &Run<'_>,
    operand: &SetOperand,
    outlet: &mut Outlet,
) -> Result<(), SetError> {
    let set = &operand.dir;
    let guard = hold(set)?;
    let inventory = Inventory::read(set).map_err(|source| SetError::Inventory {
        set: set.clone(),
        source,
    })?;
    let of = |path: &RelPath, expected| {
        item(
            &operand.root,
            &operand.set,
            path,
            expected,
            Some(Arc::clone(&guard)),
        )
    };
    let total = inventory
        .files
        .iter()
        .filter_map(|file| set.join(file.path.as_path()).metadata().ok());
    run.progress
        .set_total(total.map(|metadata| metadata.len()).sum());
    for file in &inventory.files {
        let item = of(&file.path, Some(file.sha256));
        if inventory.missing.binary_search(&file.path).is_ok() {
            tell_missing(run, &item);
        } else {
            send(run, item, &file.path, outlet)?;
        }
    }
    for path in &inventory.unlisted {
        let item = of(path, None);
        match item.open() {
            Ok(Opened::NoFile(what)) => {
                run.session.report.warning(format!(
                    "{} is {what}, and not listed: it is left out",
                    item.place
                ));
            }
            _ => {
                run.session.report.warning(format!(
                    "{} is not listed in its set; it is scanned all the same",
                    item.place
                ));
                send(run, item, path, outlet)?;
            }
        }
    }
    Ok(())
}

/// Sends artifacts as their records name them; those of one set come together, and hold it.
pub(crate) fn feed_artifacts(
    run: &Run<'_>,
    artifacts: &[Artifact],
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    run.progress
        .set_total(artifacts.iter().map(|artifact| artifact.bytes).sum());
    for of_one_set in artifacts.chunk_by(|a, b| (&a.root, &a.set) == (&b.root, &b.set)) {
        let guard = guard_of(&of_one_set[0]);
        if let Err(error) = &guard {
            run.session.fail(None, None, error);
        }
        for artifact in of_one_set {
            match (&guard, checked(artifact)) {
                (Ok(guard), Ok(path)) => {
                    let guard = Some(Arc::clone(guard));
                    send(
                        run,
                        item(
                            &artifact.root,
                            &artifact.set,
                            &path,
                            Some(artifact.sha256),
                            guard,
                        ),
                        &path,
                        outlet,
                    )?;
                }
                (Err(error), _) => tell_refused(run, artifact, error),
                (Ok(_), Err(error)) => {
                    run.session.fail(None, None, &error);
                    tell_refused(run, artifact, &error);
                }
            }
        }
    }
    Ok(())
}

fn send(run: &Run<'_>, item: Item, path: &RelPath, outlet: &mut Outlet) -> Result<(), Closed> {
    run.interrupt.check().map_err(|_| Closed)?;
    let packing = match maildir::lies_in_place(&item.file) {
        // The old scripts saved messages as they are.
        true => Packing::PLAIN,
        false => Packing::of_name(path.name()),
    };
    let bytes = item
        .file
        .symlink_metadata()
        .map_or(0, |metadata| metadata.len());
    outlet.send(item, packing, bytes)
}

fn item(
    root: &str,
    set: &str,
    path: &RelPath,
    expected: Option<Sha256>,
    guard: Option<Arc<ReadLock>>,
) -> Item {
    Item {
        file: Path::new(root).join(set).join(path.as_path()),
        place: Place {
            set: Some((root.to_owned(), set.to_owned())),
            path: PathField::from(path),
        },
        identity: None,
        expected,
        _guard: guard,
    }
}

fn hold(set: &Path) -> Result<Arc<ReadLock>, SetError> {
    let lock = ReadLock::acquire(set).map_err(|source| SetError::Lock {
        set: set.to_owned(),
        source,
    })?;
    Ok(Arc::new(lock))
}

/// Holds the set of an artifact, whose record is not to be trusted.
fn guard_of(artifact: &Artifact) -> Result<Arc<ReadLock>, SetError> {
    let Artifact { root, set, .. } = artifact;
    if !Path::new(root).is_absolute() {
        return Err(SetError::Root { root: root.clone() });
    }
    RelPath::new(set).map_err(|source| SetError::Path {
        path: set.clone(),
        source,
    })?;
    hold(&Path::new(root).join(set))
}

fn checked(artifact: &Artifact) -> Result<RelPath, SetError> {
    RelPath::try_from(&artifact.path).map_err(|source| SetError::Path {
        path: artifact.path.path.clone(),
        source,
    })
}

fn tell_missing(run: &Run<'_>, item: &Item) {
    let error = SetError::Missing {
        place: item.place.to_string(),
    };
    run.session.fail(None, None, &error);
    run.tell(
        item,
        &Finding::unscanned("it is listed, and not there", &run.pool.engine()),
    );
}

fn tell_refused(run: &Run<'_>, artifact: &Artifact, error: &SetError) {
    let place = Place {
        set: Some((artifact.root.clone(), artifact.set.clone())),
        path: artifact.path.clone(),
    };
    let item = Item {
        file: PathBuf::new(),
        place,
        identity: None,
        expected: None,
        _guard: None,
    };
    run.tell(&item, &Finding::unscanned(chain(error), &run.pool.engine()));
}
