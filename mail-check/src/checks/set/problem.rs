//! What can be wrong with a set.

use std::io;

use mail_common::archive::{index, reader};
use mail_common::relpath::RelPath;
use mail_common::report::chain;
use mail_common::set::verify::Damage;
use mail_common::set::{self, InventoryError, MailboxError};
use mail_common::signature;

/// What is wrong with a set or a file of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    #[error("{}", chain(.0))]
    Signature(#[from] signature::Error),
    /// The file is not what the checksums say.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The digest is right, and yet it cannot be unpacked.
    #[error("{path} was damaged before it was recorded")]
    Unreadable { path: RelPath, source: io::Error },
    /// The digest is right, and yet it is not a whole archive.
    #[error("{path} is not a whole archive, though its digest is right")]
    Archive {
        path: RelPath,
        source: reader::Error,
    },
    #[error("{path} has no line that ends a dump: it was cut when it was made")]
    NoFooter { path: RelPath },
    #[error("{path} holds {found} entries, and the manifest says {recorded}")]
    Entries {
        path: RelPath,
        found: u64,
        recorded: u64,
    },
    /// What is said of the archives of a mailbox does not fit.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    #[error("{path} is not a whole index")]
    Index { path: RelPath, source: index::Error },
    #[error("{mailbox} has segments and no index")]
    NoIndex { mailbox: String },
    #[error("{path} holds {member}, which the index does not place there")]
    NotInIndex { path: RelPath, member: String },
    #[error("{path}: {member} is not what the index says of it")]
    OtherContent { path: RelPath, member: String },
    #[error("{path}: the index says that {member} is in a frame that is not there")]
    NoFrame { path: RelPath, member: String },
    #[error("{mailbox}: {count} entries of the index are in no segment")]
    NotInSegments { mailbox: String, count: u64 },
}

impl Problem {
    /// With its causes.
    pub(super) fn sentence(&self) -> String {
        chain(self)
    }
}
