//! Writes the segments of one mailbox into the set under way.

use std::io::{self, Read};
use std::path::PathBuf;

use mail_common::archive::index::Location;
use mail_common::archive::segment::{FrameSpan, SegmentWriter, segment_name};
use mail_common::atomic::StoredFile;
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::Component;

use super::context::Context;
use super::error::Error;
use super::history::CONTROL;
use super::reuse::SEGMENT_BYTES;
use crate::saved::{Content, SavedFile};

/// A segment of an older class of age is worth a file of its own from this size.
const APART_BYTES: u64 = 1 << 20;

/// The segments of a mailbox that are written in this run.
pub(crate) struct Output<'a> {
    context: &'a Context<'a>,
    directory: RelPath,
    open: Option<OpenSegment>,
    next_number: u32,
    /// The finished segments.
    pub(crate) saved: Vec<SavedFile>,
}

struct OpenSegment {
    number: u32,
    path: RelPath,
    file: PathBuf,
    writer: SegmentWriter<StoredFile>,
    content: Content,
}

impl<'a> Output<'a> {
    /// Writes into `directory` of the set; new segments are numbered from `next_number`.
    pub(crate) fn new(context: &'a Context<'a>, directory: RelPath, next_number: u32) -> Self {
        Self {
            context,
            directory,
            open: None,
            next_number,
            saved: Vec::new(),
        }
    }

    /// Appends a compressed frame with `content` to the open segment, and opens or closes segments
    /// as their size asks.
    pub(crate) fn append(&mut self, frame: &[u8], content: Content) -> Result<Location, Error> {
        self.append_with(content, |writer| writer.append(frame))
    }

    /// Appends a frame of one member of `bytes` that is too large for memory: its head, its content
    /// and its padding.
    pub(crate) fn append_stream(
        &mut self,
        bytes: u64,
        head: &[u8],
        content: &mut dyn Read,
        tail: &[u8],
    ) -> Result<Location, Error> {
        let level = self.context.level;
        let one = Content {
            entries: 1,
            source_bytes: bytes,
        };
        self.append_with(one, |writer| {
            writer.append_stream(level, head, content, tail)
        })
    }

    fn append_with(
        &mut self,
        content: Content,
        write: impl FnOnce(&mut SegmentWriter<StoredFile>) -> io::Result<FrameSpan>,
    ) -> Result<Location, Error> {
        let segment = self.segment()?;
        let span = write(&mut segment.writer).map_err(Failed::at("write", &segment.file))?;
        segment.content += content;
        let location = Location {
            segment: segment.number,
            frame_offset: span.offset,
            frame_bytes: span.bytes,
        };
        // Directories and control files have one segment, whatever its size.
        if segment.number != CONTROL && segment.writer.bytes() >= SEGMENT_BYTES {
            self.close()?;
        }
        Ok(location)
    }

    /// From here on, entries belong to another class of age: they get a segment of their own when
    /// the open one is worth it.
    pub(crate) fn begin_class(&mut self) -> Result<(), Error> {
        match &self.open {
            Some(segment) if segment.writer.bytes() >= APART_BYTES => self.close(),
            _ => Ok(()),
        }
    }

    /// Closes the open segment and writes the next frames into the segment `number`.
    pub(crate) fn switch_to(&mut self, number: u32) -> Result<(), Error> {
        self.close()?;
        self.open = Some(self.create(number)?);
        Ok(())
    }

    /// Finishes the open segment, if any.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        let Some(segment) = self.open.take() else {
            return Ok(());
        };
        let OpenSegment {
            path,
            file,
            writer,
            content,
            ..
        } = segment;
        let finished = writer.finish().and_then(StoredFile::finish_unsynced);
        let (stored, handle) = finished.map_err(Failed::at("write", &file))?;
        self.context.sync_queue.push(file, handle)?;
        self.saved.push(SavedFile::written(
            Component::Mailboxes,
            path,
            &stored,
            content,
        ));
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
        let stored = self
            .context
            .environment
            .staging
            .create_file(&path)
            .map_err(Failed::at("create", &file))?;
        Ok(OpenSegment {
            number,
            path,
            file,
            writer: SegmentWriter::new(stored),
            content: Content::default(),
        })
    }
}
