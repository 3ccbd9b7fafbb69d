//! One value of the text protocol as SQL, appended to a buffer: no allocation a value.
//!
//! The result is right under the SQL mode that the dump's head sets, in which a backslash escapes.

use ::mysql::Column;
use ::mysql::consts::ColumnType;

/// The collation number of bytes without a character set.
const BINARY: u16 = 63;

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// As the server sent it: numbers.
    Bare,
    /// In quotes, escaped: text, dates, times.
    Quoted,
    /// As `0x` and hexadecimal digits: bytes, bits, geometries.
    Hex,
}

impl Notation {
    /// That of a column, by its type and character set in the answer's header. The flags lie: JSON,
    /// UUID and INET6 are flagged as binary and are text.
    pub(crate) fn of(column: &Column) -> Self {
        Self::by_type(column.column_type(), column.character_set())
    }

    fn by_type(kind: ColumnType, character_set: u16) -> Self {
        use ColumnType as T;
        match kind {
            T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG
            | T::MYSQL_TYPE_DECIMAL
            | T::MYSQL_TYPE_NEWDECIMAL
            | T::MYSQL_TYPE_FLOAT
            | T::MYSQL_TYPE_DOUBLE => Self::Bare,
            T::MYSQL_TYPE_BIT | T::MYSQL_TYPE_GEOMETRY => Self::Hex,
            T::MYSQL_TYPE_STRING
            | T::MYSQL_TYPE_VAR_STRING
            | T::MYSQL_TYPE_VARCHAR
            | T::MYSQL_TYPE_TINY_BLOB
            | T::MYSQL_TYPE_MEDIUM_BLOB
            | T::MYSQL_TYPE_LONG_BLOB
            | T::MYSQL_TYPE_BLOB
                if character_set == BINARY =>
            {
                Self::Hex
            }
            // Text; dates and times; YEAR too, since 0000 as a number has other meanings.
            _ => Self::Quoted,
        }
    }

    /// Appends `value`, or NULL.
    #[inline]
    pub(crate) fn append(self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        match (value, self) {
            (None, _) => out.extend_from_slice(b"NULL"),
            (Some(bytes), Self::Bare) => out.extend_from_slice(bytes),
            (Some(bytes), Self::Quoted) => append_quoted(bytes, out),
            (Some(bytes), Self::Hex) => append_hex(bytes, out),
        }
    }
}

/// What follows the backslash for each byte that needs one, else 0.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    table[0] = b'0';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[0x1a] = b'Z';
    table[b'\'' as usize] = b'\'';
    table[b'\\' as usize] = b'\\';
    table
};

/// Appends `bytes` in quotes. Runs without special bytes are copied whole.
pub(crate) fn append_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    let mut rest = bytes;
    while let Some(at) = first_special(rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', ESCAPES[usize::from(rest[at])]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\'');
}

/// Where the first byte is that needs a backslash. Plain blocks are passed over with vector
/// instructions.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let is_suspect = |&b: &u8| (b <= 0x1a) | (b == b'\'') | (b == b'\\');
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |found, b| found | is_suspect(b));
    let plain_bytes = BLOCK * bytes.chunks_exact(BLOCK).take_while(is_plain).count();
    let at = bytes[plain_bytes..]
        .iter()
        .position(|&b| ESCAPES[usize::from(b)] != 0)?;
    Some(plain_bytes + at)
}

/// The two digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    let hex = *b"0123456789ABCDEF";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [hex[byte >> 4], hex[byte & 15]];
        byte += 1;
    }
    table
};

/// `0x` alone is not SQL: no bytes are an empty string.
fn append_hex(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        out.extend_from_slice(b"''");
        return;
    }
    out.reserve(2 + 2 * bytes.len());
    out.extend_from_slice(b"0x");
    out.extend(bytes.iter().flat_map(|&b| DIGITS[usize::from(b)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: ColumnType, character_set: u16, value: Option<&[u8]>, expected: &str) {
        let mut out = Vec::new();
        Notation::by_type(kind, character_set).append(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn values_of_each_type() {
        use ColumnType as T;
        check(T::MYSQL_TYPE_LONG, 63, Some(b"-5"), "-5");
        check(T::MYSQL_TYPE_LONG, 63, None, "NULL");
        check(T::MYSQL_TYPE_NEWDECIMAL, 63, Some(b"-0.50"), "-0.50");
        check(T::MYSQL_TYPE_DOUBLE, 63, Some(b"1.5e308"), "1.5e308");
        check(T::MYSQL_TYPE_YEAR, 63, Some(b"0000"), "'0000'");
        check(
            T::MYSQL_TYPE_TIME,
            63,
            Some(b"-838:59:59.9"),
            "'-838:59:59.9'",
        );
        check(T::MYSQL_TYPE_DATE, 63, Some(b"2026-02-31"), "'2026-02-31'");
        check(T::MYSQL_TYPE_BIT, 63, Some(&[1, 0xff]), "0x01FF");
        check(T::MYSQL_TYPE_GEOMETRY, 63, Some(&[0, 0xab]), "0x00AB");
        check(T::MYSQL_TYPE_BLOB, 63, Some(b""), "''");
        check(T::MYSQL_TYPE_BLOB, 63, Some(b"a'"), "0x6127");
        check(T::MYSQL_TYPE_BLOB, 45, Some(b"a'"), r"'a\''");
        check(T::MYSQL_TYPE_VAR_STRING, 45, Some(b""), "''");
        check(
            T::MYSQL_TYPE_STRING,
            45,
            Some("é\0\n\r\x1a\\'\"`%".as_bytes()),
            r#"'é\0\n\r\Z\\\'"`%'"#,
        );
    }

    #[test]
    fn a_special_byte_is_found_at_any_place() {
        for (before, after) in (0..100).flat_map(|before| [(before, 0), (before, 40)]) {
            let (text, tabs) = ("a".repeat(before), "\t".repeat(after));
            let value = format!("{text}'{tabs}\\");
            check(
                ColumnType::MYSQL_TYPE_BLOB,
                45,
                Some(value.as_bytes()),
                &format!(r"'{text}\'{tabs}\\'"),
            );
        }
    }

    #[test]
    fn every_byte_has_its_two_digits() {
        let all: Vec<u8> = (0..=255).collect();
        let expected: String = all.iter().map(|b| format!("{b:02X}")).collect();
        check(
            ColumnType::MYSQL_TYPE_LONG_BLOB,
            63,
            Some(&all),
            &format!("0x{expected}"),
        );
    }
}
