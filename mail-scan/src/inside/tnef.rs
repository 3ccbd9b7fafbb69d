//! The attachments of a `winmail.dat` ([MS-OXTNEF]). clamd opens it by itself; what is in them may
//! be something that it does not.

use super::search::{Role, Search, TooLarge};

/// After the signature and a key.
const ATTRIBUTES_AT: usize = 6;

/// A level, an identifier, a length; after the data a checksum.
const HEAD_BYTES: usize = 9;
const CHECKSUM_BYTES: usize = 2;

const ATTACH_TITLE: u32 = 0x0001_8010;
const ATTACH_DATA: u32 = 0x0006_800f;

/// Looks into each attachment.
pub(super) fn look(search: &mut Search, content: &[u8]) -> Result<(), TooLarge> {
    let mut rest = content.get(ATTRIBUTES_AT..).unwrap_or_default();
    let mut data: &[u8] = b"";
    let mut title: &[u8] = b"";
    while let Some((head, after)) = rest.split_at_checked(HEAD_BYTES) {
        let number =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(number(5)).unwrap_or(usize::MAX);
        let (body, after) = after.split_at(length.min(after.len()));
        match number(1) {
            ATTACH_DATA => {
                look_at(search, data, title)?;
                (data, title) = (body, b"");
            }
            // It may come before or after the data.
            ATTACH_TITLE => title = body,
            _ => {}
        }
        rest = after.get(CHECKSUM_BYTES..).unwrap_or_default();
    }
    look_at(search, data, title)
}

fn look_at(search: &mut Search, data: &[u8], title: &[u8]) -> Result<(), TooLarge> {
    let title = title.strip_suffix(b"\0").unwrap_or(title);
    search.deeper(|search| search.content(data, Role::File, title))
}

#[cfg(test)]
mod tests {
    use super::super::dispatch::look as look_into;
    use super::super::search::Hidden;

    #[test]
    fn an_encrypted_attachment_is_named() {
        let attribute = |id: u32, data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_le_bytes();
            [&[2][..], &id.to_le_bytes(), &length, data, &[0, 0]].concat()
        };
        let head = b"\x78\x9f\x3e\x22\x01\0".to_vec();
        let tnef = [
            head,
            attribute(super::ATTACH_DATA, b"MZ"),
            attribute(super::ATTACH_TITLE, b"a.exe\0"),
            attribute(super::ATTACH_DATA, b"\x85\x01\x0c\x03rest"),
        ]
        .concat();
        let hidden = |tnef: &[u8]| look_into(tnef, super::Role::File, 1 << 20).unwrap().hidden;
        assert_eq!(hidden(&tnef), Some(Hidden::Encrypted("PGP".into())));
        for length in 0..tnef.len() {
            let _ = hidden(&tnef[..length]);
        }
    }
}
