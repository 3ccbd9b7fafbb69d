//! A directory as a store: a mounted disk, or the local half of a test.
//!
//! An object is a file, synced and complete before it has its name. The directory is never made: a
//! disk that is not mounted is an error, and not a place to write to.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use mail_common::atomic::{self, StoredFile};
use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;

use super::body::Body;
use super::error::{Cause, StoreError};
use super::object::{
    Attributes, Billed, Confirmed, Download, Found, Listed, Lock, Marks, ObjectStore, Protection,
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
    directory: PathBuf,
    limit: Option<Arc<Limit>>,
    interrupt: Interrupt,
}

impl FileStore {
    /// The store in `directory`, which must be there.
    pub(crate) fn open(
        directory: &Path,
        limit: Option<Arc<Limit>>,
        interrupt: Interrupt,
    ) -> Result<Self, StoreError> {
        let store = Self {
            directory: directory.to_owned(),
            limit,
            interrupt,
        };
        match fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => Ok(store),
            Ok(_) => Err(store.failed("open", "", io::ErrorKind::NotADirectory.into())),
            Err(error) => Err(store.failed("open", "", error)),
        }
    }

    fn failed(&self, doing: &'static str, key: &str, error: io::Error) -> StoreError {
        self.error(doing, key, Cause::Io(error))
    }

    fn error(&self, doing: &'static str, key: &str, cause: Cause) -> StoreError {
        StoreError::new(doing, self.url(key), cause)
    }

    /// Where an object is. A key cannot lead out of the directory.
    fn path_of(&self, key: &str) -> io::Result<PathBuf> {
        let path = RelPath::new(key).map_err(io::Error::other)?;
        Ok(self.directory.join(path.as_path()))
    }

    fn write(&self, temporary: &Path, mut body: Body) -> Result<(), Cause> {
        let mut file = StoredFile::create(temporary)?;
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
        make: impl FnOnce(&Path) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let path = self.path_of(key)?;
        let parent = path.parent().unwrap_or(&self.directory);
        atomic::create_dir_all(parent)?;
        let temporary = parent.join(temporary_name());
        let published = make(&temporary).and_then(|()| Ok(put_in_place(&temporary, &path)?));
        if published.is_err() {
            // The failure matters more than what it leaves: the next push clears it.
            let _ = atomic::remove_tree(&temporary);
        }
        published
    }
}

impl ObjectStore for FileStore {
    fn url(&self, key: &str) -> String {
        format!("file://{}/{key}", self.directory.display())
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let walked = walk(&self.directory, prefix, &mut |key, metadata| {
            each(Listed {
                key,
                bytes: metadata.len(),
                etag: None,
                modified: modified(metadata),
            });
        });
        walked.map_err(|error| self.failed("list", prefix, error))
    }

    fn directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let failed = |error| self.failed("list", prefix, error);
        let mut names = Vec::new();
        for entry in entries(&self.directory.join(prefix)).map_err(failed)? {
            if let (true, Ok(name)) = (
                entry.file_type().map_err(failed)?.is_dir(),
                entry.file_name().into_string(),
            ) {
                names.push(name);
            }
        }
        Ok(names)
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
        let opened = self.path_of(key).and_then(File::open).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            Ok((file.metadata()?.len(), file))
        });
        match opened {
            Ok((bytes, file)) => {
                let found = Found {
                    bytes,
                    etag: None,
                    marks: Marks::default(),
                    locked_until: None,
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
        let published = self.publish(key, |temporary| self.write(temporary, body));
        published
            .map(|()| Confirmed { etag: None })
            .map_err(|cause| self.error("write", key, cause))
    }

    fn copy(
        &self,
        source: &Listed,
        key: &str,
        _: &Attributes,
    ) -> Result<Option<Confirmed>, StoreError> {
        let unchanged = |metadata: &fs::Metadata| {
            metadata.len() == source.bytes && modified(metadata) == source.modified
        };
        let copied = self
            .path_of(&source.key)
            .map_err(Cause::Io)
            .and_then(|from| {
                if !fs::metadata(&from).is_ok_and(|metadata| unchanged(&metadata)) {
                    return Ok(None);
                }
                self.publish(key, |temporary| {
                    Ok(atomic::link_or_copy(&from, temporary).map(drop)?)
                })?;
                Ok(Some(Confirmed { etag: None }))
            });
        copied.map_err(|cause| self.error("copy to", key, cause))
    }

    fn extend_lock(&self, key: &str, _: Lock) -> Result<(), StoreError> {
        Err(self.failed("lock", key, io::ErrorKind::Unsupported.into()))
    }

    fn keeps_marks(&self) -> bool {
        false
    }

    fn copies_share_storage(&self) -> bool {
        true
    }

    fn protection(&self) -> Result<Option<Protection>, StoreError> {
        Ok(None)
    }

    fn billed(&self, prefix: &str, each: &mut dyn FnMut(Billed)) -> Result<(), StoreError> {
        self.list(prefix, &mut |listed| {
            each(Billed {
                bytes: listed.bytes,
                storage_class: STORAGE_CLASS.to_owned(),
            });
        })
    }

    fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<usize, StoreError> {
        let mut stale = Vec::new();
        let found = walk_all(&self.directory, prefix, &mut |path, metadata| {
            if is_temporary(path) && modified(metadata) < before {
                stale.push(path.to_owned());
            }
        });
        let removed =
            found.and_then(|()| stale.iter().try_for_each(|path| atomic::remove_tree(path)));
        removed
            .map(|()| stale.len())
            .map_err(|error| self.failed("clear", prefix, error))
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

/// A name that [`atomic::is_temporary_name`] knows, unlike those of [`atomic`] itself in the same
/// process.
fn temporary_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!(
        ".tmp-{}-put-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}

fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| atomic::is_temporary_name(&name.to_string_lossy()))
}

fn modified(metadata: &fs::Metadata) -> Timestamp {
    metadata
        .modified()
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The objects below `directory` whose keys begin with `prefix`.
fn walk(
    directory: &Path,
    prefix: &str,
    each: &mut dyn FnMut(String, &fs::Metadata),
) -> io::Result<()> {
    walk_all(directory, prefix, &mut |path, metadata| {
        let relative = path.strip_prefix(directory).unwrap_or(path);
        if let Ok(key) = std::str::from_utf8(relative.as_os_str().as_bytes())
            && key.starts_with(prefix)
            && !is_temporary(path)
        {
            each(key.to_owned(), metadata);
        }
    })
}

/// Every file below the directory part of `prefix`.
fn walk_all(
    directory: &Path,
    prefix: &str,
    each: &mut dyn FnMut(&Path, &fs::Metadata),
) -> io::Result<()> {
    let start = prefix.rsplit_once('/').map_or("", |(start, _)| start);
    let mut directories = vec![directory.join(start)];
    while let Some(directory) = directories.pop() {
        for entry in entries(&directory)? {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => directories.push(entry.path()),
                Ok(metadata) if metadata.is_file() => each(&entry.path(), &metadata),
                Ok(_) => {}
                // Another push has just given it its name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// What is in a directory; nothing when there is none.
fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listing => listing?.collect(),
    }
}
