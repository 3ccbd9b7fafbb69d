//! RAR archives (technote of WinRAR for version 5; `unrar`'s headers for those before). clamd opens
//! them where it has a library for it; nobody can without the password.

use super::search::Search;

const MAGIC_4: &[u8] = b"Rar!\x1a\x07\0";
const MAGIC_5: &[u8] = b"Rar!\x1a\x07\x01\0";

/// Blocks of version 4, and what their flags say.
const ARCHIVE_4: u8 = 0x73;
const FILE_4: u8 = 0x74;
const ENCRYPTED_HEADERS: u16 = 0x80;
const ENCRYPTED_FILE: u16 = 0x04;
const HAS_DATA: u16 = 0x8000;

/// Headers of version 5, and the record of a file that is encrypted.
const FILE_5: u64 = 2;
const SERVICE_5: u64 = 3;
const ENCRYPTION_5: u64 = 4;
const HAS_EXTRA: u64 = 1;
const HAS_DATA_5: u64 = 2;
const ENCRYPTION_RECORD: u64 = 1;

/// Whether clamd opens it is known when it is asked.
pub(super) fn look(search: &mut Search, content: &[u8]) {
    search.found_rar();
    let is_encrypted = match content.strip_prefix(MAGIC_4) {
        Some(blocks) => is_encrypted_4(blocks).unwrap_or(false),
        None => content
            .strip_prefix(MAGIC_5)
            .is_some_and(|headers| is_encrypted_5(headers).unwrap_or(false)),
    };
    if is_encrypted {
        search.hide_encrypted("a RAR archive with a password");
    }
}

/// `None` where the blocks end, or make no sense.
fn is_encrypted_4(mut blocks: &[u8]) -> Option<bool> {
    loop {
        let two = |at: usize| Some(u16::from_le_bytes([*blocks.get(at)?, *blocks.get(at + 1)?]));
        let (kind, flags, header_bytes) = (*blocks.get(2)?, two(3)?, usize::from(two(5)?));
        match kind {
            ARCHIVE_4 if flags & ENCRYPTED_HEADERS != 0 => return Some(true),
            FILE_4 if flags & ENCRYPTED_FILE != 0 => return Some(true),
            _ => {}
        }
        let has_data = kind == FILE_4 || flags & HAS_DATA != 0;
        let data_bytes = if has_data {
            usize::from(two(7)?) | usize::from(two(9)?) << 16
        } else {
            0
        };
        // A header has seven bytes at least: this ends.
        blocks = blocks.get(header_bytes.max(7).checked_add(data_bytes)?..)?;
    }
}

/// As [`is_encrypted_4`].
fn is_encrypted_5(mut headers: &[u8]) -> Option<bool> {
    loop {
        // After the checksum.
        let (header_bytes, rest) = number(headers.get(4..)?)?;
        let header = rest.get(..usize::try_from(header_bytes).ok()?)?;
        let (kind, fields) = number(header)?;
        let (flags, fields) = number(fields)?;
        let (extra_bytes, fields) = number_if(flags & HAS_EXTRA != 0, fields)?;
        let (data_bytes, _) = number_if(flags & HAS_DATA_5 != 0, fields)?;
        let extra = header
            .len()
            .checked_sub(usize::try_from(extra_bytes).ok()?)?;
        let is_encrypted = match kind {
            ENCRYPTION_5 => true,
            FILE_5 | SERVICE_5 => has_encryption(&header[extra..]),
            _ => false,
        };
        if is_encrypted {
            return Some(true);
        }
        headers = rest
            .get(header.len()..)?
            .get(usize::try_from(data_bytes).ok()?..)?;
    }
}

fn has_encryption(mut records: &[u8]) -> bool {
    while let Some((record_bytes, rest)) = number(records) {
        let length = usize::try_from(record_bytes).unwrap_or(usize::MAX);
        let Some(record) = rest.get(..length) else {
            return false;
        };
        if number(record).is_some_and(|(kind, _)| kind == ENCRYPTION_RECORD) {
            return true;
        }
        records = &rest[length..];
    }
    false
}

fn number_if(is_there: bool, bytes: &[u8]) -> Option<(u64, &[u8])> {
    if is_there {
        number(bytes)
    } else {
        Some((0, bytes))
    }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inside::{Hidden, Role, look};

    fn block_4(kind: u8, flags: u16, rest: &[u8], data: &[u8]) -> Vec<u8> {
        let bytes = u16::try_from(7 + rest.len()).unwrap();
        let head = [
            &[0, 0, kind][..],
            &flags.to_le_bytes(),
            &bytes.to_le_bytes(),
        ];
        [&head.concat(), rest, data].concat()
    }

    fn header_5(fields: &[u8], data: &[u8]) -> Vec<u8> {
        let bytes = u8::try_from(fields.len()).unwrap();
        [&[0, 0, 0, 0, bytes][..], fields, data].concat()
    }

    #[test]
    fn a_password_is_seen_in_each_version() {
        let check = |archive: &[&[u8]], is_encrypted: bool| {
            let inside = look(&archive.concat(), Role::File, 1 << 20).unwrap();
            assert!(inside.has_rar);
            let hidden = Hidden::Encrypted("a RAR archive with a password".to_owned());
            assert_eq!(inside.hidden, is_encrypted.then_some(hidden));
        };
        let plain = block_4(FILE_4, 0x8000, &[5, 0, 0, 0], b"hello");
        let (main, end) = (
            block_4(ARCHIVE_4, 0, &[0; 6], b""),
            block_4(0x7b, 0, &[], b""),
        );
        check(&[MAGIC_4, &main, &plain, &end], false);
        let secret = block_4(FILE_4, 0x8004, &[5, 0, 0, 0], b"hello");
        check(&[MAGIC_4, &main, &plain, &secret, &end], true);
        check(&[MAGIC_4, &block_4(ARCHIVE_4, 0x80, &[0; 6], b"")], true);
        check(&[MAGIC_4, &main[..9]], false);

        let (main, file) = (header_5(&[1, 0, 0], b""), header_5(&[2, 2, 5, 9], b"hello"));
        check(&[MAGIC_5, &main, &file], false);
        // A record of a time, then that of encryption.
        let secret = header_5(&[2, 3, 5, 5, 9, 2, 3, 0, 1, 1], b"hello");
        check(&[MAGIC_5, &main, &file, &secret], true);
        check(&[MAGIC_5, &header_5(&[4, 0, 0], b"")], true);
        check(&[MAGIC_5, b"\0\0"], false);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (is_encrypted_4(&tail), is_encrypted_5(&tail));
        }
    }
}
