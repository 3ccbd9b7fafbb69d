//! The header of a message (RFC 5322), as far as the tools look into it: fields by name, and the
//! Message-ID.
//!
//! Mail is as it is: a field may be folded, repeated, in any case or not UTF-8, and nothing of that
//! is an error.

use std::borrow::Cow;

/// No more than this of a message is looked at. A header that goes on beyond it is a cut one.
pub const HEAD_BYTES: usize = 64 * 1024;

/// A longer Message-ID is not kept: RFC 5322 allows no longer line.
pub const MESSAGE_ID_MAX_BYTES: usize = 998;

/// How the files begin that Dovecot's mail_compress and mail_crypt write in place of plain
/// messages: gzip, bzip2, xz, zstd, lz4, encrypted.
const PACKED_MAGIC: [&[u8]; 6] = [
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"Dovecot-LZ4\x0d\x2a\x9b\xc5",
    b"CRYPTED\x03\x07",
];

/// The header section of a message.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    fields: &'a [u8],
    extent: Extent,
}

/// Whether all of a header was there to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    Cut,
}

impl<'a> Head<'a> {
    /// The header of a message of `message_bytes` that begins with `start`, of which the first
    /// [`HEAD_BYTES`] are looked at. `None` where the file is compressed or encrypted, and so shows
    /// no header.
    #[must_use]
    pub fn of(start: &'a [u8], message_bytes: u64) -> Option<Self> {
        if is_packed(start) {
            return None;
        }
        let start = &start[..start.len().min(HEAD_BYTES)];
        Some(match header_end(start) {
            Some(end) => Self {
                fields: &start[..end],
                extent: Extent::Whole,
            },
            None if start.len() as u64 >= message_bytes => Self {
                fields: start,
                extent: Extent::Whole,
            },
            None => Self {
                fields: start,
                extent: Extent::Cut,
            },
        })
    }

    /// The value of the first field of this name, in any case, unfolded and without white space
    /// around it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let mut rest = self.fields;
        while let Some(length) = field_bytes(rest) {
            let (field, after) = rest.split_at(length);
            let is_cut = after.is_empty() && self.extent == Extent::Cut;
            if let Some(value) = value_of(field, name).filter(|_| !is_cut) {
                return Some(unfolded(value));
            }
            rest = after;
        }
        None
    }

    /// The Message-ID without angle brackets; empty when the message has none. `None` when that
    /// cannot be told: the header goes beyond what is looked at, or the value is longer than
    /// [`MESSAGE_ID_MAX_BYTES`].
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        match self.field("Message-ID") {
            Some(value) => {
                let id = String::from_utf8_lossy(within_brackets(&value)).into_owned();
                (id.len() <= MESSAGE_ID_MAX_BYTES).then_some(id)
            }
            None => (self.extent == Extent::Whole).then(String::new),
        }
    }
}

/// Whether a file that begins with `start` is a compressed or encrypted message.
#[must_use]
pub fn is_packed(start: &[u8]) -> bool {
    PACKED_MAGIC.iter().any(|magic| start.starts_with(magic))
}

/// What stands between the first `<` and the `>` after it; all of it where there are none.
fn within_brackets(value: &[u8]) -> &[u8] {
    let position = |bytes: &[u8], wanted| bytes.iter().position(|&byte| byte == wanted);
    let Some(open) = position(value, b'<') else {
        return value;
    };
    let inner = &value[open + 1..];
    inner[..position(inner, b'>').unwrap_or(inner.len())].trim_ascii()
}

/// Where the line break stands that ends the last field; `None` when no blank line follows.
fn header_end(start: &[u8]) -> Option<usize> {
    let mut line = 0;
    loop {
        if matches!(&start[line..], [b'\n', ..] | [b'\r', b'\n', ..]) {
            return Some(line);
        }
        line += line_bytes(&start[line..])?;
    }
}

/// The length of the first line, its end included; `None` when it does not end.
fn line_bytes(text: &[u8]) -> Option<usize> {
    text.iter()
        .position(|&byte| byte == b'\n')
        .map(|end| end + 1)
}

/// The length of the first field with the lines that continue it; `None` when nothing is left.
fn field_bytes(fields: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        end += line_bytes(&fields[end..]).unwrap_or(fields.len() - end);
        if !matches!(fields[end..], [b' ' | b'\t', ..]) {
            return (end > 0).then_some(end);
        }
    }
}

