//! The members of a mailbox of format 2, beside what became of them since their segments were
//! written.
//!
//! Index and changes are both in the order of segments and stored names. They are read side by
//! side, and nothing of either is kept. Of the names, which must differ, only digests of 16 bytes
//! are kept.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Read};

use super::index::{self, IndexEntry, IndexReader};
use super::segment::MAX_MEMBERS;
use super::state::{Change, ChangeCursor, Changed, StateReader};
use crate::failure::{Failure, FailureKind};
use crate::relpath::RelPath;

/// No index of a segment is longer: the last frame of a segment may go beyond [`MAX_MEMBERS`]. Who
/// can write to the disk could forge one that fills the memory.
pub(super) const INDEX_MAX_LINES: u64 = 2 * MAX_MEMBERS;

/// A member of an archive of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// It was in the mailbox.
    Here(Stored),
    /// It was no longer.
    Gone {
        /// As it was when its segment was written.
        entry: IndexEntry,
        /// When this was first seen, in seconds since 1970.
        since_seconds: i64,
    },
}

/// An entry of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// With the name and the times of that day.
    pub entry: IndexEntry,
    /// Its name in the archive.
    pub stored: RelPath,
}

/// Why a mailbox cannot be seen whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state, or the index of format 1, cannot be read.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// The index of a segment cannot be opened.
    #[error("open the index of segment {segment}")]
    Open {
        /// Its number.
        segment: u32,
        /// The cause.
        source: io::Error,
    },
    /// The index of a segment cannot be read.
    #[error("read the index of segment {segment}")]
    Segment {
        /// Its number.
        segment: u32,
        /// The cause.
        source: index::Error,
    },
    /// The index of a segment is longer than a segment can be.
    #[error(
        "the index of segment {segment} has over {INDEX_MAX_LINES} lines, more than mail-backup \
         writes"
    )]
    Long {
        /// Its number.
        segment: u32,
    },
    /// The index of a segment speaks of another one.
    #[error("the index of segment {segment} has {path} in segment {other}")]
    Elsewhere {
        /// Whose index it is.
        segment: u32,
        /// What it lists.
        path: RelPath,
        /// Where it says that this lies.
        other: u32,
    },
    /// The state does not fit the indexes.
    #[error("the state speaks of {path} in segment {segment}, whose index does not have it")]
    Unknown {
        /// The segment.
        segment: u32,
        /// The stored name.
        path: RelPath,
    },
    /// Two members have one name.
    #[error("the mailbox has {path} twice")]
    Twice {
        /// The name.
        path: RelPath,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Index(source) => source.kind(),
            Self::Open { source, .. } => FailureKind::of_io(source),
            Self::Segment { source, .. } => source.kind(),
            Self::Long { .. }
            | Self::Elsewhere { .. }
            | Self::Unknown { .. }
            | Self::Twice { .. } => FailureKind::Damaged,
        }
    }
}

impl Member {
    /// The member of `entry` after `change`.
    fn after(change: Option<Change>, mut entry: IndexEntry) -> Self {
        let stored = entry.live.path.clone();
        match change {
            None => {}
            Some(Change::Gone { since_seconds }) => {
                return Self::Gone {
                    entry,
                    since_seconds,
                };
            }
            Some(Change::Here {
                path,
                inode,
                ctime_ns,
            }) => {
                entry.live.path = path;
                entry.live.stat.inode = inode;
                entry.live.stat.ctime_ns = ctime_ns;
            }
        }
        Self::Here(Stored { entry, stored })
    }
}

impl Stored {
    /// An entry that has the name under which it is stored.
    pub(super) fn in_place(entry: IndexEntry) -> Self {
        let stored = entry.live.path.clone();
        Self { entry, stored }
    }

    /// Whether it has another one.
    pub(super) fn is_renamed(&self) -> bool {
        self.entry.live.path != self.stored
    }
}

/// What a compressed index is read by.
pub(super) type Index<R> = IndexReader<BufReader<zstd::Decoder<'static, BufReader<R>>>>;

/// The index of a segment, which may speak of no other one.
pub struct SegmentIndex<R: Read> {
    segment: u32,
    index: Index<R>,
}

impl<R: Read> fmt::Debug for SegmentIndex<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentIndex")
            .field("segment", &self.segment)
            .finish_non_exhaustive()
    }
}

