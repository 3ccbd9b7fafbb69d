//! A message and its parts (RFC 5322, RFC 2045 to 2049).
//!
//! clamd takes a text for a message by what it begins with: one of some two dozen fields, or a few
//! of them within the first 1024 bytes. A message that begins otherwise is plain text to it, and
//! its attachments are never decoded. So such a message is shown once more with a field before it
//! that clamd knows.

use std::borrow::Cow;

use mail_common::message::{HEAD_BYTES, Head};
use mail_common::mime::{self, Base64, Description, Encoding, Form, body_after, lines, parts};
use memchr::memmem;

use super::cms;
use super::inline::{uuencoded, yencoded};
use super::loose;
use super::pgp;
use super::search::{Hidden, Role, Search, TooLarge};

/// Fields by which clamd knows a message that begins with one of them (libclamav/filetypes_int.h),
/// those that each of its versions has had for years.
const KNOWN_TO_CLAMD: [&[u8]; 13] = [
    b"Return-Path: ",
    b"Return-path: ",
    b"Received: ",
    b"Delivered-To: ",
    b"Envelope-to: ",
    b"X-Original-To: ",
    b"X-Envelope-From: ",
    b"From: ",
    b"To: ",
    b"Subject: ",
    b"Date: ",
    b"Message-ID: ",
    b"Message-Id: ",
];

/// Shown before a message that begins otherwise.
const FIRST_FIELD: &[u8] = b"Return-Path: <>\n";

/// A file with one of these is a message, wherever it lies.
const TELLING_FIELDS: [&str; 8] = [
    "From",
    "To",
    "Subject",
    "Message-ID",
    "Received",
    "Return-Path",
    "MIME-Version",
    "Content-Type",
];

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Whether a file that begins so is a message.
pub(super) fn is_alike(start: &[u8]) -> bool {
    let start = without_prelude(start);
    let first = lines(start).next().unwrap_or_default();
    let name_bytes = memchr::memchr(b':', first).unwrap_or(0);
    let is_field = name_bytes > 0 && first[..name_bytes].iter().all(u8::is_ascii_graphic);
    let head = Head::of(start, start.len() as u64).filter(|_| is_field);
    head.is_some_and(|head| TELLING_FIELDS.iter().any(|name| head.field(name).is_some()))
}

/// Looks into a message that clamd is shown as it is.
pub(super) fn look(search: &mut Search, message: &[u8]) -> Result<(), TooLarge> {
    if !KNOWN_TO_CLAMD
        .iter()
        .any(|field| message.starts_with(field))
    {
        search.show(known_to_clamd(message))?;
    }
    let mut walk = Walk {
        search,
        form: Form::Usual,
        shows_parts: false,
    };
    let start = without_prelude(message);
    walk.inline_files(start)?;
    walk.entity(start)?;
    if start.len() < message.len() && !message.starts_with(b"From ") {
        walk.form = Form::Odd;
    }
    if walk.form == Form::Usual {
        return Ok(());
    }
    search.loosely(|search| {
        let mut walk = Walk {
            search,
            form: Form::Odd,
            shows_parts: true,
        };
        walk.entity(start)?;
        loose::show_parts(search, start)
    })
}

/// The message in a form that clamd takes for one: with a field first that it knows, without what
/// stands before its header, and with line ends that it knows.
fn known_to_clamd(message: &[u8]) -> Vec<u8> {
    let start = without_prelude(message);
    let has_lines = memchr::memchr(b'\n', &start[..start.len().min(HEAD_BYTES)]).is_some();
    let mut known = FIRST_FIELD.to_vec();
    if !begins_with_field(start) {
        known.push(b'\n');
    }
    let from = known.len();
    known.extend(start.iter().copied().filter(|&byte| byte != 0));
    if !has_lines {
        for byte in known[from..].iter_mut().filter(|byte| **byte == b'\r') {
            *byte = b'\n';
        }
    }
    known
}

