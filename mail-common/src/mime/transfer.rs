//! How binary data is carried in mail: base64 and quoted-printable (RFC 2045). Each decoder has a
//! lenient form: mail programs read on where the text is broken.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memchr;

/// Longer lines are not written by mail programs, and clamd cuts them (RFC 5322, 2.1.1).
pub const LINE_MAX_BYTES: usize = 998;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a text in base64 stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum Base64 {
    /// It is written as it should be: everybody reads this.
    Exact(Vec<u8>),
    /// It is not; a lenient reader makes this of it.
    Lenient(Vec<u8>),
}

impl Base64 {
    /// The bytes, however it is written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Exact(bytes) | Self::Lenient(bytes) => bytes,
        }
    }
}

/// The lines of `text`, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// Decodes base64.
#[must_use]
pub fn base64(text: &[u8]) -> Base64 {
    let mut digits = Vec::with_capacity(text.len());
    let mut is_short = true;
    for line in lines(text) {
        is_short &= line.len() <= LINE_MAX_BYTES;
        digits.extend_from_slice(line.trim_ascii());
    }
    match BASE64.decode(&digits) {
        Ok(bytes) if is_short => Base64::Exact(bytes),
        Ok(bytes) => Base64::Lenient(bytes),
        Err(_) => Base64::Lenient(lenient_base64(&digits)),
    }
}

/// What is no digit is passed over (RFC 2045, 6.8), and after padding another text begins.
fn lenient_base64(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut digits = Vec::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') {
            digits.push(byte);
        } else if byte == b'=' {
            decode_digits(&mut digits, &mut bytes);
        }
    }
    decode_digits(&mut digits, &mut bytes);
    bytes
}

fn decode_digits(digits: &mut Vec<u8>, bytes: &mut Vec<u8>) {
    // A last digit that is left over carries no byte.
    digits.truncate(digits.len() - usize::from(digits.len() % 4 == 1));
    bytes.extend(BASE64.decode(&digits).unwrap_or_default());
    digits.clear();
}

/// Decodes quoted-printable. What is no escape stays as it is.
#[must_use]
pub fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let end = line.trim_ascii_end();
        match end.strip_suffix(b"=") {
            Some(before) => unescape(before, &mut bytes),
            None => {
                unescape(end, &mut bytes);
                let newline = if line.ends_with(b"\r\n") {
                    &b"\r\n"[..]
                } else {
                    b"\n"
                };
                bytes.extend_from_slice(if line.ends_with(b"\n") { newline } else { b"" });
            }
        }
    }
    bytes
}

fn unescape(line: &[u8], bytes: &mut Vec<u8>) {
    let mut rest = line;
    while let Some(escape) = memchr(b'=', rest) {
        bytes.extend_from_slice(&rest[..escape]);
        let after = &rest[escape + 1..];
        match after
            .split_first_chunk()
            .and_then(|(digits, rest)| Some((hex(*digits)?, rest)))
        {
            Some((byte, after_digits)) => {
                bytes.push(byte);
                rest = after_digits;
            }
            None => {
                bytes.push(b'=');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest);
}

fn hex(digits: [u8; 2]) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_is_read_exactly_or_leniently() {
        let exact =
            |text: &[u8], bytes: &[u8]| assert_eq!(base64(text), Base64::Exact(bytes.to_vec()));
        exact(b"aGVsbG8gd29ybGQ=\r\n", b"hello world");
        exact(b"aGVs\nbG8g\n d29y \nbGQ", b"hello world");
        let lenient =
            |text: &[u8], bytes: &[u8]| assert_eq!(base64(text), Base64::Lenient(bytes.to_vec()));
        lenient(b"aGVs*bG8g\n!d29ybGQ=", b"hello world");
        lenient(b"aGVsbG8=IHdvcmxk", b"hello world");
    }

    #[test]
    fn quoted_printable_is_read() {
        let check = |text: &[u8], expected: &[u8]| assert_eq!(quoted_printable(text), expected);
        check(b"a=3Db=\r\nc =20 \r\nd", b"a=bc  \r\nd");
        check(b"50=% =", b"50=% ");
        check(b"=4", b"=4");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (base64(&text), quoted_printable(&text));
        }
    }
}
