//! The fields that say what a part of a message is (RFC 2045, RFC 2183), and whether they say it
//! plainly. Scanners and mail programs read repeated and broken fields differently.

use crate::message::Head;

use super::file_name;
use super::transfer::{LINE_MAX_BYTES, lines};

/// What the header of a part says of it.
#[derive(Debug)]
pub struct Description {
    /// `type/subtype` in lower case; `text/plain` where nothing is declared.
    pub content_type: String,
    /// What divides the parts of a multipart body.
    pub boundary: Option<Vec<u8>>,
    /// `smime-type`, `protocol`, `number` and `total`, in lower case.
    parameters: Parameters,
    /// How the content is carried.
    pub encoding: Encoding,
    /// Those of Content-Disposition.
    disposition: Parameters,
    /// The name of the file, as it stands there: only its end is looked at.
    pub name: Vec<u8>,
    /// Whether all of this is written as mail programs write it.
    pub form: Form,
}

/// How the content of a part is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 2045, 6.8.
    Base64,
    /// RFC 2045, 6.7.
    QuotedPrintable,
    /// In a way that is not known.
    Unknown,
}

/// Whether something is written as mail programs write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It is.
    Usual,
    /// It is not: one reader may take it for something else than the next.
    Odd,
}

impl Form {
    /// Usual where both are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == Self::Usual {
            other
        } else {
            Self::Odd
        }
    }

    fn usual_if(is_usual: bool) -> Self {
        if is_usual { Self::Usual } else { Self::Odd }
    }
}

impl Description {
    /// Reads the fields of `head`.
    #[must_use]
    pub fn of(head: &Head<'_>) -> Self {
        let types: Vec<_> = head.fields("Content-Type").collect();
        let encodings: Vec<_> = head.fields("Content-Transfer-Encoding").collect();
        let value = types.first().map_or(&b""[..], |value| value);
        let (content_type, parameters, form) = parse(value);
        let encoding = encoding_of(encodings.first().map_or(&b""[..], |value| value));
        let disposition = head.field("Content-Disposition").unwrap_or_default();
        let (_, named, _) = parse(&disposition);
        let name = named
            .iter()
            .find(|(name, _)| name.starts_with("filename"))
            .or_else(|| parameters.iter().find(|(name, _)| name.starts_with("name")));
        let name = name.map(|(_, value)| value.clone()).unwrap_or_default();
        let boundaries = parameters
            .iter()
            .filter(|(name, _)| name.starts_with("boundary"));
        let boundary = boundaries
            .clone()
            .next()
            .filter(|(name, _)| name == "boundary");
        let is_usual = types.len() <= 1
            && (types.is_empty() || content_type.as_ref().is_some_and(|kind| kind.contains('/')))
            && encodings.len() <= 1
            && encoding != Encoding::Unknown
            && boundaries.count() == usize::from(boundary.is_some())
            && boundary.is_none_or(|(_, boundary)| is_usual_boundary(boundary));
        Self {
            boundary: boundary.map(|(_, value)| value.clone()),
            content_type: content_type.unwrap_or_else(|| "text/plain".to_owned()),
            encoding,
            name,
            disposition: named,
            form: form
                .and(Form::usual_if(is_usual))
                .and(form_of_lines(head.section())),
            parameters,
        }
    }

    /// The value of a parameter in lower case; empty where it is not there.
    #[must_use]
    pub fn parameter(&self, name: &str) -> String {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        let value = found.map_or(&b""[..], |(_, value)| value);
        String::from_utf8_lossy(value).to_ascii_lowercase()
    }

    /// The name of the file as people read it.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        file_name::assembled(&self.disposition, "filename")
            .or_else(|| file_name::assembled(&self.parameters, "name"))
    }

    /// Whether the name of the file ends so.
    #[must_use]
    pub fn is_named(&self, endings: &[&str]) -> bool {
        let name = self.name.to_ascii_lowercase();
        endings
            .iter()
            .any(|ending| name.ends_with(ending.as_bytes()))
    }
}

/// RFC 2046, 5.1.1.
fn is_usual_boundary(boundary: &[u8]) -> bool {
    let is_of_it = |byte: &u8| {
        byte.is_ascii_alphanumeric() || b"'()+_,-./:=? *#!$%&~@[]{}|;<>^`".contains(byte)
    };
    (1..=70).contains(&boundary.len())
        && boundary.iter().all(is_of_it)
        && !boundary.ends_with(b" ")
        && !boundary.ends_with(b"--")
}

fn encoding_of(value: &[u8]) -> Encoding {
    match value.to_ascii_lowercase().as_slice() {
        b"" | b"7bit" | b"8bit" | b"binary" => Encoding::Identity,
        b"base64" => Encoding::Base64,
        b"quoted-printable" => Encoding::QuotedPrintable,
        _ => Encoding::Unknown,
    }
}

/// Names in lower case, and values.
pub(super) type Parameters = Vec<(String, Vec<u8>)>;

