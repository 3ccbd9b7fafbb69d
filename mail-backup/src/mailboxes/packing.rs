//! Turns live entries into frames of segments and lines of their indexes, with several frames under
//! way at once.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::io;

use crossbeam_channel::Receiver;
use mail_common::archive::frame::FRAME_TAR_BYTES;
use mail_common::archive::index::{self, LiveEntry, Location};
use mail_common::archive::state::Change;
use mail_common::relpath::RelPath;

use super::changes::Tally;
use super::context::Context;
use super::error::Error;
use super::listing::{Listing, Missing};
use super::maildir::is_message_entry;
use super::moved::Search;
use super::output::Output;
use super::pool::Built;
use super::stored_names::StoredNames;
use crate::source::large::{self, Streamed};
use crate::source::pack::{LARGE_BYTES, PackedEntry, Request};

/// About what the headers of a member take, for planning the size of a frame.
const HEAD_BYTES: u64 = 1536;

/// A member of a segment: its number, and the stored name.
pub(crate) type Place = (u32, RelPath);

/// Packs entries of one mailbox.
pub(crate) struct Packing<'a> {
    context: &'a Context<'a>,
    pub(crate) output: Output<'a>,
    waiting: VecDeque<Receiver<Result<Built, Error>>>,
    /// Entries of the pass under way that are too large for a frame in memory.
    large: Vec<Request>,
    /// Gives new messages their stored names.
    pub(crate) names: StoredNames,
    /// Counts what became of the messages; `None` when there is nothing to compare with.
    pub(crate) tally: Option<Tally>,
    /// What became of the members of the segments.
    pub(crate) changes: BTreeMap<Place, Change>,
    /// Where messages were found after they had moved.
    pub(crate) late: BTreeSet<RelPath>,
    /// Those of them from where one is saved: others had moved on.
    late_saved: HashSet<RelPath>,
    /// Names of messages that were found where another one is saved from: they keep these.
    displaced: HashSet<RelPath>,
    pub(crate) search: Search,
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Files that never held still while they were read.
    pub(crate) unsteady: Vec<RelPath>,
    /// Bytes read from the live tree.
    pub(crate) read_bytes: u64,
}

impl<'a> Packing<'a> {
    pub(crate) fn new(
        context: &'a Context<'a>,
        output: Output<'a>,
        names: StoredNames,
        changes: BTreeMap<Place, Change>,
    ) -> Self {
        Self {
            context,
            output,
            waiting: VecDeque::new(),
            large: Vec::new(),
            names,
            tally: None,
            changes,
            late: BTreeSet::new(),
            late_saved: HashSet::new(),
            displaced: HashSet::new(),
            search: Search::default(),
            failed: Vec::new(),
            unsteady: Vec::new(),
            read_bytes: 0,
        }
    }

    /// Packs messages as they were listed.
    pub(crate) fn pack_messages(
        &mut self,
        messages: impl Iterator<Item = Result<LiveEntry, index::Error>>,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        for live in messages {
            let live = live.map_err(|error| self.context.read_back_error(error))?;
            let request = Request {
                stored: self.names.name_for(&live.path),
                live,
                dumpdirs: Vec::new(),
                is_watched: false,
            };
            self.add(request, &mut batch)?;
        }
        self.finish_pass(batch)
    }

    /// Packs a few messages that were found after they had moved, beside those of `listed`.
    pub(crate) fn pack_late(
        &mut self,
        messages: Vec<LiveEntry>,
        listed: &Listing,
    ) -> Result<(), Error> {
        let paths = messages.iter().map(|live| live.path.clone()).collect();
        let known = listed.known(&paths);
        let known = known.map_err(|error| self.context.scratch_error(error))?;
        let mut batch = Batch::default();
        for live in messages {
            let was_there = known.contains(&live.path) && !self.search.is_unread(&live.path);
            let is_taken = self.late_saved.contains(&live.path) || was_there;
            self.late.insert(live.path.clone());
            let stored = if is_taken {
                self.displace(&live.path)
            } else {
                self.names.name_for_late(&live.path, listed)
            };
            let request = Request {
                stored,
                live,
                dumpdirs: Vec::new(),
                is_watched: false,
            };
            self.add(request, &mut batch)?;
        }
        self.finish_pass(batch)
    }

    /// A name for a message at whose place another one was, which is saved, too.
    fn displace(&mut self, path: &RelPath) -> RelPath {
        let name = self.names.name_beside(path);
        self.displaced.insert(name.clone());
        name
    }

    /// Packs what is asked for.
    pub(crate) fn pack(
        &mut self,
        requests: impl Iterator<Item = Result<Request, Error>>,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        for request in requests {
            self.add(request?, &mut batch)?;
        }
        self.finish_pass(batch)
    }

