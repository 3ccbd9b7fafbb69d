//! Formats that are unpacked here, since clamd does not.

use std::io::{self, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::Stream;
use lz4_flex::frame::FrameDecoder;
use mail_common::archive::compression::Compression;
use mail_common::message::text_of;
use mail_common::report::chain;

use super::kind::Packed;
use super::search::{Hidden, Role, Search, TooLarge};

/// What a decoder may have in memory: a dictionary of 64 MiB, which `xz -9` writes, and more.
pub(super) const MEMORY_MAX_BYTES: u64 = 256 << 20;

/// Looks into a content that is compressed and nothing else.
pub(super) fn packed(
    search: &mut Search,
    packed: Packed,
    content: &[u8],
    role: Role,
) -> Result<(), TooLarge> {
    match unpacked(packed, content, search.room_bytes()) {
        Ok(inner) => search.found_layer(inner?, role),
        Err(error) => {
            hide_broken(search, name_of(packed), &error);
            Ok(())
        }
    }
}

/// It is of a kind that is opened here, and cannot be.
pub(super) fn hide_broken(search: &mut Search, what: &str, error: &io::Error) {
    let what = format!("{what} that cannot be unpacked: {}", chain(error));
    search.hide(Hidden::NotUnpacked(what));
}

/// Reads all of it, where it is not more than `room_bytes`.
pub(super) fn read_within(
    reader: impl Read,
    room_bytes: u64,
) -> io::Result<Result<Vec<u8>, TooLarge>> {
    let mut content = Vec::new();
    reader
        .take(room_bytes.saturating_add(1))
        .read_to_end(&mut content)?;
    Ok(if content.len() as u64 > room_bytes {
        Err(TooLarge)
    } else {
        Ok(content)
    })
}

/// A file by LZMA alone: properties, size, data.
pub(super) fn lzma_alone(content: &[u8], room_bytes: u64) -> io::Result<Result<Vec<u8>, TooLarge>> {
    unpacked(Packed::Lzma, content, room_bytes)
}

fn unpacked(
    packed: Packed,
    content: &[u8],
    room_bytes: u64,
) -> io::Result<Result<Vec<u8>, TooLarge>> {
    read_within(reader(packed, content)?, room_bytes)
}

/// What is compressed in `content`, unpacked as it is read.
pub(super) fn reader<'a>(
    packed: Packed,
    content: &'a [u8],
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let compression = match packed {
        Packed::Gzip => Compression::Gzip,
        Packed::Bzip2 => Compression::Bzip2,
        Packed::Xz => Compression::Xz,
        Packed::Zstd => Compression::Zstd,
        Packed::Lzma => {
            let stream = Stream::new_lzma_decoder(MEMORY_MAX_BYTES)?;
            return Ok(Box::new(XzDecoder::new_stream(content, stream)));
        }
        Packed::Lzip => {
            let stream = Stream::new_lzip_decoder(MEMORY_MAX_BYTES, 0)?;
            return Ok(Box::new(XzDecoder::new_stream(content, stream)));
        }
        Packed::Lz4 => return Ok(Box::new(Lz4Frames(FrameDecoder::new(content)))),
        Packed::DovecotLz4 => {
            return text_of(content)?.ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
    };
    compression.reader(content)
}

/// One frame after another, which the decoder does not go on to by itself.
struct Lz4Frames<'a>(FrameDecoder<&'a [u8]>);

impl Read for Lz4Frames<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.0.read(buffer)?;
            let rest = *self.0.get_ref();
            if length > 0 || buffer.is_empty() || rest.is_empty() {
                return Ok(length);
            }
            self.0 = FrameDecoder::new(rest);
        }
    }
}

fn name_of(packed: Packed) -> &'static str {
    match packed {
        Packed::Gzip => "gzip",
        Packed::Bzip2 => "bzip2",
        Packed::Xz => "xz",
        Packed::Zstd => "zstd",
        Packed::Lzma => "lzma",
        Packed::Lzip => "lzip",
        Packed::Lz4 | Packed::DovecotLz4 => "lz4",
    }
}
