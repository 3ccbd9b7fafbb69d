//! A mailbox as it was on the day of a set: its entries under the names that they had, sorted, and
//! beside them the members of its segments that were gone by then.
//!
//! In a set of format 1 the index says it all. In a set of format 2 each segment has an index,
//! sorted by the names under which its members are stored. What kept its name is merged from all
//! of them as a stream. What was renamed comes from another place in that order, so it is collected
//! first: memory grows with the renames, and not with the mailbox.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, BufReader, Read};

use super::index::{self, IndexEntry, IndexReader};
use super::segment::MAX_MEMBERS;
use super::state::{Change, State};
use crate::failure::{Failure, FailureKind};
use crate::relpath::RelPath;

/// No index of a segment is longer: the last frame of a segment may go beyond [`MAX_MEMBERS`]. Who
/// can write to the disk could forge one that fills the memory.
const INDEX_MAX_LINES: u64 = 2 * MAX_MEMBERS;

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
    /// The index of format 1 cannot be read.
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

pub(super) type Index<R> = IndexReader<BufReader<zstd::Decoder<'static, BufReader<R>>>>;

/// The members of a mailbox. Those that were there come sorted by the names that they had; those
/// that were gone come in between.
pub struct View<R> {
    streams: Vec<Stream<R>>,
    /// Streams whose next member is not known.
    waiting: Vec<usize>,
    /// The next member of each of the others, and their names.
    next: Vec<Option<Stored>>,
    names: BinaryHeap<Reverse<(RelPath, usize)>>,
    /// Those that no member was met for.
    changes: BTreeMap<(u32, RelPath), Change>,
    last: Option<RelPath>,
    has_ended: bool,
}

/// A source of members in the order of their stored names.
enum Stream<R> {
    /// The index of a mailbox of format 1.
    Whole(Index<R>),
    /// The index of a segment.
    Segment(u32, Index<R>),
    /// Entries that are known already.
    Known(std::vec::IntoIter<Stored>),
}

impl<R> std::fmt::Debug for View<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl<R: Read> View<R> {
    /// The mailbox of a set of format 1, by its `index.jsonl.zst`.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn of_index(compressed: R) -> Result<Self, Error> {
        let index = IndexReader::open(compressed);
        let index = index.map_err(|source| index::Error::Read { line: 1, source })?;
        Ok(Self::of_streams(
            vec![Stream::Whole(index)],
            BTreeMap::new(),
        ))
    }

    /// The mailbox of a set of format 2. `open` opens the index of a segment; twice where something
    /// in it was renamed.
    ///
    /// # Errors
    /// When an index cannot be opened, or the renames cannot be collected.
    pub fn of_state(
        state: State,
        mut open: impl FnMut(u32) -> io::Result<R>,
    ) -> Result<Self, Error> {
        let mut open = |segment| {
            let index = open(segment).and_then(IndexReader::open);
            index.map_err(|source| Error::Open { segment, source })
        };
        let renamed = renamed(&state.changes, &mut open)?;
        let control: Vec<Stored> = state.control.into_iter().map(in_place).collect();
        let mut streams = vec![
            Stream::Known(control.into_iter()),
            Stream::Known(renamed.into_iter()),
        ];
        for segment in state.segments {
            streams.push(Stream::Segment(segment, open(segment)?));
        }
        Ok(Self::of_streams(streams, state.changes))
    }

    fn of_streams(streams: Vec<Stream<R>>, changes: BTreeMap<(u32, RelPath), Change>) -> Self {
        Self {
            waiting: (0..streams.len()).collect(),
            next: streams.iter().map(|_| None).collect(),
            streams,
            names: BinaryHeap::new(),
            changes,
            last: None,
            has_ended: false,
        }
    }

    fn next_member(&mut self) -> Result<Option<Member>, Error> {
        while let Some(stream) = self.waiting.last().copied() {
            match self.read(stream)? {
                Some(Member::Here(stored)) => {
                    self.waiting.pop();
                    let path = stored.entry.live.path.clone();
                    self.names.push(Reverse((path, stream)));
                    self.next[stream] = Some(stored);
                }
                Some(gone) => return Ok(Some(gone)),
                None => {
                    self.waiting.pop();
                }
            }
        }
        let Some(Reverse((path, stream))) = self.names.pop() else {
            return self.end();
        };
        self.waiting.push(stream);
        if self.last.as_ref() == Some(&path) {
            return Err(Error::Twice { path });
        }
        self.last = Some(path);
        Ok(self.next[stream].take().map(Member::Here))
    }

    fn end(&mut self) -> Result<Option<Member>, Error> {
        match self.changes.pop_first() {
            Some(((segment, path), _)) => Err(Error::Unknown { segment, path }),
            None => Ok(None),
        }
    }

    /// What the stream has next.
    fn read(&mut self, stream: usize) -> Result<Option<Member>, Error> {
        match &mut self.streams[stream] {
            Stream::Known(entries) => Ok(entries.next().map(Member::Here)),
            Stream::Whole(index) => {
                let entry = index.next().transpose()?;
                Ok(entry.map(|entry| Member::Here(in_place(entry))))
            }
            Stream::Segment(segment, index) => {
                while let Some(entry) = next_of(*segment, index)? {
                    let change = self.changes.remove(&(*segment, entry.live.path.clone()));
                    let member = changed(entry, change);
                    if member.is_some() {
                        return Ok(member);
                    }
                }
                Ok(None)
            }
        }
    }
}

