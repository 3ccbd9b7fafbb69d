//! The header of a message (RFC 5322), as far as the tools look into it: fields by name, as they
//! are and as people read them, and the Message-ID.
//!
//! Mail is as it is: a field may be folded, repeated, in any case or not UTF-8, and nothing of that
//! is an error.

mod encoded_word; // fields as people read them
mod lz4; // what Dovecot compresses with lz4
mod packed; // messages that Dovecot has compressed

use std::borrow::Cow;
use std::io::{self, Read};

pub use packed::{is_packed, text_of};

use crate::text::printable;

/// No more than this of a message is looked at where it is only in passing. A header that goes on
/// beyond it is a cut one.
pub const HEAD_BYTES: usize = 64 * 1024;

/// No more is read for a header that is asked for. Chains of ARC seals and the recipients of lists
/// come to some hundred KiB.
pub const HEADER_MAX_BYTES: usize = 4 << 20;

/// A longer Message-ID is not kept: RFC 5322 allows no longer line.
pub const MESSAGE_ID_MAX_BYTES: usize = 998;

/// People are shown no more of a field.
pub const TEXT_MAX_CHARACTERS: usize = 200;

/// A search looks at no more of a field: ten thousand recipients.
const WHOLE_TEXT_MAX_BYTES: usize = 2 << 20;

/// Whether a file that begins with `start` begins as a message does: with a header field, or as
/// Dovecot compresses and encrypts. Some programs leave the `From ` line of an mbox before it.
#[must_use]
pub fn begins_like_message(start: &[u8]) -> bool {
    is_packed(start)
        || start.starts_with(b"From ")
        || start.starts_with(b">From ")
        || begins_with_field(start)
}

/// RFC 5322, 2.2: a name of printable characters, then a colon; and 4.5.1: blanks before it.
fn begins_with_field(start: &[u8]) -> bool {
    let line = &start[..start.len().min(MESSAGE_ID_MAX_BYTES)];
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return false;
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

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
        let extent = if header_end(start).is_some() || start.len() as u64 >= message_bytes {
            Extent::Whole
        } else {
            Extent::Cut
        };
        Some(Self::new(start, extent))
    }

    fn new(start: &'a [u8], extent: Extent) -> Self {
        let end = header_end(start).unwrap_or(start.len());
        Self {
            fields: &start[..end],
            extent,
        }
    }

    /// The lines of the header, without the blank line that ends it.
    #[must_use]
    pub fn section(&self) -> &'a [u8] {
        self.fields
    }

    /// The value of the first field of this name, in any case, unfolded and without white space
    /// around it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.fields(name).next()
    }

    /// The values of all fields of this name, as [`Head::field`] gives the first.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = Cow<'a, [u8]>> {
        let (mut rest, extent) = (self.fields, self.extent);
        std::iter::from_fn(move || {
            while let Some(length) = field_bytes(rest) {
                let (field, after) = rest.split_at(length);
                let is_cut = after.is_empty() && extent == Extent::Cut;
                rest = after;
                if let Some(value) = value_of(field, name).filter(|_| !is_cut) {
                    return Some(unfolded(value));
                }
            }
            None
        })
    }

    /// The value of the first field of this name as people read it: encoded words decoded, at most
    /// [`TEXT_MAX_CHARACTERS`], and safe to show.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.field(name).map(|value| readable(&value))
    }

    /// The same, neither cut nor made safe to show: for a search that must not miss what stands
    /// late, or has something invisible within it.
    #[must_use]
    pub fn whole_text(&self, name: &str) -> Option<String> {
        self.field(name).map(|value| {
            let value = &value[..value.len().min(WHOLE_TEXT_MAX_BYTES)];
            encoded_word::decode_all(value)
        })
    }

    /// Whether the header ends within what was looked at. A field that a cut one lacks may stand
    /// beyond.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.extent == Extent::Whole
    }

    /// The Message-ID without angle brackets; empty when the message has none. `None` when that
    /// is unknown: the header goes beyond what is looked at, or the value is longer than
    /// [`MESSAGE_ID_MAX_BYTES`].
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        match self.field("Message-ID") {
            Some(value) => {
                let id = String::from_utf8_lossy(message_id_in(&value));
                (id.len() <= MESSAGE_ID_MAX_BYTES).then(|| without_white_space(&id))
            }
            None => (self.extent == Extent::Whole).then(String::new),
        }
    }
}

/// The beginning of a message, with all of its header if that is not too long.
#[derive(Clone, Debug)]
pub struct Header {
    start: Vec<u8>,
    extent: Extent,
}

