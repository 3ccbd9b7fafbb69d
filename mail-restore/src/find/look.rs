//! Messages that must be read to know whether they are meant: each frame once, on all processors.

use std::collections::BTreeMap;
use std::io::{self, Read};

use mail_common::archive::index::Envelope;
use mail_common::message::{HEADER_MAX_BYTES, Header, is_packed, text_of};

use super::body::Body;
use super::conditions::{Conditions, Verdict};
use super::found::{Message, Unread};
use super::sets::SearchedSet;
use crate::messages::{Content, Error, SavedFile, Unsearched, Work, read_all, unreadable};

/// No more of a message is looked into, and what is compressed is unpacked no further.
const MESSAGE_MAX_BYTES: u64 = 64 << 20;

/// What reading gave.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) unsearched: Unsearched,
    /// What could not be read, and the set.
    pub(crate) problems: Vec<(usize, Error)>,
    /// The messages that a set cannot give, by the number of the set.
    pub(crate) unread: BTreeMap<usize, Vec<Unread>>,
}

/// What a message says when it is read.
enum Answer {
    /// It is not meant.
    No,
    /// It is meant, and this is its header.
    Yes {
        message_id: Option<String>,
        envelope: Box<Envelope>,
    },
    /// It cannot be told: it is encrypted, or a part of it is.
    Encrypted,
    /// It cannot be told: it is damaged, or longer than is looked at.
    Unclear,
}

/// Reads those of `messages` that are open, and settles them: what cannot be told is not meant, and
/// counted. Stopped by a signal, it leaves the rest open.
pub(crate) fn settle(
    sets: &[SearchedSet],
    conditions: &Conditions,
    messages: &mut [Message],
    work: &Work<'_>,
) -> Looked {
    let mut looked = Looked::default();
    let open = |message: &&mut Message| message.verdict == Verdict::Open;
    let open = messages.iter_mut().filter(open);
    let answers = read(sets, open, work, |file, content| {
        examine(conditions, content, file, work)
    });
    for (message, set, answer) in answers {
        message.verdict = Verdict::No;
        match answer {
            Ok(Answer::Yes {
                message_id,
                envelope,
            }) => {
                message.verdict = Verdict::Yes;
                message.note_header(message_id, envelope);
            }
            Ok(Answer::No) => {}
            Ok(Answer::Encrypted) => looked.unsearched.encrypted += 1,
            Ok(Answer::Unclear) => looked.unsearched.unclear += 1,
            Err(error) => {
                if error.is_of_set() {
                    looked
                        .unread
                        .entry(set)
                        .or_default()
                        .extend(message.unread());
                }
                looked.problems.push((set, error));
            }
        }
    }
    looked
}

/// Reads the headers of those of `messages` of which no index had them, for who wants to see them.
pub(crate) fn read_headers(
    sets: &[SearchedSet],
    messages: &mut [Message],
    work: &Work<'_>,
) -> Vec<(usize, Error)> {
    let mut problems = Vec::new();
    let all = Conditions::default();
    let unknown = |message: &&mut Message| message.envelope.is_none();
    let unknown = messages.iter_mut().filter(unknown);
    let answers = read(sets, unknown, work, |file, content| {
        examine(&all, content, file, work)
    });
    for (message, set, answer) in answers {
        match answer {
            Ok(Answer::Yes {
                message_id,
                envelope,
            }) => message.note_header(message_id, envelope),
            Ok(Answer::No | Answer::Encrypted | Answer::Unclear) => {}
            Err(error) => problems.push((set, error)),
        }
    }
    problems
}

/// Gives the content of each of `messages` to `each`.
fn read<'m, R: Send>(
    sets: &[SearchedSet],
    messages: impl Iterator<Item = &'m mut Message>,
    work: &Work<'_>,
    each: impl Fn(&SavedFile, Content<'_>) -> Result<R, Error> + Sync,
) -> Vec<(&'m mut Message, usize, Result<R, Error>)> {
    let mut by_set: BTreeMap<usize, Vec<(&mut Message, SavedFile)>> = BTreeMap::new();
    for message in messages {
        if let Some(newest) = &message.newest {
            let (set, file) = (newest.set, newest.file.clone());
            by_set.entry(set).or_default().push((message, file));
        }
    }
    let mut answered = Vec::new();
    for (set, messages) in by_set {
        let files: Vec<&SavedFile> = messages.iter().map(|(_, file)| file).collect();
        let answers = read_all(
            sets[set].directory(),
            &files,
            || work.is_stopped(),
            |number, content| each(files[number], content?),
        );
        let messages = messages.into_iter().map(|(message, _)| message);
        for (message, answer) in messages.zip(answers) {
            answered.extend(answer.map(|answer| (message, set, answer)));
        }
    }
    answered
}

fn examine(
    conditions: &Conditions,
    content: Content<'_>,
    file: &SavedFile,
    work: &Work<'_>,
) -> Result<Answer, Error> {
    let limit = if conditions.asks_for_body() {
        MESSAGE_MAX_BYTES
    } else {
        HEADER_MAX_BYTES as u64
    };
    let mut stored = Vec::with_capacity(usize::try_from(file.size.min(limit)).unwrap_or_default());
    let read = content.take(limit).read_to_end(&mut stored);
    read.map_err(unreadable(file))?;
    (work.progress)(stored.len() as u64);
    if !is_packed(&stored) {
        return Ok(answer(conditions, &stored, Extent::of(file.size, limit)));
    }
    Ok(match unpacked(&stored, limit) {
        Ok(Some(text)) => answer(conditions, &text, Extent::of(text.len() as u64 + 1, limit)),
        Ok(None) => Answer::Encrypted,
        Err(_) => Answer::Unclear,
    })
}

/// Whether all of a message is there to be looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Cut,
}

impl Extent {
    fn of(bytes: u64, limit: u64) -> Self {
        if bytes > limit {
            Self::Cut
        } else {
            Self::Whole
        }
    }
}

/// What Dovecot has compressed; `None` where it is encrypted.
fn unpacked(stored: &[u8], limit: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(text) = text_of(stored)? else {
        return Ok(None);
    };
    let mut unpacked = Vec::new();
    let mut text = text.take(limit);
    match text.read_to_end(&mut unpacked) {
        // Its beginning was all that was read of it.
        Err(_) if Header::read(&unpacked[..])?.head().is_whole() && !unpacked.is_empty() => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    Ok(Some(unpacked))
}

fn answer(conditions: &Conditions, message: &[u8], extent: Extent) -> Answer {
    let Ok(header) = Header::read(message) else {
        return Answer::Unclear;
    };
    let head = header.head();
    match conditions.of_head(&head) {
        Verdict::No => return Answer::No,
        Verdict::Open => return Answer::Unclear,
        Verdict::Yes => {}
    }
    if conditions.asks_for_body() {
        let body = Body::look(conditions, message);
        if !body.is_meant() {
            return if body.is_encrypted {
                Answer::Encrypted
            } else if body.is_too_deep || extent == Extent::Cut {
                Answer::Unclear
            } else {
                Answer::No
            };
        }
    }
    Answer::Yes {
        message_id: head.message_id(),
        envelope: Box::new(Envelope::of(&head)),
    }
}