    fn add(&mut self, request: Request, batch: &mut Batch) -> Result<(), Error> {
        if request.live.stat.size > LARGE_BYTES {
            self.large.push(request);
            return Ok(());
        }
        batch.push(request);
        if batch.bytes >= FRAME_TAR_BYTES {
            self.submit(std::mem::take(batch))?;
        }
        Ok(())
    }

    fn finish_pass(&mut self, batch: Batch) -> Result<(), Error> {
        if !batch.requests.is_empty() {
            self.submit(batch)?;
        }
        while let Some(answer) = self.waiting.pop_front() {
            self.collect(&answer)?;
        }
        for request in std::mem::take(&mut self.large) {
            self.stream(&request)?;
        }
        Ok(())
    }

    /// Gives a batch to the workers. When enough is under way, the frame that has waited longest is
    /// written first.
    fn submit(&mut self, batch: Batch) -> Result<(), Error> {
        self.context.check_interrupt()?;
        while self.waiting.len() >= self.context.pool.in_flight
            && let Some(answer) = self.waiting.pop_front()
        {
            self.collect(&answer)?;
        }
        self.waiting
            .push_back(self.context.pool.build(batch.requests));
        Ok(())
    }

    /// Waits for a frame and writes it.
    fn collect(&mut self, answer: &Receiver<Result<Built, Error>>) -> Result<(), Error> {
        let answer = answer.recv().map_err(|_| self.context.no_answer())?;
        let Built { frame, packed } = answer?;
        self.search_for(packed.vanished);
        self.failed.extend(packed.failed);
        self.unsteady.extend(packed.unsteady);
        self.large.extend(packed.large);
        if packed.entries.is_empty() {
            return Ok(());
        }
        let location = self.output.append(&frame)?;
        self.add_lines(packed.entries, location)
    }

    /// Saves a file that is too large for memory.
    fn stream(&mut self, request: &Request) -> Result<(), Error> {
        self.context.check_interrupt()?;
        let output = &mut self.output;
        let streamed = large::stream(self.context.tree, request, |head, content, tail, _| {
            output.append_stream(head, content, tail)
        })?;
        match streamed {
            Streamed::Whole { entry, place } => self.add_lines(vec![*entry], place)?,
            Streamed::Cut(error) | Streamed::Failed(error) => {
                self.failed.push((request.live.path.clone(), error));
            }
            Streamed::Vanished => self.search_for([request.live.clone()]),
        }
        Ok(())
    }

    /// Adds what lies in the frame at `location` to the index of its segment.
    fn add_lines(&mut self, entries: Vec<PackedEntry>, location: Location) -> Result<(), Error> {
        let mut lines = Vec::with_capacity(entries.len());
        for entry in entries {
            self.advance(entry.live.stat.size);
            if self.late.contains(&entry.live.path) {
                self.late_saved.insert(entry.live.path.clone());
            }
            self.note_name(&entry, location.segment);
            self.tally(&entry);
            lines.push(entry.indexed(location));
        }
        self.output.add_lines(lines)
    }

    fn tally(&mut self, entry: &PackedEntry) {
        if let Some(tally) = &mut self.tally
            && is_message_entry(&entry.live)
        {
            tally.add(entry);
        }
    }

    /// Notes the present name of a message that is stored under another one.
    fn note_name(&mut self, entry: &PackedEntry, segment: u32) {
        let PackedEntry { live, stored, .. } = entry;
        if live.path == *stored || self.displaced.contains(stored) {
            return;
        }
        let change = Change::Here {
            path: live.path.clone(),
            inode: live.stat.inode,
            ctime_ns: live.stat.ctime_ns,
        };
        self.changes.insert((segment, stored.clone()), change);
    }

    /// Messages that are gone have moved or were expunged; a control file was replaced or removed
    /// by its program.
    fn search_for(&mut self, vanished: impl IntoIterator<Item = LiveEntry>) {
        let messages = vanished.into_iter().filter(is_message_entry);
        self.search.add(messages.map(|entry| Missing {
            path: entry.path,
            inode: entry.stat.inode,
        }));
    }

    fn advance(&mut self, bytes: u64) {
        self.read_bytes += bytes;
        self.context.progress.advance(bytes);
    }
}

/// What goes into one frame.
#[derive(Default)]
struct Batch {
    requests: Vec<Request>,
    bytes: u64,
}

impl Batch {
    fn push(&mut self, request: Request) {
        let names: usize = request.dumpdirs.iter().map(Vec::len).sum();
        self.bytes += request.live.stat.size + HEAD_BYTES + names as u64;
        self.requests.push(request);
    }
}
