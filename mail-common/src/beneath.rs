//! What lies below a directory, opened never through a symbolic link and without waiting.
//!
//! Whoever may write into a mailbox, a backup disk or a store can put a link where a file or a
//! directory was, or a named pipe that nobody ever writes to. A path of theirs is not a path for
//! root: it is resolved one name after another, from a descriptor that is already open.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, statat};
use rustix::io::Errno;

use crate::relpath::RelPath;

/// An open directory.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
}

impl Beneath {
    /// Opens the directory at `path`. The way to it is the administrator's and may hold links; what
    /// is opened below it later is not reached through any.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// Opens the directory `name` in one that is open.
    ///
    /// # Errors
    /// As [`Beneath::directory`].
    pub fn in_directory(directory: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
        directory_in(directory, name)
    }

    /// Opens a directory.
    ///
    /// # Errors
    /// As openat2(2): ELOOP when a link stands in the way.
    pub fn directory(&self, path: &RelPath) -> io::Result<OwnedFd> {
        open_beneath(&self.root, path.as_path(), OFlags::DIRECTORY)
    }

    /// Opens for reading what is at `path`, whatever it is; does not wait for the other end of a
    /// named pipe.
    ///
    /// # Errors
    /// As [`Beneath::directory`].
    pub fn any_file(&self, path: &RelPath) -> io::Result<File> {
        open_beneath(&self.root, path.as_path(), OFlags::NONBLOCK).map(File::from)
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// As [`Beneath::directory`]; `InvalidInput` when something else stands there.
    pub fn regular_file(&self, path: &RelPath) -> io::Result<File> {
        must_be_regular(self.any_file(path)?)
    }

    /// What is in the directory at `path`, in any order, a link as a link.
    ///
    /// # Errors
    /// As [`Beneath::directory`] and getdents(2).
    pub fn entries(&self, path: &RelPath) -> io::Result<Vec<(RelPath, Stat)>> {
        let directory = self.directory(path)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if [&b"."[..], b".."].contains(&name) {
                continue;
            }
            match statat(
                &directory,
                OsStr::from_bytes(name),
                AtFlags::SYMLINK_NOFOLLOW,
            ) {
                // It has gone meanwhile.
                Err(Errno::NOENT) => {}
                found => entries.push((path.child(name).map_err(io::Error::other)?, found?)),
            }
        }
        Ok(entries)
    }

    /// The first link on the way to `path`, `path` itself included: what an ELOOP is about.
    #[must_use]
    pub fn link_on(&self, path: &RelPath) -> Option<RelPath> {
        let mut reached = RelPath::root();
        for name in path.components() {
            let above = self.directory(&reached).ok()?;
            reached = reached.child(name).ok()?;
            if is_link(&above, OsStr::from_bytes(name)) {
                return Some(reached);
            }
        }
        None
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Opens the regular file at `path` for reading. The directories on the way to it are the
/// administrator's; the file itself may be no link.
///
/// # Errors
/// As open(2): ELOOP for a link; `InvalidInput` when it is not a regular file.
pub fn regular_file(path: &Path) -> io::Result<File> {
    open_regular(path, OFlags::RDONLY)
}

/// Reads the regular file at `path` whole.
///
/// # Errors
/// As [`regular_file`] and read(2).
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    regular_file(path)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Opens the regular file at `path` for reading and writing; it is not made.
///
/// # Errors
/// As [`regular_file`].
pub fn regular_file_to_write(path: &Path) -> io::Result<File> {
    open_regular(path, OFlags::RDWR)
}

/// Opens a tool's own file at `path`, such as a lock, for reading and writing. Where it is not
/// there it is made, for its owner alone; what it holds stays.
///
/// # Errors
/// As [`regular_file`].
pub fn own_file(path: &Path) -> io::Result<File> {
    open_regular(path, OFlags::RDWR | OFlags::CREATE)
}

fn open_regular(path: &Path, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    must_be_regular(rustix::fs::open(path, flags, mode)?.into())
}

fn must_be_regular(file: File) -> io::Result<File> {
    let mode = rustix::fs::fstat(&file)?.st_mode;
    if FileType::from_raw_mode(mode) == FileType::RegularFile {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "not a regular file",
    ))
}

/// Opens the directory `name` of an open one; ELOOP when it is a link.
pub(crate) fn directory_in(directory: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    open_beneath(directory, Path::new(name), OFlags::DIRECTORY)
}

/// Opens `path` below `directory`; no component of it may be a link or lead upwards.
fn open_beneath(directory: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(&directory, path, flags, Mode::empty(), resolve) {
        // Kernels before 5.6, and sandboxes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(directory.as_fd(), path, flags),
        // A link at the end in the place of a directory; on the way it is ELOOP.
        Err(Errno::NOTDIR) if is_link(&directory, path.as_os_str()) => Err(Errno::LOOP.into()),
        result => Ok(result?),
    }
}

/// The same without openat2: each directory is opened from the one above it, so that a name which
/// is exchanged for a link meanwhile is refused where it stands.
fn open_step_by_step(directory: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let names = names_of(path)?;
    let Some((last, above)) = names.split_last() else {
        return Ok(rustix::fs::openat(directory, ".", flags, Mode::empty())?);
    };
    let mut current = rustix::fs::openat(directory, ".", on_the_way, Mode::empty())?;
    for name in above {
        current = open_one(&current, name, on_the_way)?;
    }
    open_one(&current, last, flags)
}

fn open_one(directory: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        // A link in the place of a directory.
        Err(Errno::NOTDIR) if is_link(directory, name) => Err(Errno::LOOP.into()),
        result => Ok(result?),
    }
}

