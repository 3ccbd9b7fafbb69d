//! By which methods a 7z archive is packed (7zFormat.txt, Methods.txt). clamd says OK to an archive
//! by methods that it does not know.

use super::open;
use super::search::{Hidden, Search, TooLarge};

/// After the signature: a version, a checksum, and where the header is.
const HEADER_AT: usize = 32;

const HEADER: u8 = 0x01;
const PACKED_HEADER: u8 = 0x17;

/// Methods that clamd does not have, each as a coder begins: how long its identifier is, and
/// whether properties follow.
const UNKNOWN_TO_CLAMD: [(&[u8], &str); 9] = [
    (b"\x03\x04\x01\x08", "Deflate"),
    (b"\x03\x04\x01\x09", "Deflate64"),
    (b"\x03\x04\x02\x02", "BZip2"),
    (b"\x24\x04\xf7\x11\x01", "Zstandard"),
    (b"\x24\x04\xf7\x11\x02", "Brotli"),
    (b"\x24\x04\xf7\x11\x04", "LZ4"),
    (b"\x24\x04\xf7\x11\x05", "LZ5"),
    (b"\x24\x04\xf7\x11\x06", "Lizard"),
    (b"\x24\x04\xf7\x11\x21", "Fast LZMA2"),
];

/// LZMA with its five bytes of properties, as the header is packed.
const LZMA: &[u8] = b"\x23\x03\x01\x01\x05";

/// AES-256 with SHA-256.
const AES: &[u8] = b"\x06\xf1\x07\x01";

/// Names what clamd does not open.
pub(super) fn look(search: &mut Search, archive: &[u8]) -> Result<(), TooLarge> {
    let Some(header) = header(archive, search.room_bytes()) else {
        let what = "a 7z archive whose header cannot be read";
        search.hide(Hidden::NotUnpacked(what.to_owned()));
        return Ok(());
    };
    let has = |method: &[u8]| memchr::memmem::find(&header, method).is_some();
    if has(AES) {
        search.hide(Hidden::NotUnpacked(
            "encrypted: a 7z archive with a password".to_owned(),
        ));
    }
    for (method, name) in UNKNOWN_TO_CLAMD {
        if has(method) {
            search.hide(Hidden::NotUnpacked(format!("a 7z archive by {name}")));
        }
    }
    Ok(())
}

/// The header, which names the methods, unpacked where it is packed by LZMA.
fn header(archive: &[u8], room_bytes: u64) -> Option<Vec<u8>> {
    let number = |at: usize| {
        let bytes = archive.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let (offset, length) = (number(12)?, number(20)?);
    let header = archive
        .get(HEADER_AT.checked_add(offset)?..)?
        .get(..length)?;
    match header.first() {
        None => Some(Vec::new()),
        Some(&HEADER) => Some(header.to_vec()),
        Some(&PACKED_HEADER) => {
            if memchr::memmem::find(header, AES).is_some() {
                return Some(header.to_vec());
            }
            unpacked_header(archive, header, room_bytes)
        }
        Some(_) => None,
    }
}

/// `17 06 offset 01 09 size ... 0b 01 00 coder ... 0c size`.
fn unpacked_header(archive: &[u8], header: &[u8], room_bytes: u64) -> Option<Vec<u8>> {
    let mut fields = header.get(2..)?;
    let offset = number(&mut fields)?;
    let (_streams, _size_tag) = (number(&mut fields)?, number(&mut fields)?);
    let packed_bytes = number(&mut fields)?;
    let coder = memchr::memmem::find(header, LZMA)?;
    let properties = header.get(coder + LZMA.len()..)?.get(..5)?;
    let mut sizes = header
        .get(coder + LZMA.len() + 5..)?
        .strip_prefix(b"\x0c")?;
    let bytes = number(&mut sizes)?;
    let from = HEADER_AT.checked_add(usize::try_from(offset).ok()?)?;
    let packed = archive
        .get(from..)?
        .get(..usize::try_from(packed_bytes).ok()?)?;
    let alone = [properties, &bytes.to_le_bytes(), packed].concat();
    open::lzma_alone(&alone, room_bytes).ok()?.ok()
}

/// A number: as many leading bits of the first byte as further bytes follow.
fn number(fields: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = fields.split_first()?;
    let further = usize::try_from(first.leading_ones()).ok()?;
    let (bytes, rest) = rest.split_at_checked(further)?;
    *fields = rest;
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= u64::from(*byte) << (8 * at);
    }
    let high = if further >= 7 {
        0
    } else {
        u64::from(first) & ((1 << (7 - further)) - 1)
    };
    Some(if further >= 8 {
        value
    } else {
        value | high << (8 * further)
    })
}
