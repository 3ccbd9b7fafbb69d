//! Entries of an index, for the tests of what reads them.

use super::index::{IndexEntry, Kind, LiveEntry, Location, Stat};
use crate::relpath::RelPath;

/// What a file system says of each of them.
pub(crate) const STAT: Stat = Stat {
    size: 0,
    mode: 0o700,
    uid: 1,
    gid: 1,
    mtime_ns: 0,
    inode: 1,
    ctime_ns: 0,
};

/// An entry of a segment, without a digest.
pub(crate) fn entry(path: RelPath, kind: Kind, segment: u32) -> IndexEntry {
    IndexEntry {
        live: LiveEntry {
            path,
            kind,
            stat: STAT,
        },
        sha256: None,
        location: Location {
            segment,
            frame_offset: 0,
            frame_bytes: 1,
        },
        message_id: None,
        envelope: None,
        attachments: None,
        xattrs_sha256: None,
    }
}
