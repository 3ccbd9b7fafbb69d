//! Turns live entries into frames of segments and lines of the index, with several frames under way
//! at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek};

use crossbeam_channel::Receiver;
use mail_common::archive::frame::FRAME_TAR_BYTES;
use mail_common::archive::index::{
    self, IndexEntry, IndexReader, IndexWriter, LiveEntry, Location,
};
use mail_common::relpath::RelPath;

use super::compare::is_message_entry;
use super::context::{Context, Error};
use super::late::Search;
use super::listing::Missing;
use super::output::{Frame, Output};
use super::pool::Built;
use crate::saved::Content;
use crate::source::large::{self, Streamed};
use crate::source::pack::{LARGE_BYTES, Packed, PackedEntry};

/// About what the headers of a member take, for planning the size of a frame.
const HEAD_BYTES: u64 = 1536;

/// Entries of one pass, in the order of their paths, in a temporary file.
pub(crate) type Run = IndexReader<BufReader<File>>;

/// Packs entries of one mailbox.
pub(crate) struct Packing<'a> {
    context: &'a Context<'a>,
    pub(crate) output: Output<'a>,
    waiting: VecDeque<Receiver<io::Result<Built>>>,
    /// Sorted runs of index entries, one a pass.
    pub(crate) runs: Vec<Run>,
    /// Entries that came out of order.
    pub(crate) late: Vec<IndexEntry>,
    pub(crate) search: Search,
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Files that never held still while they were read.
    pub(crate) unsteady: Vec<RelPath>,
    /// Bytes read from the live tree.
    pub(crate) read_bytes: u64,
}

/// Where the index lines of a pass go.
enum Lines<'r> {
    Sorted(&'r mut IndexWriter<BufWriter<File>>),
    Late,
}

impl<'a> Packing<'a> {
    pub(crate) fn new(context: &'a Context<'a>, output: Output<'a>) -> Self {
        Self {
            context,
            output,
            waiting: VecDeque::new(),
            runs: Vec::new(),
            late: Vec::new(),
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
        let scratch = tempfile::tempfile_in(self.context.scratch)
            .map_err(|error| self.context.scratch_error(error))?;
        let mut lines = IndexWriter::new(BufWriter::with_capacity(64 * 1024, scratch));
        self.pack(entries, &mut Lines::Sorted(&mut lines))?;
        self.runs
            .push(read_back(lines).map_err(|error| self.context.scratch_error(error))?);
        Ok(())
    }

    /// Packs a few entries that were found after their time.
    pub(crate) fn pack_late(&mut self, entries: Vec<LiveEntry>) -> Result<(), Error> {
        self.pack(entries.into_iter().map(Ok), &mut Lines::Late)
    }

    fn pack(
        &mut self,
        entries: impl Iterator<Item = Result<LiveEntry, index::Error>>,
        lines: &mut Lines<'_>,
    ) -> Result<(), Error> {
        let mut large = Vec::new();
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        for entry in entries {
            let entry = entry.map_err(|error| self.context.spool_error(error))?;
            if entry.stat.size > LARGE_BYTES {
                large.push(entry);
                continue;
            }
            batch_bytes += entry.stat.size + HEAD_BYTES;
            batch.push(entry);
            if batch_bytes >= FRAME_TAR_BYTES {
                self.submit(std::mem::take(&mut batch), lines, &mut large)?;
                batch_bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.submit(batch, lines, &mut large)?;
        }
        while !self.waiting.is_empty() {
            self.collect(lines, &mut large)?;
        }
        large.into_iter().try_for_each(|entry| self.stream(&entry))
    }

    fn submit(
        &mut self,
        batch: Vec<LiveEntry>,
        lines: &mut Lines<'_>,
        large: &mut Vec<LiveEntry>,
    ) -> Result<(), Error> {
        self.context.check_stop()?;
        while self.waiting.len() >= self.context.pool.in_flight {
            self.collect(lines, large)?;
        }
        self.waiting.push_back(self.context.pool.build(batch));
        Ok(())
    }

    /// Writes the frame that has waited longest.
    fn collect(&mut self, lines: &mut Lines<'_>, large: &mut Vec<LiveEntry>) -> Result<(), Error> {
        let Some(answer) = self.waiting.pop_front() else {
            return Ok(());
        };
        let built = answer.recv().map_err(|_| self.context.no_answer())?;
        let Built { frame, packed } = built.map_err(|source| self.output.error(source))?;
        let Packed {
            entries,
            vanished,
            large: too_large,
            failed,
            unsteady,
        } = packed;
        self.search_for(vanished);
        self.failed.extend(failed);
        self.unsteady.extend(unsteady);
        large.extend(too_large);
        if entries.is_empty() {
            return Ok(());
        }
        let source_bytes = entries.iter().map(|entry| entry.live.stat.size).sum();
        let content = Content {
            entries: entries.len() as u64,
            source_bytes,
        };
        let location = self.output.append(&Frame {
            bytes: &frame,
            content,
        })?;
        self.read_bytes += source_bytes;
        (self.context.progress)(source_bytes);
        let lines_of_frame = entries.into_iter().map(|entry| indexed(entry, location));
        self.note(lines_of_frame, lines)
            .map_err(|error| self.context.scratch_error(error))
    }

    fn note(
        &mut self,
        entries: impl Iterator<Item = IndexEntry>,
        lines: &mut Lines<'_>,
    ) -> io::Result<()> {
        match lines {
            Lines::Sorted(writer) => entries
                .into_iter()
                .try_for_each(|entry| writer.write(&entry)),
            Lines::Late => {
                self.late.extend(entries);
                Ok(())
            }
        }
    }

    /// Saves a file that is too large for memory.
    fn stream(&mut self, entry: &LiveEntry) -> Result<(), Error> {
        self.context.check_stop()?;
        let (output, level) = (&mut self.output, self.context.level);
        let streamed = large::stream(
            self.context.tree,
            &entry.path,
            |head, content, tail, stat| {
                let span = output.append_stream(level, head, content, tail)?;
                output.added(
                    span,
                    Content {
                        entries: 1,
                        source_bytes: stat.size,
                    },
                )
            },
        )?;
        match streamed {
            Streamed::Whole { entry, place } => self.note_streamed(entry, place),
            Streamed::Cut(error) | Streamed::Failed(error) => {
                self.failed.push((entry.path.clone(), error))
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

    fn note_streamed(&mut self, entry: PackedEntry, location: Location) {
        self.read_bytes += entry.live.stat.size;
        (self.context.progress)(entry.live.stat.size);
        self.late.push(indexed(entry, location));
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
    }
}

fn read_back(lines: IndexWriter<BufWriter<File>>) -> io::Result<Run> {
    let mut file = lines
        .into_parts()
        .0
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(IndexReader::new(BufReader::with_capacity(64 * 1024, file)))
}
