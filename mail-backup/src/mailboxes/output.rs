//! Writes the segments of one mailbox into the set under way.

use std::io::{self, Read};

use mail_common::archive::index::Location;
use mail_common::archive::segment::{FrameSpan, SEGMENT_BYTES, SegmentWriter, segment_name};
use mail_common::atomic::StoredFile;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Staging};

use super::context::{Context, Error};
use super::syncer::{SyncQueue, hand_over};
use crate::saved::{Content, SavedFile};

/// A segment of an older class of age is worth a file of its own from this size.
const APART_BYTES: u64 = 1 << 20;

/// The segment of directories and control files.
pub(crate) const CONTROL: u32 = 0;

/// The segments of a mailbox that are written in this run.
pub(crate) struct Output<'a> {
    staging: &'a Staging<'a>,
    syncing: SyncQueue,
    directory: RelPath,
    open: Option<OpenSegment>,
    next_number: u32,
    /// The finished segments.
    pub(crate) saved: Vec<SavedFile>,
}

struct OpenSegment {
    number: u32,
    path: RelPath,
    writer: SegmentWriter<StoredFile>,
    content: Content,
}

/// A compressed frame and what is in it.
pub(crate) struct Frame<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) content: Content,
}

impl<'a> Output<'a> {
    /// Writes into `directory` of the set; new segments are numbered from `next_number`.
    pub(crate) fn new(context: &Context<'a>, directory: RelPath, next_number: u32) -> Self {
        let (staging, syncing) = (context.staging, context.syncing.clone());
        Self {
            staging,
            syncing,
            directory,
            open: None,
            next_number,
            saved: Vec::new(),
        }
    }

    /// Appends a frame to the open segment, and opens or closes segments as their size asks.
    pub(crate) fn append(&mut self, frame: &Frame<'_>) -> Result<Location, Error> {
        let segment = self.segment()?;
        let span = segment
            .writer
            .append(frame.bytes)
            .map_err(|source| segment.error(source))?;
        self.added(span, frame.content)
    }

    /// Appends a frame of one member that is too large for memory.
    pub(crate) fn append_stream(
        &mut self,
        level: i32,
        head: &[u8],
        content: &mut dyn Read,
        tail: &[u8],
    ) -> Result<FrameSpan, Error> {
        let segment = self.segment()?;
        segment
            .writer
            .append_stream(level, head, content, tail)
            .map_err(|source| segment.error(source))
    }

    /// Notes what the frame at `span` of the open segment holds.
    pub(crate) fn added(&mut self, span: FrameSpan, content: Content) -> Result<Location, Error> {
        let segment = self.segment()?;
        segment.content.entries += content.entries;
        segment.content.source_bytes += content.source_bytes;
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

    /// From here on, entries belong to another class: they get a segment of their own when the open
    /// one is worth it.
    pub(crate) fn set_apart(&mut self) -> Result<(), Error> {
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
        let stored = segment
            .writer
            .finish()
            .and_then(StoredFile::finish_unsynced);
        let (stored, file) = stored.map_err(Error::writing(&segment.path))?;
        hand_over(&self.syncing, &segment.path, file)?;
        self.saved.push(SavedFile::written(
            Component::Mailboxes,
            segment.path,
            &stored,
            segment.content,
        ));
        Ok(())
    }

    /// Names the directory of this mailbox in an error of writing.
    pub(crate) fn error(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.directory.clone(),
            source,
        }
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
        match self.staging.create_file(&path) {
            Ok(file) => Ok(OpenSegment {
                number,
                path,
                writer: SegmentWriter::new(file),
                content: Content::default(),
            }),
            Err(source) => Err(Error::Write { path, source }),
        }
    }
}

impl OpenSegment {
    fn error(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.path.clone(),
            source,
        }
    }
}
