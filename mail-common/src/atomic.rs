//! The only module that creates stored files and gives them their names.
//!
//! A file is written once: under a name that nobody reads, complete, synced, then renamed. A
//! directory is created private (0700), a file too (0600), before anything is in it.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the module that the others must use instead"
)]

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::{Pid, geteuid, test_kill_process};

use crate::beneath::{self, Beneath};
use crate::checksum::{Sha256, Sha256Writer};
use crate::relpath::RelPath;

const BUFFER_BYTES: usize = 256 * 1024;
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
const TEMPORARY_PREFIX: &str = ".tmp-";

/// For how long a temporary file may be somebody's who is not to be seen from here.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(60 * 60);

/// A new file under construction, hashed on the way. Dropped without `finish`, it stays as it is:
/// unsynced, and cleared together with the staging directory that holds it.
#[derive(Debug)]
pub struct StoredFile {
    writer: BufWriter<Sha256Writer<File>>,
}

/// What was written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Length of the file.
    pub bytes: u64,
    /// Digest of its content.
    pub sha256: Sha256,
}

/// How a file got its second name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// The same inode.
    HardLink,
    /// A new inode that shares the data until one of them is written (FICLONE).
    Reflink,
    /// A copy of the bytes.
    Copy,
}

/// Whether two names changed places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// They did, in one step.
    Done,
    /// The file system or the kernel cannot; nothing was changed.
    Unsupported,
}

impl StoredFile {
    /// Creates `path`, which must not exist (not even as a symlink), with mode 0600.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, else as open(2).
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::create_in(CWD, path.as_os_str())
    }

    /// As [`create`](Self::create), under a name in an open directory.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_in(directory: impl AsFd, name: &OsStr) -> io::Result<Self> {
        let file = create_new(directory.as_fd(), name)?;
        Ok(Self {
            writer: BufWriter::with_capacity(BUFFER_BYTES, Sha256Writer::new(file)),
        })
    }

    /// Writes what is buffered and waits until the content is on stable storage. The name is not:
    /// sync its directory.
    ///
    /// # Errors
    /// As write(2) and fsync(2).
    pub fn finish(self) -> io::Result<Stored> {
        let (stored, file) = self.finish_unsynced()?;
        file.sync_all()?;
        Ok(stored)
    }

    /// As [`finish`](Self::finish), but leaves it to the caller to sync the file, on another thread
    /// for example.
    ///
    /// # Errors
    /// As write(2).
    pub fn finish_unsynced(self) -> io::Result<(Stored, File)> {
        let writer = self
            .writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let (file, sha256, bytes) = writer.into_parts();
        Ok((Stored { bytes, sha256 }, file))
    }
}

impl Write for StoredFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.writer.write(data)
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.writer.write_all(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes a whole small file so that `path` names either the old content or all of the new one,
/// also after a crash. What processes that were killed at this have left beside it goes.
///
/// # Errors
/// As the system calls; the temporary file is gone then and `path` is untouched.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<Stored> {
    write_file_for(path, bytes, FILE_MODE)
}

/// As [`write_file`], with permission bits of its own, whatever the umask: for files that other
/// users read.
///
/// # Errors
/// As [`write_file`].
pub fn write_file_for(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Stored> {
    let (temporary, mut file) = with_temporary_name(path, StoredFile::create)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| fs::set_permissions(&temporary, Permissions::from_mode(mode)))
        .and_then(|()| file.finish())
        .and_then(|stored| fs::rename(&temporary, path).map(|()| stored));
    let stored = written.inspect_err(|_| discard(&temporary))?;
    clear_left_behind(parent_of(path));
    sync_parent(path)?;
    Ok(stored)
}

/// Points the symlink `link` at `target` in one step, whether or not it exists yet.
///
/// # Errors
/// As the system calls, for example when `link` is a directory.
pub(crate) fn replace_symlink(link: &Path, target: &Path) -> io::Result<()> {
    let (temporary, ()) =
        with_temporary_name(link, |name| std::os::unix::fs::symlink(target, name))?;
    fs::rename(&temporary, link).inspect_err(|_| discard(&temporary))?;
    sync_parent(link)
}

/// Whether `name` is one that [`write_file`] and `replace_symlink` use on the way: what a crash
/// leaves behind.
#[must_use]
pub fn is_temporary_name(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
}

/// Whether `name` is a temporary one, of a process that is gone, and was `modified` long before
/// `now`.
///
/// The number of a process says something within its PID namespace only: one in a container that
/// shares the directory looks gone while it writes. A file that nobody has written to for
/// [`LEFT_BEHIND_AFTER`] is nobody's. A time that is yet to come, by another clock, is no age.
#[must_use]
pub fn is_left_behind(name: &[u8], modified: SystemTime, now: SystemTime) -> bool {
    let age = now.duration_since(modified);
    age.is_ok_and(|age| age >= LEFT_BEHIND_AFTER) && is_of_dead_process(name)
}

