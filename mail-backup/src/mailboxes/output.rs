//! Writes the segments of one mailbox, each with its index, into the set under way.

use std::io::{self, Read};
use std::path::PathBuf;

use mail_common::archive::index::{IndexEntry, IndexWriter, Location};
use mail_common::archive::segment::{FrameSpan, MAX_MEMBERS, SegmentWriter, segment_name};
use mail_common::archive::state::CONTROL;
use mail_common::atomic::StoredFile;
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::Component;
use mail_common::set::mailbox::segment_index_in;
use zstd::zstd_safe::CParameter;

use super::context::Context;
use super::error::Error;
use super::reuse::SEGMENT_BYTES;
use super::spool::IndexSorter;
use crate::saved::{Content, SavedFile};

/// A segment of an older class of age is worth a file of its own from this size.
const APART_BYTES: u64 = 1 << 20;

/// The indexes of all segments of a mailbox are read at once: each takes this much memory (the
/// window of zstd, as a power of two), and compresses as well as with a larger one.
const INDEX_WINDOW_LOG: u32 = 18;

/// The segments of a mailbox that are written in this run.
pub(crate) struct Output<'a> {
    context: &'a Context<'a>,
    directory: RelPath,
    open: Option<OpenSegment>,
    next_number: u32,
    /// The numbers of the segments of messages.
    pub(crate) numbers: Vec<u32>,
    /// The lines of the segment of directories and control files.
    pub(crate) control: Vec<IndexEntry>,
    /// The finished files.
    pub(crate) saved: Vec<SavedFile>,
}

struct OpenSegment {
    number: u32,
    path: RelPath,
    file: PathBuf,
    writer: SegmentWriter<StoredFile>,
    index: IndexSorter,
    content: Content,
}

impl<'a> Output<'a> {
    /// Writes into `directory` of the set; segments of messages are numbered from `next_number`.
    pub(crate) fn new(context: &'a Context<'a>, directory: RelPath, next_number: u32) -> Self {
        Self {
            context,
            directory,
            open: None,
            next_number,
            numbers: Vec::new(),
            control: Vec::new(),
            saved: Vec::new(),
        }
    }

    /// Appends a compressed frame to the open segment, or to a new one. Its lines follow.
    pub(crate) fn append(&mut self, frame: &[u8]) -> Result<Location, Error> {
        self.append_with(|writer| writer.append(frame))
    }

    /// Appends a frame of one member that is too large for memory: its head, its content and its
    /// padding. Its line follows.
    pub(crate) fn append_stream(
        &mut self,
        head: &[u8],
        content: &mut dyn Read,
        tail: &[u8],
    ) -> Result<Location, Error> {
        let level = self.context.level;
        self.append_with(|writer| writer.append_stream(level, head, content, tail))
    }

    fn append_with(
        &mut self,
        write: impl FnOnce(&mut SegmentWriter<StoredFile>) -> io::Result<FrameSpan>,
    ) -> Result<Location, Error> {
        let segment = self.segment()?;
        let span = write(&mut segment.writer).map_err(Failed::at("write", &segment.file))?;
        Ok(Location {
            segment: segment.number,
            frame_offset: span.offset,
            frame_bytes: span.bytes,
        })
    }

    /// Takes the lines of the frame that was appended last, and closes the segment if it is full.
    pub(crate) fn add_lines(&mut self, lines: Vec<IndexEntry>) -> Result<(), Error> {
        let Some(segment) = &mut self.open else {
            return Ok(());
        };
        for line in &lines {
            segment.content += Content {
                entries: 1,
                source_bytes: line.live.stat.size,
            };
        }
        // Directories and control files have one segment, whatever its size.
        if segment.number == CONTROL {
            self.control.extend(lines);
            return Ok(());
        }
        let scratch = self.context.scratch();
        for line in lines {
            let pushed = segment.index.push(line, scratch);
            pushed.map_err(|error| self.context.scratch_error(error))?;
        }
        if segment.is_full() {
            self.close()?;
        }
        Ok(())
    }

    /// From here on, entries belong to another class of age: they get a segment of their own when
    /// the open one is worth it.
    pub(crate) fn begin_class(&mut self) -> Result<(), Error> {
        match &self.open {
            Some(segment) if segment.writer.bytes() >= APART_BYTES => self.close(),
            _ => Ok(()),
        }
    }