/// `type/subtype; name=value; name="value"`.
fn parse(value: &[u8]) -> (Option<String>, Parameters, Form) {
    let (kind, mut rest) = split_at_byte(value, b';');
    let kind = kind.trim_ascii().to_ascii_lowercase();
    let mut form = Form::usual_if(!kind.contains(&b'(') && !kind.contains(&b' '));
    let mut parameters = Parameters::new();
    while !rest.trim_ascii().is_empty() {
        let (name, after) = split_at_byte(rest, b'=');
        let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
        let (value, after, value_form) = parameter_value(after.trim_ascii_start());
        let is_token = !name.is_empty() && !name.contains([' ', '\t', '(', '"', ';']);
        form = form.and(value_form).and(Form::usual_if(is_token));
        parameters.push((name, value));
        rest = after;
    }
    let kind = String::from_utf8_lossy(&kind).into_owned();
    let kind = Some(kind).filter(|kind| !kind.is_empty());
    (kind, parameters, form)
}

/// A value, what follows the semicolon after it, and its form.
fn parameter_value(text: &[u8]) -> (Vec<u8>, &[u8], Form) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (value, rest) = split_at_byte(text, b';');
        let value = value.trim_ascii();
        let is_usual = !value.is_empty() && !value.contains(&b'"') && !value.contains(&b'(');
        return (value.to_vec(), rest, Form::usual_if(is_usual));
    };
    let (mut value, mut is_escaped) = (Vec::new(), false);
    for (at, &byte) in quoted.iter().enumerate() {
        match byte {
            _ if is_escaped => {
                value.push(byte);
                is_escaped = false;
            }
            b'\\' => is_escaped = true,
            b'"' => {
                let (between, rest) = split_at_byte(&quoted[at + 1..], b';');
                return (value, rest, Form::usual_if(between.trim_ascii().is_empty()));
            }
            _ => value.push(byte),
        }
    }
    (value, b"", Form::Odd)
}

fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(byte, text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

/// Whether each line is one of a field, and none is longer than it may be. What looks like the end
/// of the header to one reader, and to another does not, hides fields from the first.
fn form_of_lines(section: &[u8]) -> Form {
    for line in lines(section) {
        let name_bytes = memchr::memchr(b':', line).unwrap_or(0);
        let is_continued = matches!(line, [b' ' | b'\t', ..]) && !line.trim_ascii().is_empty();
        let is_field = name_bytes > 0 && line[..name_bytes].iter().all(u8::is_ascii_graphic);
        let is_usual = (is_continued || is_field)
            && line.len() <= LINE_MAX_BYTES
            && memchr::memchr2(b'\r', b'\0', line).is_none();
        if !is_usual {
            return Form::Odd;
        }
    }
    Form::Usual
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> Description {
        let text = format!("{head}\r\n\r\n");
        Description::of(&Head::of(text.as_bytes(), text.len() as u64).unwrap())
    }

    #[test]
    fn what_mail_programs_write_is_usual() {
        let check = |head: &str, content_type: &str, boundary: Option<&str>| {
            let found = of(head);
            assert_eq!(found.content_type, content_type, "{head}");
            assert_eq!(
                found.boundary.as_deref(),
                boundary.map(str::as_bytes),
                "{head}"
            );
            assert_eq!(found.form, Form::Usual, "{head}");
        };
        check("From: a", "text/plain", None);
        let mixed = "Content-Type: multipart/mixed;\r\n\tboundary=\"----=_Part_1_2.3\"";
        check(mixed, "multipart/mixed", Some("----=_Part_1_2.3"));
        check(
            "Content-Type: MULTIPART/Mixed; boundary=abc;",
            "multipart/mixed",
            Some("abc"),
        );
        check(
            "Content-Type: text/plain; charset=utf-8; format=flowed",
            "text/plain",
            None,
        );
        let found = of(
            "Content-Transfer-Encoding: BASE64\r\nContent-Disposition: attachment; filename=\"A.P7M\"",
        );
        assert_eq!(
            (found.encoding, found.form),
            (Encoding::Base64, Form::Usual)
        );
        assert!(found.is_named(&[".p7m"]) && !found.is_named(&[".p7s"]));
    }

    #[test]
    fn what_readers_may_take_differently_is_odd() {
        for head in [
            "Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=a",
            "Content-Type: multipart/mixed; boundary=a; boundary=b",
            "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b",
            "Content-Type: multipart/mixed; boundary=\"a",
            "Content-Type: multipart/mixed; boundary=\"a\"b",
            "Content-Type: multipart/mixed (x); boundary=a",
            "Content-Type: multipart/mixed; boundary=\"a\u{e9}\"",
            "Content-Type : text/plain",
            "Content-Type:",
            "Content-Type: text",
            "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 7bit",
            "Content-Transfer-Encoding: base64 (really)",
            "Content-Transfer-Encoding: x-uuencode",
            "no field",
            "A: b\r\n \r\nB: c",
            "A: b\rB: c",
            "A: b\0",
        ] {
            assert_eq!(of(head).form, Form::Odd, "{head:?}");
        }
        assert_eq!(of(&format!("A: {}", "x".repeat(1000))).form, Form::Odd);
    }
}
