//! Opens what a set holds, whatever it is compressed with: zstd is ours; gzip, bzip2 and xz are
//! those of old scripts.

use std::io::{self, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

const BUFFER_BYTES: usize = 128 * 1024;

/// A head of xz may ask for 4 GiB before a byte is unpacked. `xz -9` needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 256 << 20;

/// How a file is compressed, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
    /// `.xz`
    Xz,
}

impl Compression {
    /// What the name of a file says.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Self {
        match name.rsplit(|&byte| byte == b'.').next() {
            Some(b"zst") => Self::Zstd,
            Some(b"gz" | b"tgz") => Self::Gzip,
            Some(b"bz2" | b"tbz" | b"tbz2") => Self::Bzip2,
            Some(b"xz" | b"txz") => Self::Xz,
            _ => Self::None,
        }
    }

    /// The content of `input`, unpacked as it is read. Several frames, members or streams are one
    /// content.
    ///
    /// Reading fails with `UnexpectedEof` when the compressed stream is cut, and with another error
    /// when it is damaged.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn reader<'a>(self, input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Ok(match self {
            Self::None => Box::new(input),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(input)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(input, stream))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(data: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(data: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn read(compression: Compression, data: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        compression.reader(data)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn the_name_tells() {
        let check = |name: &str, expected| {
            assert_eq!(Compression::of_name(name.as_bytes()), expected, "{name}");
        };
        check("0001.tar.zst", Compression::Zstd);
        check("config.tar.gz", Compression::Gzip);
        check("config.tgz", Compression::Gzip);
        check("mail.sql.bz2", Compression::Bzip2);
        check("config.txz", Compression::Xz);
        check("docker-compose.yml", Compression::None);
        check("zst", Compression::Zstd);
        check("", Compression::None);
    }

    #[test]
    fn what_was_packed_in_pieces_is_one_content() {
        let two_frames = [
            zstd::encode_all(&b"one "[..], 1).unwrap(),
            zstd::encode_all(&b"two"[..], 1).unwrap(),
        ]
        .concat();
        assert_eq!(read(Compression::Zstd, &two_frames).unwrap(), b"one two");
        assert_eq!(
            read(Compression::Gzip, &[gzip(b"one "), gzip(b"two")].concat()).unwrap(),
            b"one two"
        );
        for (compression, pack) in [
            (Compression::Bzip2, bzip2 as fn(&[u8]) -> Vec<u8>),
            (Compression::Xz, xz),
        ] {
            let packed = [pack(b"one "), pack(b"two")].concat();
            assert_eq!(read(compression, &packed).unwrap(), b"one two");
        }
        assert_eq!(read(Compression::None, b"plain").unwrap(), b"plain");
    }

    #[test]
    fn a_cut_stream_is_an_error() {
        let text = b"a message that is long enough to be cut anywhere".repeat(9);
        for (compression, packed) in [
            (Compression::Zstd, zstd::encode_all(&text[..], 1).unwrap()),
            (Compression::Gzip, gzip(&text)),
            (Compression::Bzip2, bzip2(&text)),
            (Compression::Xz, xz(&text)),
        ] {
            for length in 1..packed.len() {
                assert!(
                    read(compression, &packed[..length]).is_err(),
                    "{compression:?} cut at {length}"
                );
            }
        }
    }
}
