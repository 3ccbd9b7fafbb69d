//! How a finished file gets its name, also where another file has it.

use std::io;
use std::path::Path;

use mail_common::atomic::{self, Exchanged};

/// Gives the file `temporary`, which is complete and synced, the name `path` in the same directory.
/// What has the name before is replaced, in one step where the file system can.
pub(crate) fn put_in_place(temporary: &Path, path: &Path) -> io::Result<()> {
    match atomic::rename_into_place(temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => exchange(temporary, path)?,
        renamed => renamed?,
    }
    atomic::sync_parent(path)
}

fn exchange(temporary: &Path, path: &Path) -> io::Result<()> {
    if atomic::exchange(temporary, path)? == Exchanged::Done {
        return atomic::remove_tree(temporary);
    }
    atomic::remove_tree(path)?;
    atomic::rename_into_place(temporary, path)
}
