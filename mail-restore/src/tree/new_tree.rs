//! Makes the entries of a new tree by their paths. Directories are walked one by one and links
//! never followed, so that no archive can write outside the tree; no entry is written twice, so
//! that none can be hidden by another.
//!
//! Attributes of directories wait until the end. A directory that got its mode at once might not
//! let anything more into it, its time would be changed by each entry, and its ACL by default would
//! be given to all of them; so it is the caller's alone until nothing more is put into it, and the
//! deepest is finished first, while what leads to it can still be passed. A file is created with
//! the mode that it will have, less the umask, and so mostly needs no further call.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use mail_common::atomic;
use mail_common::relpath::RelPath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Attributes, Born, Refused};
use super::owners::Owners;

/// How much of a file is in memory at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Until they get their own mode, directories are the caller's alone.
const DIRECTORY_MODE: u32 = 0o700;

/// A tree under construction in a directory of its own. Threads make entries in it, each with a
/// [`Maker`].
#[derive(Debug)]
pub(crate) struct NewTree {
    path: PathBuf,
    root: OwnedFd,
    owners: Owners,
    /// Whose new entries are.
    maker: (u32, u32),
    /// Permission bits that new entries do not get.
    umask: u32,
    state: Mutex<State>,
}

/// What is done, or said, when all entries are there.
#[derive(Debug, Default)]
struct State {
    /// Attributes of directories, given when nothing more is put into them.
    directories: BTreeMap<RelPath, Attributes>,
    /// Extended attributes that were not taken: how often, and why the first time.
    refused: BTreeMap<String, (u64, String)>,
    /// Entries whose owners were not applied.
    unapplied: Vec<(RelPath, Attributes)>,
}

/// What a finished tree lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// A sentence for each extended attribute that was not taken, and for each file that was not
    /// made.
    pub(crate) sentences: Vec<String>,
    /// Entries whose owners were not applied.
    pub(crate) owners: Vec<(RelPath, Attributes)>,
}

impl Lacking {
    /// Adds what the tree at `at` in this one lacks.
    pub(crate) fn add(&mut self, at: &RelPath, other: Self) {
        self.sentences.extend(other.sentences);
        self.owners.extend(
            other
                .owners
                .into_iter()
                .map(|(path, attributes)| (path.below(at), attributes)),
        );
    }
}

/// What stands at a path of a tree.
#[derive(Debug)]
pub(crate) enum Standing {
    Nothing,
    File(File),
    /// Something that stays: a directory, or what is on the way and is none.
    Other,
}

