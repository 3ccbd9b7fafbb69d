//! Reads an archive member by member, and checks each before anything is made of it: its name, its
//! kind, and the size of all against what the manifest says.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use mail_common::archive::reader::{Head, MemberKind, TarReader};
use mail_common::archive::state::CONTROL;
use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::set::SetFile;
use rustix::io::Errno;

use super::error::Error;
use super::mailboxes::Segment;
use super::open::open;
use super::prefix;
use super::sums::Sums;
use crate::tree::{Attributes, Entry, Maker};

/// An archive of a set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Archive<'a> {
    /// The directory of the set.
    pub(crate) set: &'a Path,
    /// The archive in it.
    pub(crate) file: &'a SetFile,
    /// What stands before the names that the tree has; the root where that is nothing.
    pub(crate) prefix: &'a RelPath,
    /// What became of its members since it was written; `None` where nothing did.
    pub(crate) segment: Option<Segment<'a>>,
    /// Members that are not restored, by their names in the tree.
    pub(crate) left_out: &'a BTreeSet<RelPath>,
}

/// What an archive held of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    pub(crate) entries: u64,
    /// Bytes of files.
    pub(crate) bytes: u64,
}

/// Makes every member of `archive`. `progress` is notified of the bytes.
///
/// # Errors
/// At the first member that cannot be trusted or made; the tree is to be thrown away then.
pub(crate) fn unpack(
    archive: Archive<'_>,
    maker: &mut Maker<'_>,
    interrupt: &Interrupt,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, Error> {
    let name = &archive.file.path;
    read(archive, interrupt, |member, head, content| {
        let Some(path) = &member.path else {
            return Ok(());
        };
        let mut content = Watched {
            inner: content,
            failure: None,
        };
        let made = make(maker, path, head, &mut content);
        if let Some(source) = content.failure {
            return Err(Error::Content {
                archive: name.clone(),
                member: path.clone(),
                source,
            });
        }
        let bytes = made.map_err(|source| write_error(name, path, maker, source))?;
        progress(bytes);
        Ok(())
    })
}

/// Reads every member of `archive` as [`unpack`] would, and adds them up.
///
/// # Errors
/// As [`unpack`], but for those of writing.
pub(crate) fn examine(
    archive: Archive<'_>,
    interrupt: &Interrupt,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Unpacked, Sums), Error> {
    let name = &archive.file.path;
    let mut sums = Sums::default();
    let unpacked = read(archive, interrupt, |member, head, content| {
        let path = &member.stored;
        let failed = |source| Error::Content {
            archive: name.clone(),
            member: path.clone(),
            source,
        };
        match &head.kind {
            MemberKind::File => {
                let (digest, bytes) = Sha256::of_reader(content).map_err(failed)?;
                if member.path.is_some() {
                    progress(bytes);
                }
                sums.add(path, bytes, Some(digest));
            }
            MemberKind::Symlink(target) => sums.add(path, target.len() as u64, None),
            _ => sums.add(path, 0, None),
        }
        Ok(())
    })?;
    Ok((unpacked, sums))
}

/// A member of an archive.
struct Member {
    /// Its name there, without the prefix.
    stored: RelPath,
    /// Its name in the tree; `None` when it is not made.
    path: Option<RelPath>,
}

fn read(
    archive: Archive<'_>,
    interrupt: &Interrupt,
    mut visit: impl FnMut(&Member, Head, &mut dyn Read) -> Result<(), Error>,
) -> Result<Unpacked, Error> {
    let name = &archive.file.path;
    let damaged = |source| Error::Damaged {
        archive: name.clone(),
        source,
    };
    let mut tar = TarReader::new(open(archive.set, name)?);
    let (mut number, mut left_out) = (0, 0);
    let mut all = Unpacked::default();
    let mut made = Unpacked::default();
    while let Some(head) = tar.next_member().map_err(damaged)? {
        interrupt.check()?;
        let path = head.path().map_err(|source| Error::Name {
            archive: name.clone(),
            source,
        })?;
        number += 1;
        if archive.is_repeated(&head, number) {
            continue;
        }
        all.add(head.size);
        archive.check(&path, &head, all)?;
        if let Some(stored) = prefix::without(&path, archive.prefix) {
            let member = archive.member(stored, &mut left_out);
            if member.path.is_some() {
                made.add(head.size);
            }
            visit(&member, archive.relative(head)?, &mut tar)?;
        } else {
            made.add(head.size);
        }
    }
    tar.finish().map_err(damaged)?;
    archive.check_entries(all)?;
    archive.check_left_out(left_out)?;
    Ok(made)
}

impl Unpacked {
    fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Archive<'_> {
    /// Whether the member `number`, counted from 1, is the mailbox for the second time: its `0000`
    /// begins with it twice, for tar.
    fn is_repeated(&self, head: &Head, number: u64) -> bool {
        let is_control = self
            .segment
            .is_some_and(|segment| segment.number == CONTROL);
        is_control && number == 2 && head.dumpdir.is_some()
    }

    /// Counts in `left_out` what a tree would have.
    fn member(&self, stored: RelPath, left_out: &mut usize) -> Member {
        let path = match &self.segment {
            Some(segment) => segment.present(&stored),
            None => Some(stored.clone()),
        };
        match path {
            Some(path) if self.left_out.contains(&path) => {
                *left_out += 1;
                Member { stored, path: None }
            }
            path => Member { stored, path },
        }
    }

    fn check(&self, path: &RelPath, head: &Head, so_far: Unpacked) -> Result<(), Error> {
        let (archive, member) = (self.file.path.clone(), path.clone());
        if head.kind == MemberKind::Special {
            return Err(Error::Special { archive, member });
        }
        match self.file.recorded {
            Some(recorded) if so_far.bytes > recorded.source_bytes => Err(Error::TooLarge {
                archive,
                member,
                recorded_bytes: recorded.source_bytes,
            }),
            _ => Ok(()),
        }
    }

    /// What is said to be left out must have been met: under another name it would be restored.
    fn check_left_out(&self, met: usize) -> Result<(), Error> {
        if met == self.left_out.len() {
            return Ok(());
        }
        Err(Error::NotLeftOut {
            archive: self.file.path.clone(),
            met,
            wanted: self.left_out.len(),
        })
    }

    fn check_entries(&self, unpacked: Unpacked) -> Result<(), Error> {
        match self.file.recorded {
            Some(recorded) if recorded.entries != unpacked.entries => Err(Error::Entries {
                archive: self.file.path.clone(),
                found: unpacked.entries,
                recorded: recorded.entries,
            }),
            _ => Ok(()),
        }
    }

    /// A hard link leads to a name in the archive, which has the prefix too.
    fn relative(&self, mut head: Head) -> Result<Head, Error> {
        let name = |source| Error::Name {
            archive: self.file.path.clone(),
            source,
        };
        if let Some(target) = head.link_path().map_err(name)? {
            let target = prefix::without(&target, self.prefix).unwrap_or(target);
            head.kind = MemberKind::HardLink(target.as_bytes().to_vec());
        }
        Ok(head)
    }
}

fn make(
    maker: &mut Maker<'_>,
    path: &RelPath,
    mut head: Head,
    content: &mut dyn Read,
) -> io::Result<u64> {
    let kind = std::mem::replace(&mut head.kind, MemberKind::File);
    let attributes = Attributes::from(head);
    match kind {
        MemberKind::File => maker.make(path, Entry::File(content), attributes),
        MemberKind::Directory => maker.make(path, Entry::Directory, attributes),
        MemberKind::Symlink(target) => maker.make(path, Entry::Symlink(&target), attributes),
        MemberKind::HardLink(target) => {
            let target = RelPath::new(target).map_err(io::Error::other)?;
            maker.make(path, Entry::HardLink(&target), attributes)
        }
        MemberKind::Special => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn write_error(archive: &RelPath, member: &RelPath, maker: &Maker<'_>, source: io::Error) -> Error {
    let collisions = [Errno::EXIST, Errno::NOTDIR, Errno::ISDIR, Errno::LOOP];
    let collides = source.kind() == io::ErrorKind::AlreadyExists
        || Errno::from_io_error(&source).is_some_and(|errno| collisions.contains(&errno));
    let archive = archive.clone();
    if collides {
        let member = member.clone();
        Error::Collision {
            archive,
            member,
            source,
        }
    } else {
        let target = maker.target(member);
        Error::Write {
            archive,
            target,
            source,
        }
    }
}

/// Remembers that reading failed, to tell it from writing.
struct Watched<'a> {
    inner: &'a mut dyn Read,
    failure: Option<io::Error>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let same_kind = io::Error::from(error.kind());
            self.failure = Some(error);
            same_kind
        })
    }
}