impl Header {
    /// Reads a message, which is not packed, to the end of its header, or [`HEADER_MAX_BYTES`].
    ///
    /// # Errors
    /// As `message`.
    pub fn read(mut message: impl Read) -> io::Result<Self> {
        let mut start = Vec::new();
        loop {
            // Twice as much each time, so that the search for the end stays cheap.
            let step = start.len().clamp(HEAD_BYTES / 4, HEADER_MAX_BYTES);
            let read = (&mut message).take(step as u64).read_to_end(&mut start)?;
            if read < step || header_end(&start).is_some() {
                let extent = Extent::Whole;
                return Ok(Self { start, extent });
            }
            if start.len() >= HEADER_MAX_BYTES {
                let extent = Extent::Cut;
                return Ok(Self { start, extent });
            }
        }
    }

    /// What is in it.
    #[must_use]
    pub fn head(&self) -> Head<'_> {
        Head::new(&self.start, self.extent)
    }
}

/// A Message-ID without the white space in it: where a long one is folded, mail programs leave it
/// out (RFC 5322, 4.5.4). Quoted strings keep theirs.
#[must_use]
pub fn without_white_space(id: &str) -> String {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_kept = |character: &char| {
        let is_blank = character.is_ascii_whitespace() && !is_quoted;
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        !is_blank
    };
    id.chars().filter(is_kept).collect()
}

/// The text of a body, or of a parameter, in the character set that its message names.
#[must_use]
pub fn text_in(charset: &str, bytes: &[u8]) -> String {
    encoded_word::text_in(charset.as_bytes(), bytes)
}

/// The text of a value of a field or a parameter: encoded words are decoded, also where the
/// standard has none. It may hold anything: [`printable`] makes it safe to show.
#[must_use]
pub fn decoded(value: &[u8]) -> String {
    encoded_word::decode(value)
}

/// The text of a value, made safe to show. A field is folded at tabs as well as at blanks.
fn readable(value: &[u8]) -> String {
    let text = encoded_word::decode(value).replace('\t', " ");
    let shown: String = text.chars().take(TEXT_MAX_CHARACTERS).collect();
    printable(&shown)
}

/// What stands between the first `<` and the `>` after it, comments left out; where there are none,
/// all of it.
fn message_id_in(value: &[u8]) -> &[u8] {
    let value = without_comments_before(value);
    let position = |bytes: &[u8], wanted| bytes.iter().position(|&byte| byte == wanted);
    let Some(open) = position(value, b'<') else {
        return value;
    };
    let inner = &value[open + 1..];
    let end = end_of_id(inner).or_else(|| position(inner, b'>'));
    inner[..end.unwrap_or(inner.len())].trim_ascii()
}

/// Where the `>` stands that closes an identifier: not within a quoted string (RFC 5322, 4.5.4).
/// `None` also when such a string does not end.
fn end_of_id(inner: &[u8]) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in inner.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'>' if !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// `value` without the comments that it begins with (RFC 5322, 3.2.2). A parenthesis that is not
/// closed begins none.
fn without_comments_before(value: &[u8]) -> &[u8] {
    let mut rest = value.trim_ascii_start();
    while let Some(length) = comment_bytes(rest) {
        rest = rest[length..].trim_ascii_start();
    }
    rest
}

