//! The file of the cache: opened when nobody else could have written it, rebuilt when it is damaged,
//! and set aside when it never was one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mail_common::atomic;
use mail_common::trusted::{self, NotOurs, check_ours};
use redb::{Database, DatabaseError, StorageError};
use rustix::fs::OFlags;

/// The first bytes of a database (the design document of redb).
const REDB_MAGIC: &[u8; 4] = b"redb";

const MEMORY_BYTES: usize = 32 << 20;

/// How a cache was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As it was left, or not there yet.
    Usable,
    /// It was damaged, and starts empty.
    Rebuilt,
    /// Others could have written it; it starts empty.
    Distrusted(NotOurs),
    /// It was not a cache, and is there now.
    SetAside(PathBuf),
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("the cache {} is in use by another run; this run scans without one", path.display())]
    InUse { path: PathBuf },
    #[error("open the cache {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error(
        "the directory of the cache, {}, is not ours alone; this run scans without one",
        path.display()
    )]
    Directory { path: PathBuf, source: NotOurs },
    #[error("use the cache {}", path.display())]
    Use {
        path: PathBuf,
        source: Box<redb::Error>,
    },
}

/// Makes room for a new cache. What does not begin as one is kept, under a name that is free: a
/// wrong name on the command line destroys nothing.
pub(super) fn clear_away(path: &Path) -> io::Result<Found> {
    if begins_as_cache(path) {
        std::fs::remove_file(path)?;
        return Ok(Found::Rebuilt);
    }
    for number in 1_u32.. {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        if number > 1 {
            aside.push(format!(".{number}"));
        }
        match atomic::rename_into_place(path, Path::new(&aside)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => return renamed.map(|()| Found::SetAside(aside.into())),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn begins_as_cache(path: &Path) -> bool {
    let mut head = [0; REDB_MAGIC.len()];
    trusted::open(path)
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok()
        && head == REDB_MAGIC[..]
}

/// A verdict of others must not be taken for ours: whoever may write to the directory may put one
/// there at any time.
pub(super) fn check_directory(parent: &Path) -> Result<(), CacheError> {
    let path = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let metadata = path.metadata().map_err(|source| CacheError::Open {
        path: path.to_owned(),
        source,
    })?;
    check_ours(&metadata).map_err(|source| CacheError::Directory {
        path: path.to_owned(),
        source,
    })
}

/// Why the file cannot be opened as a cache.
pub(super) enum OpenFailure {
    InUse,
    NotOurs(NotOurs),
    Damaged,
    Io(io::Error),
}

/// Opens the database and verifies every checksum in it.
pub(super) fn open_whole(path: &Path) -> Result<Database, OpenFailure> {
    let file = open_file(path).map_err(OpenFailure::Io)?;
    let metadata = file.metadata().map_err(OpenFailure::Io)?;
    check_ours(&metadata).map_err(OpenFailure::NotOurs)?;
    let opened = without_panic_text(|| {
        let mut database = Database::builder()
            .set_cache_size(MEMORY_BYTES)
            .create_file(file)?;
        database.check_integrity()?;
        Ok(database)
    });
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(OpenFailure::InUse),
        Ok(Err(DatabaseError::Storage(StorageError::Io(error)))) if !is_damage(&error) => {
            Err(OpenFailure::Io(error))
        }
        Ok(Err(_)) | Err(_) => Err(OpenFailure::Damaged),
    }
}

/// Runs `open` on a file that is not to be trusted: the crate may meet there what it takes for
/// impossible, and panic. That is one more way to find the file damaged, which is reported in a
/// line of our own; a text of the panic beside it would be mailed by cron. No other thread of the
/// run is at work yet whose panic this could hide.
fn without_panic_text<T>(open: impl FnOnce() -> T) -> std::thread::Result<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let opened = catch_unwind(AssertUnwindSafe(open));
    std::panic::set_hook(hook);
    opened
}

/// Cut short, or not a database at all.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a cache may be a link of its administrator"
)]
fn open_file(path: &Path) -> io::Result<File> {
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nonblock)
        .open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "not a regular file",
    ))
}