/// What is to be made.
pub(crate) enum Entry<'a> {
    Directory,
    File(&'a mut dyn Read),
    Symlink(&'a [u8]),
    /// Another name of the file at this path of the tree.
    HardLink(&'a RelPath),
}

impl NewTree {
    /// Builds in the directory `path`, which is empty and the caller's alone.
    pub(crate) fn open(path: &Path, owners: Owners) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        // Whether a file gets its group from the process or, by a mount option or a bit of the
        // mode, from the directory that it is made in: it is the same one.
        rustix::fs::fchown(&root, Some(uid), Some(gid))?;
        rustix::fs::fchmod(&root, Mode::RWXU)?;
        let maker = (uid.as_raw(), gid.as_raw());
        Ok(Self {
            path: path.to_owned(),
            root,
            owners,
            maker,
            umask: umask(),
            state: Mutex::default(),
        })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// One hand that makes entries.
    pub(crate) fn maker(&self) -> Maker<'_> {
        Maker {
            tree: self,
            parent: None,
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    /// Empties the directory `path`, or makes it, so that another tree can be built in it. Returns
    /// where it is.
    pub(crate) fn clear(&self, path: &RelPath) -> io::Result<PathBuf> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        // Every directory above it is a real one, so that its path leads to it and nowhere else.
        self.open_directory(&parent)?;
        let whole = self.path.join(path.as_path());
        atomic::remove_tree(&whole)?;
        atomic::create_dir(&whole)?;
        self.state()
            .directories
            .retain(|directory, _| !directory.is_within(path));
        Ok(whole)
    }

    /// Gives the directories their attributes, the deepest first; the root gets those of `root`
    /// where no entry was made for it. What was not taken is in the result.
    pub(crate) fn finish(&self, root: Option<Attributes>) -> io::Result<Lacking> {
        let mut directories = std::mem::take(&mut self.state().directories);
        if let Some(root) = root {
            directories.entry(RelPath::root()).or_insert(root);
        }
        let mut deepest_first: Vec<_> = directories.into_iter().collect();
        deepest_first.sort_by_key(|(path, _)| std::cmp::Reverse(path.depth()));
        for (path, attributes) in deepest_first {
            let directory = self.open_directory(&path)?;
            self.settle(&path, &attributes, directory.as_fd(), DIRECTORY_MODE)?;
        }
        let State {
            refused, unapplied, ..
        } = std::mem::take(&mut *self.state());
        let sentence = |(name, (count, reason)): (String, (u64, String))| {
            format!("{count} entries are without their extended attribute {name}: {reason}")
        };
        Ok(Lacking {
            sentences: refused.into_iter().map(sentence).collect(),
            owners: unapplied,
        })
    }

    /// Makes `path`, which is a file already, another name of the file `first`, which is equal to
    /// it.
    pub(crate) fn join(&self, first: &RelPath, path: &RelPath) -> io::Result<()> {
        let parent =
            |path: &RelPath| self.open_directory(&path.parent().unwrap_or_else(RelPath::root));
        let (from, to) = (parent(first)?, parent(path)?);
        rustix::fs::unlinkat(&to, path.name(), AtFlags::empty())?;
        Ok(rustix::fs::linkat(
            &from,
            first.name(),
            &to,
            path.name(),
            AtFlags::empty(),
        )?)
    }

    /// Gives an entry that was made with `mode` its attributes, and notes what cannot be given.
    fn settle(
        &self,
        path: &RelPath,
        attributes: &Attributes,
        file: BorrowedFd<'_>,
        mode: u32,
    ) -> io::Result<()> {
        let born = Born {
            mode,
            owner: self.maker,
        };
        let refused = attributes.apply(file, self.owners.owner(attributes), born)?;
        self.note(path, attributes, refused);
        Ok(())
    }

    fn note(&self, path: &RelPath, attributes: &Attributes, refused: Vec<Refused>) {
        if self.owners == Owners::Apply && refused.is_empty() {
            return;
        }
        let mut state = self.state();
        for Refused { name, reason } in refused {
            state
                .refused
                .entry(name)
                .or_insert_with(|| (0, reason.to_string()))
                .0 += 1;
        }
        if self.owners == Owners::Record {
            state.unapplied.push((
                path.clone(),
                Attributes {
                    xattrs: Vec::new(),
                    ..*attributes
                },
            ));
        }
    }

    /// What stands at `path`. A symbolic link gives way: it is removed.
    pub(crate) fn stands_at(&self, path: &RelPath) -> io::Result<Standing> {
        let parent = match self.open_directory(&path.parent().unwrap_or_else(RelPath::root)) {
            Err(error) if is_no_directory(&error) => return Ok(Standing::Other),
            parent => parent?,
        };
        let found = match rustix::fs::statat(&parent, path.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Standing::Nothing),
            found => found?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, path.name(), flags, Mode::empty())?;
                Ok(Standing::File(file.into()))
            }
            FileType::Symlink => {
                rustix::fs::unlinkat(&parent, path.name(), AtFlags::empty())?;
                Ok(Standing::Nothing)
            }
            _ => Ok(Standing::Other),
        }
    }

    /// Opens a directory, which is made with those above it where it is missing.
    fn open_directory(&self, path: &RelPath) -> io::Result<OwnedFd> {
        let mut directory = self.root.try_clone()?;
        for name in path.components() {
            directory = open_or_make(directory.as_fd(), name)?;
        }
        Ok(directory)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it held the lock has left whole values behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_no_directory(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::LOOP | Errno::NOTDIR)
    )
}

/// Makes entries in a tree, one after the other.
#[derive(Debug)]
pub(crate) struct Maker<'a> {
    tree: &'a NewTree,
    /// The directory of the last entry: the next one is often in it too.
    parent: Option<(RelPath, OwnedFd)>,
    buffer: Vec<u8>,
}

