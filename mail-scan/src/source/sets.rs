//! The files of sets: all that a set lists, and what lies in it beside that; or the artifacts that
//! another tool has named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::checksum::Sha256;
use mail_common::record::Artifact;
use mail_common::relpath::{PathField, RelPath};
use mail_common::report::chain;
use mail_common::set::{FileFacts, Inventory, ReadLock, SetFile};

use super::outlet::{Closed, Outlet};
use crate::item::{HeldSet, Holder, Item, Place};
use crate::look::Opened;
use crate::mailbox::Mailboxes;
use crate::maildir;
use crate::packing::Packing;
use crate::plan::SetOperand;
use crate::run::Run;
use crate::unscanned::Error;

/// Why the files of a set were not all sent.
#[derive(Debug)]
pub(crate) enum SetFailed {
    /// The run is ending.
    Closed,
    /// The set cannot be read.
    Unreadable(Error),
}

impl From<Closed> for SetFailed {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Error> for SetFailed {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Sends every file of a set, held against replacement. A file that is listed and not there is
/// reported as not scanned.
pub(crate) fn feed_set(
    run: &Run<'_>,
    operand: &SetOperand,
    outlet: &mut Outlet,
) -> Result<(), SetFailed> {
    let set = &operand.dir;
    let guard = hold(&Path::new(&operand.root).join(&operand.set))?;
    let inventory = Inventory::read(set).map_err(|source| Error::Inventory {
        set: set.clone(),
        source,
    })?;
    let origin = Origin {
        root: &operand.root,
        set: &operand.set,
        mailboxes: Mailboxes::new(set, &inventory.files).map_err(Error::from)?,
        guard,
    };
    let listed = inventory.files.iter().map(|file| &file.path);
    let all = listed.chain(&inventory.unlisted);
    let sizes = all.filter_map(|path| set.join(path.as_path()).symlink_metadata().ok());
    run.tally.expect(sizes.map(|metadata| metadata.len()).sum());
    for file in &inventory.files {
        let item = origin.item(&file.path, Some(file.sha256));
        if inventory.missing.binary_search(&file.path).is_ok() {
            report_missing(run, &item);
        } else {
            send(run, item, &file.path, outlet)?;
        }
    }
    for path in &inventory.unlisted {
        send_unlisted(run, origin.item(path, None), path, outlet)?;
    }
    Ok(())
}

/// Sends what lies in a set and is not listed, where it is a file.
fn send_unlisted(
    run: &Run<'_>,
    item: Item,
    path: &RelPath,
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    let report = &run.scope.session.report;
    if let Ok(Opened::NoFile(what)) = item.open() {
        report.warning(format!(
            "{} is {what}, and not listed: it is left out",
            item.place
        ));
        return Ok(());
    }
    report.warning(format!(
        "{} is not listed in its set; it is scanned all the same",
        item.place
    ));
    send(run, item, path, outlet)
}

/// Sends artifacts as their records name them; those of one set come together, and hold it.
pub(crate) fn feed_artifacts(
    run: &Run<'_>,
    artifacts: &[Artifact],
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    run.tally
        .expect(artifacts.iter().map(|artifact| artifact.bytes).sum());
    for of_one_set in artifacts.chunk_by(|a, b| (&a.root, &a.set) == (&b.root, &b.set)) {
        match Origin::of(of_one_set) {
            Ok(origin) => feed_set_of(run, &origin, of_one_set, outlet)?,
            Err(error) => {
                run.scope.session.fail(None, None, &error);
                for artifact in of_one_set {
                    report_refused(run, artifact, &error);
                }
            }
        }
    }
    Ok(())
}

fn feed_set_of(
    run: &Run<'_>,
    origin: &Origin<'_>,
    artifacts: &[Artifact],
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    for artifact in artifacts {
        match checked(artifact) {
            Ok(path) => {
                let item = origin.item(&path, Some(artifact.sha256));
                send(run, item, &path, outlet)?;
            }
            Err(error) => {
                run.scope.session.fail(None, None, &error);
                report_refused(run, artifact, &error);
            }
        }
    }
    Ok(())
}

/// A set that files come from.
struct Origin<'a> {
    root: &'a str,
    set: &'a str,
    guard: Arc<HeldSet>,
    mailboxes: Mailboxes,
}

impl<'a> Origin<'a> {
    /// The set of `artifacts`, whose records are not to be trusted.
    fn of(artifacts: &'a [Artifact]) -> Result<Self, Error> {
        let first = &artifacts[0];
        let guard = guard_of(first)?;
        let files: Vec<SetFile> = artifacts.iter().filter_map(set_file).collect();
        let set = Path::new(&first.root).join(&first.set);
        Ok(Self {
            root: &first.root,
            set: &first.set,
            guard,
            mailboxes: Mailboxes::new(&set, &files)?,
        })
    }