impl<R: Read> Iterator for View<R> {
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

pub(super) fn in_place(entry: IndexEntry) -> Stored {
    let stored = entry.live.path.clone();
    Stored { entry, stored }
}

/// The next line of the index of `segment`, which may speak of no other one.
pub(super) fn next_of<R: Read>(
    segment: u32,
    index: &mut Index<R>,
) -> Result<Option<IndexEntry>, Error> {
    let entry = index.next().transpose();
    let entry = entry.map_err(|source| Error::Segment { segment, source })?;
    match entry {
        Some(entry) if entry.location.segment != segment => Err(Error::Elsewhere {
            segment,
            other: entry.location.segment,
            path: entry.live.path,
        }),
        Some(_) if index.line() > INDEX_MAX_LINES => Err(Error::Long { segment }),
        entry => Ok(entry),
    }
}

/// The member of `entry` after `change`; `None` when it was renamed: it comes from another stream.
fn changed(entry: IndexEntry, change: Option<Change>) -> Option<Member> {
    match change {
        None => Some(Member::Here(in_place(entry))),
        Some(Change::Gone { since_seconds }) => Some(Member::Gone {
            entry,
            since_seconds,
        }),
        Some(Change::Here { ref path, .. }) if *path != entry.live.path => None,
        Some(change) => Some(Member::Here(present(entry, &change))),
    }
}

/// The member of `entry` as `change` has it.
pub(super) fn present(mut entry: IndexEntry, change: &Change) -> Stored {
    let stored = entry.live.path.clone();
    if let Change::Here {
        path,
        inode,
        ctime_ns,
    } = change
    {
        entry.live.path.clone_from(path);
        entry.live.stat.inode = *inode;
        entry.live.stat.ctime_ns = *ctime_ns;
    }
    Stored { entry, stored }
}

/// The members that have another name than they are stored under, sorted by it.
fn renamed<R: Read>(
    changes: &BTreeMap<(u32, RelPath), Change>,
    mut open: impl FnMut(u32) -> Result<Index<R>, Error>,
) -> Result<Vec<Stored>, Error> {
    let is_rename = |stored: &RelPath, change: &Change| match change {
        Change::Here { path, .. } => path != stored,
        Change::Gone { .. } => false,
    };
    let mut segments: Vec<u32> = changes
        .iter()
        .filter(|((_, stored), change)| is_rename(stored, change))
        .map(|((segment, _), _)| *segment)
        .collect();
    segments.dedup();
    let mut found = Vec::new();
    for segment in segments {
        let mut index = open(segment)?;
        while let Some(entry) = next_of(segment, &mut index)? {
            let at = (segment, entry.live.path.clone());
            match changes.get(&at) {
                Some(change) if is_rename(&at.1, change) => found.push(present(entry, change)),
                _ => {}
            }
        }
    }
    found.sort_unstable_by(|a, b| a.entry.live.path.cmp(&b.entry.live.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::fixture;
    use crate::archive::index::{IndexWriter, Kind};
    use crate::archive::members::Members;
    use crate::archive::state::StateReader;
    use crate::checksum::Sha256;
    use std::collections::HashMap;

    fn path(text: &str) -> RelPath {
        text.parse().unwrap()
    }

    fn entry(name: &str, segment: u32) -> IndexEntry {
        IndexEntry {
            sha256: Some(Sha256::of(name.as_bytes())),
            ..fixture::entry(path(name), Kind::File, segment)
        }
    }

    fn index(entries: &[IndexEntry]) -> Vec<u8> {
        let mut writer = IndexWriter::new(Vec::new());
        for entry in entries {
            writer.write(entry).unwrap();
        }
        zstd::encode_all(&writer.into_parts().0[..], 1).unwrap()
    }

    fn here(name: &str) -> Change {
        Change::Here {
            path: path(name),
            inode: 2,
            ctime_ns: 3,
        }
    }

    const GONE: Change = Change::Gone { since_seconds: 9 };

    /// What a mailbox of these segments and changes shows: the present name, `<` and the stored
    /// one; or `-` and the stored name of what is gone.
    fn view(
        segments: &[(u32, &[&str])],
        changes: &[(u32, &str, Change)],
    ) -> Result<Vec<String>, Error> {
        let mut indexes = HashMap::new();
        for (number, names) in segments {
            let entries: Vec<IndexEntry> = names.iter().map(|name| entry(name, *number)).collect();
            indexes.insert(*number, index(&entries));
        }
        let state = State {
            segments: segments.iter().map(|(number, _)| *number).collect(),
            control: vec![entry("m/b", 0), entry("m/d", 0)],
            changes: changes
                .iter()
                .map(|(segment, stored, change)| ((*segment, path(stored)), change.clone()))
                .collect(),
        };
        let open = |segment| Ok(io::Cursor::new(indexes[&segment].clone()));
        let mut shown = Vec::new();
        let written = io::Cursor::new(state.write(Vec::new(), 1).unwrap());
        let members = Members::new(StateReader::open(written)?, open);
        let members = members.collect::<Result<Vec<Member>, Error>>();
        let view = View::of_state(state, open).and_then(Iterator::collect);
        assert_same(&members, &view);
        for member in view?.into_iter().map(Ok::<_, Error>) {
            shown.push(match member? {
                Member::Gone { entry, .. } => format!("-{}", entry.live.path),
                Member::Here(Stored { entry, stored }) => {
                    assert_eq!(
                        entry.live.stat.inode,
                        if entry.live.path == stored { 1 } else { 2 }
                    );
                    format!("{}<{stored}", entry.live.path)
                }
            });
        }
        Ok(shown)
    }

    /// In whatever order members come, they are the same, and what is refused is refused.
    fn assert_same(members: &Result<Vec<Member>, Error>, view: &Result<Vec<Member>, Error>) {
        let sorted = |members: &[Member]| {
            let mut lines: Vec<String> = members.iter().map(|one| format!("{one:?}")).collect();
            lines.sort();
            lines
        };
        match (members, view) {
            (Ok(members), Ok(view)) => assert_eq!(sorted(members), sorted(view)),
            (Err(one), Err(other)) => assert_eq!(one.kind(), other.kind()),
            _ => panic!("{members:?} {view:?}"),
        }
    }

    #[test]
    fn entries_come_in_the_order_of_their_present_names() {
        let segments: [(u32, &[&str]); 2] =
            [(1, &["m/a", "m/c", "m/g"]), (4, &["m/c", "m/e", "m/f"])];
        let changes = [
            (1, "m/c", GONE),
            (1, "m/g", here("m/0")),
            (4, "m/e", here("m/f")),
            (4, "m/f", here("m/e")),
        ];
        let mut shown = view(&segments, &changes).unwrap();
        let gone = shown.iter().position(|member| member == "-m/c").unwrap();
        shown.remove(gone);
        let expected = [
            "m/0<m/g", "m/a<m/a", "m/b<m/b", "m/c<m/c", "m/d<m/d", "m/e<m/f", "m/f<m/e",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_index_of_format_1_is_a_view_of_what_it_lists() {
        let entries = [entry("m/a", 1), entry("m/b", 0)];
        let view = View::of_index(io::Cursor::new(index(&entries))).unwrap();
        let members: Result<Vec<Member>, Error> = view.collect();
        let expected = entries.map(|entry| Member::Here(in_place(entry)));
        assert_eq!(members.unwrap(), expected);
    }

    #[test]
    fn an_index_longer_than_a_segment_can_be_is_refused() {
        let names: Vec<String> = (0..=INDEX_MAX_LINES).map(|n| format!("m/{n:06}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let refused = view(&[(1, &names)], &[]).unwrap_err();
        assert!(matches!(refused, Error::Long { segment: 1 }), "{refused:?}");
    }

    #[test]
    fn a_state_that_does_not_fit_its_indexes_is_damage() {
        let segments: [(u32, &[&str]); 1] = [(1, &["m/a", "m/c"])];
        let check = |changes: &[(u32, &str, Change)]| {
            let kind = view(&segments, changes).unwrap_err().kind();
            assert_eq!(kind, FailureKind::Damaged, "{changes:?}");
        };
        check(&[(1, "m/x", GONE)]);
        check(&[(1, "m/x", here("m/y"))]);
        check(&[(1, "m/a", here("m/c"))]);
        check(&[(1, "m/a", here("m/b"))]);
        assert!(view(&[(1, &["m/a"]), (2, &["m/a"])], &[]).is_err());
        assert!(view(&[(1, &["m/c", "m/a"])], &[]).is_err());
    }

    #[test]
    fn an_index_of_another_segment_is_damage() {
        let state = State {
            segments: vec![1],
            ..State::default()
        };
        let open = |_| Ok(io::Cursor::new(index(&[entry("m/a", 2)])));
        let failed = View::of_state(state, open).unwrap().next().unwrap();
        assert_eq!(failed.unwrap_err().kind(), FailureKind::Damaged);
    }
}
