//! The extended attributes of old members, as their archive has them: an index of format 1 tells
//! nothing of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use mail_common::archive::index::Location;
use mail_common::archive::reader::TarReader;
use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;
use mail_common::xattr;

use super::old_member::OldMember;
use crate::source::pack::LARGE_BYTES;

/// Those of the frame that was looked into last: messages come in the order of their frames.
#[derive(Debug, Default)]
pub(crate) struct StoredXattrs {
    frame: Option<Location>,
    members: BTreeMap<RelPath, Option<Sha256>>,
}

impl StoredXattrs {
    /// The digest of those of `old`, which lies in `segment`: `None` inside where it has none, and
    /// outside where that cannot be told.
    pub(crate) fn of(&mut self, segment: &File, old: &OldMember) -> Option<Option<Sha256>> {
        if self.frame != Some(old.location) {
            self.frame = Some(old.location);
            self.members = members(segment, old.location).unwrap_or_default();
        }
        self.members.get(&old.stored).copied()
    }
}

/// As many as can be read: a frame has no end mark.
fn members(segment: &File, frame: Location) -> io::Result<BTreeMap<RelPath, Option<Sha256>>> {
    let mut tar = TarReader::new(zstd::Decoder::new(Part {
        file: segment,
        offset: frame.frame_offset,
        left: frame.frame_bytes,
    })?);
    let mut members = BTreeMap::new();
    while let Ok(Some(head)) = tar.next_member() {
        if let Ok(path) = head.path() {
            members.insert(path, xattr::digest(&head.xattrs));
        }
        // A large file has a frame of its own.
        if head.size > LARGE_BYTES {
            break;
        }
    }
    Ok(members)
}

/// Reads a part of a file.
struct Part<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let bytes = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += bytes as u64;
        self.left -= bytes as u64;
        Ok(bytes)
    }
}
