//! A frame: whole tar members, about 4 MiB of them, compressed by themselves as one zstd frame.
//!
//! Each has its content checksum and its size in its head, so that a frame can be copied into
//! another segment byte for byte, and one message can be read without reading the rest.

use std::io;

use zstd::zstd_safe::{self, CParameter};

/// How much tar goes into a frame. A larger member has a frame of its own.
pub const FRAME_TAR_BYTES: u64 = 4 << 20;

/// The two zero blocks that end a tar; the last frame of a segment holds them and nothing else.
pub(super) const TAR_END: [u8; 1024] = [0; 1024];

/// Compresses frames one after the other with one context.
#[allow(missing_debug_implementations, reason = "the zstd context has none")]
pub struct FrameCompressor {
    context: zstd::bulk::Compressor<'static>,
}

impl FrameCompressor {
    /// A compressor of zstd's `level`, 1 to 19.
    ///
    /// # Errors
    /// When the level is none.
    pub fn new(level: i32) -> io::Result<Self> {
        let mut context = zstd::bulk::Compressor::new(level)?;
        context.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { context })
    }

    /// One frame that holds `tar`.
    ///
    /// # Errors
    /// When memory is short.
    pub fn compress(&mut self, tar: &[u8]) -> io::Result<Vec<u8>> {
        self.context.compress(tar)
    }
}

/// The tar in a frame. Its content checksum is verified.
///
/// # Errors
/// `InvalidData` when the frame is damaged, cut, or would unpack to more than `limit` bytes.
pub fn decompress(frame: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let bytes = zstd_safe::get_frame_content_size(frame)
        .map_err(|_| invalid("not a zstd frame".into()))?
        .ok_or_else(|| invalid("the zstd frame does not tell its size".into()))?;
    if bytes > limit {
        return Err(invalid(format!(
            "the zstd frame unpacks to {bytes} bytes, more than {limit}"
        )));
    }
    let capacity =
        usize::try_from(bytes).map_err(|_| invalid(format!("a frame of {bytes} bytes")))?;
    let tar = zstd::bulk::decompress(frame, capacity)?;
    if tar.len() != capacity {
        return Err(invalid(format!(
            "the zstd frame holds {} bytes of {bytes}",
            tar.len()
        )));
    }
    Ok(tar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_flipped_byte_is_found() {
        let tar = b"From: a@example.com\r\n".repeat(40);
        let frame = FrameCompressor::new(3).unwrap().compress(&tar).unwrap();
        assert_eq!(decompress(&frame, 1 << 20).unwrap(), tar);
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x40;
            // A flag of the head may go unnoticed; the content may not.
            if let Ok(read) = decompress(&damaged, 1 << 20) {
                assert_eq!(read, tar, "byte {at}");
            }
        }
    }

    #[test]
    fn a_frame_larger_than_allowed_is_refused() {
        let frame = FrameCompressor::new(3)
            .unwrap()
            .compress(&vec![0; 1 << 20])
            .unwrap();
        assert!(decompress(&frame, (1 << 20) - 1).is_err());
        assert!(decompress(&frame, 1 << 20).is_ok());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decompress(&bytes, 1 << 20);
        }
    }
}
