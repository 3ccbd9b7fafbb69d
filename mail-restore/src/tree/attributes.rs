//! What an entry has beside its content: mode, owner, modification time and extended attributes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use mail_common::archive::reader::Head;
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

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

impl From<Head> for Attributes {
    fn from(head: Head) -> Self {
        let Head { mode, uid, gid, mtime_ns, xattrs, .. } = head;
        Self { mode, uid, gid, mtime_ns, xattrs }
    }
}

impl Attributes {
    /// Those of the file or directory at `path`, which is not followed; extended attributes only where they can be read.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        let mtime_ns = metadata.mtime().saturating_mul(NANOS).saturating_add(metadata.mtime_nsec());
        Ok(Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime_ns,
            xattrs: if metadata.is_symlink() { Vec::new() } else { xattrs(path)? },
        })
    }

    /// Gives them to an open file or directory. The owner comes first, since a change of it clears bits of the mode, and
    /// the time last.
    pub(crate) fn apply(&self, file: impl AsFd, owner: Option<(u32, u32)>) -> io::Result<Vec<Refused>> {
        let file = file.as_fd();
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(file, Some(user(uid)), Some(group(gid)))?;
        }
        let refused = self.xattrs.iter().filter_map(|(name, value)| set_xattr(file, name, value).err()).collect();
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))?;
        rustix::fs::futimens(file, &self.times())?;
        Ok(refused)
    }

    /// Gives them to the symbolic link `name` in `directory`, which has neither mode nor extended attributes.
    pub(crate) fn apply_to_link(
        &self,
        directory: BorrowedFd<'_>,
        name: &Path,
        owner: Option<(u32, u32)>,
    ) -> io::Result<()> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = owner {
            rustix::fs::chownat(directory, name, Some(user(uid)), Some(group(gid)), nofollow)?;
        }
        Ok(rustix::fs::utimensat(directory, name, &self.times(), nofollow)?)
    }

    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.mtime_ns.div_euclid(NANOS), tv_nsec: self.mtime_ns.rem_euclid(NANOS) };
        Timestamps { last_access: time, last_modification: time }
    }
}

const NANOS: i64 = 1_000_000_000;

fn user(uid: u32) -> Uid {
    Uid::from_raw(uid)
}

fn group(gid: u32) -> Gid {
    Gid::from_raw(gid)
}

fn set_xattr(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    let set = rustix::fs::fsetxattr(file, name, value, XattrFlags::empty());
    set.map_err(|errno| Refused { name: String::from_utf8_lossy(name).into_owned(), reason: errno.into() })
}

fn xattrs(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = [0; 4096];
    let length = match rustix::fs::lgetxattr_names(path, &mut names) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(0) => return Ok(Vec::new()),
        result => result?,
    };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(|name| Ok((name.to_vec(), xattr(path, name)?))).collect()
}
