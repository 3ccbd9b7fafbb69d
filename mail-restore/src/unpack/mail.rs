//! The mail that the old scripts copied: plain files in `mail/`, with the owners, modes and times
//! that the copies have.

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
use mail_common::set::verify;

/// Makes every directory and symbolic link of `source`, the mail of a set, in the tree. Maildirs
/// have empty directories, and neither has a content that a checksum could tell of.
pub(crate) fn copy_frame(source: &Path, maker: &mut Maker<'_>) -> io::Result<()> {
    let mut waiting = vec![RelPath::root()];
    while let Some(directory) = waiting.pop() {
        let path = source.join(directory.as_path());
        let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&path)?;
        maker.make(&directory, Entry::Directory, Attributes::of(&opened)?)?;
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let child = directory
                .child(entry.file_name().as_bytes())
                .map_err(io::Error::other)?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push(child);
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                let attributes = Attributes::of_link(&entry.metadata()?);
                maker.make(
                    &child,
                    Entry::Symlink(target.as_os_str().as_bytes()),
                    attributes,
                )?;
            }
        }
    }
    Ok(())
}

/// Copies `file` of the set to `path` of the tree.
pub(crate) fn copy_file(
    set: &Path,
    file: &SetFile,
    path: &RelPath,
    maker: &mut Maker<'_>,
) -> Result<Unpacked, Error> {
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