/// The value of a field if it has this name. Blanks before the colon are obsolete and are met (RFC
/// 5322, 4.5).
fn value_of<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    field[..colon]
        .trim_ascii_end()
        .eq_ignore_ascii_case(name.as_bytes())
        .then_some(&field[colon + 1..])
}

fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if !value.contains(&b'\n') {
        return value.into();
    }
    value
        .iter()
        .copied()
        .filter(|byte| !b"\r\n".contains(byte))
        .collect::<Vec<u8>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(message: &[u8]) -> Option<String> {
        Head::of(message, message.len() as u64).and_then(|head| head.message_id())
    }

    fn check(message: &str, expected: &str) {
        assert_eq!(
            id(message.as_bytes()).as_deref(),
            Some(expected),
            "{message:?}"
        );
    }

    #[test]
    fn the_message_id_is_found_however_it_is_written() {
        check("From: a\nMessage-ID: <1@mx>\n\nbody\n", "1@mx");
        check("From: a\r\nMESSAGE-id : <1@mx>\r\n\r\nbody\r\n", "1@mx");
        check(
            "Message-ID:\r\n <long.one@mx>\r\nFrom: a\r\n\r\n",
            "long.one@mx",
        );
        check("Message-ID: <a\n\tb@mx>\n\n", "a\tb@mx");
        check("Message-ID: (remark) < 1@mx > x\n\n", "1@mx");
        check("Message-ID: 1@mx  \n\n", "1@mx");
        check("Message-ID: <1@mx\n\n", "1@mx");
        check(
            "Message-ID: <first@mx>\nMessage-ID: <second@mx>\n\n",
            "first@mx",
        );
        check("From the mbox of old\nMessage-ID: <1@mx>\n\n", "1@mx");
        check("Message-ID: <1@mx>", "1@mx");
    }

    #[test]
    fn a_message_without_one_has_an_empty_one() {
        check("", "");
        check("\nMessage-ID: <body@mx>\n", "");
        check("\r\nMessage-ID: <body@mx>\r\n", "");
        check("From: a\n\nMessage-ID: <body@mx>\n", "");
        check("From: a\r\n\r\nMessage-ID: <body@mx>\r\n", "");
        check("X: y\n Message-ID: <folded@mx>\n\n", "");
        check("X-Message-ID: <other@mx>\n\n", "");
        check("Message-ID:\n\n", "");
        check("Message-ID: <>\n\n", "");
    }

    #[test]
    fn what_is_not_utf8_is_kept_as_well_as_it_can_be() {
        assert_eq!(id(b"Message-ID: <\xff@mx>\n\n").unwrap(), "\u{fffd}@mx");
    }

    #[test]
    fn what_cannot_be_told_is_not_claimed() {
        let long = |bytes: usize| format!("Message-ID: <{}>\n\n", "x".repeat(bytes)).into_bytes();
        assert_eq!(id(&long(998)).map(|id| id.len()), Some(998));
        assert_eq!(id(&long(999)), None);
        // A header that does not end within what is looked at.
        let filler = "X: y\n".repeat(HEAD_BYTES / 5 + 1);
        assert_eq!(
            id(format!("{filler}Message-ID: <1@mx>\n\n").as_bytes()),
            None
        );
        check(&format!("Message-ID: <1@mx>\n{filler}\n"), "1@mx");
        // A field that is cut by the end of what was read.
        assert_eq!(
            Head::of(b"Message-ID: <1@", 500).unwrap().message_id(),
            None
        );
        for packed in [
            &b"\x1f\x8b\x08"[..],
            b"BZh91AY",
            b"\xfd7zXZ\0\0",
            b"\x28\xb5\x2f\xfd\x04",
            b"CRYPTED\x03\x07",
        ] {
            assert_eq!(id(packed), None);
        }
    }

    #[test]
    fn any_field_can_be_asked_for() {
        let message = b"subject: one\r\n two\r\nTo: b\r\n\r\n";
        let head = Head::of(message, message.len() as u64).unwrap();
        assert_eq!(head.field("Subject").as_deref(), Some(&b"one two"[..]));
        assert_eq!(head.field("Cc"), None);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, more: u8) {
            if let Some(head) = Head::of(&bytes, bytes.len() as u64 + u64::from(more)) {
                let _ = (head.message_id(), head.field("Subject"));
            }
        }
    }
}
