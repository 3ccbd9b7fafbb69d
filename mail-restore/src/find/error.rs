//! Why a search cannot be made, or what of it failed.

use std::path::PathBuf;

use mail_common::failure::{Failure, FailureKind};
use mail_common::relpath::RelPath;
use mail_common::set::{self, InventoryError};
use mail_common::signature;

use crate::messages::{self, similar_text};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a text to look for is empty; every message contains it")]
    EmptyText,
    #[error("not a regular expression: {text:?}")]
    Regex {
        text: String,
        source: Box<regex::Error>,
    },
    #[error("not a size: {text:?}; write a number of bytes such as 1000, 500K, 20M or 1G")]
    Size { text: String },
    #[error("--{flag} is about messages that are looked for; {needs}")]
    Needs {
        flag: &'static str,
        needs: &'static str,
    },
    #[error("{} cannot be searched", set.display())]
    Unlocked {
        set: PathBuf,
        source: Box<set::Error>,
    },
    #[error("{} cannot be searched", set.display())]
    Unreadable {
        set: PathBuf,
        source: Box<InventoryError>,
    },
    #[error("{} is not searched", set.display())]
    Signature {
        set: PathBuf,
        source: Box<signature::Error>,
    },
    #[error("there is no set of this kind in {}; mail-backup makes them", root.display())]
    NoSets { root: PathBuf },
    #[error(
        "{operands} sets are named, and a whole set is restored from one; name one by --from, or \
         say which messages are meant"
    )]
    SeveralSets { operands: usize },
    #[error(
        "--missing compares with the live mail, and {} is not there; name the mail root by \
         --mail-dir",
        root.display()
    )]
    NoLiveMail { root: PathBuf },
    #[error("no mailbox {address} in {sets}{}", similar_text(similar))]
    UnknownMailbox {
        address: String,
        sets: String,
        similar: Vec<String>,
    },
    #[error("no message found by {searched} in {mailboxes} mailboxes of {sets}")]
    NoMatch {
        searched: String,
        mailboxes: usize,
        sets: String,
    },
    #[error("{mailbox} in {set} has lost its index and is not searched; use another set")]
    Lost { mailbox: String, set: String },
    #[error("in {set}")]
    InSet {
        set: String,
        source: Box<messages::Error>,
    },
    #[error("cannot tell which messages of {mailbox} are in {set}; none of them is listed")]
    NotCompared {
        mailbox: String,
        set: String,
        source: Box<messages::Error>,
    },
    #[error(
        "cannot tell which messages of {mailbox} are in {set}, where it has lost its index; none \
         of them is listed"
    )]
    LostCompared { mailbox: String, set: String },
    #[error("cannot tell which messages are in {set}; nothing is listed: name another --not-in")]
    NoneCompared {
        set: String,
        source: Box<messages::Error>,
    },
    #[error("cannot tell which messages of {mailbox} are in the live mail; none of them is listed")]
    NotLooked {
        mailbox: String,
        source: Box<messages::Error>,
    },
    #[error("{path} with this content is not in {set}; search again")]
    NotThere { path: RelPath, set: String },
    #[error("no whole copy of {path} is in the sets that were searched; search others, by --from")]
    NoCopy { path: RelPath },
    #[error("the record of {path} is damaged: {what}")]
    Record { path: String, what: &'static str },
    #[error(transparent)]
    Messages(#[from] messages::Error),
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::EmptyText
            | Self::Regex { .. }
            | Self::Size { .. }
            | Self::Needs { .. }
            | Self::NoLiveMail { .. }
            | Self::SeveralSets { .. } => FailureKind::Usage,
            Self::NoSets { .. } | Self::UnknownMailbox { .. } => FailureKind::NoSuch,
            Self::NoMatch { .. } | Self::NotThere { .. } => FailureKind::NotFound,
            Self::Lost { .. } | Self::LostCompared { .. } | Self::NoCopy { .. } => {
                FailureKind::Damaged
            }
            Self::Record { .. } => FailureKind::Upstream,
            Self::Unlocked { source, .. } => source.kind(),
            Self::Unreadable { source, .. } => source.kind(),
            Self::Signature { source, .. } => source.kind(),
            Self::InSet { source, .. }
            | Self::NotCompared { source, .. }
            | Self::NoneCompared { source, .. }
            | Self::NotLooked { source, .. } => source.kind(),
            Self::Messages(source) => source.kind(),
        }
    }
}