fn names_of(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Errno::XDEV.into());
            }
        }
    }
    Ok(names)
}

fn is_link(directory: impl AsFd, name: &OsStr) -> bool {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::CWD;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    /// A directory with a file, and with links, a pipe and a directory where files are expected.
    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("in/deep")).unwrap();
        fs::create_dir(at("outside")).unwrap();
        fs::write(at("in/deep/file"), "mine").unwrap();
        fs::write(at("outside/file"), "theirs").unwrap();
        symlink("../outside", at("in/link")).unwrap();
        symlink("deep/file", at("in/alias")).unwrap();
        rustix::fs::mknodat(CWD, at("in/pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        dir
    }

    /// `expected` is `None` for what opens and is not a regular file.
    fn check_refused(name: &str, expected: Option<Errno>) {
        let dir = sample();
        let beneath = Beneath::open(&dir.path().join("in")).unwrap();
        let error = beneath.regular_file(&path(name)).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), expected, "{name}: {error}");

        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = open_step_by_step(&beneath, Path::new(name), flags);
        let error = opened
            .and_then(|file| must_be_regular(file.into()))
            .unwrap_err();
        let found = Errno::from_io_error(&error);
        assert_eq!(found, expected, "{name}, without openat2: {error}");
    }

    #[test]
    fn a_file_is_reached_by_its_own_path_only() {
        let dir = sample();
        let beneath = Beneath::open(&dir.path().join("in")).unwrap();
        let mut content = String::new();
        let mut file = beneath.regular_file(&path("deep/file")).unwrap();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "mine");
        assert!(open_step_by_step(&beneath, Path::new("deep/file"), OFlags::RDONLY).is_ok());

        check_refused("link/file", Some(Errno::LOOP));
        check_refused("alias", Some(Errno::LOOP));
        check_refused("deep", None);
        check_refused("absent", Some(Errno::NOENT));
    }

    #[test]
    fn the_link_in_the_way_is_named() {
        let dir = sample();
        let beneath = Beneath::open(&dir.path().join("in")).unwrap();
        for (name, expected) in [
            ("link/file", Some("link")),
            ("link", Some("link")),
            ("alias", Some("alias")),
            ("deep/file", None),
            ("absent/file", None),
        ] {
            assert_eq!(beneath.link_on(&path(name)), expected.map(path), "{name}");
        }
        let error = beneath.directory(&path("link")).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::LOOP));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let error = open_step_by_step(&beneath, Path::new("link"), flags).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::LOOP));
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_at_once() {
        check_refused("pipe", None);
        let dir = sample();
        let error = regular_file(&dir.path().join("in/pipe")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn nothing_leads_upwards_without_openat2_either() {
        let dir = sample();
        let beneath = Beneath::open(&dir.path().join("in")).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        for name in ["../outside/file", "deep/../../outside/file", "/etc/passwd"] {
            let error = open_step_by_step(&beneath, Path::new(name), flags).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(Errno::XDEV), "{name}");
        }
    }
}
