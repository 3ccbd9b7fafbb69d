//! The parts of a message: the texts that a mail program shows of it, and the names of the files
//! that are attached.

use std::ops::ControlFlow;

use mail_common::message::text_in;
use mail_common::mime::{Content, Depth, Description, Entity, visit_entities};
use memchr::memmem;

use super::conditions::Conditions;
use super::html;

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
        let depth = visit_entities(message, |entity| body.entity(entity));
        body.is_too_deep = depth != Depth::Whole;
        body
    }

    /// Whether the message holds what is asked for.
    pub(crate) fn is_meant(&self) -> bool {
        self.has_text && self.has_attachment
    }

    /// The message, or a part of it.
    fn entity(&mut self, entity: &Entity<'_>) -> ControlFlow<()> {
        if entity.depth == 0 || entity.head.field("Subject").is_some() {
            self.text(|| entity.head.whole_text("Subject").unwrap_or_default());
        }
        self.attachment(&entity.description);
        self.is_encrypted |= entity.is_encrypted();
        if entity.content() == Content::Text {
            self.leaf(entity);
        }
        if self.is_meant() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn leaf(&mut self, entity: &Entity<'_>) {
        if self.has_text {
            return;
        }
        let bytes = entity.decoded();
        let description = &entity.description;
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
