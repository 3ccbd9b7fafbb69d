//! A directory as a store: a mounted disk, or the local half of a test.
//!
//! An object is a file, synced and complete before it has its name. The directory is never made: a
//! disk that is not mounted is an error, and not a place to write to.
//!
//! Others may write into the store, and root pushes: below the directory nothing is reached by
//! path, but from one open directory to the next, and never through a link.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use mail_common::atomic::{self, StoredFile};
use mail_common::beneath::Beneath;
use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use rustix::io::Errno;

use super::body::Body;
use super::error::{Cause, StoreError};
use super::listing::{Entry, FileFacts, entries, look_in};
use super::object::{
    Attributes, Billed, Confirmed, Download, Expiry, Found, Listed, Lock, Marks, NotListed,
    ObjectStore, Protection, Removal, TreeRemoval,
};
use crate::limit::{Limit, PIECE_BYTES};
use crate::place::put_in_place;

/// Read and written at a time.
const COPY_BYTES: usize = 256 * 1024;
/// What the disk costs is not in the price table.
const STORAGE_CLASS: &str = "FILE";

/// Objects as files below a directory.
#[derive(Debug)]
pub(crate) struct FileStore {
    /// As it is named in messages.
    directory: PathBuf,
    root: Beneath,
    limit: Option<Arc<Limit>>,
    interrupt: Interrupt,
    /// Files that could get no second name.
    unlinked: AtomicU64,
    is_unlinked_said: AtomicBool,
}

impl FileStore {
    /// The store in `directory`, which must be there.
    pub(crate) fn open(
        directory: &Path,
        limit: Option<Arc<Limit>>,
        interrupt: Interrupt,
    ) -> Result<Self, StoreError> {
        let failed = |error| StoreError::new("open", url(directory, ""), Cause::Io(error));
        Ok(Self {
            directory: directory.to_owned(),
            root: Beneath::open(directory).map_err(failed)?,
            limit,
            interrupt,
            unlinked: AtomicU64::new(0),
            is_unlinked_said: AtomicBool::new(false),
        })
    }

    fn failed(&self, doing: &'static str, key: &str, error: io::Error) -> StoreError {
        self.error(doing, key, Cause::Io(error))
    }

    fn error(&self, doing: &'static str, key: &str, cause: Cause) -> StoreError {
        let cause = match cause {
            Cause::Io(error) => self.cause_of(key, error),
            cause => cause,
        };
        StoreError::new(doing, self.url(key), cause)
    }

    /// Names the link, where one was in the way.
    fn cause_of(&self, key: &str, error: io::Error) -> Cause {
        if Errno::from_io_error(&error) != Some(Errno::LOOP) {
            return Cause::Io(error);
        }
        let path = RelPath::new(key.trim_end_matches('/')).ok();
        match path.and_then(|path| self.root.link_on(&path)) {
            Some(link) => Cause::Link {
                path: self.directory.join(link.as_path()),
            },
            None => Cause::Io(error),
        }
    }

    fn write(&self, directory: &OwnedFd, temporary: &OsStr, mut body: Body) -> Result<(), Cause> {
        let mut file = StoredFile::create_in(directory, temporary)?;
        let piece_bytes = if self.limit.is_some() {
            PIECE_BYTES
        } else {
            COPY_BYTES
        };
        while let Some(piece) = body.next(piece_bytes)? {
            self.interrupt.check()?;
            if let Some(limit) = &self.limit {
                limit.wait(piece.len());
            }
            file.write_all(&piece)?;
        }
        if body.bytes() == 0 {
            body.whole()?;
        }
        file.finish()?;
        Ok(())
    }

    /// Lets `make` write a temporary file, and gives it the name of the object.
    fn publish(
        &self,
        key: &str,
        make: impl FnOnce(&OwnedFd, &OsStr) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let (parent, name) = split(&path_of(key)?);
        let directory = atomic::create_dir_all_beneath(&self.root, &parent)?;
        let temporary = temporary_name();
        let published = make(&directory, &temporary)
            .and_then(|()| Ok(put_in_place(&directory, &temporary, &name)?));
        if published.is_err() {
            // The failure matters more than what it leaves: the next push clears it.
            let _ = atomic::remove_tree_in(&directory, &temporary);
        }
        published
    }

    fn open_from(&self, key: &str, from: u64) -> io::Result<(u64, File)> {
        let mut file = self.root.regular_file(&path_of(key)?)?;
        file.seek(SeekFrom::Start(from))?;
        Ok((file.metadata()?.len(), file))
    }

    /// The object, when it is still what was listed.
    fn unchanged(&self, listed: &Listed) -> Option<Source> {
        let (parent, name) = split(&path_of(&listed.key).ok()?);
        let directory = self.root.directory(&parent).ok()?;
        let Entry::File(facts) = look_in(&directory, &name).ok()? else {
            return None;
        };
        let is_unchanged = facts.bytes == listed.bytes && facts.modified == listed.modified;
        is_unchanged.then_some(Source {
            directory,
            name,
            facts,
        })
    }

