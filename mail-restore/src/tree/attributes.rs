//! What an entry has beside its content: mode, owner, modification time and extended attributes.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use mail_common::archive::reader::Head;
use mail_common::xattr;
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid};

/// Attributes of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Permission bits, `07777`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Since 1970.
    pub(crate) mtime_ns: i64,
    /// ACLs among them, by name.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An extended attribute that the file system or the kernel did not take.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) reason: io::Error,
}

/// What an entry is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Born {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
}

/// An owner to be applied; `None` where the caller may not give files away.
pub(crate) type Owner = Option<(u32, u32)>;

impl From<Head> for Attributes {
    fn from(head: Head) -> Self {
        let Head {
            mode,
            uid,
            gid,
            mtime_ns,
            xattrs,
            ..
        } = head;
        Self {
            mode,
            uid,
            gid,
            mtime_ns,
            xattrs,
        }
    }
}

impl Attributes {
    /// Those of an open file or directory.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self {
            xattrs: xattr::read(file)?,
            ..Self::of_link(&file.metadata()?)
        })
    }

    /// Those that a symbolic link has: no extended ones.
    pub(crate) fn of_link(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime_ns: metadata
                .mtime()
                .saturating_mul(NANOS)
                .saturating_add(metadata.mtime_nsec()),
            xattrs: Vec::new(),
        }
    }

    /// Gives them to an open file or directory that was made as `born`. The owner comes first,
    /// since a change of it clears bits of the mode, and the time last. What it was born with is
    /// not given again: a call of the kernel saved for each message.
    pub(crate) fn apply(
        &self,
        file: impl AsFd,
        owner: Owner,
        born: Born,
    ) -> io::Result<Vec<Refused>> {
        let owner = owner.filter(|owner| *owner != born.owner);
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        let set = |(name, value): &(Vec<u8>, Vec<u8>)| {
            xattr::set(&file, name, value)
                .err()
                .map(|e| refused(name, e))
        };
        let refused = self.xattrs.iter().filter_map(set).collect();
        // An ACL among the attributes has changed the mode.
        if self.mode != born.mode || !self.xattrs.is_empty() {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(self.mode))?;
        }
        rustix::fs::futimens(&file, &self.times())?;
        Ok(refused)
    }

    /// Gives them to the symbolic link `name` in `directory`, which has neither mode nor extended
    /// attributes.
    pub(crate) fn apply_to_link(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        owner: Owner,
    ) -> io::Result<()> {
        let name = std::ffi::OsStr::from_bytes(name);
        if let Some((uid, gid)) = owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(rustix::fs::utimensat(
            directory,
            name,
            &self.times(),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn times(&self) -> Timestamps {
        let time = Timespec {
            tv_sec: self.mtime_ns.div_euclid(NANOS),
            tv_nsec: self.mtime_ns.rem_euclid(NANOS),
        };
        Timestamps {
            last_access: time,
            last_modification: time,
        }
    }
}

const NANOS: i64 = 1_000_000_000;

fn refused(name: &[u8], reason: io::Error) -> Refused {
    Refused {
        name: String::from_utf8_lossy(name).into_owned(),
        reason,
    }
}