impl<R: Read> SegmentIndex<R> {
    /// Reads the index of the segment of this number.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn open(segment: u32, compressed: R) -> Result<Self, Error> {
        let index = IndexReader::open(compressed);
        let index = index.map_err(|source| Error::Open { segment, source })?;
        Ok(Self { segment, index })
    }

    /// The same, of what is opened only now.
    pub(super) fn open_by(
        segment: u32,
        open: &mut impl FnMut(u32) -> io::Result<R>,
    ) -> Result<Self, Error> {
        let opened = open(segment).map_err(|source| Error::Open { segment, source })?;
        Self::open(segment, opened)
    }

    /// The next member as `changes` have it, which are read up to it; at the end, up to the next
    /// segment.
    pub(super) fn next_member<C: Iterator<Item = Result<Changed, index::Error>>>(
        &mut self,
        changes: &mut ChangeCursor<C>,
    ) -> Result<Option<Member>, Error> {
        let Some(entry) = self.next().transpose()? else {
            all_met(changes.next_up_to(self.segment)?)?;
            return Ok(None);
        };
        let stored = &entry.live.path;
        all_met(changes.next_before(self.segment, stored)?)?;
        let change = changes.of(self.segment, stored)?;
        Ok(Some(Member::after(change, entry)))
    }
}

impl<R: Read> Iterator for SegmentIndex<R> {
    type Item = Result<IndexEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let segment = self.segment;
        Some(match self.index.next()? {
            Err(source) => Err(Error::Segment { segment, source }),
            Ok(entry) if entry.location.segment != segment => Err(Error::Elsewhere {
                segment,
                other: entry.location.segment,
                path: entry.live.path,
            }),
            Ok(_) if self.index.line() > INDEX_MAX_LINES => Err(Error::Long { segment }),
            Ok(entry) => Ok(entry),
        })
    }
}

/// No member was met for a change that is `left`.
pub(super) fn all_met(left: Option<Changed>) -> Result<(), Error> {
    match left {
        Some(((segment, path), _)) => Err(Error::Unknown { segment, path }),
        None => Ok(()),
    }
}

/// The changes of a state as they are read.
type StoredChanges<R> = StateReader<BufReader<zstd::Decoder<'static, BufReader<R>>>>;

/// The entries of `0000`, then the members of each segment by the names under which they are
/// stored.
pub struct Members<S: Read, R: Read, F> {
    control: std::vec::IntoIter<IndexEntry>,
    changes: ChangeCursor<StoredChanges<S>>,
    segments: std::vec::IntoIter<u32>,
    current: Option<SegmentIndex<R>>,
    open: F,
    names: Names,
    has_ended: bool,
}

impl<S: Read, R: Read, F> fmt::Debug for Members<S, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members")
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

impl<S: Read, R: Read, F: FnMut(u32) -> io::Result<R>> Members<S, R, F> {
    /// The members of a mailbox with this state, of whose changes none was read yet. `open` opens
    /// the index of a segment.
    pub fn new(mut state: StoredChanges<S>, open: F) -> Self {
        Self {
            control: std::mem::take(&mut state.control).into_iter(),
            segments: std::mem::take(&mut state.segments).into_iter(),
            changes: ChangeCursor::new(state),
            current: None,
            open,
            names: Names::default(),
            has_ended: false,
        }
    }

    fn next_member(&mut self) -> Result<Option<Member>, Error> {
        let member = match self.control.next() {
            Some(entry) => Some(Member::Here(Stored::in_place(entry))),
            None => self.next_of_segments()?,
        };
        if let Some(Member::Here(stored)) = &member {
            self.names.add(&stored.entry.live.path)?;
        }
        Ok(member)
    }

    fn next_of_segments(&mut self) -> Result<Option<Member>, Error> {
        loop {
            if let Some(index) = &mut self.current {
                let member = index.next_member(&mut self.changes)?;
                if member.is_some() {
                    return Ok(member);
                }
            }
            let Some(segment) = self.segments.next() else {
                all_met(self.changes.next_up_to(u32::MAX)?)?;
                return Ok(None);
            };
            self.current = Some(SegmentIndex::open_by(segment, &mut self.open)?);
        }
    }
}

impl<S: Read, R: Read, F: FnMut(u32) -> io::Result<R>> Iterator for Members<S, R, F> {
    type Item = Result<Member, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let next = self.next_member().transpose();
        self.has_ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The names that were met. Two with one digest by chance are rarer than any other fault; the keys
/// of the digests are random, so nobody can make two.
#[derive(Debug, Default)]
struct Names {
    keys: [RandomState; 2],
    digests: HashSet<[u64; 2]>,
}

impl Names {
    fn add(&mut self, path: &RelPath) -> Result<(), Error> {
        let digest = [self.keys[0].hash_one(path), self.keys[1].hash_one(path)];
        if self.digests.insert(digest) {
            return Ok(());
        }
        Err(Error::Twice { path: path.clone() })
    }
}
