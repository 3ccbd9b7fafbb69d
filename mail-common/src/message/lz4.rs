//! What Dovecot writes for `zlib_save = lz4`: a magic, the size of the largest chunk, then chunks,
//! each an lz4 block after its size (Dovecot, `iostream-lz4.h`). Sizes are big-endian.

use std::io::{self, Read};

/// How it begins.
pub(super) const MAGIC: &[u8] = b"Dovecot-LZ4\x0d\x2a\x9b\xc5";

/// Dovecot writes chunks of 64 KiB and reads no larger ones.
const CHUNK_MAX_BYTES: u32 = 64 * 1024;

/// What cannot be compressed grows by less than this (`LZ4_compressBound`).
const BLOCK_MAX_BYTES: u32 = CHUNK_MAX_BYTES + CHUNK_MAX_BYTES / 255 + 16;

/// Unpacks chunk after chunk.
pub(super) struct Reader<R> {
    inner: R,
    state: State,
}

enum State {
    Start,
    /// In a chunk that was unpacked.
    Chunk(io::Cursor<Vec<u8>>),
}

impl<R: Read> Reader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            state: State::Start,
        }
    }

    fn skip_head(&mut self) -> io::Result<()> {
        let mut magic = [0; MAGIC.len()];
        self.inner.read_exact(&mut magic)?;
        if magic != MAGIC || self.number()? > CHUNK_MAX_BYTES {
            return Err(invalid("not what Dovecot writes as lz4"));
        }
        Ok(())
    }

    /// The next chunk; empty at the end.
    fn next_chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut size = Vec::new();
        (&mut self.inner).take(4).read_to_end(&mut size)?;
        if size.is_empty() {
            return Ok(Vec::new());
        }
        let size: [u8; 4] = size
            .try_into()
            .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let block_bytes = u32::from_be_bytes(size);
        if block_bytes == 0 || block_bytes > BLOCK_MAX_BYTES {
            return Err(invalid("an lz4 chunk has a size that none can have"));
        }
        let mut block = vec![0; block_bytes as usize];
        self.inner.read_exact(&mut block)?;
        lz4_flex::block::decompress(&block, CHUNK_MAX_BYTES as usize)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.inner.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Chunk(chunk) = &mut self.state {
            let read = chunk.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
        } else {
            self.skip_head()?;
        }
        let mut chunk = io::Cursor::new(self.next_chunk()?);
        let read = chunk.read(buffer)?;
        self.state = State::Chunk(chunk);
        Ok(read)
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
