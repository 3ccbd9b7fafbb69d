//! The members of a mailbox of format 2 in the order in which they are stored: segment by segment.
//!
//! Whoever needs no other order reads index and changes side by side and keeps nothing of either.
//! Of the names, which must differ, only digests of 16 bytes are kept.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufReader, Read};
use std::iter::Peekable;

use super::index::{IndexEntry, IndexReader};
use super::state::{Change, StateReader};
use super::view::{Error, Index, Member, in_place, next_of, present};
use crate::relpath::RelPath;

/// The changes of a state as they are read.
type Changes<R> = StateReader<BufReader<zstd::Decoder<'static, BufReader<R>>>>;

/// The entries of `0000`, then the members of each segment by the names under which they are
/// stored.
pub struct Members<S: Read, R, F> {
    control: std::vec::IntoIter<IndexEntry>,
    changes: Peekable<Changes<S>>,
    segments: std::vec::IntoIter<u32>,
    current: Option<(u32, Index<R>)>,
    open: F,
    names: Names,
    has_ended: bool,
}

impl<S: Read, R, F> std::fmt::Debug for Members<S, R, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members")
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

impl<S: Read, R: Read, F: FnMut(u32) -> io::Result<R>> Members<S, R, F> {
    /// The members of a mailbox with this state, of whose changes none was read yet. `open` opens
    /// the index of a segment.
    pub fn new(mut state: Changes<S>, open: F) -> Self {
        Self {
            control: std::mem::take(&mut state.control).into_iter(),
            segments: std::mem::take(&mut state.segments).into_iter(),
            changes: state.peekable(),
            current: None,
            open,
            names: Names::default(),
            has_ended: false,
        }
    }

    fn next_member(&mut self) -> Result<Option<Member>, Error> {
        if let Some(entry) = self.control.next() {
            self.names.add(&entry.live.path)?;
            return Ok(Some(Member::Here(in_place(entry))));
        }
        loop {
            let Some((segment, index)) = &mut self.current else {
                let Some(segment) = self.segments.next() else {
                    return self.end().map(|()| None);
                };
                let index = (self.open)(segment).and_then(IndexReader::open);
                let index = index.map_err(|source| Error::Open { segment, source })?;
                self.current = Some((segment, index));
                continue;
            };
            let segment = *segment;
            match next_of(segment, index)? {
                Some(entry) => return self.member(segment, entry).map(Some),
                None => self.current = None,
            }
        }
    }

    fn member(&mut self, segment: u32, entry: IndexEntry) -> Result<Member, Error> {
        let stored = match self.change(segment, &entry.live.path)? {
            None => in_place(entry),
            Some(Change::Gone { since_seconds }) => {
                return Ok(Member::Gone {
                    entry,
                    since_seconds,
                });
            }
            Some(change) => present(entry, &change),
        };
        self.names.add(&stored.entry.live.path)?;
        Ok(Member::Here(stored))
    }

    /// What became of the next member of `segment`, which is stored at `path`.
    fn change(&mut self, segment: u32, path: &RelPath) -> Result<Option<Change>, Error> {
        let is_of = |at: &(u32, RelPath)| (at.0, &at.1).cmp(&(segment, path));
        match self.changes.peek() {
            Some(Ok((at, _))) if is_of(at).is_gt() => Ok(None),
            Some(Ok((at, _))) if is_of(at).is_lt() => self.end().map(|()| None),
            Some(_) => match self.changes.next() {
                Some(change) => Ok(Some(change?.1)),
                None => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// No member was met for the next change, if there is one.
    fn end(&mut self) -> Result<(), Error> {
        match self.changes.next().transpose()? {
            Some(((segment, path), _)) => Err(Error::Unknown { segment, path }),
            None => Ok(()),
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