    /// Every file below the directory part of `prefix`, hidden ones too.
    fn walk(
        &self,
        doing: &'static str,
        prefix: &str,
        each: &mut dyn FnMut(&RelPath, &FileFacts),
    ) -> Result<(), StoreError> {
        let start = prefix.rsplit_once('/').map_or(".", |(start, _)| start);
        let start = path_of(start).map_err(|error| self.failed(doing, prefix, error))?;
        let mut directories = vec![start];
        while let Some(directory) = directories.pop() {
            let listed = entries(&self.root, &directory)
                .map_err(|error| self.failed(doing, &directory.to_string_lossy(), error))?;
            for (path, entry) in listed {
                match entry {
                    Entry::Directory => directories.push(path),
                    Entry::File(facts) => each(&path, &facts),
                    Entry::Other => {}
                }
            }
        }
        Ok(())
    }
}

/// An object that is copied from.
struct Source {
    directory: OwnedFd,
    name: OsString,
    facts: FileFacts,
}

impl Source {
    /// Gives the content the name `to` as well. The name that it has may be another file's by now,
    /// so what was linked is looked at.
    fn link_to(&self, directory: impl AsFd, to: &OsStr) -> Result<(), NotLinked> {
        let directory = directory.as_fd();
        if atomic::link_between(&self.directory, &self.name, directory, to)?.is_none() {
            return Err(NotLinked::Impossible);
        }
        match look_in(directory, to)? {
            Entry::File(found) if found.is_same_file(&self.facts) => Ok(()),
            Entry::File(_) | Entry::Directory | Entry::Other => Err(NotLinked::Failed(
                io::Error::other("the object it is linked to was replaced meanwhile"),
            )),
        }
    }
}

/// Why a file got no second name.
enum NotLinked {
    /// The file system has none, or no more for this file.
    Impossible,
    Failed(io::Error),
}

impl From<io::Error> for NotLinked {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl ObjectStore for FileStore {
    fn url(&self, key: &str) -> String {
        url(&self.directory, key)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.walk("list", prefix, &mut |path, facts| {
            if let Ok(key) = std::str::from_utf8(path.as_bytes())
                && key.starts_with(prefix)
                && temporary(path).is_none()
            {
                each(Listed {
                    key: key.to_owned(),
                    bytes: facts.bytes,
                    etag: None,
                    modified: facts.modified,
                });
            }
        })
    }

    fn directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let listed = path_of(prefix.trim_end_matches('/'))
            .and_then(|directory| entries(&self.root, &directory))
            .map_err(|error| self.failed("list", prefix, error))?;
        let directories = listed
            .into_iter()
            .filter(|(_, entry)| matches!(entry, Entry::Directory));
        Ok(directories
            .filter_map(|(path, _)| String::from_utf8(path.name().to_owned()).ok())
            .collect())
    }

    /// Reads the whole file for its digest: a directory keeps no other proof of it.
    fn look(&self, key: &str) -> Result<Option<Found>, StoreError> {
        let Some(Download { found, reader }) = self.get(key, 0)? else {
            return Ok(None);
        };
        let (sha256, bytes) =
            Sha256::of_reader(reader).map_err(|error| self.failed("read", key, error))?;
        Ok(Some(Found {
            bytes,
            marks: Marks {
                sha256: Some(sha256),
                ..Marks::default()
            },
            ..found
        }))
    }