fn begins_with_field(start: &[u8]) -> bool {
    let name_bytes = memchr::memchr(b':', start).unwrap_or(0);
    name_bytes > 0
        && start[..name_bytes]
            .iter()
            .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// `message` without a byte order mark, blank lines, and the line of an mbox that stand before its
/// header.
fn without_prelude(message: &[u8]) -> &[u8] {
    let mut start = message
        .strip_prefix(BOM)
        .unwrap_or(message)
        .trim_ascii_start();
    for envelope in [&b"From "[..], b">From "] {
        if start.starts_with(envelope) {
            let end = memchr::memchr2(b'\n', b'\r', start).unwrap_or(start.len());
            start = start[end..].trim_ascii_start();
        }
    }
    start
}

/// A walk through the parts of one message.
struct Walk<'a> {
    search: &'a mut Search,
    /// Whether all of it is written as mail programs write it.
    form: Form,
    /// Whether each part is decoded and shown by itself.
    shows_parts: bool,
}

impl Walk<'_> {
    /// A message or a part of one: a header and a body.
    fn entity(&mut self, entity: &[u8]) -> Result<(), TooLarge> {
        let Some(head) = Head::of(entity, entity.len() as u64) else {
            // Compressed, without any header.
            return self.search.content(entity, Role::File, b"");
        };
        let section = head.section();
        if section.len() >= HEAD_BYTES.min(entity.len()) {
            self.form = Form::Odd;
        }
        let description = Description::of(&head);
        self.form = self.form.and(description.form);
        let body = body_after(&entity[section.len()..]);
        match description.content_type.split_once('/') {
            Some(("multipart", _)) => self.multipart(&description, body),
            Some(("message", "partial")) => self.fragment(&description, body),
            Some(("message", "rfc822" | "global" | "news")) => self.nested(&description, body),
            // clamd does not go into it, since its content is declared to be elsewhere.
            Some(("message", "external-body")) => {
                self.search.found(body.to_vec(), Role::Message, b"")
            }
            _ => self.leaf(&description, body),
        }
    }

    fn deeper(&mut self, entity: &[u8]) -> Result<(), TooLarge> {
        let (mut form, shows_parts) = (self.form, self.shows_parts);
        let looked = self.search.deeper(|search| {
            let mut walk = Walk {
                search,
                form,
                shows_parts,
            };
            let looked = walk.entity(entity);
            form = walk.form;
            looked
        });
        self.form = form;
        looked
    }

    fn multipart(&mut self, description: &Description, body: &[u8]) -> Result<(), TooLarge> {
        if description.content_type == "multipart/encrypted" {
            let is_pgp = description.parameter("protocol").contains("pgp");
            self.search.hide_encrypted(if is_pgp {
                "PGP/MIME"
            } else {
                "multipart/encrypted"
            });
        }
        let boundary = description.boundary.as_deref();
        let Some(boundary) = boundary.filter(|boundary| !boundary.is_empty()) else {
            self.form = Form::Odd;
            return Ok(());
        };
        let decoded;
        let body = if description.encoding == Encoding::Identity {
            body
        } else {
            // Forbidden (RFC 2045, 6.4), and some programs decode it all the same.
            self.form = Form::Odd;
            decoded = decoded_by(description.encoding, body);
            &decoded
        };
        let parts = parts(body, boundary);
        self.form = self.form.and(parts.form);
        for part in parts.parts {
            self.deeper(part)?;
        }
        Ok(())
    }

    /// A message within: clamd follows the structure to it where it stands there as it is.
    fn nested(&mut self, description: &Description, body: &[u8]) -> Result<(), TooLarge> {
        if description.encoding == Encoding::Identity && without_prelude(body).len() == body.len() {
            return self.deeper(body);
        }
        let decoded = decoded_by(description.encoding, body);
        self.form = Form::Odd;
        self.search.found(decoded, Role::Message, b"")
    }

    /// A fragment of a message (RFC 2046, 5.2.2): the first has its header. A mail program may put
    /// the fragments together; nobody who scans does.
    fn fragment(&mut self, description: &Description, body: &[u8]) -> Result<(), TooLarge> {
        if description.parameter("total") != "1" {
            let what = "a fragment of a message (message/partial)";
            self.search.hide(Hidden::NotUnpacked(what.to_owned()));
        }
        self.search.found(body.to_vec(), Role::Message, b"")
    }

    fn leaf(&mut self, description: &Description, body: &[u8]) -> Result<(), TooLarge> {
        let is_report = description.content_type.starts_with("message/");
        if is_report && description.encoding != Encoding::Identity {
            // clamd does not decode these.
            self.form = Form::Odd;
        }
        let decoded = self.decoded(description, body);
        self.opaque(description, &decoded)?;
        if self.shows_parts {
            return loose::show_body(self.search, body);
        }
        Ok(())
    }

    /// A body as mail programs decode it.
    fn decoded<'a>(&mut self, description: &Description, body: &'a [u8]) -> Cow<'a, [u8]> {
        match description.encoding {
            Encoding::Identity => body.into(),
            Encoding::QuotedPrintable => {
                let is_padded = [&b"= "[..], b"=\t"]
                    .iter()
                    .any(|end| memmem::find(body, end).is_some());
                self.form = if is_padded { Form::Odd } else { self.form };
                let is_text = description.content_type.starts_with("text/");
                if is_text && memmem::find(body, b"=2D").is_none() {
                    // Nothing that is looked for in a text is hidden in it.
                    return body.into();
                }
                mime::quoted_printable(body).into()
            }
            Encoding::Base64 | Encoding::Unknown => match mime::base64(body) {
                Base64::Exact(bytes) => bytes.into(),
                Base64::Lenient(bytes) => {
                    self.form = Form::Odd;
                    bytes.into()
                }
            },
        }
    }

    /// Whether somebody must have a key, or a program of its own, to see what is in `content`.
    fn opaque(&mut self, description: &Description, content: &[u8]) -> Result<(), TooLarge> {
        let kind = description.content_type.as_str();
        let is_smime = matches!(kind, "application/pkcs7-mime" | "application/x-pkcs7-mime");
        if is_smime || description.is_named(&[".p7m", ".p7z"]) {
            return cms::look(self.search, content, &description.parameter("smime-type"));
        }
        if kind == "application/pgp-encrypted" || description.is_named(&[".pgp", ".gpg", ".asc"]) {
            return pgp::look_at_named(self.search, content, kind);
        }
        if pgp::is_armored(content) {
            return pgp::look_at_armored(self.search, content);
        }
        if cms::is_armored(content) {
            return cms::look_at_armored(self.search, content);
        }
        self.search
            .deeper(|search| search.content(content, Role::File, &description.name))
    }

    /// Files that stand in the text of a message, in any part of it.
    fn inline_files(&mut self, message: &[u8]) -> Result<(), TooLarge> {
        let mut files = Vec::new();
        if memmem::find(message, b"\n=ybegin ").is_some() {
            files.extend(yencoded(message));
        }
        if memmem::find(message, b"\nbegin ").is_some() {
            files.extend(uuencoded(message));
        }
        for file in files {
            self.search.found(file.bytes, Role::File, &file.name)?;
        }
        Ok(())
    }
}

