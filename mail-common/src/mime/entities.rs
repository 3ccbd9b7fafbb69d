//! A message gone through part by part, as mail programs do: parts within parts, and messages that
//! are attached to messages.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::description::{Description, Encoding};
use super::parts::{body_after, parts};
use super::transfer::{base64, quoted_printable};
use crate::message::{Head, Header};

/// Parts within parts are looked into no deeper: each level is gone through once more.
const DEPTH_MAX: usize = 100;

/// A message, or a part of one.
#[derive(Debug)]
pub struct Entity<'a> {
    /// In how many others it lies: none for the message itself.
    pub depth: usize,
    /// Its header.
    pub head: Head<'a>,
    /// What that says it is.
    pub description: Description,
    /// As it is carried.
    body: &'a [u8],
}

/// What the body of an entity is to a mail program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Parts, which follow.
    Parts,
    /// A message, which follows.
    Message,
    /// A text. Parts without a boundary are shown as one.
    Text,
    /// Anything else.
    Other,
}

/// Whether a message was gone through to its last part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// It was, unless the visitor had enough.
    Whole,
    /// Its parts lie deeper than anybody writes them.
    TooDeep,
    /// A header of it is longer than is read of one: what follows may be parts.
    CutHeader,
}

impl Entity<'_> {
    /// What its body is.
    #[must_use]
    pub fn content(&self) -> Content {
        match self.description.content_type.split_once('/') {
            Some(("multipart", _)) if self.boundary().is_empty() => Content::Text,
            Some(("multipart", _)) => Content::Parts,
            Some(("message", "rfc822" | "global" | "news")) => Content::Message,
            Some(("text" | "message", _)) | None => Content::Text,
            Some(_) => Content::Other,
        }
    }

    /// Whether nobody can read it without a key, by what its header says.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        match self.description.content_type.as_str() {
            "multipart/encrypted" => true,
            "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
                self.description.parameter("smime-type") != "signed-data"
            }
            _ => false,
        }
    }

    /// Its body as mail programs decode it.
    #[must_use]
    pub fn decoded(&self) -> Cow<'_, [u8]> {
        match self.description.encoding {
            Encoding::Identity | Encoding::Unknown => self.body.into(),
            Encoding::QuotedPrintable => quoted_printable(self.body).into(),
            Encoding::Base64 => base64(self.body).into_bytes().into(),
        }
    }

    fn boundary(&self) -> &[u8] {
        self.description.boundary.as_deref().unwrap_or_default()
    }
}

/// Lets `visit` see `message` and each part of it, in their order, until it breaks off.
pub fn visit_entities(
    message: &[u8],
    mut visit: impl FnMut(&Entity<'_>) -> ControlFlow<()>,
) -> Depth {
    let mut walk = Walk {
        visit: &mut visit,
        reached: Depth::Whole,
    };
    // That the visitor had enough is known to it.
    let _ = walk.entity(message, 0);
    walk.reached
}

struct Walk<'v> {
    visit: &'v mut dyn FnMut(&Entity<'_>) -> ControlFlow<()>,
    reached: Depth,
}

impl Walk<'_> {
    fn entity(&mut self, bytes: &[u8], depth: usize) -> ControlFlow<()> {
        if depth > DEPTH_MAX {
            self.reached = Depth::TooDeep;
            return ControlFlow::Continue(());
        }
        let Some(mut head) = Head::of(bytes, bytes.len() as u64) else {
            return ControlFlow::Continue(());
        };
        let header;
        if !head.is_whole()
            && let Ok(read) = Header::read(bytes)
        {
            header = read;
            head = header.head();
        }
        if !head.is_whole() {
            self.reached = Depth::CutHeader;
        }
        let entity = Entity {
            depth,
            description: Description::of(&head),
            body: body_after(&bytes[head.section().len()..]),
            head,
        };
        (self.visit)(&entity)?;
        self.inside(&entity)
    }

    fn inside(&mut self, entity: &Entity<'_>) -> ControlFlow<()> {
        match entity.content() {
            Content::Parts => {
                let body = entity.decoded();
                for part in parts(&body, entity.boundary()).parts {
                    self.entity(part, entity.depth + 1)?;
                }
                ControlFlow::Continue(())
            }
            Content::Message => self.entity(&entity.decoded(), entity.depth + 1),
            Content::Text | Content::Other => ControlFlow::Continue(()),
        }
    }
}