    fn item(&self, path: &RelPath, expected: Option<Sha256>) -> Item {
        Item {
            file: Path::new(self.root).join(self.set).join(path.as_path()),
            place: Place {
                set: Some((self.root.to_owned(), self.set.to_owned())),
                path: PathField::from(path),
            },
            holder: Holder::Set(Arc::clone(&self.guard)),
            expected,
            segment: self.mailboxes.segment(path),
        }
    }
}

fn set_file(artifact: &Artifact) -> Option<SetFile> {
    Some(SetFile::from(FileFacts {
        path: checked(artifact).ok()?,
        sha256: artifact.sha256,
        component: Some(artifact.component),
        recorded: None,
    }))
}

fn send(run: &Run<'_>, item: Item, path: &RelPath, outlet: &mut Outlet) -> Result<(), Closed> {
    run.scope.interrupt.check().map_err(|_| Closed)?;
    // The old scripts saved messages as they are.
    let packing = if maildir::lies_in_place(&item.file) {
        Packing::PLAIN
    } else {
        Packing::of_name(path.name())
    };
    let metadata = item.file.symlink_metadata();
    let bytes = metadata.map_or(0, |metadata| metadata.len());
    outlet.send(item, packing, bytes)
}

fn hold(set: &Path) -> Result<Arc<HeldSet>, Error> {
    let lock = ReadLock::acquire(set).map_err(|source| Error::Lock {
        set: set.to_owned(),
        source,
    })?;
    let held = HeldSet::open(set, lock).map_err(|source| Error::List {
        place: set.display().to_string(),
        source,
    })?;
    Ok(Arc::new(held))
}

/// Holds the set of an artifact, whose record is not to be trusted.
fn guard_of(artifact: &Artifact) -> Result<Arc<HeldSet>, Error> {
    let Artifact { root, set, .. } = artifact;
    if !Path::new(root).is_absolute() {
        return Err(Error::Root { root: root.clone() });
    }
    RelPath::new(set).map_err(|source| Error::Path {
        path: set.clone(),
        source,
    })?;
    hold(&Path::new(root).join(set))
}

fn checked(artifact: &Artifact) -> Result<RelPath, Error> {
    RelPath::try_from(&artifact.path).map_err(|source| Error::Path {
        path: artifact.path.path.clone(),
        source,
    })
}

fn report_missing(run: &Run<'_>, item: &Item) {
    let error = Error::Missing {
        place: item.place.to_string(),
    };
    run.scope.session.fail(None, None, &error);
    run.tally
        .report_file(item, &run.scope.unscanned("it is listed, and not there"));
}

fn report_refused(run: &Run<'_>, artifact: &Artifact, error: &Error) {
    let place = Place {
        set: Some((artifact.root.clone(), artifact.set.clone())),
        path: artifact.path.clone(),
    };
    let item = Item {
        file: PathBuf::new(),
        place,
        holder: Holder::Nothing,
        expected: None,
        segment: None,
    };
    run.tally
        .report_file(&item, &run.scope.unscanned(chain(error)));
}
