//! A mailbox as it was on the day of a set: its entries under the names that they had, sorted, and
//! beside them the members of its segments that were gone by then.
//!
//! In a set of format 1 the index says it all. In a set of format 2 each segment has an index,
//! sorted by the names under which its members are stored. What kept its name is merged from all
//! of them as a stream. What was renamed comes from another place in that order, so it is collected
//! first: memory grows with the renames, and not with the mailbox.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::io::{self, Read};

use super::index::{self, IndexReader};
use super::members::{Error, Index, Member, SegmentIndex, Stored, all_met};
use super::state::{Change, ChangeCursor, Changed, State};
use crate::relpath::RelPath;

/// The changes of a segment, of which the state is kept.
type KeptChanges<'a> = Box<dyn Iterator<Item = Result<Changed, index::Error>> + 'a>;

/// The members of a mailbox. Those that were there come sorted by the names that they had; those
/// that were gone come in between.
pub struct View<'a, R: Read> {
    streams: Vec<Stream<'a, R>>,
    /// Streams whose next member is not known.
    waiting: Vec<usize>,
    /// The next member of each of the others, and their names.
    next: Vec<Option<Stored>>,
    names: BinaryHeap<Reverse<(RelPath, usize)>>,
    last: Option<RelPath>,
    has_ended: bool,
}

/// A source of members in the order of their stored names.
enum Stream<'a, R: Read> {
    /// The index of a mailbox of format 1.
    Whole(Index<R>),
    /// A segment, without what was renamed.
    Segment(SegmentIndex<R>, ChangeCursor<KeptChanges<'a>>),
    /// Entries that are known already.
    Known(std::vec::IntoIter<Stored>),
}

impl<R: Read> std::fmt::Debug for View<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl<'a, R: Read> View<'a, R> {
    /// A mailbox of which nothing is known.
    #[must_use]
    pub fn empty() -> Self {
        Self::of_streams(Vec::new())
    }

    /// The mailbox of a set of format 1, by its `index.jsonl.zst`.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn of_index(compressed: R) -> Result<Self, Error> {
        let index = IndexReader::open(compressed);
        let index = index.map_err(|source| index::Error::Read { line: 1, source })?;
        Ok(Self::of_streams(vec![Stream::Whole(index)]))
    }

    /// The mailbox of a set of format 2. `open` opens the index of a segment; twice where something
    /// in it was renamed.
    ///
    /// # Errors
    /// When an index cannot be opened, or the renames cannot be collected.
    pub fn of_state(
        state: &'a State,
        mut open: impl FnMut(u32) -> io::Result<R>,
    ) -> Result<Self, Error> {
        let is_strange = |(segment, _): &&(u32, RelPath)| !state.segments.contains(segment);
        let strange = state.changes.iter().find(|(at, _)| is_strange(at));
        all_met(strange.map(|(at, change)| (at.clone(), change.clone())))?;
        let control = state.control.iter().cloned().map(Stored::in_place);
        let control: Vec<Stored> = control.collect();
        let mut streams = vec![
            Stream::Known(control.into_iter()),
            Stream::Known(renamed(state, &mut open)?.into_iter()),
        ];
        for segment in &state.segments {
            let index = SegmentIndex::open_by(*segment, &mut open)?;
            streams.push(Stream::Segment(index, kept_changes(state, *segment)));
        }
        Ok(Self::of_streams(streams))
    }

    fn of_streams(streams: Vec<Stream<'a, R>>) -> Self {
        Self {
            waiting: (0..streams.len()).collect(),
            next: streams.iter().map(|_| None).collect(),
            streams,
            names: BinaryHeap::new(),
            last: None,
            has_ended: false,
        }
    }

    fn next_member(&mut self) -> Result<Option<Member>, Error> {
        while let Some(stream) = self.waiting.last().copied() {
            match self.streams[stream].read()? {
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
            return Ok(None);
        };
        self.waiting.push(stream);
        if self.last.as_ref() == Some(&path) {
            return Err(Error::Twice { path });
        }
        self.last = Some(path);
        Ok(self.next[stream].take().map(Member::Here))
    }
}

impl<R: Read> Stream<'_, R> {
    /// What it has next.
    fn read(&mut self) -> Result<Option<Member>, Error> {
        match self {
            Self::Known(entries) => Ok(entries.next().map(Member::Here)),
            Self::Whole(index) => {
                let entry = index.next().transpose()?;
                Ok(entry.map(|entry| Member::Here(Stored::in_place(entry))))
            }
            Self::Segment(index, changes) => loop {
                match index.next_member(changes)? {
                    Some(Member::Here(stored)) if stored.is_renamed() => {}
                    member => return Ok(member),
                }
            },
        }
    }
}

impl<R: Read> Iterator for View<'_, R> {
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

fn kept_changes(state: &State, segment: u32) -> ChangeCursor<KeptChanges<'_>> {
    let changes = state.changes_of(segment);
    let changes = changes.map(|(at, change)| Ok((at.clone(), change.clone())));
    ChangeCursor::new(Box::new(changes) as KeptChanges<'_>)
}

/// The members that have another name than they are stored under, sorted by it.
fn renamed<R: Read>(
    state: &State,
    open: &mut impl FnMut(u32) -> io::Result<R>,
) -> Result<Vec<Stored>, Error> {
    let is_rename = |stored: &RelPath, change: &Change| match change {
        Change::Here { path, .. } => path != stored,
        Change::Gone { .. } => false,
    };
    let renames = state.changes.iter();
    let renames = renames.filter(|((_, stored), change)| is_rename(stored, change));
    let segments: BTreeSet<u32> = renames.map(|((segment, _), _)| *segment).collect();
    let mut found = Vec::new();
    for segment in segments {
        let mut index = SegmentIndex::open_by(segment, open)?;
        let mut changes = kept_changes(state, segment);
        while let Some(member) = index.next_member(&mut changes)? {
            if let Member::Here(stored) = member
                && stored.is_renamed()
            {
                found.push(stored);
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
    use crate::archive::index::{IndexEntry, IndexWriter, Kind};
    use crate::archive::members::{INDEX_MAX_LINES, Members};
    use crate::archive::state::StateReader;
    use crate::checksum::Sha256;
    use crate::failure::{Failure, FailureKind};
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
        let view = View::of_state(&state, open).and_then(Iterator::collect);
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
        let expected = entries.map(|entry| Member::Here(Stored::in_place(entry)));
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
        let failed = View::of_state(&state, open).unwrap().next().unwrap();
        assert_eq!(failed.unwrap_err().kind(), FailureKind::Damaged);
    }
}