    /// Closes the open segment and writes the next frames into that of directories and control
    /// files.
    pub(crate) fn switch_to_control(&mut self) -> Result<(), Error> {
        self.close()?;
        self.open = Some(self.create(CONTROL)?);
        Ok(())
    }

    /// Finishes the open segment and its index, if any.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        let Some(segment) = self.open.take() else {
            return Ok(());
        };
        let finished = segment.writer.finish();
        let finished = finished.map_err(Failed::at("write", &segment.file))?;
        self.finish_file(segment.path, finished, segment.content)?;
        if segment.number == CONTROL {
            return Ok(());
        }
        let scratch = self.context.scratch();
        let lines = segment.index.sorted(scratch);
        let lines = lines.map_err(|error| self.context.scratch_error(error))?;
        let context = self.context;
        let lines = lines.map(|line| line.map_err(|error| context.read_back_error(error)));
        let index = write_index(context, &self.directory, segment.number, lines)?;
        self.saved.push(index);
        self.numbers.push(segment.number);
        Ok(())
    }

    fn finish_file(
        &mut self,
        path: RelPath,
        file: StoredFile,
        content: Content,
    ) -> Result<(), Error> {
        let saved = finish_file(self.context, path, file, content)?;
        self.saved.push(saved);
        Ok(())
    }

    fn segment(&mut self) -> Result<&mut OpenSegment, Error> {
        let segment = match self.open.take() {
            Some(segment) => segment,
            None => {
                let number = self.next_number;
                self.next_number += 1;
                self.create(number)?
            }
        };
        Ok(self.open.insert(segment))
    }

    fn create(&self, number: u32) -> Result<OpenSegment, Error> {
        let path = segment_name(number).below(&self.directory);
        let file = self.context.in_set(&path);
        let created = self.context.environment.staging.create_file(&path);
        Ok(OpenSegment {
            number,
            writer: SegmentWriter::new(created.map_err(Failed::at("create", &file))?),
            path,
            file,
            index: IndexSorter::default(),
            content: Content::default(),
        })
    }
}

impl OpenSegment {
    fn is_full(&self) -> bool {
        self.writer.bytes() >= SEGMENT_BYTES || self.content.entries >= MAX_MEMBERS
    }
}

/// Writes the index of the segment `number` of the mailbox in `directory`: `lines`, which come in
/// the order of their paths.
pub(crate) fn write_index(
    context: &Context<'_>,
    directory: &RelPath,
    number: u32,
    lines: impl Iterator<Item = Result<IndexEntry, Error>>,
) -> Result<SavedFile, Error> {
    let path = segment_index_in(directory, number);
    let file = context.in_set(&path);
    let mut writer = create_index(context, &path).map_err(Failed::at("create", &file))?;
    for line in lines {
        writer.write(&line?).map_err(Failed::at("write", &file))?;
    }
    finish_index(context, path, writer)
}

/// Writes the lines of an index into a file of the set.
pub(crate) type SegmentIndexWriter = IndexWriter<zstd::Encoder<'static, StoredFile>>;

pub(crate) fn create_index(
    context: &Context<'_>,
    path: &RelPath,
) -> io::Result<SegmentIndexWriter> {
    let file = context.environment.staging.create_file(path)?;
    let mut encoder = zstd::Encoder::new(file, context.level)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    encoder.set_parameter(CParameter::WindowLog(INDEX_WINDOW_LOG))?;
    Ok(IndexWriter::new(encoder))
}

pub(crate) fn finish_index(
    context: &Context<'_>,
    path: RelPath,
    writer: SegmentIndexWriter,
) -> Result<SavedFile, Error> {
    let source_bytes = writer.bytes();
    let (encoder, entries) = writer.into_parts();
    let finished = encoder.finish();
    let finished = finished.map_err(Failed::at("write", &context.in_set(&path)))?;
    let content = Content {
        entries,
        source_bytes,
    };
    finish_file(context, path, finished, content)
}

/// Makes a file of the set visible, and has it synced.
pub(crate) fn finish_file(
    context: &Context<'_>,
    path: RelPath,
    file: StoredFile,
    content: Content,
) -> Result<SavedFile, Error> {
    let place = context.in_set(&path);
    let finished = file.finish_unsynced().map_err(Failed::at("write", &place));
    let (stored, handle) = finished?;
    context.sync_queue.push(place, handle)?;
    Ok(SavedFile::written(
        Component::Mailboxes,
        path,
        &stored,
        content,
    ))
}
