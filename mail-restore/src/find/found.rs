//! A message that was found, once however many sets hold it.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mail_common::archive::index::Envelope;
use mail_common::checksum::Sha256;
use mail_common::record::{self, timestamp};
use mail_common::relpath::{PathField, RelPath};
use mail_common::set::address_of;

use super::conditions::Verdict;
use super::sets::SearchedSet;
use crate::messages::SavedFile;

/// A message of a mailbox. The same content twice in one mailbox is the same message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Its directory, relative to the mail root.
    pub(crate) mailbox: Arc<RelPath>,
    pub(crate) sha256: Sha256,
    pub(crate) mtime_ns: i64,
    /// `None` where it was not looked at.
    pub(crate) message_id: Option<String>,
    pub(crate) envelope: Option<Box<Envelope>>,
    pub(crate) verdict: Verdict,
    /// As the newest set has it; `None` as long as no set was seen to have it.
    pub(crate) newest: Option<Newest>,
    /// The number of the oldest set that has it.
    pub(crate) first: usize,
    /// Whether it is in the live mailbox.
    pub(crate) live: Option<bool>,
}

/// A message as the newest set has it.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    /// The number of the set: the newest is 0.
    pub(crate) set: usize,
    pub(crate) file: SavedFile,
    /// Of the file that was saved; 0 where that is not known.
    pub(crate) inode: u64,
    pub(crate) ctime_ns: i64,
}

/// A message that cannot be read from a set.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    /// Where the set has it.
    pub(crate) path: RelPath,
    pub(crate) sha256: Sha256,
    /// The file of the set that it is in, where that is known.
    pub(crate) file: Option<RelPath>,
}

impl Message {
    /// Which comes first in a list: the one that was delivered last.
    pub(crate) fn rank(&self) -> (std::cmp::Reverse<i64>, &RelPath, Option<&RelPath>) {
        let path = self.newest.as_ref().map(|newest| &newest.file.path);
        (std::cmp::Reverse(self.mtime_ns), &self.mailbox, path)
    }

    /// The number of the newest set that has it.
    pub(crate) fn newest_set(&self) -> usize {
        self.newest.as_ref().map_or(usize::MAX, |newest| newest.set)
    }

    /// As what the newest set that has it cannot give.
    pub(crate) fn unread(&self) -> Option<Unread> {
        let file = &self.newest.as_ref()?.file;
        Some(Unread {
            path: file.path.clone(),
            sha256: self.sha256,
            file: Some(file.place.path()),
        })
    }

    /// Notes what was read of its header, of which an index may have had a part.
    pub(crate) fn note_header(&mut self, message_id: Option<String>, envelope: Box<Envelope>) {
        self.message_id = message_id.or(self.message_id.take());
        self.envelope = Some(envelope);
    }

    /// What the records say of it; `None` where no set has it.
    pub(crate) fn record(&self, sets: &[SearchedSet]) -> Option<record::Message> {
        let newest = self.newest.as_ref()?;
        let envelope = self.envelope.as_deref().cloned().unwrap_or_default();
        let text = |text: String| (!text.is_empty()).then_some(text);
        let date = envelope
            .date_seconds
            .map(|seconds| seconds.saturating_mul(1_000_000_000));
        Some(record::Message {
            root: sets[newest.set].root.clone(),
            first_set: sets[self.first].name.clone(),
            last_set: sets[newest.set].name.clone(),
            mailbox: address_of(&self.mailbox),
            path: PathField::from(&newest.file.path),
            delivered: time(self.mtime_ns),
            date: date.map(time),
            from: text(envelope.from),
            to: text(envelope.to),
            cc: text(envelope.cc),
            subject: text(envelope.subject),
            bytes: newest.file.size,
            message_id: self.message_id.clone().and_then(text),
            sha256: self.sha256,
            live: self.live,
        })
    }
}

fn time(nanoseconds: i64) -> String {
    let time = Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default();
    timestamp(&time.to_zoned_datetime(TimeZone::system()))
}
