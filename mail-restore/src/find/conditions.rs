//! What a message must be, and what of that is known without opening it.
//!
//! The index of a segment has the header fields of its messages, cut to some length. Where a field
//! was cut, or the index has none, the answer is open until the message is read.

use std::fmt;

use glob::{MatchOptions, Pattern};
use mail_common::archive::index::{ENVELOPE_MAX_CHARS, Envelope};
use mail_common::message::{Head, without_white_space};
use mail_common::relpath::RelPath;

use super::fold::folded;
use super::words::Words;
use crate::messages::Query;

/// All kinds that are given must hold; of one kind, any will do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// Mailboxes, Message-IDs, times and paths.
    pub(crate) query: Query,
    /// Of more bytes than this.
    pub(crate) larger_bytes: Option<u64>,
    pub(crate) senders: Option<Words>,
    /// In To or Cc.
    pub(crate) recipients: Option<Words>,
    pub(crate) subjects: Option<Words>,
    /// In the subject or in the text of the body.
    pub(crate) texts: Option<Words>,
    /// Names of attached files, folded.
    pub(crate) attachments: Vec<Pattern>,
    /// All but the query as on a command line.
    pub(crate) shown: String,
}

/// Whether a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    No,
    /// It must be read.
    Open,
    Yes,
}

/// What an index says of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
    /// `None` where it was not looked at.
    pub(crate) message_id: Option<&'a str>,
    pub(crate) envelope: Option<&'a Envelope>,
    /// The names of attached files; `None` where they are not known.
    pub(crate) attachments: Option<&'a [String]>,
}

impl Conditions {
    /// Whether a message could be meant, by what is said of it.
    pub(crate) fn of_facts(&self, facts: Facts<'_>) -> Verdict {
        let is_large = self.larger_bytes.is_none_or(|bytes| facts.size > bytes);
        if !is_large || !self.query.wants_time(facts.mtime_ns) {
            return Verdict::No;
        }
        let header = match facts.envelope {
            Some(envelope) => self.of_envelope(envelope),
            None if self.asks_for_header() => Verdict::Open,
            None => Verdict::Yes,
        };
        self.of_message_id(facts.message_id)
            .min(header)
            .min(self.of_text(facts.envelope))
            .min(self.of_attachments(facts.attachments))
    }

    /// Whether a message at this path, in this mailbox, could be meant.
    pub(crate) fn wants_place(&self, mailbox: &RelPath, path: &RelPath) -> bool {
        let mut mailboxes = self.query.mailboxes.iter();
        let is_named = self.query.mailboxes.is_empty() || mailboxes.any(|one| one.names(mailbox));
        is_named && self.query.wants_path(path)
    }

    /// Whether a part of the mail tree may hold what is meant. What lies above the mailboxes may
    /// hold any.
    pub(crate) fn wants_unit(&self, unit: &RelPath) -> bool {
        let mailboxes = &self.query.mailboxes;
        mailboxes.is_empty() || unit.is_root() || mailboxes.iter().any(|one| one.names(unit))
    }

    /// Of folders that are meant as a whole, what comes with them; see [`Query::whole_folders`].
    pub(crate) fn whole_folders(&self) -> Option<&Vec<Pattern>> {
        let asks = self.has_words() || self.asks_for_body() || self.larger_bytes.is_some();
        self.query.whole_folders.as_ref().filter(|_| !asks)
    }

    /// Whether a text is looked for.
    pub(crate) fn has_words(&self) -> bool {
        self.asks_for_header() || self.texts.is_some()
    }

    /// Whether a header has to be known.
    fn asks_for_header(&self) -> bool {
        self.senders.is_some() || self.recipients.is_some() || self.subjects.is_some()
    }

    /// Whether nothing of a body has to be known but the names of attached files.
    pub(crate) fn asks_for_names_alone(&self) -> bool {
        self.texts.is_none() && !self.attachments.is_empty()
    }

    /// Whether a body has to be known.
    pub(crate) fn asks_for_body(&self) -> bool {
        self.texts.is_some() || !self.attachments.is_empty()
    }

    fn of_message_id(&self, message_id: Option<&str>) -> Verdict {
        match message_id {
            _ if self.query.message_ids.is_empty() => Verdict::Yes,
            // Earlier versions wrote a folded one with its white space.
            Some(id) if self.query.wants_id(&without_white_space(id)) => Verdict::Yes,
            Some(_) => Verdict::No,
            None => Verdict::Open,
        }
    }

    fn of_envelope(&self, envelope: &Envelope) -> Verdict {
        let of = |words: &Option<Words>, fields: &[&String]| match words {
            None => Verdict::Yes,
            Some(words) if fields.iter().any(|field| stand_in(words, field)) => Verdict::Yes,
            Some(_) if fields.iter().any(|field| may_be_cut(field)) => Verdict::Open,
            Some(_) => Verdict::No,
        };
        of(&self.senders, &[&envelope.from])
            .min(of(&self.recipients, &[&envelope.to, &envelope.cc]))
            .min(of(&self.subjects, &[&envelope.subject]))
    }

