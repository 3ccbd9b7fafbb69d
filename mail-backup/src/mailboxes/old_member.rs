//! A member of a segment of the last backup, and a message of the live mailbox that may be it.

use mail_common::archive::index::LiveEntry;
use mail_common::archive::view::Stored;
use mail_common::relpath::RelPath;

use crate::source::recheck::{Known, Verdict};

/// A member of a segment of the last backup.
#[derive(Debug)]
pub(crate) struct OldMember {
    pub(crate) segment: u32,
    /// Its name in the archive.
    pub(crate) stored: RelPath,
    /// Its name in the mailbox at the last backup.
    pub(crate) path: RelPath,
    pub(crate) known: Known,
}

/// A message that may be an old one.
#[derive(Debug)]
pub(crate) struct Suspect {
    pub(crate) live: LiveEntry,
    pub(crate) old: OldMember,
}

/// The same, read.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) live: LiveEntry,
    pub(crate) old: OldMember,
    pub(crate) verdict: Verdict,
}

impl OldMember {
    pub(crate) fn of(old: Stored) -> Self {
        let Stored { entry, stored } = old;
        Self {
            segment: entry.location.segment,
            stored,
            path: entry.live.path,
            known: Known {
                stat: entry.live.stat,
                sha256: entry.sha256,
                xattrs_sha256: entry.xattrs_sha256,
            },
        }
    }
}
