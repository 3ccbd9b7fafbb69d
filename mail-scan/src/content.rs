//! What is shown to clamd: bytes in memory, or an open file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::MemfdFlags;

use crate::look::Look;

/// The largest content that is held in memory to be scanned in one piece.
pub(crate) const MEMORY_MAX_BYTES: u64 = 128 << 20;

/// Something to be scanned in one piece.
#[derive(Debug)]
pub(crate) enum Content {
    /// A member of an archive, a window, or a small file.
    Memory(Vec<u8>),
    /// A file that is open.
    File {
        file: File,
        /// How it looked before its digest was computed.
        look: Look,
        /// Its first bytes, which tell what it is.
        magic: Vec<u8>,
    },
}

/// A descriptor of a content, for another process.
#[derive(Debug)]
pub(crate) enum Descriptor<'a> {
    Memory(OwnedFd),
    File(BorrowedFd<'a>),
}

impl Content {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(content) => content.len() as u64,
            Self::File { look, .. } => look.bytes,
        }
    }

    /// Whether what clamd was shown is what the digest was computed of.
    pub(crate) fn holds_still(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::File { file, look, .. } => Look::at(file).is_ok_and(|now| now == *look),
        }
    }

    /// The first bytes, as many as tell what it is.
    pub(crate) fn magic(&self) -> &[u8] {
        match self {
            Self::Memory(content) => content,
            Self::File { magic, .. } => magic,
        }
    }

    /// The first bytes, up to `limit`.
    pub(crate) fn head(&self, limit: usize) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Memory(content) => Ok(content[..limit.min(content.len())].into()),
            Self::File { file, look, .. } => {
                let mut head = vec![0; limit.min(usize::try_from(look.bytes).unwrap_or(limit))];
                file.read_exact_at(&mut head, 0)?;
                Ok(head.into())
            }
        }
    }

    /// All of it; `None` where that would be too much for memory.
    pub(crate) fn to_memory(&self) -> io::Result<Option<Cow<'_, [u8]>>> {
        let bytes = self.bytes();
        if bytes > MEMORY_MAX_BYTES {
            return Ok(None);
        }
        let all = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.head(all).map(Some)
    }

    /// What another process can read it by.
    pub(crate) fn descriptor(&self) -> io::Result<Descriptor<'_>> {
        match self {
            Self::Memory(content) => in_memory(content).map(Descriptor::Memory),
            Self::File { file, .. } => Ok(Descriptor::File(file.as_fd())),
        }
    }
}

impl AsFd for Descriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Memory(descriptor) => descriptor.as_fd(),
            Self::File(descriptor) => *descriptor,
        }
    }
}

/// A file in memory, without a name, that holds `content`.
fn in_memory(content: &[u8]) -> io::Result<OwnedFd> {
    let descriptor = rustix::fs::memfd_create("mail-scan", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(descriptor);
    file.write_all(content)?;
    Ok(file.into())
}
