//! How a finished file gets its name, also where another file has it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use mail_common::atomic::{self, Exchanged};

/// Gives the file `temporary` of an open directory, which is complete and synced, another `name`
/// there. What has the name before is replaced, in one step where the file system can.
pub(crate) fn put_in_place(
    directory: impl AsFd,
    temporary: &OsStr,
    name: &OsStr,
) -> io::Result<()> {
    match atomic::rename_between(&directory, temporary, &directory, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            exchange(&directory, temporary, name)?;
        }
        renamed => renamed?,
    }
    atomic::sync_open_dir(directory)
}

fn exchange(directory: impl AsFd, temporary: &OsStr, name: &OsStr) -> io::Result<()> {
    if atomic::exchange_in(&directory, temporary, name)? == Exchanged::Done {
        return atomic::remove_tree_in(directory, temporary);
    }
    atomic::remove_tree_in(&directory, name)?;
    atomic::rename_between(&directory, temporary, &directory, name)
}
