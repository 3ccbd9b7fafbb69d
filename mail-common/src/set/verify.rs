//! Whether files of a set are what its checksums say: all are looked at, in parallel, before
//! anything is touched.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use super::SetFile;
use crate::beneath::Beneath;
use crate::checksum::{Sha256, Sha256Writer};
use crate::failure::{Failure, FailureKind};
use crate::interrupt::{Interrupt, Interrupted};
use crate::pool;
use crate::relpath::RelPath;
use rustix::io::Errno;

const BUFFER_BYTES: usize = 256 * 1024;

/// A file that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is not there.
    #[error("{path} is missing from the set")]
    Missing {
        /// The file, relative to the set.
        path: RelPath,
    },
    /// Its content is another.
    #[error(
        "{path} is damaged: its sha256 is {}, and checksums.sha256 says {}",
        digests.found,
        digests.recorded
    )]
    Digest {
        /// The file, relative to the set.
        path: RelPath,
        /// Apart, since all files of a set may be damaged, and most are missing then.
        digests: Box<Digests>,
    },
    /// A link, a directory or something else stands there.
    #[error("{path} is not a regular file")]
    NoFile {
        /// The file, relative to the set.
        path: RelPath,
    },
    /// It cannot be read.
    #[error("read {path}")]
    Read {
        /// The file, relative to the set.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
}

/// The digests of a file with another content.
#[derive(Debug)]
pub struct Digests {
    /// What it has.
    pub found: Sha256,
    /// What it should have.
    pub recorded: Sha256,
}

impl Failure for Damage {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Missing { .. } => FailureKind::Missing,
            Self::Digest { .. } | Self::NoFile { .. } => FailureKind::Damaged,
            Self::Read { source, .. } => FailureKind::of_io(source),
        }
    }
}

impl Damage {
    /// `file` has the digest `found`, which is not its own.
    #[must_use]
    pub fn digest(file: &SetFile, found: Sha256) -> Self {
        let recorded = file.sha256;
        Self::Digest {
            path: file.path.clone(),
            digests: Box::new(Digests { found, recorded }),
        }
    }

    /// The file, relative to the set.
    #[must_use]
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Missing { path }
            | Self::Digest { path, .. }
            | Self::NoFile { path }
            | Self::Read { path, .. } => path,
        }
    }
}

/// Opens a file of a set, which may be no link to somewhere else.
///
/// # Errors
/// Every [`Damage`] but that of its content.
pub fn open(set: &Path, path: &RelPath) -> Result<File, Damage> {
    let opened = Beneath::open(set).and_then(|set| set.regular_file(path));
    opened.map_err(|source| match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => Damage::Missing { path: path.clone() },
        Some(Errno::LOOP) => Damage::NoFile { path: path.clone() },
        _ if source.kind() == io::ErrorKind::InvalidInput => Damage::NoFile { path: path.clone() },
        _ => Damage::Read {
            path: path.clone(),
            source,
        },
    })
}

/// Reads `files` of the set in directory `set` whole, and gives those that are damaged. `progress`
/// gets the bytes that were read.
///
/// # Errors
/// When a signal asks to stop.
pub fn verify(
    set: &Path,
    files: &[&SetFile],
    threads: NonZeroUsize,
    interrupt: &Interrupt,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Damage>, Interrupted> {
    let buffer = || vec![0; BUFFER_BYTES];
    let check =
        |buffer: &mut Vec<u8>, file: &&SetFile| match check(set, file, buffer, interrupt, progress)
        {
            Ok(result) => Ok(result.err()),
            Err(interrupted) => Err(interrupted),
        };
    Ok(pool::for_each(threads, files, buffer, check)?
        .into_iter()
        .flatten()
        .collect())
}

fn check(
    set: &Path,
    file: &SetFile,
    buffer: &mut [u8],
    interrupt: &Interrupt,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Result<(), Damage>, Interrupted> {
    let mut content = match open(set, &file.path) {
        Ok(content) => content,
        Err(damage) => return Ok(Err(damage)),
    };
    let read_error = |source| Damage::Read {
        path: file.path.clone(),
        source,
    };
    let mut hasher = Sha256Writer::new(io::sink());
    loop {
        interrupt.check()?;
        match content.read(buffer) {
            Ok(0) => break,
            Ok(length) => {
                if let Err(error) = hasher.write_all(&buffer[..length]) {
                    return Ok(Err(read_error(error)));
                }
                progress(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(read_error(error))),
        }
    }
    let (_, found, _) = hasher.into_parts();
    if found == file.sha256 {
        return Ok(Ok(()));
    }
    Ok(Err(Damage::digest(file, found)))
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "files of a set as others left them"
)]
mod tests {
    use super::*;
    use crate::set::FileFacts;
    use std::fs;

    #[test]
    fn what_is_damaged_is_named_and_the_rest_is_looked_at() {
        let set = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            fs::write(set.path().join(name), content).unwrap();
            SetFile::from(FileFacts {
                path: RelPath::new(name).unwrap(),
                sha256: Sha256::of(content),
                component: None,
                recorded: None,
            })
        };
        let files = [
            file("a", b"a"),
            file("b", &[5; 700_000]),
            file("c", b""),
            file("d", b"d"),
            file("e", b"e"),
        ];
        let mut damaged = vec![5; 700_000];
        damaged[699_999] = 4;
        fs::write(set.path().join("b"), damaged).unwrap();
        fs::remove_file(set.path().join("c")).unwrap();
        fs::remove_file(set.path().join("e")).unwrap();
        std::os::unix::fs::symlink("a", set.path().join("e")).unwrap();
        let files: Vec<&SetFile> = files.iter().collect();
        let threads = NonZeroUsize::new(2).unwrap();
        let found = verify(set.path(), &files, threads, &Interrupt::default(), &|_| {}).unwrap();
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[0].starts_with("b is damaged: its sha256 is "));
        assert_eq!(
            text[1..],
            ["c is missing from the set", "e is not a regular file"]
        );
    }
}
