//! How binary data is carried in mail: base64 and quoted-printable (RFC 2045), uuencode (POSIX),
//! yEnc. Each decoder has a lenient form: mail programs read on where the text is broken.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memchr;

/// Longer lines are not written by mail programs, and clamd cuts them (RFC 5322, 2.1.1).
pub(super) const LINE_MAX_BYTES: usize = 998;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a text in base64 stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Base64 {
    /// It is written as it should be: everybody reads this.
    Exact(Vec<u8>),
    /// It is not; a lenient reader makes this of it.
    Lenient(Vec<u8>),
}

/// The lines of `text`, without their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
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
pub(super) fn base64(text: &[u8]) -> Base64 {
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
pub(super) fn quoted_printable(text: &[u8]) -> Vec<u8> {
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

/// A file that stands in a text, with its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inline {
    pub(super) name: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

/// The uuencoded files in `text`: `begin 644 name`, lines, `end`.
pub(super) fn uuencoded(text: &[u8]) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut lines = lines(text);
    while let Some(line) = lines.next() {
        let Some(name) = uu_name(line) else { continue };
        let mut bytes = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != b"end") {
            uu_line(line, &mut bytes);
        }
        found.push(Inline { name, bytes });
    }
    found
}

/// The name in `begin 644 name`.
fn uu_name(line: &[u8]) -> Option<Vec<u8>> {
    let rest = line.strip_prefix(b"begin ")?;
    let mode = rest
        .iter()
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .count();
    let name = rest.get(mode..)?.strip_prefix(b" ")?;
    (mode >= 3).then(|| name.to_vec())
}

fn uu_line(line: &[u8], bytes: &mut Vec<u8>) {
    let value = |byte: u8| byte.wrapping_sub(b' ') & 0x3f;
    let Some((&length, digits)) = line.split_first() else {
        return;
    };
    let mut decoded = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let digit = |at: usize| value(group.get(at).copied().unwrap_or(b' '));
        decoded.push(digit(0) << 2 | digit(1) >> 4);
        decoded.push(digit(1) << 4 | digit(2) >> 2);
        decoded.push(digit(2) << 6 | digit(3));
    }
    decoded.truncate(usize::from(value(length)));
    bytes.extend(decoded);
}

/// The files in `text` that are encoded as yEnc 1.3: `=ybegin`, lines, `=yend`. Each byte is 42
/// more, and after `=` another 64.
pub(super) fn yencoded(text: &[u8]) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut lines = lines(text);
    while let Some(line) = lines.next() {
        if !line.starts_with(b"=ybegin ") {
            continue;
        }
        let name = memchr::memmem::find(line, b" name=").map(|at| line[at + 6..].to_vec());
        let mut bytes = Vec::new();
        for line in lines
            .by_ref()
            .take_while(|line| !line.starts_with(b"=yend"))
        {
            if !line.starts_with(b"=ypart ") {
                y_line(line, &mut bytes);
            }
        }
        let name = name.unwrap_or_default();
        found.push(Inline { name, bytes });
    }
    found
}

fn y_line(line: &[u8], bytes: &mut Vec<u8>) {
    // A line may begin with a dot that was doubled on the way (RFC 5321, 4.5.2).
    let line = line.strip_prefix(b"..").map_or(line, |_| &line[1..]);
    let mut is_escaped = false;
    for &byte in line {
        match byte {
            b'=' if !is_escaped => is_escaped = true,
            _ => {
                bytes.push(byte.wrapping_sub(if is_escaped { 42 + 64 } else { 42 }));
                is_escaped = false;
            }
        }
    }
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

    /// As `uuencode` and the specification of yEnc write it.
    #[test]
    fn files_in_texts_are_found() {
        let text = b"hello\nbegin 644 a b.txt\n#0V%T\n`\nend\nbye\n";
        let cat = |name: &[u8]| Inline {
            name: name.to_vec(),
            bytes: b"Cat".to_vec(),
        };
        assert_eq!(uuencoded(text), [cat(b"a b.txt")]);
        assert_eq!(uuencoded(b"begin with\nend\n"), []);
        let text = b"=ybegin line=128 size=3 name=c.txt\r\n\x6d\x8b\x9e\r\n=yend size=3\r\n";
        assert_eq!(yencoded(text), [cat(b"c.txt")]);
        let text = b"=ybegin line=128 size=1 name=c\n=n\n=yend\n";
        assert_eq!(yencoded(text)[0].bytes, b"\x04");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200), head in 0usize..3) {
            let text = [[&b""[..], b"begin 644 x\n", b"=ybegin name=x\n"][head], &text[..]].concat();
            let _ = (base64(&text), quoted_printable(&text), uuencoded(&text), yencoded(&text));
        }
    }
}
