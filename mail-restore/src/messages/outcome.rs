//! What became of each message.

use std::fmt;
use std::io;
use std::path::PathBuf;

use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;

use super::candidate::Owner;
use super::content::ContentError;

/// What a delivery did. What is neither in `restored` nor in `failures` was not reached.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    /// The messages that are where they should be, sorted by their path in the set.
    pub restored: Vec<Restored>,
    /// What could not be done.
    pub failures: Vec<Failure>,
    /// What the administrator should know.
    pub warnings: Vec<Warning>,
    /// Messages that were not reached: a signal came, or nothing more could be written.
    pub left: usize,
}

/// A message that is where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What people call its mailbox.
    pub mailbox: String,
    /// Where it was, relative to the mail root.
    pub path: RelPath,
    /// Where it is now, relative to the live mail root or to the directory of `--to`.
    pub target: RelPath,
    /// Bytes.
    pub size: u64,
    /// Digest of the content.
    pub sha256: Sha256,
    /// Whose it was; in a directory it is given to them by root alone.
    pub owner: Owner,
    /// How it came there.
    pub fate: Fate,
}

/// How a message came to where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was added.
    Added,
    /// The same content was there already, and nothing was written.
    Present,
}

/// Something that could not be done.
#[derive(Debug)]
pub struct Failure {
    /// What people call the mailbox.
    pub mailbox: String,
    /// The message; `None` when it is the mailbox.
    pub path: Option<RelPath>,
    /// Why.
    pub error: DeliveryError,
}

/// Why a message is not where it should be. Paths are relative to the live mail root, or to the
/// directory of `--to`.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The set does not give it.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The tree to write into cannot be opened.
    #[error("open {}", path.display())]
    OpenRoot {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A directory cannot be opened or made.
    #[error("open or make the directory {path}")]
    Directory {
        /// The directory.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// What is there already cannot be read.
    #[error("look through {path} for messages that are there already")]
    LookThrough {
        /// The mailbox.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// The mailbox cannot be locked against another run.
    #[error("lock {path}")]
    Lock {
        /// The mailbox.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// The message cannot be written: the disk may be full.
    #[error("write a message into {path}")]
    Write {
        /// The directory.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
    /// Another file has its name.
    #[error("{path} is there already with another content; choose an empty directory")]
    Occupied {
        /// The file.
        path: RelPath,
    },
    /// A directory cannot be synced: what was delivered may be lost when the power fails.
    #[error("sync {path}")]
    Sync {
        /// The directory.
        path: RelPath,
        /// The cause.
        source: io::Error,
    },
}

impl DeliveryError {
    /// Whether the next message would fail in the same way.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}

/// What the administrator should know of a delivery that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Keywords that the live folder does not have.
    KeywordsDropped {
        /// Where the message was.
        path: RelPath,
        /// Their names, or letters where the set does not name them.
        keywords: Vec<String>,
    },
    /// The keywords of a folder as they were cannot be read: flags of these messages are dropped.
    KeywordsUnread {
        /// The file that names them.
        path: RelPath,
        /// Why, in full.
        reason: String,
    },
    /// A folder was made. Who reads mail by subscriptions does not see it.
    FolderMade {
        /// What people call the mailbox.
        mailbox: String,
        /// The folder, as Dovecot has it on disk.
        folder: String,
    },
    /// The quota file does not count a message.
    QuotaNotCounted {
        /// The mailbox.
        mailbox: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeywordsDropped { path, keywords } => {
                write!(
                    f,
                    "{path}: dropped keywords that its folder does not have: {}",
                    keywords.join(", ")
                )
            }
            Self::KeywordsUnread { path, reason } => {
                write!(f, "keywords are dropped, since {path} is lost: {reason}")
            }
            Self::FolderMade { mailbox, folder } => {
                write!(
                    f,
                    "made folder {folder} of {mailbox}; it may have to be subscribed"
                )
            }
            Self::QuotaNotCounted { mailbox, reason } => {
                write!(
                    f,
                    "maildirsize of {mailbox} does not count what was added ({reason}); run: doveadm quota recalc"
                )
            }
        }
    }
}
