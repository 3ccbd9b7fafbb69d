//! Carries segments of the last backup into the new set: linked, or written again without what is
//! gone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use mail_common::archive::index::Location;
use mail_common::archive::segment::{FrameSpan, read_frame};

use super::compare::FrameUse;
use super::context::{Context, Error};
use super::history::{History, OldSegment};
use super::output::{Frame, Output};
use super::pool::{OldFrame, RebuildError, Rebuilt};
use super::reuse::{Candidate, Condition, Fate, decide};
use crate::saved::{Content, SavedFile};

/// What becomes of the segments of messages, by number.
pub(crate) type Fates = BTreeMap<u32, Fate>;

/// Decides, when `new_bytes` of messages are to be saved beside them.
pub(crate) fn fates(
    history: &History<'_>,
    frames: &BTreeMap<Location, FrameUse>,
    new_bytes: u64,
) -> Fates {
    let candidates: Vec<Candidate> = history
        .segments()
        .iter()
        .filter(|(number, _)| **number != super::output::CONTROL)
        .map(|(number, segment)| candidate(*number, segment, frames))
        .collect();
    let fates = decide(&candidates, new_bytes);
    candidates
        .iter()
        .map(|candidate| candidate.number)
        .zip(fates)
        .collect()
}

fn candidate(
    number: u32,
    segment: &OldSegment<'_>,
    frames: &BTreeMap<Location, FrameUse>,
) -> Candidate {
    let mut live_bytes = 0;
    let mut is_worn = false;
    for (location, usage) in frames_of(number, frames) {
        is_worn |= !usage.is_clean();
        if usage.kept() > 0 {
            live_bytes += location.frame_bytes;
        }
    }
    let condition = match (live_bytes, is_worn) {
        (0, _) => Condition::Dead,
        (_, true) => Condition::Worn,
        (_, false) => Condition::Whole,
    };
    Candidate {
        number,
        stored_bytes: segment.artifact.bytes,
        live_bytes,
        condition,
    }
}

fn frames_of(
    number: u32,
    frames: &BTreeMap<Location, FrameUse>,
) -> impl Iterator<Item = (&Location, &FrameUse)> {
    let first = Location {
        segment: number,
        frame_offset: 0,
        frame_bytes: 0,
    };
    frames
        .range(first..)
        .take_while(move |(location, _)| location.segment == number)
}

/// The segments that are to be copied from and are no longer what was recorded.
pub(crate) fn damaged(history: &History<'_>, fates: &Fates) -> Vec<u32> {
    let copied = fates
        .iter()
        .filter(|(_, fate)| matches!(fate, Fate::Rewrite | Fate::Merge));
    let is_sound = |number: &u32| {
        history
            .segments()
            .get(number)
            .is_some_and(|s| s.verify().unwrap_or(false))
    };
    copied
        .map(|(number, _)| *number)
        .filter(|number| !is_sound(number))
        .collect()
}

/// Links `segment` into the set.
pub(crate) fn link(
    context: &Context<'_>,
    history: &History<'_>,
    number: u32,
) -> Result<Option<SavedFile>, Error> {
    let Some(segment) = history.segments().get(&number) else {
        return Ok(None);
    };
    let saved = SavedFile::reused(segment.artifact)
        .map_err(std::io::Error::other)
        .and_then(|saved| {
            context
                .staging
                .link_from(history.set_directory(), &segment.path)
                .map(|_| saved)
        });
    saved.map(Some).map_err(|source| Error::Write {
        path: segment.path.clone(),
        source,
    })
}

/// Copies the frames of a segment that still hold a message into the open segment of `output`, and
/// notes in `moved` where they are now.
pub(crate) fn copy(
    context: &Context<'_>,
    history: &History<'_>,
    number: u32,
    frames: &BTreeMap<Location, FrameUse>,
    output: &mut Output<'_>,
    moved: &mut HashMap<Location, Location>,
) -> Result<(), Error> {
    let Some(segment) = history.segments().get(&number) else {
        return Ok(());
    };
    let file = File::open(&segment.file).map_err(|source| read_error(segment, 0, source))?;
    let mut copier = Copier {
        context,
        segment,
        file: Arc::new(file),
        waiting: VecDeque::new(),
        output,
        moved,
    };
    for (location, usage) in frames_of(number, frames).filter(|(_, usage)| usage.kept() > 0) {
        copier.push(*location, usage)?;
    }
    while !copier.waiting.is_empty() {
        copier.write_next()?;
    }
    Ok(())
}

fn read_error(segment: &OldSegment<'_>, offset: u64, source: std::io::Error) -> Error {
    RebuildError::Read {
        path: segment.file.clone(),
        offset,
        source,
    }
    .into()
}

struct Copier<'a, 'b> {
    context: &'a Context<'a>,
    segment: &'a OldSegment<'a>,
    file: Arc<File>,
    waiting: VecDeque<Waiting>,
    output: &'a mut Output<'b>,
    moved: &'a mut HashMap<Location, Location>,
}

struct Waiting {
    old: Location,
    kept: Content,
    /// A frame that loses members; `None` for one that is copied as it is.
    rebuilt: Option<Receiver<Result<Rebuilt, RebuildError>>>,
}

impl Copier<'_, '_> {
    fn push(&mut self, old: Location, usage: &FrameUse) -> Result<(), Error> {
        self.context.check_stop()?;
        while self.waiting.len() >= self.context.pool.in_flight {
            self.write_next()?;
        }
        let kept = Content {
            entries: usage.kept(),
            source_bytes: usage.kept_bytes,
        };
        let rebuilt = (!usage.is_clean()).then(|| {
            self.context.pool.rebuild(OldFrame {
                segment: Arc::clone(&self.file),
                path: self.segment.file.clone(),
                span: span(old),
                keep: usage.keep.clone(),
            })
        });
        self.waiting.push_back(Waiting { old, kept, rebuilt });
        Ok(())
    }

    fn write_next(&mut self) -> Result<(), Error> {
        let Some(Waiting { old, kept, rebuilt }) = self.waiting.pop_front() else {
            return Ok(());
        };
        let frame = match rebuilt {
            Some(answer) => answer.recv().map_err(|_| self.context.no_answer())??.frame,
            None => read_frame(&self.file, span(old))
                .map_err(|source| read_error(self.segment, old.frame_offset, source))?,
        };
        let new = self.output.append(&Frame {
            bytes: &frame,
            content: kept,
        })?;
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
