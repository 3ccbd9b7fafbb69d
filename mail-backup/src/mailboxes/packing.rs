//! Turns live entries into frames of segments and lines of the index, with several frames under way
//! at once.

use std::collections::VecDeque;
use std::io;

use crossbeam_channel::Receiver;
use mail_common::archive::frame::FRAME_TAR_BYTES;
use mail_common::archive::index::{self, IndexEntry, LiveEntry, Location};
use mail_common::relpath::RelPath;

use super::context::Context;
use super::error::Error;
use super::listing::Missing;
use super::maildir::is_message_entry;
use super::moved::Search;
use super::output::Output;
use super::pool::Built;
use super::spool::{SavedRun, SavedSpool};
use crate::saved::Content;
use crate::source::large::{self, Streamed};
use crate::source::pack::{LARGE_BYTES, PackedEntry};

/// About what the headers of a member take, for planning the size of a frame.
const HEAD_BYTES: u64 = 1536;

/// Packs entries of one mailbox.
pub(crate) struct Packing<'a> {
    context: &'a Context<'a>,
    pub(crate) output: Output<'a>,
    waiting: VecDeque<Receiver<Result<Built, Error>>>,
    /// Entries of the pass under way that are too large for a frame in memory.
    large: Vec<LiveEntry>,
    /// Sorted runs of index entries, one a pass.
    pub(crate) runs: Vec<SavedRun>,
    /// Index entries that came out of order.
    pub(crate) unsorted: Vec<IndexEntry>,
    pub(crate) search: Search,
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Files that never held still while they were read.
    pub(crate) unsteady: Vec<RelPath>,
    /// Bytes read from the live tree.
    pub(crate) read_bytes: u64,
}

/// Where the index lines of a pass go.
enum Lines<'r> {
    Sorted(&'r mut SavedSpool),
    Unsorted,
}

impl<'a> Packing<'a> {
    pub(crate) fn new(context: &'a Context<'a>, output: Output<'a>) -> Self {
        Self {
            context,
            output,
            waiting: VecDeque::new(),
            large: Vec::new(),
            runs: Vec::new(),
            unsorted: Vec::new(),
            search: Search::default(),
            failed: Vec::new(),
            unsteady: Vec::new(),
            read_bytes: 0,
        }
    }

    /// Packs entries that come sorted by path.
    pub(crate) fn pack_sorted(
        &mut self,
        entries: impl Iterator<Item = Result<LiveEntry, index::Error>>,
    ) -> Result<(), Error> {
        let context = self.context;
        let mut lines =
            SavedSpool::create(context.scratch()).map_err(|error| context.scratch_error(error))?;
        self.pack(entries, &mut Lines::Sorted(&mut lines))?;
        self.runs
            .push(lines.read().map_err(|error| context.scratch_error(error))?);
        Ok(())
    }

    /// Packs a few entries that were found after their place in the order of paths had passed.
    pub(crate) fn pack_unsorted(&mut self, entries: Vec<LiveEntry>) -> Result<(), Error> {
        self.pack(entries.into_iter().map(Ok), &mut Lines::Unsorted)
    }

    fn pack(
        &mut self,
        entries: impl Iterator<Item = Result<LiveEntry, index::Error>>,
        lines: &mut Lines<'_>,
    ) -> Result<(), Error> {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for entry in entries {
            let entry = entry.map_err(|error| self.context.read_back_error(error))?;
            if entry.stat.size > LARGE_BYTES {
                self.large.push(entry);
                continue;
            }
            batch_bytes += entry.stat.size + HEAD_BYTES;
            batch.push(entry);
            if batch_bytes >= FRAME_TAR_BYTES {
                self.submit(std::mem::take(&mut batch), lines)?;
                batch_bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.submit(batch, lines)?;
        }
        while let Some(answer) = self.waiting.pop_front() {
            self.collect(&answer, lines)?;
        }
        for entry in std::mem::take(&mut self.large) {
            self.stream(&entry)?;
        }
        Ok(())
    }

    /// Gives a batch to the workers. When enough is under way, the frame that has waited longest is
    /// written first.
    fn submit(&mut self, batch: Vec<LiveEntry>, lines: &mut Lines<'_>) -> Result<(), Error> {
        self.context.check_interrupt()?;
        while self.waiting.len() >= self.context.pool.in_flight
            && let Some(answer) = self.waiting.pop_front()
        {
            self.collect(&answer, lines)?;
        }
        self.waiting.push_back(self.context.pool.build(batch));
        Ok(())
    }

    /// Waits for a frame and writes it.
    fn collect(
        &mut self,
        answer: &Receiver<Result<Built, Error>>,
        lines: &mut Lines<'_>,
    ) -> Result<(), Error> {
        let answer = answer.recv().map_err(|_| self.context.no_answer())?;
        let Built { frame, packed } = answer?;
        self.search_for(packed.vanished);
        self.failed.extend(packed.failed);
        self.unsteady.extend(packed.unsteady);
        self.large.extend(packed.large);
        if packed.entries.is_empty() {
            return Ok(());
        }
        let content = Content {
            entries: packed.entries.len() as u64,
            source_bytes: packed
                .entries
                .iter()
                .map(|entry| entry.live.stat.size)
                .sum(),
        };
        let location = self.output.append(&frame, content)?;
        self.advance(content.source_bytes);
        for entry in packed.entries {
            let entry = indexed(entry, location);
            match lines {
                Lines::Unsorted => self.unsorted.push(entry),
                Lines::Sorted(spool) => spool
                    .push(&entry)
                    .map_err(|error| self.context.scratch_error(error))?,
            }
        }
        Ok(())
    }

    /// Saves a file that is too large for memory.
    fn stream(&mut self, entry: &LiveEntry) -> Result<(), Error> {
        self.context.check_interrupt()?;
        let output = &mut self.output;
        let streamed = large::stream(
            self.context.tree,
            &entry.path,
            |head, content, tail, stat| output.append_stream(stat.size, head, content, tail),
        )?;
        match streamed {
            Streamed::Whole { entry, place } => {
                self.advance(entry.live.stat.size);
                self.unsorted.push(indexed(entry, place));
            }
            Streamed::Cut(error) | Streamed::Failed(error) => {
                self.failed.push((entry.path.clone(), error));
            }
            Streamed::Vanished => self.search_for([entry.clone()]),
        }
        Ok(())
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

fn indexed(entry: PackedEntry, location: Location) -> IndexEntry {
    let PackedEntry {
        live,
        sha256,
        message_id,
    } = entry;
    IndexEntry {
        live,
        sha256,
        location,
        message_id,
        envelope: None,
        xattrs_sha256: None,
    }
}
