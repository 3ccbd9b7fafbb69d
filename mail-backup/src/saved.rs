//! A file of the set under way, as its record will describe it.

use std::ops::AddAssign;

use mail_common::atomic::Stored;
use mail_common::checksum::Sha256;
use mail_common::record;
use mail_common::relpath::{PathField, RelPath, UnsafePath};
use mail_common::set::Component;

/// A file that is whole in the set under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedFile {
    /// The part of the server that it belongs to.
    pub(crate) component: Component,
    /// Relative to the set.
    pub(crate) path: RelPath,
    /// Its size.
    pub(crate) stored_bytes: u64,
    /// Its digest.
    pub(crate) sha256: Sha256,
    /// Members, index lines or tables in it.
    pub(crate) entries: u64,
    /// The size of what went into it.
    pub(crate) source_bytes: u64,
    /// Entries of the source that were left out.
    pub(crate) excluded: u64,
    /// Where its bytes come from.
    pub(crate) origin: Origin,
}

/// Where the bytes of a file of the set come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Written in this run.
    Written,
    /// Linked from an earlier set, unread.
    Reused,
}

/// What a file holds, beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) entries: u64,
    pub(crate) source_bytes: u64,
}

impl AddAssign for Content {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.source_bytes += other.source_bytes;
    }
}

impl SavedFile {
    /// A file that this run has written.
    pub(crate) fn written(
        component: Component,
        path: RelPath,
        stored: &Stored,
        content: Content,
    ) -> Self {
        Self {
            component,
            path,
            stored_bytes: stored.bytes,
            sha256: stored.sha256,
            entries: content.entries,
            source_bytes: content.source_bytes,
            excluded: 0,
            origin: Origin::Written,
        }
    }

    /// A file that is linked from the set whose record is `artifact`.
    pub(crate) fn reused(artifact: &record::Artifact) -> Result<Self, UnsafePath> {
        Ok(Self {
            component: artifact.component,
            path: RelPath::try_from(&artifact.path)?,
            stored_bytes: artifact.bytes,
            sha256: artifact.sha256,
            entries: artifact.entries,
            source_bytes: artifact.source_bytes,
            excluded: artifact.excluded,
            origin: Origin::Reused,
        })
    }

    /// The record of this file in a set.
    pub(crate) fn record(&self, root: &str, set: &str) -> record::Artifact {
        record::Artifact {
            root: root.to_owned(),
            set: set.to_owned(),
            component: self.component,
            path: PathField::from(&self.path),
            bytes: self.stored_bytes,
            sha256: self.sha256,
            entries: self.entries,
            source_bytes: self.source_bytes,
            reused: self.origin == Origin::Reused,
            excluded: self.excluded,
        }
    }
}
