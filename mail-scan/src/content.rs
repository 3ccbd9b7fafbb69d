//! What is shown to clamd: bytes in memory, or an open file.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// The largest content that is held in memory to be scanned in one piece.
pub(crate) const MEMORY_MAX_BYTES: u64 = 128 << 20;

/// Something to be scanned in one piece.
#[derive(Debug)]
pub(crate) enum Content {
    /// A member of an archive, a window, or a small file.
    Memory(Vec<u8>),
    /// A file that is open, with its length.
    File(File, u64),
}

impl Content {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Memory(content) => content.len() as u64,
            Self::File(_, bytes) => *bytes,
        }
    }

    /// The first bytes, up to `limit`.
    pub(crate) fn head(&self, limit: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Memory(content) => Ok(content[..limit.min(content.len())].to_vec()),
            Self::File(file, bytes) => {
                let length = limit.min(usize::try_from(*bytes).unwrap_or(limit));
                let mut head = vec![0; length];
                file.read_exact_at(&mut head, 0)?;
                Ok(head)
            }
        }
    }

    /// All of it; `None` where that would be too much for memory.
    pub(crate) fn to_memory(&self) -> io::Result<Option<std::borrow::Cow<'_, [u8]>>> {
        match self {
            Self::Memory(content) => Ok(Some(content.into())),
            Self::File(_, bytes) if *bytes > MEMORY_MAX_BYTES => Ok(None),
            Self::File(_, bytes) => Ok(Some(self.head(usize::try_from(*bytes).unwrap_or(usize::MAX))?.into())),
        }
    }

    /// A descriptor of it, for another process.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Memory(content) => in_memory(content),
            Self::File(file, _) => Ok(file.try_clone()?.into()),
        }
    }
}

/// A file in memory, without a name, that holds `content`.
fn in_memory(content: &[u8]) -> io::Result<OwnedFd> {
    let descriptor = rustix::fs::memfd_create("mail-scan", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(descriptor);
    io::Write::write_all(&mut file, content)?;
    Ok(file.into())
}
