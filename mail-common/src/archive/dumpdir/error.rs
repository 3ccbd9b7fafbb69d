//! Why dumpdirs are not written, or not followed.

use super::super::reader;
use crate::failure::{Failure, FailureKind};
use crate::relpath::{RelPath, UnsafePath};

/// Why `tar --incremental` would not come to the mailbox that our tools see, or must not be let.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A dumpdir is not written as tar writes it.
    #[error("the dumpdir of {directory} is damaged: {reason}")]
    Damaged {
        /// Whose it is.
        directory: RelPath,
        /// What is wrong.
        reason: &'static str,
    },
    /// A dumpdir holds a name that is none, or leads elsewhere.
    #[error("the dumpdir of {directory} is refused")]
    Refused {
        /// Whose it is.
        directory: RelPath,
        /// The cause.
        source: UnsafePath,
    },
    /// A dumpdir renames something that is not in the mailbox.
    #[error("the dumpdir of {directory} renames {path}, which is not in that mailbox")]
    RenamesOutside {
        /// Whose it is.
        directory: RelPath,
        /// What leads out.
        path: RelPath,
    },
    /// Two members are stored under one name, get one name, or one gets a name in another.
    #[error("two members share the name {path}")]
    Conflict {
        /// The name.
        path: RelPath,
    },
    /// `0000` cannot be read to its end.
    #[error("read 0000.tar.zst of {mailbox}")]
    Archive {
        /// Whose it is.
        mailbox: RelPath,
        /// The cause.
        source: reader::Error,
    },
    /// A member of `0000` has a name that leads elsewhere.
    #[error("read 0000.tar.zst of {mailbox}")]
    Name {
        /// Whose it is.
        mailbox: RelPath,
        /// The cause.
        source: UnsafePath,
    },
    /// A name does not lie in the mailbox.
    #[error("{path} is not in the mailbox {mailbox}")]
    Outside {
        /// The name.
        path: RelPath,
        /// The mailbox.
        mailbox: RelPath,
    },
    /// `0000` does not begin with the mailbox, twice.
    #[error("0000.tar.zst does not begin with the directory {mailbox}, twice")]
    Beginning {
        /// The mailbox.
        mailbox: RelPath,
    },
    /// A directory above mailboxes has a dumpdir, or one of a mailbox has none.
    #[error("{directory} has {found} in 0000.tar.zst: unpacked, that would lose mail")]
    Presence {
        /// The directory.
        directory: RelPath,
        /// What it has.
        found: &'static str,
    },
    /// The state lists other entries than `0000` holds.
    #[error("0000.tar.zst and the state do not agree on {path}")]
    Control {
        /// The first entry that they do not agree on.
        path: RelPath,
    },
    /// A dumpdir lists other names than the state has.
    #[error("the dumpdir of {directory} does not list what the state has there")]
    Listing {
        /// The directory.
        directory: RelPath,
    },
    /// A rename cannot be carried out.
    #[error("the rename of {from} to {to} cannot be carried out")]
    Rename {
        /// The name that nothing has, or that cannot be left.
        from: RelPath,
        /// The name that cannot be had.
        to: RelPath,
    },
    /// A member does not come to its name by the renames, or is lost on the way.
    #[error("{stored} of segment {segment} is not renamed to {path}")]
    Lost {
        /// The segment.
        segment: u32,
        /// The name in the segment.
        stored: RelPath,
        /// The name in the mailbox.
        path: RelPath,
    },
    /// A message is stored where no message can be: only files of `0000` lie above the mailboxes.
    #[error("{path} lies above the mailboxes and is in segment {segment}")]
    Segment {
        /// The name.
        path: RelPath,
        /// The segment.
        segment: u32,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Archive { source, .. } => source.kind(),
            Self::Refused { .. }
            | Self::RenamesOutside { .. }
            | Self::Name { .. }
            | Self::Outside { .. } => FailureKind::Refused,
            Self::Damaged { .. }
            | Self::Conflict { .. }
            | Self::Beginning { .. }
            | Self::Presence { .. }
            | Self::Control { .. }
            | Self::Listing { .. }
            | Self::Rename { .. }
            | Self::Lost { .. }
            | Self::Segment { .. } => FailureKind::Damaged,
        }
    }
}
