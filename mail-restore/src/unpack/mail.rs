//! The mail that the old scripts copied: plain files in `mail/`, with the owners, modes and times that the copies have.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mail_common::relpath::RelPath;
use mail_common::set::SetFile;
use rustix::fs::OFlags;

use super::archive::Unpacked;
use super::error::Error;
use crate::tree::{Attributes, Entry, Maker};
use crate::verify;

/// Makes every directory of `source`, the mail of a set, in the tree; Maildirs have empty ones.
pub(crate) fn copy_directories(source: &Path, maker: &mut Maker<'_>) -> io::Result<u64> {
    let mut waiting = vec![RelPath::root()];
    let mut count = 0;
    while let Some(directory) = waiting.pop() {
        let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(source.join(directory.as_path()))?;
        maker.make(&directory, Entry::Directory, Attributes::of(&opened)?)?;
        count += 1;
        for entry in fs::read_dir(source.join(directory.as_path()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(directory.child(entry.file_name().as_bytes()).map_err(io::Error::other)?);
            }
        }
    }
    Ok(count)
}

/// Copies `file` of the set to `path` of the tree.
pub(crate) fn copy_file(set: &Path, file: &SetFile, path: &RelPath, maker: &mut Maker<'_>) -> Result<Unpacked, Error> {
    let mut content = verify::open(set, &file.path)?;
    let bytes = copy(&mut content, path, maker).map_err(|source| Error::Write {
        archive: file.path.clone(),
        target: maker.target(path),
        source,
    })?;
    Ok(Unpacked { entries: 1, bytes })
}

fn copy(content: &mut File, path: &RelPath, maker: &mut Maker<'_>) -> io::Result<u64> {
    let attributes = Attributes::of(content)?;
    maker.make(path, Entry::File(content), attributes)
}
