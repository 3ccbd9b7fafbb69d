//! Directories by descriptor: each step is opened without following a link, so that nothing outside
//! is ever reached.
//!
//! Whoever may write into a mailbox could put a link where a directory was, at any moment. A name
//! that is opened in a directory that is open already cannot lead elsewhere.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mail_common::relpath::RelPath;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;

use super::candidate::Owner;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory(OwnedFd);

/// An entry of a directory, as reading it tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
}

/// Whether something was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Now,
    Before,
}

const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Directory {
    /// Opens a directory that the administrator named: links in its path are followed.
    pub(crate) fn open_root(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens the directory `name` in this one.
    pub(super) fn open(&self, name: &[u8]) -> io::Result<Self> {
        match rustix::fs::openat(&self.0, name, OPEN | OFlags::DIRECTORY, Mode::empty()) {
            // What Linux says of a link when a directory was asked for.
            Err(Errno::NOTDIR) if self.is_link(name) => Err(Errno::LOOP.into()),
            result => Ok(Self(result?)),
        }
    }

    /// Opens the directory at `path`, step by step.
    pub(crate) fn descend(&self, path: &RelPath) -> io::Result<Self> {
        let start = Self(self.0.try_clone()?);
        path.components()
            .try_fold(start, |directory, name| directory.open(name))
    }

    /// Opens the directory `name`; makes it for `owner`, and syncs its name, where there is none.
    pub(super) fn ensure(&self, name: &[u8], owner: &Owner) -> io::Result<(Self, Made)> {
        let made = match rustix::fs::mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) => Made::Now,
            Err(Errno::EXIST) => Made::Before,
            Err(errno) => return Err(errno.into()),
        };
        let directory = self.open(name)?;
        if made == Made::Now || directory.is_unfinished(owner)? {
            directory.give_to(owner)?;
            self.sync()?;
            return Ok((directory, Made::Now));
        }
        Ok((directory, made))
    }

    /// Whether a run that was killed made this directory and had not given it to its owner yet.
    pub(super) fn is_unfinished(&self, owner: &Owner) -> io::Result<bool> {
        let is_ours = self.owner()?.uid == rustix::process::geteuid().as_raw()
            && self.owner()?.uid != owner.uid;
        Ok(is_ours && self.entries()?.is_empty())
    }

    fn give_to(&self, owner: &Owner) -> io::Result<()> {
        give(self, owner)?;
        Ok(rustix::fs::fchmod(
            self,
            Mode::from_raw_mode(owner.mode & 0o7777),
        )?)
    }

    /// Opens a regular file for reading; does not wait for the other end of a named pipe.
    pub(super) fn open_file(&self, name: &[u8]) -> io::Result<File> {
        let file = File::from(rustix::fs::openat(
            &self.0,
            name,
            OPEN | OFlags::NONBLOCK,
            Mode::empty(),
        )?);
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }

    /// Creates a file that is not there, not even as a link, for its owner alone.
    pub(super) fn create_file(&self, name: &[u8]) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Opens a file that is there so that every write goes to its end. It must have no other name:
    /// a hard link could be to a file of somebody else.
    ///
    pub(super) fn append_to(&self, name: &[u8]) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?);
        let stat = rustix::fs::fstat(&file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && stat.st_nlink == 1 {
            return Ok(file);
        }
        let reason = "not a regular file, or one with further names";
        Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }

    /// Gives the file `from` of this directory the name `to` in `target`, in one step and never in
    /// place of another.
    pub(super) fn move_into(&self, from: &[u8], target: &Self, to: &[u8]) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.0, from, &target.0, to, RenameFlags::NOREPLACE) {
            // A file system without the flag: a second name, which is never in place of another
            // either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&self.0, from, &target.0, to, AtFlags::empty())?;
                self.remove_file(from)
            }
            result => Ok(result?),
        }
    }

    /// Gives the file `from` the name `to`, in place of what has it.
    pub(super) fn replace(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    pub(super) fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// What `name` is, itself and not what it leads to.
    pub(super) fn look(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::statat(
            &self.0,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// When the content of `name` was written last, to the second.
    pub(super) fn modified(&self, name: &[u8]) -> io::Result<SystemTime> {
        let since_epoch = u64::try_from(self.look(name)?.st_mtime).unwrap_or(0);
        Ok(UNIX_EPOCH + Duration::from_secs(since_epoch))
    }

    fn is_link(&self, name: &[u8]) -> bool {
        self.look(name)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }

    /// What this directory is.
    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.0)?)
    }

    pub(super) fn owner(&self) -> io::Result<Owner> {
        let stat = self.stat()?;
        Ok(Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
        })
    }

    /// All entries, sorted.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let is_directory = match entry.file_type() {
                    FileType::Unknown => self.look(name).is_ok_and(|stat| is_directory(&stat)),
                    known => known == FileType::Directory,
                };
                entries.push(Entry {
                    name: name.to_vec(),
                    is_directory,
                });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    /// Waits until the names in this directory are on stable storage.
    pub(super) fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.0) {
            // A file system that cannot sync directories.
            Err(Errno::INVAL) => Ok(()),
            result => Ok(result?),
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Gives an open file or directory to a user and group, where they have it not.
pub(super) fn give(file: impl AsFd, owner: &Owner) -> io::Result<()> {
    let stat = rustix::fs::fstat(&file)?;
    if (stat.st_uid, stat.st_gid) == (owner.uid, owner.gid) {
        return Ok(());
    }
    Ok(rustix::fs::fchown(
        file,
        Some(Uid::from_raw(owner.uid)),
        Some(Gid::from_raw(owner.gid)),
    )?)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make the trees")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("outside/cur")).unwrap();
        fs::write(dir.path().join("outside/cur/1"), "secret").unwrap();
        fs::create_dir_all(dir.path().join("tree/real")).unwrap();
        symlink("../outside", dir.path().join("tree/link")).unwrap();
        symlink("../../outside/cur/1", dir.path().join("tree/real/1")).unwrap();
        let tree = dir.path().join("tree");
        let root = Directory::open_root(&tree).unwrap();
        let owner = root.owner().unwrap();
        assert_eq!(
            root.open(b"link").unwrap_err().raw_os_error(),
            Some(Errno::LOOP.raw_os_error())
        );
        assert!(root.ensure(b"link", &owner).is_err());
        assert!(root.descend(&"link/cur".parse().unwrap()).is_err());
        let real = root.open(b"real").unwrap();
        assert!(real.open_file(b"1").is_err());
        assert!(real.create_file(b"1").is_err() && real.append_to(b"1").is_err());
    }

    #[test]
    fn a_file_never_takes_the_place_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let root = Directory::open_root(dir.path()).unwrap();
        for name in ["a", "b"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        assert_eq!(
            root.move_into(b"a", &root, b"b").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        root.move_into(b"a", &root, b"c").unwrap();
        assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"b");
        assert_eq!(fs::read(dir.path().join("c")).unwrap(), b"a");
    }

    #[test]
    fn a_named_pipe_is_not_a_file() {
        let dir = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), Mode::RUSR).unwrap();
        let root = Directory::open_root(dir.path()).unwrap();
        assert!(root.open_file(b"pipe").is_err());
    }
}
