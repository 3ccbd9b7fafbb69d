//! A statement as the text that is sent. The driver sends UTF-8; a dump may hold raw bytes in its
//! strings.

use std::borrow::Cow;

use super::modes::{Charset, Modes};
use super::statement::Statement;
use super::token::{Reading, Token, Tokens};

/// The bytes are no UTF-8 where no other notation says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotText;

/// The text of `statement`. A string that is not UTF-8 becomes a hexadecimal one, with the name of
/// the dump's character set before it where that is another: the server takes both for the same.
pub(super) fn of(statement: &Statement) -> Result<Cow<'_, str>, NotText> {
    let Statement { text, modes, .. } = statement;
    match std::str::from_utf8(text) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) if modes.charset != Charset::Other => {
            String::from_utf8(with_hexadecimal(text, *modes))
                .map(Cow::Owned)
                .map_err(|_| NotText)
        }
        Err(_) => Err(NotText),
    }
}

fn with_hexadecimal(text: &[u8], modes: Modes) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 2);
    let mut copied = 0;
    let mut tokens = Tokens::new(text, Reading::Run, modes);
    let mut has_introducer = false;
    while let Some(token) = tokens.next() {
        let Token::Text(string) = token else {
            has_introducer = matches!(token, Token::Word(word) if word.starts_with(b"_"));
            continue;
        };
        if std::str::from_utf8(string).is_ok() {
            continue;
        }
        let end = text.len() - tokens.rest_bytes();
        let start = end - string.len() - 2;
        out.extend_from_slice(&text[copied..start]);
        if let Charset::Named(name) = modes.charset
            && !has_introducer
        {
            out.extend_from_slice(b" _");
            out.extend_from_slice(name.as_bytes());
        }
        append_hexadecimal(&unescaped(string, text[start], modes), &mut out);
        copied = end;
    }
    out.extend_from_slice(&text[copied..]);
    out
}

fn append_hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    // The name of a character set may stand right before the quote.
    out.extend_from_slice(b" 0x");
    out.extend(bytes.iter().flat_map(|byte| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    }));
}

/// What stands between two of `quote`, as the server reads it (MariaDB's "String Literals").
pub(super) fn unescaped(text: &[u8], quote: u8, modes: Modes) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == quote {
            bytes.next();
        }
        if byte != b'\\' || !modes.backslash_escapes_in(quote) {
            plain.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'0') => plain.push(0),
            Some(b'b') => plain.push(8),
            Some(b'n') => plain.push(b'\n'),
            Some(b'r') => plain.push(b'\r'),
            Some(b't') => plain.push(b'\t'),
            Some(b'Z') => plain.push(0x1a),
            Some(other @ (b'%' | b'_')) => plain.extend_from_slice(&[b'\\', other]),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

/// `text` as a statement that runs it and cannot run a second one beside it.
pub(super) fn as_one_statement(text: &str, modes: Modes) -> String {
    let doubled = text.replace('\'', "''");
    let escaped = if modes.backslash_escapes_in(b'\'') {
        doubled.replace('\\', "\\\\")
    } else {
        doubled
    };
    format!("EXECUTE IMMEDIATE '{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], modes: Modes, expected: Result<&str, NotText>) {
        let statement = Statement {
            text: text.to_vec(),
            line: 1,
            has_semicolon: false,
            modes,
        };
        assert_eq!(of(&statement).as_deref(), expected.as_deref());
    }

    #[test]
    fn bytes_in_strings_become_hexadecimal() {
        let modes = Modes::default();
        check("A 'ü'".as_bytes(), modes, Ok("A 'ü'"));
        check(
            b"A ('x', _binary '\xff\\0\\'''\\%\\n', 'y')",
            modes,
            Ok("A ('x', _binary  0xFF0027275C250A, 'y')"),
        );
        check(
            b"A '\xff\\'",
            modes.after(b"SET sql_mode='NO_BACKSLASH_ESCAPES'"),
            Ok("A  0xFF5C"),
        );
        check(b"A _latin1'\xfc' AS b", modes, Ok("A _latin1 0xFC AS b"));
        check(b"A `\xff`", modes, Err(NotText));
        let latin1 = modes.after(b"SET NAMES latin1");
        check(b"A '\xe9'", latin1, Ok("A  _latin1 0xE9"));
        check(b"A _binary '\xe9'", latin1, Ok("A _binary  0xE9"));
        check(b"A 'a'", latin1, Ok("A 'a'"));
        check(b"A '\x83\\'", modes.after(b"SET NAMES sjis"), Err(NotText));
        check(
            b"A '\xe9'",
            modes
                .after(b"SET NAMES latin1")
                .after(b"/*!40101 SET NAMES 'utf8' */"),
            Ok("A  0xE9"),
        );
    }

    #[test]
    fn one_statement_is_quoted_as_the_mode_asks() {
        let modes = Modes::default();
        assert_eq!(
            as_one_statement(r"A 'x\n'", modes),
            r"EXECUTE IMMEDIATE 'A ''x\\n'''"
        );
        let modes = modes.after(b"SET sql_mode='NO_BACKSLASH_ESCAPES'");
        assert_eq!(
            as_one_statement(r"A '\'", modes),
            r"EXECUTE IMMEDIATE 'A ''\'''"
        );
    }
}