/// The length of the comment that `text` begins with. Comments hold comments.
fn comment_bytes(text: &[u8]) -> Option<usize> {
    let (mut depth, mut is_escaped) = (0_usize, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then_some(at + 1);
        }
    }
    None
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
        check("Message-ID: <a\n\tb@mx>\n\n", "ab@mx");
        check("Message-ID: <a.\r\n b@\r\n mx>\r\n\r\n", "a.b@mx");
        check(
            "Message-ID: <a@mx. example.\n\t\tnet >\n\n",
            "a@mx.example.net",
        );
        check("Message-ID: <\"a \\\" b\" . c@mx>\n\n", "\"a \\\" b\".c@mx");
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

    /// RFC 5322, 3.2.2, 3.6.4 and 4.5.4.
    #[test]
    fn comments_and_quoted_strings_are_told_from_the_identifier() {
        check("Message-ID: (see <other@mx>) <1@mx>\n\n", "1@mx");
        check(
            "Message-ID: (a (nested\\) <x>) one)\r\n (b) <1@mx> (c <d>)\r\n\r\n",
            "1@mx",
        );
        check("Message-ID: (a) 1@mx\n\n", "1@mx");
        check("Message-ID: (not closed <1@mx>\n\n", "1@mx");
        check("Message-ID: <\"a>b\"@mx>\n\n", "\"a>b\"@mx");
        check("Message-ID: <\"a\\\">b\"@mx>\n\n", "\"a\\\">b\"@mx");
        check("Message-ID: <\"a@mx>\n\n", "\"a@mx");
        check("Message-ID: <1@[10.0.0.1]>\n\n", "1@[10.0.0.1]");
        check("Message-ID: ) <1@mx>\n\n", "1@mx");
        check("Message-ID: ()\n\n", "");
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
    fn what_is_not_known_is_not_claimed() {
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

    /// Mail lists and chains of seals have headers of some hundred KiB.
    #[test]
    fn a_long_header_is_read_to_its_end() {
        let id = |header: &str| {
            let message = format!("{header}Message-ID: <late@mx>\n\n{}", "body\n".repeat(9));
            Header::read(message.as_bytes())
                .unwrap()
                .head()
                .message_id()
        };
        for lines in [0, 1, 2000, 13_107, 100_000] {
            let found = id(&"X: y\n".repeat(lines));
            assert_eq!(found.as_deref(), Some("late@mx"), "{lines} lines");
        }
        assert_eq!(id(&"X: y\n".repeat(HEADER_MAX_BYTES / 5 + 1)), None);
        let whole = Header::read(&b"Subject: x"[..]).unwrap();
        assert_eq!(whole.head().message_id().as_deref(), Some(""));
        // What never ends is read no further.
        let endless = Header::read(io::repeat(b'x')).unwrap();
        assert!(endless.start.len() <= 2 * HEADER_MAX_BYTES);
        assert_eq!(endless.head().message_id(), None);
    }

    #[test]
    fn any_field_can_be_asked_for() {
        let message = b"subject: one\r\n two\r\nTo: b\r\n\r\n";
        let head = Head::of(message, message.len() as u64).unwrap();
        assert_eq!(head.field("Subject").as_deref(), Some(&b"one two"[..]));
        assert_eq!(head.field("Cc"), None);
        let twice = b"A: 1\nB: 2\na: 3\n\nA: 4\n";
        let head = Head::of(twice, twice.len() as u64).unwrap();
        let values: Vec<_> = head.fields("A").collect();
        assert_eq!(values, [&b"1"[..], b"3"]);
        assert_eq!(head.section(), b"A: 1\nB: 2\na: 3\n");
    }

    #[test]
    fn people_read_a_field_decoded_and_safe() {
        let check = |message: &str, expected: Option<&str>| {
            let head = Head::of(message.as_bytes(), message.len() as u64).unwrap();
            assert_eq!(head.text("Subject").as_deref(), expected, "{message:?}");
        };
        check("Subject: a\r\n\tb\r\n\r\n", Some("a b"));
        let folded = "Subject: =?UTF-8?B?6KuL5rGC?=\n =?utf-8?Q?=E6=9B=B8_1?= x\n\n";
        check(folded, Some("請求書 1 x"));
        check("Subject: a\u{1b}[2Jb\rc\n\n", Some("a\\u{1b}[2Jb\\rc"));
        check(
            "Subject: =?utf-8?q?=1B[2J=0D=0Ab?=\n\n",
            Some("\\u{1b}[2J\\r\\nb"),
        );
        check(
            "Subject: =?utf-8?B?4oCuZXhlLmZkcA==?=\n\n",
            Some("\\u{202e}exe.fdp"),
        );
        check("Subject:\n\n", Some(""));
        check("From: a\n\n", None);
        let long = format!("Subject: {}\n\n", "x".repeat(1000));
        check(&long, Some(&"x".repeat(TEXT_MAX_CHARACTERS)));
    }

    #[test]
    fn a_header_of_a_megabyte_or_of_ten_thousand_fields_is_bounded() {
        let megabyte = format!("Subject: {}\n\n", "=?utf-8?q?=41?= ".repeat(1 << 16));
        let head = Head::of(megabyte.as_bytes(), megabyte.len() as u64).unwrap();
        assert_eq!(head.text("Subject"), None, "it is cut");
        let fields = "A: b\n".repeat(10_000) + "Subject: late\n\n";
        let head = Head::of(fields.as_bytes(), fields.len() as u64).unwrap();
        assert_eq!(head.text("Subject").as_deref(), Some("late"));
        assert_eq!(head.text("A").as_deref(), Some("b"));
    }

    proptest! {
        #[test]
        fn random_values_never_panic(value in "[()<>@\"\\\\ a.]{0,20}") {
            let id = message_id_in(value.as_bytes());
            prop_assert!(id.len() <= value.len());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, more: u8) {
            if let Some(head) = Head::of(&bytes, bytes.len() as u64 + u64::from(more)) {
                let _ = (head.message_id(), head.field("Subject"), head.text("Subject"));
            }
        }
    }
}
