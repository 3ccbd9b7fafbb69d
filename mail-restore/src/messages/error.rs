//! What can go wrong with single messages, on which file, and what to do next.

use std::io;
use std::path::PathBuf;

use mail_common::archive::members;
use mail_common::failure::{Failed, Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::message::MESSAGE_ID_MAX_BYTES;
use mail_common::relpath::RelPath;
use mail_common::set::MailboxError;
use mail_common::set::NotAnAddress;

use super::unsearched::Unsearched;

/// Why a query has no answer, or a message is not where it should be. Paths of messages are
/// relative to the mail root, or to the directory of `--to`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A query names no mailbox.
    #[error(transparent)]
    Address(#[from] NotAnAddress),
    /// A query has no Message-ID.
    #[error(
        "not a Message-ID: {text:?}; it has 1 to {MESSAGE_ID_MAX_BYTES} bytes, such as \
         <1234@mail.example.com>"
    )]
    MessageId {
        /// As given.
        text: String,
    },
    /// A query has no time.
    #[error(
        "not a time: {text:?}; write a date such as 2026-11-23, or a time such as \
         2026-11-23T08:00:00+09:00"
    )]
    Time {
        /// As given.
        text: String,
        /// Why.
        source: jiff::Error,
    },
    /// A query has no pattern.
    #[error("not a pattern: {text:?}")]
    Pattern {
        /// As given.
        text: String,
        /// Why.
        source: glob::PatternError,
    },
    /// The set was made without this component.
    #[error("{} holds no mailboxes; use a set that was made with them", set.display())]
    NoMailboxes {
        /// The set.
        set: PathBuf,
    },
    /// A mailbox is not in the set.
    #[error("no mailbox {address} in {}{}", set.display(), similar_text(similar))]
    UnknownMailbox {
        /// As asked for.
        address: String,
        /// The set.
        set: PathBuf,
        /// Mailboxes that could have been meant.
        similar: Vec<String>,
    },
    /// Nothing in the set matches the query.
    #[error(
        "no message found by {searched} among {messages} in {mailboxes} mailboxes of {}{}",
        set.display(), unread_text(unread, *unsearched)
    )]
    NoMatch {
        /// What was asked.
        searched: String,
        /// How many messages were looked at.
        messages: u64,
        /// In how many mailboxes.
        mailboxes: usize,
        /// The set.
        set: PathBuf,
        /// What could not be looked through.
        unread: Vec<Problem>,
        /// What was not looked into.
        unsearched: Unsearched,
    },
    /// An index is not what the checksums say.
    #[error("{index} is not what the set's checksums say: it is damaged; use another set")]
    IndexDigest {
        /// In the set.
        index: RelPath,
    },
    /// An index or a state is damaged, or they do not fit.
    #[error("read {index}; use another set")]
    Index {
        /// In the set.
        index: RelPath,
        /// The cause.
        source: members::Error,
    },
    /// The files of a mailbox contradict each other.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// An index names a file of another mailbox.
    #[error("{index} names {path}, which is not in its mailbox; use another set")]
    Foreign {
        /// In the set.
        index: RelPath,
        /// What it names.
        path: RelPath,
    },
    /// A file of messages cannot be opened.
    #[error("open {file}; use another set")]
    Unopened {
        /// In the set.
        file: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// A frame, or the tar in it, is damaged, cut, or unpacks to more than it may.
    #[error("read the frame at {offset} of {segment}; use another set")]
    Frame {
        /// In the set.
        segment: RelPath,
        /// In the segment.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The message is not where the index says.
    #[error("{message} is not in {place}, where the index has it; use another set")]
    Absent {
        /// The message.
        message: RelPath,
        /// In the set.
        place: String,
    },
    /// The message has another size than the index says.
    #[error("{message} has {found} bytes in {place} and {recorded} by the index; use another set")]
    Size {
        /// The message.
        message: RelPath,
        /// In the set.
        place: String,
        /// What is there.
        found: u64,
        /// What the index says.
        recorded: u64,
    },
    /// The content cannot be read, or is not what it was when it was saved.
    #[error("read {message} from {place}; use another set")]
    Content {
        /// The message.
        message: RelPath,
        /// In the set.
        place: String,
        /// The cause.
        source: io::Error,
    },
    /// The message was a file of another user: perhaps a hard link to it.
    #[error(
        "{message} belonged to user {owner}, and its folder to user {folder_owner}: it is not \
         given to them; restore it by --to and look at it"
    )]
    OtherOwner {
        /// The message.
        message: RelPath,
        /// Whose it was.
        owner: u32,
        /// Whose the folder was.
        folder_owner: u32,
    },
    /// The message cannot be written: the disk may be full. The next one would fail likewise.
    #[error("write a message into {path}")]
    Write {
        /// The directory.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// Another file has the name of the message.
    #[error("{path} is there already with another content; choose an empty directory")]
    Occupied {
        /// The file.
        path: RelPath,
    },
    /// Something failed at a file or directory, of the set or of the live server.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// SIGTERM, SIGINT or SIGHUP.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// What could not be read, looked through or restored.
#[derive(Debug)]
pub struct Problem {
    /// What people call the mailbox.
    pub mailbox: String,
    /// The message; `None` where it is the mailbox or a part of it.
    pub path: Option<RelPath>,
    /// Why.
    pub error: Error,
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Address(_)
            | Self::MessageId { .. }
            | Self::Time { .. }
            | Self::Pattern { .. }
            | Self::Occupied { .. } => FailureKind::Usage,
            Self::NoMailboxes { .. } | Self::UnknownMailbox { .. } => FailureKind::NoSuch,
            Self::NoMatch { .. } => FailureKind::NotFound,
            Self::IndexDigest { .. }
            | Self::Index { .. }
            | Self::Foreign { .. }
            | Self::Frame { .. }
            | Self::Absent { .. }
            | Self::Size { .. }
            | Self::Content { .. } => FailureKind::Damaged,
            Self::Unopened { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                FailureKind::Missing
            }
            Self::Unopened { source, .. } => FailureKind::of_io(source),
            Self::Mailbox(error) => error.kind(),
            Self::OtherOwner { .. } => FailureKind::Refused,
            Self::Write { source, .. } => FailureKind::of_io(source),
            Self::Failed(failed) => failed.kind(),
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}

impl Error {
    /// Whether a message cannot be read from its set: another one may have it whole.
    pub(crate) fn is_of_set(&self) -> bool {
        match self {
            Self::IndexDigest { .. }
            | Self::Index { .. }
            | Self::Mailbox(_)
            | Self::Foreign { .. }
            | Self::Unopened { .. }
            | Self::Frame { .. }
            | Self::Absent { .. }
            | Self::Size { .. }
            | Self::Content { .. } => true,
            Self::Address(_)
            | Self::MessageId { .. }
            | Self::Time { .. }
            | Self::Pattern { .. }
            | Self::NoMailboxes { .. }
            | Self::UnknownMailbox { .. }
            | Self::NoMatch { .. }
            | Self::OtherOwner { .. }
            | Self::Write { .. }
            | Self::Occupied { .. }
            | Self::Failed(_)
            | Self::Interrupted(_) => false,
        }
    }

    /// That a message is of another user; `owners` are its own and that of its folder.
    pub(super) fn other_owner(message: &RelPath, (owner, folder_owner): (u32, u32)) -> Self {
        Self::OtherOwner {
            message: message.clone(),
            owner,
            folder_owner,
        }
    }
}

/// How many mailboxes are named where none is like the one that was asked for.
const NAMED: usize = 10;

pub(crate) fn similar_text(similar: &[String]) -> String {
    let named = &similar[..similar.len().min(NAMED)];
    match similar.len() - named.len() {
        _ if similar.is_empty() => String::new(),
        0 => format!("; there is {}", named.join(", ")),
        more => format!("; there is {}, and {more} more", named.join(", ")),
    }
}

fn unread_text(unread: &[Problem], unsearched: Unsearched) -> String {
    let mut text = String::new();
    if !unread.is_empty() {
        text += &format!("; {} parts could not be read and may hold it", unread.len());
    }
    if !unsearched.is_empty() {
        text += &format!("; {unsearched}: it may be one of them");
    }
    text
}
