//! What can be wrong with an archive, and what can fail while it is unpacked.

use std::io;
use std::path::PathBuf;

use mail_common::archive::{index, reader};
use mail_common::failure::{Failure, FailureKind};
use mail_common::interrupt::Interrupted;
use mail_common::relpath::{RelPath, UnsafePath};

use mail_common::set::MailboxError;
use mail_common::set::verify::Damage;

/// An archive was not unpacked. Nothing outside the tree under construction was touched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Open(#[from] Damage),
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    #[error("unpack {archive}")]
    Decompress { archive: RelPath, source: io::Error },
    #[error("{archive} is damaged")]
    Damaged {
        archive: RelPath,
        source: reader::Error,
    },
    #[error("read member {member} of {archive}")]
    Content {
        archive: RelPath,
        member: RelPath,
        source: io::Error,
    },
    #[error(
        "{archive} has a member with a name that leads out of the tree; it was not made by these \
         tools"
    )]
    Name {
        archive: RelPath,
        source: UnsafePath,
    },
    #[error(
        "{archive} has a device or a named pipe, {member}; no backup holds one: unpack it with GNU \
         tar if you trust it"
    )]
    Special { archive: RelPath, member: RelPath },
    #[error("{archive} unpacks to more than the {recorded_bytes} bytes of its record, at {member}")]
    TooLarge {
        archive: RelPath,
        member: RelPath,
        recorded_bytes: u64,
    },
    #[error("{archive} has {found} members, and its record says {recorded}")]
    Entries {
        archive: RelPath,
        found: u64,
        recorded: u64,
    },
    #[error(
        "{archive} has only {met} of {wanted} members that are to be left out; scan the set again"
    )]
    NotLeftOut {
        archive: RelPath,
        met: usize,
        wanted: usize,
    },
    #[error("{archive} is not what {index} says of it")]
    Index { archive: RelPath, index: RelPath },
    #[error("read {index}")]
    ReadIndex {
        index: RelPath,
        source: index::Error,
    },
    #[error(
        "{archive}: {member} is there twice, or a link or a file stands where a directory must be"
    )]
    Collision {
        archive: RelPath,
        member: RelPath,
        source: io::Error,
    },
    #[error("write {} from {archive}", target.display())]
    Write {
        archive: RelPath,
        target: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Open(damage) => damage.kind(),
            Self::Mailbox(error) => error.kind(),
            Self::Decompress { .. }
            | Self::Damaged { .. }
            | Self::Content { .. }
            | Self::Entries { .. }
            | Self::Index { .. }
            | Self::ReadIndex { .. } => FailureKind::Damaged,
            Self::Name { .. }
            | Self::Special { .. }
            | Self::TooLarge { .. }
            | Self::NotLeftOut { .. }
            | Self::Collision { .. } => FailureKind::Refused,
            Self::Write { source, .. } => FailureKind::of_io(source),
            Self::Interrupted(interrupted) => interrupted.kind(),
        }
    }
}
