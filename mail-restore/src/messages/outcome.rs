//! What became of each message.

use std::fmt;

use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;
use mail_common::set::address_of;

use super::candidate::{Candidate, Owner, SavedFile, folder_name};
use super::error::{Error, Problem};

/// What a delivery did. What is neither in `restored` nor in `failures` was not reached.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    /// The messages that are where they should be, sorted by their path in the set.
    pub restored: Vec<Restored>,
    /// What could not be done.
    pub failures: Vec<Problem>,
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
    pub disposition: Disposition,
}

/// Why a message is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It was added.
    Added,
    /// The same content was there already, and nothing was written.
    Present,
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
    /// The ACL of a folder that was made cannot be read: nobody but its owner may use it.
    AclUnread {
        /// The file.
        path: RelPath,
        /// Why, in full.
        reason: String,
    },
    /// A folder that was made has the ACL that it had.
    AclRestored {
        /// What people call the mailbox.
        mailbox: String,
        /// The folder, as Dovecot has it on disk.
        folder: String,
    },
    /// A folder was made, and subscribed.
    FolderMade {
        /// What people call the mailbox.
        mailbox: String,
        /// The folder, as Dovecot has it on disk.
        folder: String,
    },
    /// A folder that was made could not be subscribed: mail programs may not show it.
    NotSubscribed {
        /// What people call the mailbox.
        mailbox: String,
        /// The folder, as Dovecot has it on disk.
        folder: String,
        /// Why.
        reason: String,
    },
    /// The quota file does not count a message.
    QuotaNotCounted {
        /// The mailbox.
        mailbox: String,
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Notes where a message is.
    pub(super) fn note(
        &mut self,
        candidate: &Candidate,
        target: RelPath,
        disposition: Disposition,
    ) {
        self.left -= 1;
        let SavedFile {
            path,
            size,
            sha256,
            owner,
            ..
        } = candidate.file.clone();
        self.restored.push(Restored {
            mailbox: candidate.address(),
            path,
            target,
            size,
            sha256,
            owner,
            disposition,
        });
    }

    /// Notes why a message is nowhere.
    pub(super) fn fail(&mut self, candidate: &Candidate, error: Error) {
        self.left -= 1;
        let path = Some(candidate.file.path.clone());
        self.failures.push(Problem {
            mailbox: candidate.address(),
            path,
            error,
        });
    }
}

impl Warning {
    /// That the folder at `path` of `mailbox` has its ACL.
    pub(super) fn acl_restored(mailbox: &RelPath, path: &RelPath) -> Self {
        let (mailbox, folder) = (address_of(mailbox), folder_name(path));
        Self::AclRestored { mailbox, folder }
    }
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
            Self::AclUnread { path, reason } => {
                write!(
                    f,
                    "the folder is its owner's alone, since {path} is lost: {reason}"
                )
            }
            Self::AclRestored { mailbox, folder } => {
                write!(
                    f,
                    "gave folder {folder} of {mailbox} its dovecot-acl of that day; look at it, \
                     then run: doveadm acl recalc -u {mailbox}"
                )
            }
            Self::FolderMade { mailbox, folder } => {
                write!(f, "made folder {folder} of {mailbox}, and subscribed it")
            }
            Self::NotSubscribed {
                mailbox,
                folder,
                reason,
            } => {
                write!(
                    f,
                    "folder {folder} of {mailbox} is not subscribed ({reason}); run: doveadm \
                     mailbox subscribe -u {mailbox} {folder}"
                )
            }
            Self::QuotaNotCounted { mailbox, reason } => {
                write!(
                    f,
                    "maildirsize of {mailbox} does not count what was added ({reason}); run: \
                     doveadm quota recalc"
                )
            }
        }
    }
}