    fn get(&self, key: &str, from: u64) -> Result<Option<Download>, StoreError> {
        match self.open_from(key, from) {
            Ok((bytes, file)) => {
                let found = Found {
                    bytes,
                    etag: None,
                    marks: Marks::default(),
                    lock: None,
                };
                let reader = LimitedReader {
                    file,
                    limit: self.limit.clone(),
                    interrupt: self.interrupt.clone(),
                };
                Ok(Some(Download {
                    found,
                    reader: Box::new(reader),
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", key, error)),
        }
    }

    fn put(&self, key: &str, body: Body, _: &Attributes) -> Result<Confirmed, StoreError> {
        let published = self.publish(key, |directory, temporary| {
            self.write(directory, temporary, body)
        });
        published
            .map(|()| Confirmed { etag: None })
            .map_err(|cause| self.error("write", key, cause))
    }

    /// A second name for the same file; `None` where there can be none: what would be copied is
    /// better sent, and proven on the way.
    fn copy(
        &self,
        source: &Listed,
        key: &str,
        _: &Attributes,
    ) -> Result<Option<Confirmed>, StoreError> {
        let Some(source) = self.unchanged(source) else {
            return Ok(None);
        };
        let mut is_possible = true;
        let published = self.publish(key, |directory, temporary| {
            match source.link_to(directory, temporary) {
                Ok(()) => Ok(()),
                Err(NotLinked::Failed(error)) => Err(error.into()),
                Err(NotLinked::Impossible) => {
                    is_possible = false;
                    Err(io::Error::from(io::ErrorKind::Unsupported).into())
                }
            }
        });
        if !is_possible {
            self.unlinked.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        published
            .map(|()| Some(Confirmed { etag: None }))
            .map_err(|cause| self.error("link", key, cause))
    }

    fn extend_lock(&self, key: &str, _: Lock) -> Result<(), StoreError> {
        Err(self.failed("lock", key, io::ErrorKind::Unsupported.into()))
    }

    fn remove(&self, object: &Listed, _: Timestamp) -> Result<Removal, StoreError> {
        let Some(Source {
            directory, name, ..
        }) = self.unchanged(object)
        else {
            return Ok(Removal::Changed);
        };
        atomic::remove_tree_in(&directory, &name)
            .and_then(|()| atomic::sync_open_dir(&directory))
            .map_err(|error| self.failed("remove", &object.key, error))?;
        Ok(Removal::Removed)
    }

    /// What a killed run leaves has a temporary name, which no listing shows.
    fn remove_tree(&self, prefix: &str) -> Result<TreeRemoval, StoreError> {
        let removed = path_of(prefix.trim_end_matches('/')).and_then(|path| {
            let (parent, name) = split(&path);
            let directory = self.root.directory(&parent)?;
            let temporary = temporary_name();
            atomic::rename_between(&directory, &name, &directory, &temporary)?;
            atomic::sync_open_dir(&directory)?;
            atomic::remove_tree_in(&directory, &temporary)
        });
        removed
            .map(|()| TreeRemoval::Removed)
            .map_err(|error| self.failed("remove", prefix, error))
    }

    fn keeps_marks(&self) -> bool {
        false
    }

    fn copies_share_storage(&self) -> bool {
        true
    }

    fn unlinked_to_say(&self) -> u64 {
        let unlinked = self.unlinked.load(Ordering::Relaxed);
        if unlinked == 0 || self.is_unlinked_said.swap(true, Ordering::Relaxed) {
            return 0;
        }
        unlinked
    }

    fn protection(&self) -> Result<Option<Protection>, StoreError> {
        Ok(None)
    }

    fn expiry(&self, _: &str) -> Result<Expiry, StoreError> {
        Ok(Expiry::Never)
    }

    fn billed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Vec<NotListed>, StoreError> {
        // A file that sets share has many names, and takes its room once.
        let mut seen = HashSet::new();
        self.walk("list", prefix, &mut |path, facts| {
            if temporary(path).is_none() && seen.insert(facts.identity()) {
                each(Billed {
                    bytes: facts.bytes,
                    storage_class: STORAGE_CLASS.to_owned(),
                });
            }
        })?;
        Ok(Vec::new())
    }

    fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<usize, StoreError> {
        let mut stale = HashSet::new();
        self.walk("clear", prefix, &mut |path, facts| {
            let temporary = temporary(path);
            stale.extend(temporary.filter(|_| facts.modified < before));
        })?;
        for path in &stale {
            let (parent, name) = split(path);
            self.root
                .directory(&parent)
                .and_then(|directory| atomic::remove_tree_in(directory, &name))
                .map_err(|error| self.failed("clear", &path.to_string_lossy(), error))?;
        }
        Ok(stale.len())
    }
}

/// A file that is read no faster than it may be.
struct LimitedReader {
    file: File,
    limit: Option<Arc<Limit>>,
    interrupt: Interrupt,
}

impl Read for LimitedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(io::Error::other)?;
        let Some(limit) = &self.limit else {
            return self.file.read(buffer);
        };
        let most = buffer.len().min(PIECE_BYTES);
        let read = self.file.read(&mut buffer[..most])?;
        limit.wait(read);
        Ok(read)
    }
}

fn url(directory: &Path, key: &str) -> String {
    format!("file://{}/{key}", directory.display())
}

/// Where an object is. A key cannot lead out of the directory.
fn path_of(key: &str) -> io::Result<RelPath> {
    RelPath::new(key).map_err(io::Error::other)
}

/// The directory that holds `path`, and its name there.
fn split(path: &RelPath) -> (RelPath, OsString) {
    let parent = path.parent().unwrap_or_else(RelPath::root);
    (parent, OsStr::from_bytes(path.name()).to_owned())
}

/// A name that [`atomic::is_temporary_name`] knows, unlike those of [`atomic`] itself in the same
/// process.
fn temporary_name() -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!(".tmp-{}-put-{number}", std::process::id()).into()
}

/// The part of a path that has a temporary name: the file, or a directory that is being removed.
fn temporary(path: &RelPath) -> Option<RelPath> {
    let mut part = Some(path.clone());
    while let Some(path) = part {
        if atomic::is_temporary_name(&String::from_utf8_lossy(path.name())) {
            return Some(path);
        }
        part = path.parent();
    }
    None
}
