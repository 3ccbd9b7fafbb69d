//! A segment read frame by frame, so that what is read is known by the frame it lies in.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use zstd::Decoder;

/// The content of a file of zstd frames, one after the other.
pub(super) struct Frames<R: Read> {
    state: State<R>,
    /// Where the frame begins that is being read.
    begin: u64,
    /// Offset and length of the frames that were read whole.
    read: BTreeMap<u64, u64>,
}

/// Counts what is taken from the file.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

enum State<R: Read> {
    Between(BufReader<Counted<R>>),
    Inside(Decoder<'static, BufReader<Counted<R>>>),
    /// A frame could not be read: there is no way on.
    Lost,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(input: R) -> Self {
        let counted = Counted {
            inner: input,
            bytes: 0,
        };
        Self {
            state: State::Between(BufReader::with_capacity(128 * 1024, counted)),
            begin: 0,
            read: BTreeMap::new(),
        }
    }

    /// Where the frame begins from which the last bytes came.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// Offset and length of the frames that were read whole.
    pub(super) fn into_read(self) -> BTreeMap<u64, u64> {
        self.read
    }

    /// Begins the next frame; false at the end of the file.
    fn begin_frame(&mut self, mut input: BufReader<Counted<R>>) -> io::Result<bool> {
        if input.fill_buf()?.is_empty() {
            self.state = State::Between(input);
            return Ok(false);
        }
        self.begin = position(&input);
        self.state = State::Inside(Decoder::with_buffer(input)?.single_frame());
        Ok(true)
    }

    fn end_frame(&mut self, decoder: Decoder<'static, BufReader<Counted<R>>>) {
        let input = decoder.finish();
        self.read.insert(self.begin, position(&input) - self.begin);
        self.state = State::Between(input);
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::Lost) {
                State::Lost => return Err(io::Error::other("a frame before this was damaged")),
                State::Between(input) => {
                    if !self.begin_frame(input)? {
                        return Ok(0);
                    }
                }
                State::Inside(mut decoder) => match decoder.read(buffer)? {
                    0 => self.end_frame(decoder),
                    length => {
                        self.state = State::Inside(decoder);
                        return Ok(length);
                    }
                },
            }
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

/// How much of the file was used.
fn position<R: Read>(input: &BufReader<Counted<R>>) -> u64 {
    input.get_ref().bytes - input.buffer().len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_known_by_its_frame() {
        let frames: Vec<Vec<u8>> = [&b"one"[..], b"two-and-more"]
            .iter()
            .map(|content| zstd::encode_all(*content, 3).unwrap())
            .collect();
        let file = frames.concat();
        let mut reader = Frames::new(&file[..]);
        let mut content = [0; 3];
        reader.read_exact(&mut content).unwrap();
        assert_eq!((&content, reader.begin()), (b"one", 0));
        reader.read_exact(&mut content).unwrap();
        assert_eq!((&content, reader.begin()), (b"two", frames[0].len() as u64));
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let lengths: Vec<(u64, u64)> = reader.into_read().into_iter().collect();
        assert_eq!(
            lengths,
            [
                (0, frames[0].len() as u64),
                (frames[0].len() as u64, frames[1].len() as u64)
            ]
        );
    }

    #[test]
    fn a_cut_frame_is_an_error() {
        let file = zstd::encode_all(&[7; 5000][..], 3).unwrap();
        let mut reader = Frames::new(&file[..file.len() - 1]);
        assert!(io::copy(&mut reader, &mut io::sink()).is_err());
        assert!(reader.read(&mut [0]).is_err());
    }
}
