//! Saves a file that is too large for memory: from the live tree through the compressor into a
//! frame of its own.

use std::fs::File;
use std::io::{self, Read};

use mail_common::archive::index::{Kind, LiveEntry, Stat};
use mail_common::archive::member::padding;
use mail_common::checksum::Sha256Writer;
use mail_common::message::HEAD_BYTES;
use mail_common::relpath::RelPath;
use mail_common::xattr;

use super::pack::{MessageFields, PackedEntry, Request, Xattr, append_file_head, expect, settled};
use super::tree::{SourceTree, look_at_open, vanished};

/// What became of a large file, and where its frame went.
pub(crate) enum Streamed<L> {
    Whole {
        entry: Box<PackedEntry>,
        place: L,
    },
    /// It became shorter than its header had said, or could not be read on: zeros stand for the
    /// rest.
    Cut(io::Error),
    /// It is no longer where it was; nothing was written.
    Vanished,
    /// It cannot be opened; nothing was written.
    Failed(io::Error),
}

/// Streams a file into `write`, which is given head, content and padding.
pub(crate) fn stream<L, E>(
    tree: &SourceTree,
    request: &Request,
    write: impl FnOnce(&[u8], &mut dyn Read, &[u8], &Stat) -> Result<L, E>,
) -> Result<Streamed<L>, E> {
    let (path, stored) = (&request.live.path, &request.stored);
    let (file, stat, xattrs) = match open(tree, path) {
        Ok(opened) => opened,
        Err(error) if vanished(&error) => return Ok(Streamed::Vanished),
        Err(error) => return Ok(Streamed::Failed(error)),
    };
    let mut head = Vec::new();
    append_file_head(stored, &stat, &xattrs, &mut head);
    let mut content = Exactly {
        inner: file,
        left: stat.size,
        start: Vec::with_capacity(HEAD_BYTES),
        digest: Sha256Writer::new(io::sink()),
        failure: None,
    };
    let place = write(&head, &mut content, &vec![0; padding(stat.size)], &stat)?;
    if let Some(error) = content.failure {
        return Ok(Streamed::Cut(error));
    }
    let entry = Box::new(PackedEntry {
        stored: stored.clone(),
        message: MessageFields::of(path, &content.start, stat.size),
        sha256: Some(content.digest.into_parts().1),
        holds_key: false,
        xattrs_sha256: xattr::digest(&xattrs),
        live: LiveEntry {
            path: path.clone(),
            kind: Kind::File,
            stat: settled(stat),
        },
    });
    Ok(Streamed::Whole { entry, place })
}

type Opened = (File, Stat, Vec<Xattr>);

fn open(tree: &SourceTree, path: &RelPath) -> io::Result<Opened> {
    let file = tree.open_file(path)?;
    let stat = expect(look_at_open(&file)?, Kind::File)?;
    let xattrs = xattr::read(&file)?;
    Ok((file, stat, xattrs))
}

/// Gives as many bytes as a header has promised: zeros where the file has no more, so that the tar
/// stays readable.
struct Exactly<R> {
    inner: R,
    left: u64,
    /// The first bytes, in which a message has its header.
    start: Vec<u8>,
    digest: Sha256Writer<io::Sink>,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..wanted];
        let given = self.fill(buffer);
        self.left -= given as u64;
        let kept = given.min(HEAD_BYTES - self.start.len());
        self.start.extend_from_slice(&buffer[..kept]);
        io::Write::write_all(&mut self.digest, &buffer[..given])?;
        Ok(given)
    }
}

impl<R: Read> Exactly<R> {
    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        if self.failure.is_none() && !buffer.is_empty() {
            match self.inner.read(buffer) {
                Ok(0) => {
                    self.failure = Some(became_shorter());
                }
                Ok(bytes) => return bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    return self.fill(buffer);
                }
                Err(error) => self.failure = Some(error),
            }
        }
        buffer.fill(0);
        buffer.len()
    }
}

fn became_shorter() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file became shorter while it was read",
    )
}
