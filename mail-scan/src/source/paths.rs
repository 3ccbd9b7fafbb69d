//! Files and directories. Links are not followed below the operand, and pipes are not waited for.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mail_common::report::chain;
use walkdir::{DirEntry, WalkDir};

use super::{Closed, Identity, Outlet, place_of};
use crate::item::{Finding, Item, Opened};
use crate::maildir;
use crate::packing::{MAGIC_BYTES, Packing};
use crate::run::Run;

#[derive(Debug, thiserror::Error)]
#[error("list {path}")]
struct ListError {
    path: String,
    source: std::io::Error,
}

/// Sends every file at or below `path`. What cannot be listed is told as not scanned.
pub(crate) fn feed_path(run: &Run<'_>, path: &Path, outlet: &mut Outlet) -> Result<(), Closed> {
    let mut is_empty = true;
    for entry in WalkDir::new(path) {
        run.interrupt.check().map_err(|_| Closed)?;
        match entry {
            Ok(entry) if entry.file_type().is_dir() => run.listed.add_directory(entry.path()),
            Ok(entry) if entry.file_type().is_symlink() => {}
            Ok(entry) => {
                is_empty = false;
                let metadata = entry.metadata().ok();
                let identity = metadata.as_ref().map(Identity::of);
                identity.map(|identity| run.listed.add_file(identity));
                feed_file(
                    &entry,
                    identity,
                    metadata.map_or(0, |metadata| metadata.len()),
                    outlet,
                )?;
            }
            Err(error) => {
                is_empty = false;
                tell_unlisted(run, path, error);
            }
        }
    }
    if is_empty {
        // A disk that is not mounted looks so.
        run.session.report.warning(format!(
            "there is no file in {}: nothing is scanned there",
            place_of(path)
        ));
    }
    Ok(())
}

/// Lists `directories` again, which have changed since they were listed, and sends the files that
/// were not found before.
pub(crate) fn feed_changed(
    run: &Run<'_>,
    directories: &[PathBuf],
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    for directory in directories {
        let is_wanted = |entry: &DirEntry| {
            entry.depth() == 0
                || !entry.file_type().is_dir()
                || !run.listed.has_directory(entry.path())
        };
        for entry in WalkDir::new(directory).into_iter().filter_entry(is_wanted) {
            run.interrupt.check().map_err(|_| Closed)?;
            match entry {
                Ok(entry) if entry.file_type().is_dir() => run.listed.add_directory(entry.path()),
                Ok(entry) if entry.file_type().is_symlink() => {}
                Ok(entry) => {
                    // It is gone again, and may be in another of them.
                    let Ok(metadata) = entry.metadata() else {
                        continue;
                    };
                    let identity = Identity::of(&metadata);
                    if run.listed.add_file(identity) {
                        feed_file(&entry, Some(identity), metadata.len(), outlet)?;
                    }
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => tell_unlisted(run, directory, error),
            }
        }
    }
    outlet.flush()
}

fn feed_file(
    entry: &DirEntry,
    identity: Option<Identity>,
    bytes: u64,
    outlet: &mut Outlet,
) -> Result<(), Closed> {
    let file = entry.path().to_owned();
    let item = Item {
        place: place_of(&file),
        file,
        identity,
        expected: None,
        _guard: None,
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
fn tell_unlisted(run: &Run<'_>, operand: &Path, error: walkdir::Error) {
    let path = error.path().unwrap_or(operand).to_owned();
    if is_gone(&error) && path != operand {
        return;
    }
    let place = place_of(&path);
    let error = ListError {
        path: place.to_string(),
        source: error.into(),
    };
    run.session.fail(None, None, &error);
    let item = Item {
        file: path,
        place,
        identity: None,
        expected: None,
        _guard: None,
    };
    run.tell(
        &item,
        &Finding::unscanned(chain(&error), &run.pool.engine()),
    );
}

fn is_gone(error: &walkdir::Error) -> bool {
    error
        .io_error()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
