//! The mail that the old scripts copied: plain files in `mail/`, with the owners, modes and times
//! that the copies have.

use std::fs::File;
use std::io;
use std::path::Path;

use mail_common::beneath::Beneath;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::PLAIN;
use mail_common::set::{SetFile, verify};
use rustix::fs::{Dir, FileType, Mode, OFlags};

use super::archive::Unpacked;
use super::error::Error;
use crate::tree::{Attributes, Entry, Maker};

/// Makes every directory and symbolic link of the mail in `set` in the tree. Maildirs have empty
/// directories, and neither has a content that a checksum could cover.
///
/// Each directory is opened below the one that holds the set, and each link is read by descriptor:
/// what is exchanged for a link meanwhile leads nowhere.
pub(crate) fn copy_frame(set: &Path, maker: &mut Maker<'_>) -> io::Result<()> {
    let set = Beneath::open(set)?;
    let mail: RelPath = RelPath::new(PLAIN).map_err(io::Error::other)?;
    let mut waiting = vec![RelPath::root()];
    while let Some(directory) = waiting.pop() {
        let opened = File::from(set.directory(&directory.below(&mail))?);
        maker.make(&directory, Entry::Directory, Attributes::of(&opened)?)?;
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || entry.file_type() == FileType::RegularFile
            {
                continue;
            }
            let child = directory.child(name.to_bytes()).map_err(io::Error::other)?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = File::from(rustix::fs::openat(&opened, name, flags, Mode::empty())?);
            let metadata = found.metadata()?;
            if metadata.is_dir() {
                waiting.push(child);
            } else if metadata.is_symlink() {
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
                let link = Entry::Symlink(target.as_bytes());
                maker.make(&child, link, Attributes::of_link(&metadata))?;
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
