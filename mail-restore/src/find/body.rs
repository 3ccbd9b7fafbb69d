//! The parts of a message: the texts that a mail program shows of it, and the names of the files
//! that are attached.

use std::borrow::Cow;

use mail_common::message::{Head, Header, text_in};
use mail_common::mime::{Description, Encoding, base64, body_after, parts, quoted_printable};
use memchr::memmem;

use super::conditions::Conditions;
use super::html;

/// Parts within parts are looked into no deeper: each level is gone through once more.
const DEPTH_MAX: usize = 100;

/// What a message was asked, and what is known so far.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    conditions: &'a Conditions,
    has_text: bool,
    has_attachment: bool,
    /// Whether there is a part that nobody can read without a key.
    pub(crate) is_encrypted: bool,
    /// Whether there is a part that was not looked into.
    pub(crate) is_too_deep: bool,
}

impl<'a> Body<'a> {
    /// Looks into `message`, until it is known to be meant.
    pub(crate) fn look(conditions: &'a Conditions, message: &[u8]) -> Self {
        let mut body = Self {
            has_text: conditions.texts.is_none(),
            has_attachment: conditions.attachments.is_empty(),
            conditions,
            is_encrypted: false,
            is_too_deep: false,
        };
        body.entity(message, 0);
        body
    }

    /// Whether the message holds what is asked for.
    pub(crate) fn is_meant(&self) -> bool {
        self.has_text && self.has_attachment
    }

    /// A message, or a part of one: a header and a body.
    fn entity(&mut self, entity: &[u8], depth: usize) {
        if self.is_meant() {
            return;
        }
        if depth > DEPTH_MAX {
            self.is_too_deep = true;
            return;
        }
        let Some(mut head) = Head::of(entity, entity.len() as u64) else {
            return;
        };
        let header;
        if !head.is_whole()
            && let Ok(read) = Header::read(entity)
        {
            header = read;
            head = header.head();
        }
        if depth == 0 || head.field("Subject").is_some() {
            self.text(|| head.whole_text("Subject").unwrap_or_default());
        }
        let description = Description::of(&head);
        let body = body_after(&entity[head.section().len()..]);
        self.attachment(&description);
        match description.content_type.split_once('/') {
            Some(("multipart", kind)) => {
                self.is_encrypted |= kind == "encrypted";
                self.multipart(&description, body, depth);
            }
            Some(("message", "rfc822" | "global" | "news")) => {
                self.entity(&decoded(&description, body), depth + 1);
            }
            Some(("text" | "message", _)) | None => self.leaf(&description, body),
            Some(("application", "pkcs7-mime" | "x-pkcs7-mime")) => {
                self.is_encrypted |= description.parameter("smime-type") != "signed-data";
            }
            Some(_) => {}
        }
    }

    fn multipart(&mut self, description: &Description, body: &[u8], depth: usize) {
        let body = decoded(description, body);
        let boundary = description.boundary.as_deref().unwrap_or_default();
        if boundary.is_empty() {
            // Mail programs show it as a text.
            return self.text(|| text_in(&description.parameter("charset"), &body));
        }
        for part in parts(&body, boundary).parts {
            self.entity(part, depth + 1);
        }
    }

    fn leaf(&mut self, description: &Description, body: &[u8]) {
        if self.has_text {
            return;
        }
        let bytes = decoded(description, body);
        self.is_encrypted |= memmem::find(&bytes, b"-----BEGIN PGP MESSAGE").is_some();
        self.text(|| {
            let text = text_in(&description.parameter("charset"), &bytes);
            match description.content_type.as_str() {
                "text/html" => html::text_of(&text),
                _ => text,
            }
        });
    }

    fn text(&mut self, text: impl FnOnce() -> String) {
        if let Some(words) = self.conditions.texts.as_ref().filter(|_| !self.has_text) {
            self.has_text = words.are_in(&text());
        }
    }

    fn attachment(&mut self, description: &Description) {
        if !self.has_attachment
            && let Some(name) = description.file_name()
        {
            self.has_attachment = self.conditions.wants_attachment(&name);
        }
    }
}

/// A body as mail programs decode it.
fn decoded<'a>(description: &Description, body: &'a [u8]) -> Cow<'a, [u8]> {
    match description.encoding {
        Encoding::Identity | Encoding::Unknown => body.into(),
        Encoding::QuotedPrintable => quoted_printable(body).into(),
        Encoding::Base64 => base64(body).into_bytes().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::{Language, Words};
    use super::*;

    #[test]
    fn the_subject_of_an_attached_message_is_a_text() {
        let message = b"Subject: outside\nContent-Type: message/rfc822\n\n\
            Subject: =?iso-8859-2?Q?ver=ADtrag?=\n =?utf-8?q?_a=0D=0Ab?=\n\nbody\n";
        for (text, expected) in [
            ("vertrag", true),
            ("ver\u{ad}trag a b", true),
            ("outside", true),
            ("body", true),
            ("u{ad}", false),
        ] {
            let texts = Words::of(&[text.to_owned()], Language::Plain).unwrap();
            let conditions = Conditions {
                texts,
                ..Conditions::default()
            };
            assert_eq!(
                Body::look(&conditions, message).is_meant(),
                expected,
                "{text}"
            );
        }
    }
}
