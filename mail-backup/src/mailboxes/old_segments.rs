//! Brings the segments of the last backup into the new set: linked, or copied frame by frame
//! without what is gone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use mail_common::archive::index::Location;
use mail_common::archive::segment::{FrameSpan, read_frame};
use mail_common::beneath;
use mail_common::failure::Failed;

use super::context::Context;
use super::error::Error;
use super::frames::{FrameUse, Frames};
use super::history::{CONTROL, History, OldSegment};
use super::output::Output;
use super::pool::OldFrame;
use super::reuse::{Candidate, Condition, Disposition, decide};
use crate::saved::{Content, SavedFile};

/// What becomes of the segments of messages, by number.
#[derive(Debug, Default)]
pub(crate) struct Dispositions(BTreeMap<u32, Disposition>);

impl Dispositions {
    /// Decides, when `new_bytes` of messages are to be saved beside the old ones.
    pub(crate) fn decide(history: &History<'_>, frames: &Frames, new_bytes: u64) -> Self {
        let numbers: Vec<u32> = history
            .segments()
            .keys()
            .copied()
            .filter(|number| *number != CONTROL)
            .collect();
        let candidates: Vec<Candidate> = numbers
            .iter()
            .map(|number| candidate(frames.of_segment(*number)))
            .collect();
        let decided = decide(&candidates, new_bytes);
        Self(numbers.into_iter().zip(decided).collect())
    }

    /// The segments with this disposition.
    pub(crate) fn all(&self, wanted: Disposition) -> impl Iterator<Item = u32> {
        self.0
            .iter()
            .filter(move |(_, disposition)| **disposition == wanted)
            .map(|(number, _)| *number)
    }

    /// The first number that no segment of messages has had.
    pub(crate) fn first_new_number(&self) -> u32 {
        self.0.keys().next_back().map_or(CONTROL, |last| *last) + 1
    }

    /// The segments that are to be copied from and are no longer what was recorded.
    pub(crate) fn damaged(&self, history: &History<'_>) -> Vec<u32> {
        let copied = self
            .all(Disposition::Rewrite)
            .chain(self.all(Disposition::Merge));
        copied
            .filter(|number| {
                let segment = history.segments().get(number);
                !segment.is_some_and(|segment| segment.verify().unwrap_or(false))
            })
            .collect()
    }
}

fn candidate<'a>(frames: impl Iterator<Item = (Location, &'a FrameUse)>) -> Candidate {
    let mut live_bytes = 0;
    let mut condition = Condition::Clean;
    for (location, usage) in frames {
        if !usage.is_clean() {
            condition = Condition::Dirty;
        }
        if usage.is_live() {
            live_bytes += location.frame_bytes;
        }
    }
    if live_bytes == 0 {
        condition = Condition::Dead;
    }
    Candidate {
        live_bytes,
        condition,
    }
}

/// Links a segment into the set, if the last backup has it.
pub(crate) fn link(
    context: &Context<'_>,
    history: &History<'_>,
    number: u32,
) -> Result<Option<SavedFile>, Error> {
    let Some(segment) = history.segments().get(&number) else {
        return Ok(None);
    };
    let staging = context.environment.staging;
    let linked = SavedFile::reused(segment.artifact)
        .map_err(io::Error::other)
        .and_then(|saved| {
            staging.link_from(history.set_directory(), &segment.path)?;
            Ok(saved)
        });
    Ok(Some(linked.map_err(Failed::at(
        "link",
        &context.in_set(&segment.path),
    ))?))
}

/// Copies the frames of old segments that still hold a message.
pub(crate) struct Copier<'a, 'b> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) history: &'a History<'a>,
    pub(crate) frames: &'a Frames,
    pub(crate) output: &'a mut Output<'b>,
    /// Where each frame that was copied is now.
    pub(crate) moved: HashMap<Location, Location>,
}

/// A frame on its way into the output.
struct Waiting {
    old: Location,
    kept: Content,
    /// A frame that loses members; `None` for one that is copied as it is.
    rebuilt: Option<Receiver<Result<Vec<u8>, Error>>>,
}

impl Copier<'_, '_> {
    /// Copies the frames of the segment `number` into the open segment of the output. Several are
    /// rebuilt at a time, and written in their order.
    pub(crate) fn copy(&mut self, number: u32) -> Result<(), Error> {
        let history = self.history;
        let Some(segment) = history.segments().get(&number) else {
            return Ok(());
        };
        let file =
            beneath::regular_file(&segment.file).map_err(Error::last_backup(&segment.file))?;
        let file = Arc::new(file);
        let mut waiting = VecDeque::new();
        let frames = self.frames;
        for (old, usage) in frames
            .of_segment(number)
            .filter(|(_, usage)| usage.is_live())
        {
            self.context.check_interrupt()?;
            if waiting.len() >= self.context.pool.in_flight {
                self.write_first(&mut waiting, segment, &file)?;
            }
            waiting.push_back(self.start(old, usage, segment, &file));
        }
        while !waiting.is_empty() {
            self.write_first(&mut waiting, segment, &file)?;
        }
        Ok(())
    }

    fn start(
        &self,
        old: Location,
        usage: &FrameUse,
        segment: &OldSegment<'_>,
        file: &Arc<File>,
    ) -> Waiting {
        let rebuilt = (!usage.is_clean()).then(|| {
            self.context.pool.rebuild(OldFrame {
                segment: Arc::clone(file),
                path: segment.file.clone(),
                span: span(old),
                keep: usage.keep.clone(),
            })
        });
        Waiting {
            old,
            kept: usage.kept(),
            rebuilt,
        }
    }

    fn write_first(
        &mut self,
        waiting: &mut VecDeque<Waiting>,
        segment: &OldSegment<'_>,
        file: &File,
    ) -> Result<(), Error> {
        let Some(Waiting { old, kept, rebuilt }) = waiting.pop_front() else {
            return Ok(());
        };
        let frame = match rebuilt {
            Some(answer) => answer.recv().map_err(|_| self.context.no_answer())??,
            None => read_frame(file, span(old)).map_err(Error::last_backup(&segment.file))?,
        };
        let new = self.output.append(&frame, kept)?;
        self.moved.insert(old, new);
        Ok(())
    }
}

fn span(location: Location) -> FrameSpan {
    FrameSpan {
        offset: location.frame_offset,
        bytes: location.frame_bytes,
    }
}
