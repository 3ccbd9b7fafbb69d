//! A member of a segment of the last backup, and a message of the live mailbox that may be it.

use std::fs::File;
use std::sync::Arc;

use mail_common::archive::index::{IndexEntry, LiveEntry, Location};
use mail_common::archive::members::Stored;
use mail_common::archive::state::CONTROL;
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;

use crate::source::recheck::{Known, KnownXattrs, Verdict};

/// A member of a segment of the last backup.
#[derive(Debug)]
pub(crate) struct OldMember {
    pub(crate) segment: u32,
    pub(crate) location: Location,
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
    /// Where its extended attributes are to be looked up.
    pub(crate) segment: Option<Arc<File>>,
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
            location: entry.location,
            stored,
            known: Known {
                stat: entry.live.stat,
                sha256: entry.sha256,
                xattrs: known_xattrs(&entry),
            },
            path: entry.live.path,
        }
    }
}

/// Lines of format 1 tell nothing of extended attributes, and of no sender: that is in all others
/// whose message shows its header. In format 1 no segment has a control file.
fn known_xattrs(entry: &IndexEntry) -> KnownXattrs {
    let is_control = entry.location.segment == CONTROL || !is_message(&entry.live.path);
    let is_told = is_control || entry.envelope.is_some();
    match entry.xattrs_sha256 {
        None if !is_told => KnownXattrs::InArchive,
        digest => KnownXattrs::Digest(digest),
    }
}
