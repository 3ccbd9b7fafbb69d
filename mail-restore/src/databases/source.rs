//! The content of a dump: unpacked on a thread of its own, and never more than the manifest says.

use std::io::{self, Read};
use std::path::Path;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use mail_common::archive::compression::Compression;
use mail_common::beneath;

const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that wait for their reader.
const AHEAD: usize = 8;

type Chunk = io::Result<Vec<u8>>;

/// What a dump holds, as it is unpacked.
#[derive(Debug)]
pub(super) struct Content {
    chunks: Receiver<Chunk>,
    chunk: Vec<u8>,
    read_bytes: usize,
}

/// Gives `work` the content of `file`, which is `expected_bytes` long where that is known.
///
/// Content of another length is an error of the last read, or of the first that goes beyond it: a
/// decompression bomb stops there.
pub(super) fn with_content<T>(
    file: &Path,
    expected_bytes: Option<u64>,
    work: impl FnOnce(Content) -> T,
) -> T {
    let (sender, chunks) = bounded(AHEAD);
    thread::scope(|scope| {
        scope.spawn(move || pump(file, expected_bytes, &sender));
        work(Content {
            chunks,
            chunk: Vec::new(),
            read_bytes: 0,
        })
    })
}

/// Sends all chunks, or the error; a reader that went away ends it.
fn pump(file: &Path, expected_bytes: Option<u64>, sender: &Sender<Chunk>) {
    let send = |chunk| sender.send(chunk).is_ok();
    if let Err(error) = unpack(file, expected_bytes, &send) {
        send(Err(error));
    }
}

fn unpack(
    file: &Path,
    expected_bytes: Option<u64>,
    send: &dyn Fn(Chunk) -> bool,
) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    let mut content = Compression::of_name(name).reader(beneath::regular_file(file)?)?;
    let mut total_bytes = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        (&mut content)
            .take(CHUNK_BYTES as u64)
            .read_to_end(&mut chunk)?;
        total_bytes += chunk.len() as u64;
        let is_end = chunk.is_empty();
        if let Some(expected_bytes) = expected_bytes
            && (total_bytes > expected_bytes || is_end && total_bytes < expected_bytes)
        {
            return Err(other_length(expected_bytes));
        }
        if is_end || !send(Ok(chunk)) {
            return Ok(());
        }
    }
}

fn other_length(expected_bytes: u64) -> io::Error {
    let message = format!(
        "it does not hold the {expected_bytes} bytes that the manifest records; use another set"
    );
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Read for Content {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read_bytes == self.chunk.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.chunk, self.read_bytes) = (chunk?, 0),
                // The sender is gone: all was sent.
                Err(_) => return Ok(0),
            }
        }
        let rest = &self.chunk[self.read_bytes..];
        let bytes = rest.len().min(into.len());
        into[..bytes].copy_from_slice(&rest[..bytes]);
        self.read_bytes += bytes;
        Ok(bytes)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
mod tests {
    use super::*;
    use std::fs;

    fn read(name: &str, content: &[u8], expected_bytes: Option<u64>) -> io::Result<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        with_content(&file, expected_bytes, |mut content| {
            let mut text = Vec::new();
            content.read_to_end(&mut text).map(|_| text)
        })
    }

    #[test]
    fn content_is_unpacked_by_the_files_name() {
        let text = b"SELECT 1;\n".repeat(100_000);
        let packed = zstd::encode_all(&text[..], 1).unwrap();
        assert_eq!(read("a.sql.zst", &packed, Some(1_000_000)).unwrap(), text);
        assert_eq!(read("a.sql", &text, None).unwrap(), text);
        assert_eq!(read("a.sql", b"", Some(0)).unwrap(), b"");
    }

    #[test]
    fn a_bomb_stops_and_a_short_content_is_noticed() {
        let bomb = zstd::encode_all(io::repeat(b' ').take(1 << 28), 1).unwrap();
        for (content, expected_bytes) in [
            (&bomb[..], 1000),
            (&zstd::encode_all(&b"ab"[..], 1).unwrap(), 3),
        ] {
            let error = read("a.sql.zst", content, Some(expected_bytes)).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("bytes that the manifest records"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_cut_file_is_an_error_and_a_reader_may_leave() {
        let text = b"SELECT 1;\n".repeat(1_000_000);
        let packed = zstd::encode_all(&text[..], 1).unwrap();
        assert_eq!(
            read("a.zst", &packed[..packed.len() - 1], None)
                .unwrap_err()
                .kind(),
            io::ErrorKind::UnexpectedEof
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), &text).unwrap();
        with_content(&dir.path().join("a"), None, |mut content| {
            content.read(&mut [0; 10])
        })
        .unwrap();
        let gone = with_content(&dir.path().join("b"), None, |mut content| {
            content.read(&mut [0; 10])
        });
        assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