    /// A text that stands in the subject need not be looked for in the body.
    fn of_text(&self, envelope: Option<&Envelope>) -> Verdict {
        let subject = envelope.map(|envelope| envelope.subject.as_str());
        match (&self.texts, subject) {
            (None, _) => Verdict::Yes,
            (Some(words), Some(subject)) if stand_in(words, subject) => Verdict::Yes,
            (Some(_), _) => Verdict::Open,
        }
    }

    fn of_attachments(&self, names: Option<&[String]>) -> Verdict {
        match names {
            _ if self.attachments.is_empty() => Verdict::Yes,
            Some(names) if names.iter().any(|name| self.wants_attachment(name)) => Verdict::Yes,
            Some(_) => Verdict::No,
            None => Verdict::Open,
        }
    }

    /// Whether a message with this header could be meant; open where the header was cut. Its body
    /// is not looked at.
    pub(crate) fn of_head(&self, head: &Head<'_>) -> Verdict {
        let of = |words: &Option<Words>, names: &[&str]| {
            let has = |words: &Words| {
                let mut texts = names.iter().filter_map(|name| head.whole_text(name));
                texts.any(|text| words.are_in(&text))
            };
            match words {
                Some(words) if !has(words) && head.is_whole() => Verdict::No,
                Some(words) if !has(words) => Verdict::Open,
                _ => Verdict::Yes,
            }
        };
        let id = head.message_id();
        self.of_message_id(id.as_deref())
            .min(of(&self.senders, &["From"]))
            .min(of(&self.recipients, &["To", "Cc"]))
            .min(of(&self.subjects, &["Subject"]))
    }

    /// Whether an attached file of this name is asked for.
    pub(crate) fn wants_attachment(&self, name: &str) -> bool {
        let name = folded(name);
        let options = MatchOptions::new();
        let mut patterns = self.attachments.iter();
        patterns.any(|pattern| pattern.matches_with(&name, options))
    }
}

impl fmt::Display for Conditions {
    /// As on a command line, for messages that say what was searched.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.query.to_string();
        match (self.shown.is_empty(), self.query.is_any()) {
            (true, _) => f.write_str(&query),
            (false, true) => f.write_str(&self.shown),
            (false, false) => write!(f, "{query} {}", self.shown),
        }
    }
}

/// Whether a field, which an index has made safe to show, holds one of `words`. It is not known
/// whether the index or the sender wrote what looks like an escape: both are looked at.
fn stand_in(words: &Words, field: &str) -> bool {
    words.are_in(field) || (field.contains('\\') && words.are_in(&unescaped(field)))
}

/// `field` as it was before [`mail_common::text::printable`].
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(start) = rest.find('\\') {
        text.push_str(&rest[..start]);
        let (character, bytes) = escape(&rest[start + 1..]).unwrap_or(('\\', 0));
        text.push(character);
        rest = &rest[start + 1 + bytes..];
    }
    text + rest
}

/// The character of the escape that `text` begins with after its backslash, and the bytes of it.
fn escape(text: &str) -> Option<(char, usize)> {
    let (kind, rest) = (text.chars().next()?, text.get(1..)?);
    let character = match kind {
        'r' => '\r',
        'n' => '\n',
        't' => '\t',
        'u' => {
            let (digits, _) = rest.strip_prefix('{')?.split_once('}')?;
            let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            return Some((character, "u{}".len() + digits.len()));
        }
        _ => return None,
    };
    Some((character, 1))
}

/// What is escaped makes a field longer, and never shorter.
fn may_be_cut(field: &str) -> bool {
    field.chars().nth(ENVELOPE_MAX_CHARS - 1).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::words::Language;
    use super::*;
    use mail_common::text::printable;
    use proptest::prelude::*;

    /// A sender who writes a backslash is found, and so is one whose soft hyphen became one.
    #[test]
    fn words_are_found_in_a_field_that_was_made_safe_to_show() {
        let check = |word: &str, field: &str, expected| {
            let words = Words::of(&[word.to_owned()], Language::Plain).unwrap();
            assert_eq!(stand_in(&words.unwrap(), field), expected, "{word} {field}");
        };
        check("vertrag", "ver\\u{ad}trag", true);
        check("ver\u{ad}trag", "Re: Ver\\u{ad}trag", true);
        check("total", "to\\u{200e}tal", true);
        check("one two", "one\\r\\ntwo", true);
        check("DOMAIN\\new", "from DOMAIN\\new", true);
        check("\\u{zz}", "a \\u{zz} \\u{110000} \\u \\", true);
        check("vertrag", "ver\\u{61}trag", false);
        check("trag", "\\é\\", false);
    }

    proptest! {
        #[test]
        fn what_was_escaped_comes_back(text in "[^\\\\]*", any: String) {
            prop_assert_eq!(unescaped(&printable(&text)), text);
            let _ = unescaped(&any);
        }
    }
}
