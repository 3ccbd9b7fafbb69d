//! Files and directories. Links are not followed below the operand, and pipes are not waited for.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mail_common::report::chain;
use walkdir::{DirEntry, WalkDir};

use super::{Closed, Outlet, place_of};
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
        if run.interrupt.check().is_err() {
            return Err(Closed);
        }
        match entry {
            Ok(entry) if entry.file_type().is_dir() || entry.file_type().is_symlink() => continue,
            Ok(entry) => feed_file(&entry, outlet)?,
            Err(error) => tell_unlisted(run, path, error),
        }
        is_empty = false;
    }
    if is_empty {
        // A disk that is not mounted looks so.
        run.session.report.warning(format!("there is no file in {}: nothing is scanned there", place_of(path)));
    }
    Ok(())
}

fn feed_file(entry: &DirEntry, outlet: &mut Outlet) -> Result<(), Closed> {
    let file = entry.path().to_owned();
    let item = Item { place: place_of(&file), file, expected: None, _guard: None };
    let packing = packing_of(&item);
    let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
    outlet.send(item, packing, bytes)
}

/// By its name, which says nothing of a message, and by its first bytes.
fn packing_of(item: &Item) -> Packing {
    let name = item.file.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
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
    let is_gone = error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if is_gone && path != operand {
        return;
    }
    let place = place_of(&path);
    let error = ListError { path: place.to_string(), source: error.into() };
    run.session.fail(None, None, &error);
    let item = Item { file: path, place, expected: None, _guard: None };
    run.tell(&item, &Finding::unscanned(chain(&error), &run.pool.engine()));
}
