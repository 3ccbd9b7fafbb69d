//! Archives that nobody can look into without a password. A clamd that is not set to
//! (AlertEncrypted) says OK to them: then they are looked for here, as files and as attachments in
//! base64.
//!
//! Found are zip archives with an encrypted member, 7z archives with encrypted names, and encrypted
//! PDF documents. What lies deeper is not.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;

const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
const ZIP_ENTRY: &[u8] = b"PK\x01\x02";
const SEVEN_ZIP_MAGIC: &[u8] = b"7z\xbc\xaf\x27\x1c";

/// The method AES-256 with SHA-256 in the header of a 7z archive (7zFormat.txt, Methods.txt).
const SEVEN_ZIP_AES: &[u8] = &[0x06, 0xf1, 0x07, 0x01];

/// How they begin in base64.
const BASE64_HEADS: [&[u8]; 3] = [b"UEsDB", b"N3q8r", b"JVBER"];

/// A document, and the entry of its trailer that says how it is encrypted (ISO 32000-1, 7.6).
/// Whether it can be opened without a password is in no entry.
const PDF_MAGIC: &[u8] = b"%PDF-";
const PDF_ENCRYPT: &[u8] = b"/Encrypt";

/// Mail programs write 76; a few write more.
const LINE_MAX_BYTES: usize = 1000;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What is encrypted in `content`.
pub(crate) fn find(content: &[u8]) -> Option<&'static str> {
    of_archive(content)
        .or_else(|| attachments(content).find_map(|attachment| of_archive(&attachment)))
}

fn of_archive(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(PDF_MAGIC) {
        return memmem::find(content, PDF_ENCRYPT).map(
            |_| "a PDF document (set AlertEncrypted yes, and clamd tells those that it can open)",
        );
    }
    if content.starts_with(ZIP_MAGIC) {
        return is_encrypted_zip(content).then_some("a zip archive with a password");
    }
    let is_seven = content.starts_with(SEVEN_ZIP_MAGIC);
    (is_seven && is_encrypted_seven_zip(content)).then_some("a 7z archive with a password")
}

/// Bit 0 of the general purpose flags, of the first member or of any in the directory (APPNOTE.TXT,
/// 4.4.4).
fn is_encrypted_zip(content: &[u8]) -> bool {
    let flag = |at: usize| content.get(at).is_some_and(|flags| flags & 1 == 1);
    flag(6) || positions(content, ZIP_ENTRY).any(|entry| flag(entry + 8))
}

/// Its header is at the end, and names the methods unless it is compressed itself.
fn is_encrypted_seven_zip(content: &[u8]) -> bool {
    let number = |at: usize| {
        content
            .get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_le_bytes)
    };
    let Some(offset) = number(12).and_then(|offset| usize::try_from(offset).ok()) else {
        return false;
    };
    let header = offset
        .checked_add(32)
        .and_then(|start| content.get(start..))
        .unwrap_or_default();
    positions(header, SEVEN_ZIP_AES).next().is_some()
}

/// The decoded runs of base64 lines of which the first begins as an archive does.
fn attachments(content: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut lines = content
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    std::iter::from_fn(move || {
        let first = lines.find(|line| BASE64_HEADS.iter().any(|head| line.starts_with(head)))?;
        let mut text = first.to_vec();
        for line in lines.by_ref().take_while(|line| is_base64(line)) {
            text.extend_from_slice(line);
        }
        text.truncate(
            text.iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(text.len()),
        );
        // A last digit that is left over carries no byte.
        text.truncate(text.len() - usize::from(text.len() % 4 == 1));
        Some(LENIENT.decode(&text).unwrap_or_default())
    })
}

fn is_base64(line: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    !line.is_empty() && line.len() <= LINE_MAX_BYTES && line.iter().all(is_digit)
}

fn positions<'a>(content: &'a [u8], pattern: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    content
        .windows(pattern.len())
        .enumerate()
        .filter(move |(_, window)| *window == pattern)
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    /// A zip of two members, of which the second has these flags.
    fn zip(flags: u8) -> Vec<u8> {
        let local = |flags: u8| {
            [
                &b"PK\x03\x04\x14\x00"[..],
                &[flags, 0],
                &[0; 22],
                b"content",
            ]
            .concat()
        };
        let entry =
            |flags: u8| [&b"PK\x01\x02\x14\x03\x14\x00"[..], &[flags, 0], &[0; 36]].concat();
        [local(0), local(flags), entry(0), entry(flags)].concat()
    }

    fn mail(attachment: &[u8], newline: &str) -> Vec<u8> {
        let encoded = STANDARD.encode(attachment);
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let head = [
            "Subject: x",
            "",
            "--b",
            "Content-Transfer-Encoding: base64",
            "",
        ]
        .join(newline);
        format!(
            "{head}{newline}{}{newline}--b--{newline}",
            lines.join(newline)
        )
        .into_bytes()
    }

    #[test]
    fn a_password_is_seen_in_files_and_attachments() {
        let check = |content: &[u8], expected| assert_eq!(find(content), expected);
        let found = Some("a zip archive with a password");
        check(&zip(1), found);
        check(&zip(0), None);
        check(&zip(8), None);
        for newline in ["\n", "\r\n"] {
            check(&mail(&zip(9), newline), found);
            check(&mail(&zip(0), newline), None);
        }
        check(b"PK\x03\x04", None);
        check(b"Subject: x\n\nUEsDB is how a zip begins\n", None);
        check(b"", None);
    }

    #[test]
    fn encrypted_names_of_a_7z_are_seen() {
        let mut archive = [
            SEVEN_ZIP_MAGIC,
            &[0; 6],
            &10_u64.to_le_bytes(),
            &[0; 12],
            &[7; 10],
        ]
        .concat();
        assert_eq!(find(&archive), None);
        archive.extend_from_slice(&[0x17, 0x06, 0x24, 0x06, 0xf1, 0x07, 0x01, 0x0a]);
        assert_eq!(find(&archive), Some("a 7z archive with a password"));
        assert_eq!(find(&archive[..20]), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..200), head in 0usize..4) {
            let heads: [&[u8]; 4] = [ZIP_MAGIC, SEVEN_ZIP_MAGIC, b"x\nUEsDB", b""];
            let _ = find(&[heads[head], &tail].concat());
        }
    }
}
