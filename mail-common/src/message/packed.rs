//! Messages that Dovecot has compressed (mail_compress) or encrypted (mail_crypt): what is stored
//! in a Maildir is then not the message but what was made of it. The bytes at its beginning tell.

use std::io::{self, Read};

use super::lz4;
use crate::archive::compression::Compression;

/// How the file begins that stands in place of a message.
const MAGICS: [(&[u8], Packing); 6] = [
    (b"\x1f\x8b", Packing::Compressed(Compression::Gzip)),
    (b"BZh", Packing::Compressed(Compression::Bzip2)),
    (b"\xfd7zXZ\0", Packing::Compressed(Compression::Xz)),
    (b"\x28\xb5\x2f\xfd", Packing::Compressed(Compression::Zstd)),
    (lz4::MAGIC, Packing::Lz4),
    (b"CRYPTED\x03\x07", Packing::Encrypted),
];

/// The longest of these.
const MAGIC_BYTES: usize = lz4::MAGIC.len();

/// What was done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Compressed(Compression),
    Lz4,
    Encrypted,
}

/// Whether a file that begins with `start` is a compressed or encrypted message.
#[must_use]
pub fn is_packed(start: &[u8]) -> bool {
    packing_of(start).is_some()
}

fn packing_of(start: &[u8]) -> Option<Packing> {
    let known = MAGICS.iter().find(|(magic, _)| start.starts_with(magic));
    known.map(|(_, packing)| *packing)
}

/// The text of the message that `file` holds, unpacked as it is read; `None` where it is encrypted.
///
/// Bound what you read: a few bytes may unpack to any number. Memory is bounded here.
///
/// # Errors
/// As `file`. Reading fails with `UnexpectedEof` or `InvalidData` when what is compressed is cut or
/// damaged.
pub fn text_of<'a>(
    mut file: impl Read + Send + 'a,
) -> io::Result<Option<Box<dyn Read + Send + 'a>>> {
    let mut start = Vec::with_capacity(MAGIC_BYTES);
    (&mut file)
        .take(MAGIC_BYTES as u64)
        .read_to_end(&mut start)?;
    let packing = packing_of(&start);
    let file = io::Cursor::new(start).chain(file);
    Ok(Some(match packing {
        None => Box::new(file),
        Some(Packing::Compressed(compression)) => compression.reader(file)?,
        Some(Packing::Lz4) => Box::new(lz4::Reader::new(file)),
        Some(Packing::Encrypted) => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Dovecot 2.3.19 stored of one message with each `zlib_save`.
    const STORED: [(&str, &str); 4] = [
        (
            "gz",
            "1f8b0800000000000003732bcacfb552487448ad48cc2dc849d5cb4b2de1f24d2d2e4e4c4fd5\
             f574b152b049afd2354496b5e30a2e4dca4a4d2eb152a8e0e24aca4fa9e40200b67e46cc4400\
             0000",
        ),
        (
            "bz2",
            "425a6839314159265359ca4dc6e500000b5f80001040033015452208003e97de70200050c698\
             8c234c00000d44683d268d0d1a1a69b24343c98d5362a2abfd272f97c1c4b17a6a2ac86873a0\
             a48c486df202b44c32bd0a41e11691b054bf177245385090ca4dc6e5",
        ),
        (
            "zstd",
            "28b52ffd0058140200a40346726f6d3a2061406578616d706c652e6e65740a4d657373616765\
             2d49443a203c7a7374642d313e0a5375626a6563743a20780a0a626f64790a01001f9c7a0201\
             0000",
        ),
        (
            "lz4",
            "446f7665636f742d4c5a340d2a9bc5000100000000003ff81746726f6d3a2061406578616d70\
             6c652e6e65740a4d6573736167652d49443a203c6c7a342d311f00f0043e0a5375626a656374\
             3a20780a0a626f64790a",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        pairs.map(byte).collect()
    }

    fn text(file: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Some(mut reader) = text_of(file)? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        reader.read_to_end(&mut text)?;
        Ok(Some(text))
    }

    #[test]
    fn what_dovecot_compressed_is_read() {
        for (name, hex) in STORED {
            let expected = format!(
                "From: a@example.net\nMessage-ID: <{name}-1@example.net>\nSubject: x\n\nbody\n"
            );
            let stored = bytes(hex);
            assert!(is_packed(&stored), "{name}");
            let read = text(&stored).unwrap().unwrap();
            assert_eq!(String::from_utf8(read).unwrap(), expected, "{name}");
            for length in MAGIC_BYTES..stored.len() {
                let cut = text(&stored[..length]).map(|text| text.unwrap().len());
                assert!(
                    cut.is_err() || cut.unwrap() <= expected.len(),
                    "{name}, {length}"
                );
            }
        }
    }

    #[test]
    fn what_is_plain_is_itself_and_what_is_encrypted_is_not_read() {
        for plain in [&b""[..], b"From: a\n\nb", b"BZ", b"Dovecot-LZ4 is fast\n\n"] {
            assert_eq!(text(plain).unwrap().as_deref(), Some(plain));
        }
        assert_eq!(text(b"CRYPTED\x03\x07rest").unwrap(), None);
    }

    /// A head may claim a dictionary of 4 GiB (0x28 is 2^32 - 1 bytes).
    #[test]
    fn an_xz_that_asks_for_all_memory_is_refused() {
        let mut packed = liblzma::encode_all(&b"From: a\n\n"[..], 6).unwrap();
        // The block header: size, flags, filter LZMA2 (0x21), one byte of properties.
        let at = 12 + 4;
        assert_eq!(packed[at - 2..at], [0x21, 1]);
        packed[at] = 0x28;
        assert!(text(&packed).is_err());
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(magic in 0..MAGICS.len(), rest: Vec<u8>) {
            let _ = text(&[MAGICS[magic].0, &rest].concat());
        }
    }
}
