//! What is put into a store: read once, in pieces, and withheld when it is not what it should be.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mail_common::beneath::Beneath;
use mail_common::checksum::{Sha256, Sha256Writer};
use mail_common::failure::{Failure, FailureKind};
use mail_common::relpath::RelPath;

use super::buffers::Buffers;

/// Content of a known size and digest.
///
/// It is given out in pieces. The last one comes only when all together have the digest; an upload
/// without its last piece is never complete, so that a damaged file cannot be stored as if it were
/// good.
pub(crate) struct Body {
    name: PathBuf,
    reader: Box<dyn Read + Send>,
    memory: Option<Bytes>,
    hasher: Sha256Writer<io::Sink>,
    bytes: u64,
    left: u64,
    sha256: Sha256,
}

/// A file of the set is not what the set says of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{} is damaged: it has {found} bytes, and the set says {expected}; use another set",
        path.display()
    )]
    Size {
        path: PathBuf,
        expected: u64,
        found: u64,
    },
    #[error(
        "{} is damaged: its sha256 is {found}, and the set says {expected}; use another set",
        path.display()
    )]
    Digest {
        path: PathBuf,
        expected: Sha256,
        found: Sha256,
    },
}

impl Failure for LocalError {
    /// A set that cannot be read whole is as good as damaged: another one is to be used.
    fn kind(&self) -> FailureKind {
        match self {
            Self::Read { .. } | Self::Size { .. } | Self::Digest { .. } => FailureKind::Damaged,
        }
    }
}

impl Body {
    /// The file at `path` in the directory `set`, which should have that digest and size. No link
    /// is followed below the directory: the file would be another one than the set says.
    pub(crate) fn open(
        set: &Path,
        path: &RelPath,
        sha256: Sha256,
        bytes: u64,
    ) -> Result<Self, LocalError> {
        let location = set.join(path.as_path());
        let open = || {
            let file = Beneath::open(set)?.regular_file(path)?;
            Ok((file.metadata()?.len(), file))
        };
        match open() {
            Ok((found, file)) if found == bytes => {
                Ok(Self::new(&location, Box::new(file), sha256, bytes))
            }
            Ok((found, _)) => Err(LocalError::Size {
                path: location,
                expected: bytes,
                found,
            }),
            Err(source) => Err(LocalError::Read {
                path: location,
                source,
            }),
        }
    }

    /// What is in memory, called `name`.
    pub(crate) fn of_bytes(name: &str, content: impl Into<Vec<u8>>) -> Self {
        let content: Vec<u8> = content.into();
        let content = Bytes::from(content);
        let (sha256, bytes) = (Sha256::of(&content), content.len() as u64);
        let reader = Box::new(io::Cursor::new(content.clone()));
        Self {
            memory: Some(content),
            ..Self::new(Path::new(name), reader, sha256, bytes)
        }
    }

    /// `bytes` bytes from `reader`, which should have that digest; `name` is for messages.
    pub(crate) fn new(
        name: &Path,
        reader: Box<dyn Read + Send>,
        sha256: Sha256,
        bytes: u64,
    ) -> Self {
        let hasher = Sha256Writer::new(io::sink());
        Self {
            name: name.to_owned(),
            reader,
            memory: None,
            hasher,
            bytes,
            left: bytes,
            sha256,
        }
    }

    /// The size of the whole.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All of it, where it is not read from somewhere.
    pub(crate) fn in_memory(&self) -> Option<Bytes> {
        self.memory.clone()
    }

    /// The digest of the whole.
    pub(crate) fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// The next piece, of `most` bytes unless it is the last; `None` after that. Empty content is
    /// one empty piece to whoever asks [`Body::whole`], and none here.
    pub(crate) fn next(&mut self, most: usize) -> Result<Option<Bytes>, LocalError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; self.size_of_next(most)];
        self.fill(&mut piece)?;
        Ok(Some(piece.into()))
    }

    /// As [`Body::next`], in memory that is used again.
    pub(crate) fn next_in(
        &mut self,
        buffers: &Buffers,
        most: usize,
    ) -> Result<Option<Bytes>, LocalError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut block = buffers.take(self.size_of_next(most));
        self.fill(&mut block.content)?;
        Ok(Some(block.share()))
    }

    fn size_of_next(&self, most: usize) -> usize {
        most.min(usize::try_from(self.left).unwrap_or(most))
    }

    /// Reads and hashes; after the last piece, checks the whole.
    fn fill(&mut self, piece: &mut [u8]) -> Result<(), LocalError> {
        self.reader
            .read_exact(piece)
            .map_err(|source| self.read_failed(source))?;
        self.hasher
            .write_all(piece)
            .map_err(|source| self.read_failed(source))?;
        self.left -= piece.len() as u64;
        if self.left == 0 { self.check() } else { Ok(()) }
    }

    /// All of it at once.
    pub(crate) fn whole(mut self) -> Result<Bytes, LocalError> {
        let size = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        match self.next(size)? {
            Some(content) => Ok(content),
            None => self.check().map(|()| Bytes::new()),
        }
    }

    fn read_failed(&self, source: io::Error) -> LocalError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => LocalError::Size {
                path: self.name.clone(),
                expected: self.bytes,
                found: self.hasher.bytes(),
            },
            _ => LocalError::Read {
                path: self.name.clone(),
                source,
            },
        }
    }

    fn check(&mut self) -> Result<(), LocalError> {
        let hasher = std::mem::replace(&mut self.hasher, Sha256Writer::new(io::sink()));
        let (_, found, _) = hasher.into_parts();
        if found == self.sha256 {
            return Ok(());
        }
        Err(LocalError::Digest {
            path: self.name.clone(),
            expected: self.sha256,
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: &'static [u8], sha256: Sha256, bytes: u64) -> Body {
        Body::new(Path::new("x"), Box::new(content), sha256, bytes)
    }

    #[test]
    fn pieces_come_in_order_and_end() {
        let mut good = body(b"abcde", Sha256::of(b"abcde"), 5);
        for expected in [Some("ab"), Some("cd"), Some("e"), None] {
            assert_eq!(
                good.next(2).unwrap().as_deref(),
                expected.map(str::as_bytes)
            );
        }
    }

    #[test]
    fn the_last_piece_of_damaged_content_is_withheld() {
        let mut damaged = body(b"abcdX", Sha256::of(b"abcde"), 5);
        assert!(damaged.next(4).unwrap().is_some());
        assert!(matches!(damaged.next(4), Err(LocalError::Digest { .. })));
        assert!(matches!(
            body(b"X", Sha256::of(b"a"), 1).whole(),
            Err(LocalError::Digest { .. })
        ));
        assert!(matches!(
            body(b"", Sha256::of(b"a"), 0).whole(),
            Err(LocalError::Digest { .. })
        ));
    }

    #[test]
    fn a_file_that_became_shorter_is_damaged() {
        let mut short = body(b"abc", Sha256::of(b"abcde"), 5);
        assert!(matches!(
            short.next(5),
            Err(LocalError::Size { expected: 5, .. })
        ));
    }

    #[test]
    fn empty_content_is_whole() {
        assert_eq!(body(b"", Sha256::of(b""), 0).whole().unwrap(), Bytes::new());
    }
}