impl Maker<'_> {
    /// Makes one entry; directories above it are made where they are missing. Returns the bytes of
    /// a file's content.
    ///
    /// # Errors
    /// `AlreadyExists` when the tree has an entry of this name, `FilesystemLoop` or `NotADirectory`
    /// when a part of the path is not a directory, else as the system calls.
    pub(crate) fn make(
        &mut self,
        path: &RelPath,
        entry: Entry<'_>,
        attributes: Attributes,
    ) -> io::Result<u64> {
        match entry {
            Entry::Directory => self.make_directory(path, attributes).map(|()| 0),
            Entry::File(content) => self.make_file(path, content, &attributes),
            Entry::Symlink(target) => self.make_symlink(path, target, &attributes).map(|()| 0),
            Entry::HardLink(target) => self.make_hard_link(path, target).map(|()| 0),
        }
    }

    /// Where the entry `path` is, or would be.
    pub(crate) fn target(&self, path: &RelPath) -> PathBuf {
        self.tree.path.join(path.as_path())
    }

    fn make_directory(&mut self, path: &RelPath, attributes: Attributes) -> io::Result<()> {
        self.tree.open_directory(path)?;
        match self
            .tree
            .state()
            .directories
            .insert(path.clone(), attributes)
        {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn make_file(
        &mut self,
        path: &RelPath,
        content: &mut dyn Read,
        attributes: &Attributes,
    ) -> io::Result<u64> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut buffer = std::mem::take(&mut self.buffer);
        let parent = self.parent_of(path)?;
        // Nobody else can reach it before it is whole: the tree's own directory is the caller's
        // alone.
        let mode = attributes.mode & 0o777;
        let file = File::from(rustix::fs::openat(
            parent,
            path.name(),
            flags,
            Mode::from_raw_mode(mode),
        )?);
        let copied = copy(content, &file, &mut buffer);
        self.buffer = buffer;
        let bytes = copied?;
        self.tree
            .settle(path, attributes, file.as_fd(), mode & !self.tree.umask)?;
        Ok(bytes)
    }

    fn make_symlink(
        &mut self,
        path: &RelPath,
        target: &[u8],
        attributes: &Attributes,
    ) -> io::Result<()> {
        let owner = self.tree.owners.owner(attributes);
        let parent = self.parent_of(path)?;
        rustix::fs::symlinkat(target, parent, path.name())?;
        attributes.apply_to_link(parent, path.name(), owner)
    }

    fn make_hard_link(&mut self, path: &RelPath, target: &RelPath) -> io::Result<()> {
        let from = self
            .tree
            .open_directory(&target.parent().unwrap_or_else(RelPath::root))?;
        let parent = self.parent_of(path)?;
        Ok(rustix::fs::linkat(
            &from,
            target.name(),
            parent,
            path.name(),
            AtFlags::empty(),
        )?)
    }

    /// The directory that holds `path`, made where it is missing.
    fn parent_of(&mut self, path: &RelPath) -> io::Result<BorrowedFd<'_>> {
        let wanted = path.parent().ok_or(io::ErrorKind::AlreadyExists)?;
        let is_open = self
            .parent
            .as_ref()
            .is_some_and(|(open, _)| *open == wanted);
        if !is_open {
            let directory = self.tree.open_directory(&wanted)?;
            self.parent = Some((wanted, directory));
        }
        Ok(self
            .parent
            .as_ref()
            .map_or(self.tree.root.as_fd(), |(_, directory)| directory.as_fd()))
    }
}

/// That of the process; it can only be read by setting it, so once and for a moment.
fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        rustix::process::umask(umask);
        umask.as_raw_mode()
    })
}