fn decoded_by(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => body.to_vec(),
        Encoding::QuotedPrintable => mime::quoted_printable(body),
        Encoding::Base64 | Encoding::Unknown => mime::base64(body).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_a_field_that_clamd_knows() {
        let check = |message: &[u8], expected: &[u8]| {
            let expected = [FIRST_FIELD, expected].concat();
            assert_eq!(known_to_clamd(message), expected);
        };
        check(b"X-A: b\n\nbody", b"X-A: b\n\nbody");
        check(b"\xef\xbb\xbfX-A: b\n\nbody", b"X-A: b\n\nbody");
        check(b"\r\n\nX-A: b\n\nbody", b"X-A: b\n\nbody");
        check(b"From a@b Sat\nX-A: b\n\nbody", b"X-A: b\n\nbody");
        check(b"X-A: b\rTo: c\r\rbody", b"X-A: b\nTo: c\n\nbody");
        check(b"no header", b"\nno header");
    }

    #[test]
    fn messages_are_told_from_other_texts() {
        for message in [
            "From: a\n\nb",
            "X-A: b\nSubject: c\n\n",
            "\nTo: a\n\n",
            "From a b\nTo: c\n\n",
        ] {
            assert!(is_alike(message.as_bytes()), "{message}");
        }
        for text in [
            "name: x\nport: 1\n",
            "hello\nFrom: a\n",
            "",
            "PK\x03\x04 From: a\n",
        ] {
            assert!(!is_alike(text.as_bytes()), "{text}");
        }
    }
}