fn is_of_dead_process(name: &[u8]) -> bool {
    let pid = || {
        let name = std::str::from_utf8(name).ok()?;
        let (pid, number) = name.strip_prefix(TEMPORARY_PREFIX)?.split_once('-')?;
        number.parse::<u64>().ok()?;
        Pid::from_raw(pid.parse().ok()?)
    };
    pid().is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Creates one directory, mode 0700.
///
/// # Errors
/// As mkdir(2).
pub fn create_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(DIRECTORY_MODE).create(path)
}

/// Creates a directory and those above it where they are missing, each with mode 0700.
///
/// # Errors
/// As mkdir(2).
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .mode(DIRECTORY_MODE)
        .recursive(true)
        .create(path)
}

/// Creates the directory at `path` below `root` and those above it where they are missing, each
/// with mode 0700, and opens it. The names of the new ones are synced. No link is followed on the
/// way.
///
/// # Errors
/// As mkdirat(2); ELOOP when a link stands in the way.
pub fn create_dir_all_beneath(root: &Beneath, path: &RelPath) -> io::Result<OwnedFd> {
    let mut current = match root.directory(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => root.directory(&RelPath::root())?,
        result => return result,
    };
    for name in path.components().map(OsStr::from_bytes) {
        match rustix::fs::mkdirat(&current, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) => sync_open_dir(&current)?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        current = beneath::directory_in(&current, name)?;
    }
    Ok(current)
}

/// Waits until the names in `dir` are on stable storage.
///
/// # Errors
/// As open(2) and fsync(2); a file system that cannot sync directories (EINVAL) is left to itself.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    sync_open_dir(File::open(dir)?)
}

/// As [`sync_dir`], for a directory that is open.
///
/// # Errors
/// As fsync(2), with the same exception.
pub fn sync_open_dir(directory: impl AsFd) -> io::Result<()> {
    match rustix::fs::fsync(directory) {
        Err(Errno::INVAL) => Ok(()),
        result => Ok(result?),
    }
}

/// Syncs the directory that holds `path`.
///
/// # Errors
/// As [`sync_dir`].
pub fn sync_parent(path: &Path) -> io::Result<()> {
    sync_dir(parent_of(path))
}

/// Syncs `dir` and every directory below it, the deepest first. Files are synced by who wrote them.
///
/// # Errors
/// As [`sync_dir`] and readdir(3).
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_dir(dir)
}

/// Removes whatever `path` names, a directory with all that is in it; nothing there is success. A
/// symlink is removed, not followed, at every depth.
///
/// # Errors
/// As unlink(2) and rmdir(2).
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// As [`remove_tree`], for a name in an open directory.
///
/// # Errors
/// As [`remove_tree`].
pub fn remove_tree_in(directory: impl AsFd, name: &OsStr) -> io::Result<()> {
    let removed = match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {
            empty(&beneath::directory_in(&directory, name)?)?;
            rustix::fs::unlinkat(&directory, name, AtFlags::REMOVEDIR)
        }
        removed => removed,
    };
    match removed {
        Err(Errno::NOENT) => Ok(()),
        result => Ok(result?),
    }
}

/// Removes all that is in a directory.
fn empty(directory: &OwnedFd) -> io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if ![".", ".."].map(OsStr::new).contains(&name) {
            remove_tree_in(directory, name)?;
        }
    }
    Ok(())
}

/// Gives the content of `from` the new name `to`: a hard link; where that cannot be, a reflink;
/// else a copy. The new content is synced, the name is not.
///
/// # Errors
/// `AlreadyExists` when `to` is taken, `FilesystemLoop` when `from` is a symlink and cannot be
/// linked, else as the system calls. No half copy stays behind.
pub fn link_or_copy(from: &Path, to: &Path) -> io::Result<Linked> {
    link_or_copy_between(CWD, from.as_os_str(), CWD, to.as_os_str())
}

/// As [`link_or_copy`], from a name in one open directory to a name in another.
///
/// # Errors
/// As [`link_or_copy`].
pub fn link_or_copy_between(
    from_directory: impl AsFd,
    from: &OsStr,
    to_directory: impl AsFd,
    to: &OsStr,
) -> io::Result<Linked> {
    let (old, new) = (from_directory.as_fd(), to_directory.as_fd());
    match link_between(old, from, new, to)? {
        Some(linked) => Ok(linked),
        None => copy(old, from, new, to),
    }
}

