//! A CREATE statement of the server as text that a dump can carry.
//!
//! SHOW CREATE TABLE gives the default of a binary column as its bytes, between quotes. In a dump,
//! which is UTF-8, they stand as a hexadecimal literal, which is the same to the server.

use crate::error::Cause;
use crate::value::Notation;

/// `create` as text. Strings that are not UTF-8 become hexadecimal.
///
/// # Errors
/// [`Cause::NotText`] when there are such bytes outside of strings.
pub(crate) fn text(create: Vec<u8>) -> Result<String, Cause> {
    match String::from_utf8(create) {
        Ok(text) => Ok(text),
        Err(error) => {
            String::from_utf8(with_hexadecimal(error.as_bytes())).map_err(|_| Cause::NotText)
        }
    }
}

fn with_hexadecimal(create: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(create.len() + 32);
    let mut rest = create;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\'' | b'`')) {
        let (before, quoted) = rest.split_at(at);
        out.extend_from_slice(before);
        let length = quoted_length(quoted);
        let (string, after) = quoted.split_at(length);
        if string[0] == b'\'' && std::str::from_utf8(string).is_err() {
            Notation::Hex.append(Some(&unescaped(string)), &mut out);
        } else {
            out.extend_from_slice(string);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// How long the string or name is at whose first quote `text` begins, with both quotes.
fn quoted_length(text: &[u8]) -> usize {
    let quote = text[0];
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' if quote == b'\'' => at += 2,
            byte if byte == quote && text.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The bytes of a string as SHOW CREATE writes it: the server escapes NUL, line ends and
/// backslashes, and doubles quotes.
fn unescaped(string: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(string.len());
    let mut bytes = string[1..string.len() - 1].iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'0') => plain.push(0),
                Some(b'n') => plain.push(b'\n'),
                Some(b'r') => plain.push(b'\r'),
                Some(other) => plain.push(other),
                None => {}
            },
            b'\'' => {
                bytes.next();
                plain.push(byte);
            }
            _ => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_strings_become_hexadecimal() {
        let create = b"CREATE TABLE `t'` (`a` varbinary(9) DEFAULT '\xff\\0\\\\''\xc3', `b` text DEFAULT 'it''s')";
        assert_eq!(
            text(create.to_vec()).unwrap(),
            "CREATE TABLE `t'` (`a` varbinary(9) DEFAULT 0xFF005C27C3, `b` text DEFAULT 'it''s')"
        );
        assert_eq!(text("ü '\\0'".into()).unwrap(), "ü '\\0'");
        assert_eq!(text(b"`\xff`".to_vec()), Err(Cause::NotText));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let _ = text(bytes);
        }
    }
}