fn open_or_make(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = std::ffi::OsStr::from_bytes(name);
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        result => return Ok(result?),
    }
    match rustix::fs::mkdirat(directory, name, Mode::RWXU) {
        // Another thread was faster.
        Ok(()) | Err(Errno::EXIST) => {
            Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn copy(content: &mut dyn Read, mut file: &File, buffer: &mut [u8]) -> io::Result<u64> {
    let mut bytes = 0;
    loop {
        // Filled as far as it goes: one call of the kernel for a message.
        let length = fill(content, buffer)?;
        file.write_all(&buffer[..length])?;
        bytes += length as u64;
        if length < buffer.len() {
            return Ok(bytes);
        }
    }
}

fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match content.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a file of somebody else")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn mine(mode: u32) -> Attributes {
        let process = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        Attributes {
            mode,
            uid: process.0,
            gid: process.1,
            mtime_ns: 1_234_567_890_123_456_789,
            xattrs: Vec::new(),
        }
    }

    fn tree() -> (tempfile::TempDir, NewTree) {
        let dir = tempfile::tempdir().unwrap();
        let tree = NewTree::open(dir.path(), Owners::Apply).unwrap();
        (dir, tree)
    }

    fn file(maker: &mut Maker<'_>, name: &str, content: &[u8]) -> io::Result<u64> {
        maker.make(&path(name), Entry::File(&mut &content[..]), mine(0o640))
    }

    #[test]
    fn entries_have_their_content_mode_and_time() {
        let (dir, tree) = tree();
        let mut maker = tree.maker();
        let content = vec![7; BUFFER_BYTES * 2];
        assert_eq!(
            file(&mut maker, "a/b/large", &content).unwrap(),
            content.len() as u64
        );
        file(&mut maker, "a/b/empty", b"").unwrap();
        maker
            .make(&path("a/b"), Entry::Directory, mine(0o2750))
            .unwrap();
        maker
            .make(&path("a/link"), Entry::Symlink(b"/nowhere"), mine(0o777))
            .unwrap();
        maker
            .make(
                &path("a/second"),
                Entry::HardLink(&path("a/b/large")),
                mine(0),
            )
            .unwrap();
        assert_eq!(tree.finish(None).unwrap(), Lacking::default());
        let stat = |name: &str| fs::symlink_metadata(dir.path().join(name)).unwrap();
        assert_eq!(fs::read(dir.path().join("a/b/large")).unwrap(), content);
        assert_eq!(stat("a/second").ino(), stat("a/b/large").ino());
        for (name, mode) in [("a/b", 0o2750), ("a/b/empty", 0o640), ("a/b/large", 0o640)] {
            assert_eq!(stat(name).permissions().mode() & 0o7777, mode, "{name}");
            assert_eq!(
                (stat(name).mtime(), stat(name).mtime_nsec()),
                (1_234_567_890, 123_456_789),
                "{name}"
            );
        }
        assert_eq!(
            fs::read_link(dir.path().join("a/link")).unwrap(),
            Path::new("/nowhere")
        );
        assert_eq!(stat("a/link").mtime_nsec(), 123_456_789);
    }

    #[test]
    fn no_path_leads_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        let (dir, tree) = tree();
        let mut maker = tree.maker();
        maker
            .make(
                &path("out"),
                Entry::Symlink(outside.path().as_os_str().as_bytes()),
                mine(0),
            )
            .unwrap();
        assert!(file(&mut maker, "out/file", b"x").is_err());
        assert!(file(&mut maker, "out", b"x").is_err());
        assert!(
            maker
                .make(&path("out"), Entry::Directory, mine(0o700))
                .is_err()
        );
        assert!(
            maker
                .make(&path("out/new"), Entry::Directory, mine(0o700))
                .is_err()
        );
        assert!(
            maker
                .make(&path("out/link"), Entry::Symlink(b"x"), mine(0))
                .is_err()
        );
        fs::write(outside.path().join("secret"), b"s").unwrap();
        assert!(
            maker
                .make(
                    &path("stolen"),
                    Entry::HardLink(&path("out/secret")),
                    mine(0)
                )
                .is_err()
        );
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert!(!dir.path().join("stolen").exists());
    }

    #[test]
    fn nothing_is_written_twice() {
        let (dir, tree) = tree();
        let mut maker = tree.maker();
        file(&mut maker, "a", b"first").unwrap();
        assert_eq!(
            file(&mut maker, "a", b"second").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        maker
            .make(&path("d"), Entry::Directory, mine(0o700))
            .unwrap();
        let again = maker
            .make(&path("d"), Entry::Directory, mine(0o777))
            .unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        symlink("a", dir.path().join("planted")).unwrap();
        assert!(file(&mut maker, "planted", b"x").is_err());
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"first");
    }

    #[test]
    fn owners_that_cannot_be_given_are_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let tree = NewTree::open(dir.path(), Owners::Record).unwrap();
        let attributes = Attributes {
            mode: 0o600,
            uid: 5000,
            gid: 5000,
            ..Attributes::default()
        };
        tree.maker()
            .make(&path("f"), Entry::File(&mut &b""[..]), attributes)
            .unwrap();
        let unapplied = tree.finish(None).unwrap().owners;
        assert_eq!(
            (unapplied[0].0.to_string().as_str(), unapplied[0].1.uid),
            ("f", 5000)
        );
    }
}