/// As [`link_or_copy_between`], but a hard link or nothing: `None` where there can be none.
///
/// # Errors
/// As [`link_or_copy`].
pub fn link_between(
    from_directory: impl AsFd,
    from: &OsStr,
    to_directory: impl AsFd,
    to: &OsStr,
) -> io::Result<Option<Linked>> {
    let (old, new) = (from_directory.as_fd(), to_directory.as_fd());
    match rustix::fs::linkat(old, from, new, to, AtFlags::empty()) {
        Ok(()) => Ok(Some(Linked::HardLink)),
        Err(errno) if cannot_link(errno) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Renames `from` to `to`, which must not exist, in one step.
///
/// Where the file system has no `RENAME_NOREPLACE` the name is looked up first, so keep other
/// writers away.
///
/// # Errors
/// `AlreadyExists` when `to` is taken, else as rename(2).
pub fn rename_into_place(from: &Path, to: &Path) -> io::Result<()> {
    rename_between(CWD, from.as_os_str(), CWD, to.as_os_str())
}

/// As [`rename_into_place`], from a name in one open directory to a name in another: where others
/// own a directory on the way, a path may lead elsewhere by now, and a descriptor does not.
///
/// # Errors
/// `AlreadyExists` when `to` is taken, else as renameat(2).
pub fn rename_between(
    from_directory: impl AsFd,
    from: &OsStr,
    to_directory: impl AsFd,
    to: &OsStr,
) -> io::Result<()> {
    let (old, new) = (from_directory.as_fd(), to_directory.as_fd());
    match rustix::fs::renameat_with(old, from, new, to, RenameFlags::NOREPLACE) {
        Err(errno) if lacks_flags(errno) => rename_if_absent(old, from, new, to),
        result => Ok(result?),
    }
}

/// Lets `a` and `b` change places in one step (`RENAME_EXCHANGE`, rename(2)): at no moment is
/// either name absent.
///
/// # Errors
/// `NotFound` when one of them does not exist, else as rename(2).
pub fn exchange(a: &Path, b: &Path) -> io::Result<Exchanged> {
    exchange_in(CWD, a.as_os_str(), b.as_os_str())
}

/// As [`exchange`], for two names in one open directory.
///
/// # Errors
/// As [`exchange`].
pub fn exchange_in(directory: impl AsFd, a: &OsStr, b: &OsStr) -> io::Result<Exchanged> {
    match rustix::fs::renameat_with(&directory, a, &directory, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(Exchanged::Done),
        Err(errno) if lacks_flags(errno) => Ok(Exchanged::Unsupported),
        Err(errno) => Err(errno.into()),
    }
}

fn create_new(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(FILE_MODE);
    Ok(rustix::fs::openat(directory, name, flags, mode)?.into())
}

/// Calls `create` with names beside `path` until one is free. The name does not contain that of
/// `path`, which may already be as long as a name can be.
fn with_temporary_name<T>(
    path: &Path,
    create: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name =
            parent_of(path).join(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
        match create(&name) {
            // A dead process with the same number left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|created| (name, created)),
        }
    }
}

/// Removes a temporary file after a failure, which matters more than whether this succeeds.
fn discard(temporary: &Path) {
    let _ = fs::remove_file(temporary);
}

/// Removes the temporary files of processes that are gone. Nobody reads them: what cannot be
/// removed takes no more than room.
fn clear_left_behind(dir: &Path) {
    let now = SystemTime::now();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_ours = |found: &Metadata| found.is_file() && found.uid() == geteuid().as_raw();
        let found = entry.metadata().ok().filter(is_ours);
        let modified = found.and_then(|found| found.modified().ok());
        let name = entry.file_name();
        if modified.is_some_and(|modified| is_left_behind(name.as_bytes(), modified, now)) {
            discard(&entry.path());
        }
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn copy(old: BorrowedFd<'_>, from: &OsStr, new: BorrowedFd<'_>, to: &OsStr) -> io::Result<Linked> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::openat(old, from, flags, Mode::empty())?.into();
    let target = create_new(new, to)?;
    let copied =
        copy_content(&source, &target).and_then(|linked| target.sync_all().map(|()| linked));
    copied.inspect_err(|_| {
        // The failure matters more than whether this succeeds.
        let _ = rustix::fs::unlinkat(new, to, AtFlags::empty());
    })
}

fn copy_content(mut source: &File, mut target: &File) -> io::Result<Linked> {
    if rustix::fs::ioctl_ficlone(target, source).is_ok() {
        return Ok(Linked::Reflink);
    }
    io::copy(&mut source, &mut target)?;
    Ok(Linked::Copy)
}

/// link(2): another file system, no hard links there, too many of them, or not permitted
/// (`protected_hardlinks`).
fn cannot_link(errno: Errno) -> bool {
    let unlinkable = [
        Errno::XDEV,
        Errno::PERM,
        Errno::MLINK,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
    ];
    unlinkable.contains(&errno)
}

/// rename(2): EINVAL is what a file system says that does not know the flag, ENOSYS a kernel.
fn lacks_flags(errno: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].contains(&errno)
}

fn rename_if_absent(
    old: BorrowedFd<'_>,
    from: &OsStr,
    new: BorrowedFd<'_>,
    to: &OsStr,
) -> io::Result<()> {
    match rustix::fs::statat(new, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(Errno::NOENT) => Ok(rustix::fs::renameat(old, from, new, to)?),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
#[path = "atomic_tests.rs"]
mod tests;
