//! A segment: a file of frames, closed at about 64 MiB, that is an ordinary `.tar.zst`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use zstd::zstd_safe::CParameter;

use super::frame::{FrameCompressor, TAR_END};
use crate::relpath::RelPath;

/// Where a frame lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameSpan {
    /// From the start of the file, in bytes.
    pub offset: u64,
    /// Compressed length.
    pub bytes: u64,
}

/// The file name of a segment: `0000.tar.zst` holds directories and control files, the others
/// messages.
///
/// # Panics
/// Never: digits and a suffix are a safe name.
#[must_use]
pub fn segment_name(number: u32) -> RelPath {
    RelPath::new(format!("{number:04}.tar.zst")).expect("digits and a suffix are a safe name")
}

/// A segment of messages is closed when it has as many members, before its index is too long to be
/// read quickly.
pub const MAX_MEMBERS: u64 = 100_000;

/// The number in a segment's file name.
#[must_use]
pub fn segment_number(name: &[u8]) -> Option<u32> {
    let digits = name.strip_suffix(b".tar.zst")?;
    if digits.len() < 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Writes frames one after the other and ends the tar.
#[derive(Debug)]
pub struct SegmentWriter<W> {
    inner: W,
    offset: u64,
}

impl<W: Write> SegmentWriter<W> {
    /// A segment without frames.
    pub fn new(inner: W) -> Self {
        Self { inner, offset: 0 }
    }

    /// Bytes of frames so far.
    pub fn bytes(&self) -> u64 {
        self.offset
    }

    /// Appends a compressed frame.
    ///
    /// # Errors
    /// As the inner writer.
    pub fn append(&mut self, frame: &[u8]) -> io::Result<FrameSpan> {
        self.inner.write_all(frame)?;
        let span = FrameSpan {
            offset: self.offset,
            bytes: frame.len() as u64,
        };
        self.offset += span.bytes;
        Ok(span)
    }

    /// Appends a frame of one member that is too large for memory: `head`, then what `content`
    /// gives, then `tail`.
    ///
    /// # Errors
    /// As the inner writer and `content`.
    pub fn append_stream(
        &mut self,
        level: i32,
        head: &[u8],
        content: &mut dyn Read,
        tail: &[u8],
    ) -> io::Result<FrameSpan> {
        let mut counted = Counted {
            inner: &mut self.inner,
            bytes: 0,
        };
        let mut encoder = zstd::Encoder::new(&mut counted, level)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        encoder.write_all(head)?;
        io::copy(
            &mut io::BufReader::with_capacity(1 << 20, content),
            &mut encoder,
        )?;
        encoder.write_all(tail)?;
        encoder.finish()?;
        let span = FrameSpan {
            offset: self.offset,
            bytes: counted.bytes,
        };
        self.offset += span.bytes;
        Ok(span)
    }

    /// Ends the tar with a frame of its own.
    ///
    /// # Errors
    /// As the inner writer.
    pub fn finish(mut self) -> io::Result<W> {
        let end = FrameCompressor::new(1)?.compress(&TAR_END)?;
        self.inner.write_all(&end)?;
        Ok(self.inner)
    }
}

struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The compressed bytes of the frame at `span`.
///
/// # Errors
/// When the file ends before the frame does.
pub fn read_frame(segment: &File, span: FrameSpan) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(span.bytes).map_err(io::Error::other)?;
    let mut frame = vec![0; bytes];
    segment.read_exact_at(&mut frame, span.offset)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_number(name: &str, expected: Option<u32>) {
        assert_eq!(segment_number(name.as_bytes()), expected, "{name}");
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(segment_name(7).to_string(), "0007.tar.zst");
        assert_eq!(segment_name(12345).to_string(), "12345.tar.zst");
        check_number("0000.tar.zst", Some(0));
        check_number("12345.tar.zst", Some(12345));
        check_number("7.tar.zst", None);
        check_number("000x.tar.zst", None);
        check_number("index.jsonl.zst", None);
    }

    #[test]
    fn frames_lie_where_their_spans_say_and_the_whole_ends_as_a_tar() {
        let mut compressor = FrameCompressor::new(3).unwrap();
        let mut writer = SegmentWriter::new(Vec::new());
        let first = writer
            .append(&compressor.compress(&[1; 512]).unwrap())
            .unwrap();
        let second = writer
            .append_stream(3, &[2; 512], &mut &[3; 600][..], &[0; 424])
            .unwrap();
        assert_eq!(second.offset, first.bytes);
        let segment = writer.finish().unwrap();
        let plain = zstd::decode_all(&segment[..]).unwrap();
        assert_eq!(plain.len(), 512 + 512 + 1024 + 1024);
        assert!(plain[2048..].iter().all(|&byte| byte == 0));
        let frame = &segment[second.offset as usize..][..second.bytes as usize];
        assert_eq!(
            zstd::decode_all(frame).unwrap()[..513],
            [&[2; 512][..], &[3]].concat()
        );
    }
}
