//! Files and directories. Links are not followed below the operand, and pipes are not waited for.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_common::report::chain;
use walkdir::{DirEntry, WalkDir};

use super::outlet::{Closed, Outlet};
use crate::item::{Holder, Item, Place};
use crate::listed::Identity;
use crate::look::Opened;
use crate::maildir;
use crate::packing::{MAGIC_BYTES, Packing};
use crate::run::Run;
use crate::tree::Tree;
use crate::unscanned::Error;

/// Sends every file at or below `path`. What cannot be listed is reported as not scanned.
pub(crate) fn feed_path(run: &Run<'_>, path: &Path, outlet: &mut Outlet) -> Result<(), Closed> {
    let top = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    let tree = match Tree::open(top) {
        Ok(tree) => Arc::new(tree),
        Err(error) => {
            report_unlisted(run, path, error);
            return Ok(());
        }
    };
    let mut is_empty = true;
    for entry in WalkDir::new(path) {
        run.scope.interrupt.check().map_err(|_| Closed)?;
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {
                run.tally.listed.add_directory(&tree, entry.path());
            }
            Ok(entry) if entry.file_type().is_symlink() => {}
            Ok(entry) => {
                is_empty = false;
                let metadata = entry.metadata().ok();
                let identity = metadata.as_ref().map(Identity::of);
                if let Some(identity) = identity {
                    run.tally.listed.add_file(identity);
                }
                let bytes = metadata.map_or(0, |metadata| metadata.len());
                feed_file(&tree, &entry, identity, bytes, outlet)?;
            }
            Err(error) => {
                is_empty = false;
                report_walk_error(run, path, error);
            }
        }
    }
    if is_empty {
        // A disk that is not mounted looks so.
        run.scope.session.report.warning(format!(
            "there is no file in {}: nothing is scanned there",
            Place::of_path(path)
        ));
    }
    Ok(())
}

/// Lists `directories` again, which have changed since they were listed, and sends the files that
/// were not found before.
pub(crate) fn feed_changed(
    run: &Run<'_>,
    directories: &[(Arc<Tree>, PathBuf)],
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    let listed = &run.tally.listed;
    for (tree, directory) in directories {
        let is_wanted = |entry: &DirEntry| {
            entry.depth() == 0 || !entry.file_type().is_dir() || !listed.has_directory(entry.path())
        };
        for entry in WalkDir::new(directory).into_iter().filter_entry(is_wanted) {
            run.scope.interrupt.check().map_err(|_| Closed)?;
            match entry {
                Ok(entry) if entry.file_type().is_dir() => listed.add_directory(tree, entry.path()),
                Ok(entry) if entry.file_type().is_symlink() => {}
                Ok(entry) => {
                    // It is gone again, and may be in another of them.
                    let Ok(metadata) = entry.metadata() else {
                        continue;
                    };
                    let identity = Identity::of(&metadata);
                    if listed.add_file(identity) {
                        feed_file(tree, &entry, Some(identity), metadata.len(), outlet)?;
                    }
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => report_walk_error(run, directory, error),
            }
        }
    }
    outlet.flush()
}

fn feed_file(
    tree: &Arc<Tree>,
    entry: &DirEntry,
    identity: Option<Identity>,
    bytes: u64,
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    let file = entry.path().to_owned();
    let item = Item {
        place: Place::of_path(&file),
        file,
        holder: Holder::Tree(Arc::clone(tree), identity),
        expected: None,
    };
    let packing = packing_of(&item);
    outlet.send(item, packing, bytes)
}

/// By its name, which says nothing of a message, and by its first bytes.
fn packing_of(item: &Item) -> Packing {
    let name = item
        .file
        .file_name()
        .map(OsStrExt::as_bytes)
        .unwrap_or_default();
    if maildir::lies_in_place(&item.file) || Packing::of_name(name) == Packing::PLAIN {
        return Packing::PLAIN;
    }
    let mut head = Vec::new();
    if let Ok(Opened::File(file, _)) = item.open() {
        // Who reads it as a plain file says what is wrong with it.
        let _ = file.take(MAGIC_BYTES as u64).read_to_end(&mut head);
    }
    Packing::of_name_and_head(name, &head)
}

/// A directory that vanished meanwhile holds nothing; one that cannot be read does.
fn report_walk_error(run: &Run<'_>, operand: &Path, error: walkdir::Error) {
    let path = error.path().unwrap_or(operand).to_owned();
    if !is_gone(&error) || path == operand {
        report_unlisted(run, &path, error.into());
    }
}

fn report_unlisted(run: &Run<'_>, path: &Path, source: io::Error) {
    let item = Item {
        file: path.to_owned(),
        place: Place::of_path(path),
        holder: Holder::Nothing,
        expected: None,
    };
    let place = item.place.to_string();
    let error = Error::List { place, source };
    run.scope.session.fail(None, None, &error);
    let finding = run.scope.unscanned(chain(&error));
    run.tally.report_file(&item, &finding);
}

fn is_gone(error: &walkdir::Error) -> bool {
    error
        .io_error()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
