//! Reads a file of the live tree to see whether it is what a set holds already.

use std::fs::File;
use std::io;

use mail_common::archive::index::{Kind, LiveEntry, Stat};
use mail_common::checksum::Sha256;
use mail_common::xattr;

use super::pack::{expect, settled};
use super::tree::{SourceTree, look_at_open, vanished};

/// What a set holds of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// How it looked.
    pub(crate) stat: Stat,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) xattrs: KnownXattrs,
}

/// What a set tells of the extended attributes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownXattrs {
    /// Their digest; `None` where there are none.
    Digest(Option<Sha256>),
    /// The archive tells of them, and no index does.
    InArchive,
}

/// What the reading of a file tells.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is what is known. So it looks now.
    Same(Stat),
    /// It is something else, or was changing while it was read.
    Other,
    /// It looks as it did to the nanosecond of its last change, and holds other bytes.
    Rotten,
    /// It is no longer where it was listed.
    Vanished,
    /// It cannot be read.
    Failed(io::Error),
}

impl Known {
    /// Whether a file that looks like this may be the same: all but its name, its inode and its
    /// change time is.
    pub(crate) fn may_be(&self, stat: &Stat) -> bool {
        let comparable = |stat: &Stat| Stat {
            inode: 0,
            ctime_ns: 0,
            ..*stat
        };
        comparable(&self.stat) == comparable(stat)
    }
}

/// Reads the file `live` and compares it with what is known. `archived` looks into the archive for
/// the digest of extended attributes, if it can be told.
pub(crate) fn recheck(
    tree: &SourceTree,
    live: &LiveEntry,
    known: &Known,
    archived: impl FnOnce() -> Option<Option<Sha256>>,
) -> Verdict {
    match compare(tree, live, known, archived) {
        Ok(verdict) => verdict,
        Err(error) if vanished(&error) => Verdict::Vanished,
        Err(error) => Verdict::Failed(error),
    }
}

fn compare(
    tree: &SourceTree,
    live: &LiveEntry,
    known: &Known,
    archived: impl FnOnce() -> Option<Option<Sha256>>,
) -> io::Result<Verdict> {
    let file = tree.open_file(&live.path)?;
    let before = look(&file)?;
    if !known.may_be(&before) {
        return Ok(Verdict::Other);
    }
    let xattrs = xattr::digest(&xattr::read(&file)?);
    let has_same_xattrs = || match known.xattrs {
        KnownXattrs::Digest(known) => known == xattrs,
        // A change of them is one of the change time.
        KnownXattrs::InArchive => known.stat == before || archived() == Some(xattrs),
    };
    let (digest, bytes) = Sha256::of_reader(&file)?;
    let is_steady = look(&file)? == before && bytes == before.size;
    Ok(match known.sha256 {
        Some(known) if is_steady && known == digest && has_same_xattrs() => {
            Verdict::Same(settled(before))
        }
        Some(sha256) if sha256 == digest => Verdict::Other,
        Some(_) if is_steady && known.stat == before => Verdict::Rotten,
        _ => Verdict::Other,
    })
}

fn look(file: &File) -> io::Result<Stat> {
    expect(look_at_open(file)?, Kind::File)
}
