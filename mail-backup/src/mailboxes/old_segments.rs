//! Brings the segments of the last backup into the new set: linked, or copied frame by frame
//! without what is dead, under the names of today. So neither the dead nor the renames gather.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use mail_common::archive::index::{IndexEntry, Location};
use mail_common::archive::segment::{FrameSpan, read_frame};
use mail_common::archive::state::{CONTROL, Change};
use mail_common::beneath;
use mail_common::failure::Failed;
use mail_common::record::Artifact;
use mail_common::relpath::RelPath;

use super::context::Context;
use super::error::Error;
use super::history::{History, OldSegment};
use super::listing::Listing;
use super::output::{Output, finish_file};
use super::packing::Place;
use super::pool::OldFrame;
use super::reuse::{Candidate, Disposition, Purge, decide};
use super::stored_names::StoredNames;
use super::usage::Usage;
use crate::saved::{Content, SavedFile};
use crate::source::pack::LARGE_BYTES;

/// What becomes of the segments of messages, by number.
#[derive(Debug, Default)]
pub(crate) struct Dispositions(BTreeMap<u32, Disposition>);

impl Dispositions {
    pub(crate) fn decide(history: &History<'_>, usage: &Usage, purge: Purge) -> Self {
        let mut numbers = Vec::new();
        let mut candidates = Vec::new();
        for (number, segment) in history.segments() {
            if *number != CONTROL {
                numbers.push(*number);
                candidates.push(Candidate {
                    stored_bytes: segment.artifact.bytes,
                    usage: usage.of(*number),
                });
            }
        }
        let decided = decide(&candidates, purge);
        Self(numbers.into_iter().zip(decided).collect())
    }

    /// The segments with this disposition.
    pub(crate) fn all(&self, wanted: Disposition) -> impl Iterator<Item = u32> {
        self.0
            .iter()
            .filter(move |(_, disposition)| **disposition == wanted)
            .map(|(number, _)| *number)
    }

    /// Whether every segment is linked.
    pub(crate) fn link_all(&self) -> bool {
        let mut all = self.0.values();
        all.all(|disposition| *disposition == Disposition::Link)
    }

    /// The segments that are to be copied from and are no longer what was recorded.
    pub(crate) fn damaged(&self, history: &History<'_>) -> Vec<u32> {
        let copied = self
            .all(Disposition::Rewrite)
            .chain(self.all(Disposition::Merge));
        copied.filter(|number| !history.is_whole(*number)).collect()
    }
}

/// Links a segment into the set, if the last backup has it.
pub(crate) fn link_segment(
    context: &Context<'_>,
    history: &History<'_>,
    number: u32,
) -> Result<Option<SavedFile>, Error> {
    match history.segments().get(&number) {
        Some(segment) => link(context, history, &segment.path),
        None => Ok(None),
    }
}

/// Links a file of the mailbox into the set, if the records of the last backup name it.
pub(crate) fn link(
    context: &Context<'_>,
    history: &History<'_>,
    path: &RelPath,
) -> Result<Option<SavedFile>, Error> {
    let Some(artifact) = history.artifact(path) else {
        return Ok(None);
    };
    if history.is_tied(path) {
        return copy(context, history, artifact, path).map(Some);
    }
    let staging = context.environment.staging;
    let linked = SavedFile::reused(artifact)
        .map_err(io::Error::other)
        .and_then(|saved| {
            staging.link_from(history.set_directory(), path)?;
            Ok(saved)
        });
    Ok(Some(
        linked.map_err(Failed::at("link", &context.in_set(path)))?,
    ))
}

/// Copies a file of the last backup whole: the other chain of sets has the same file, and each is
/// to have its own.
fn copy(
    context: &Context<'_>,
    history: &History<'_>,
    artifact: &Artifact,
    path: &RelPath,
) -> Result<SavedFile, Error> {
    let old = history.set_directory().join(path.as_path());
    let mut source = beneath::regular_file(&old).map_err(Error::last_backup(&old))?;
    let place = context.in_set(path);
    let created = context.environment.staging.create_file(path);
    let copied = created.and_then(|mut file| {
        io::copy(&mut source, &mut file)?;
        Ok(file)
    });
    let content = Content {
        entries: artifact.entries,
        source_bytes: artifact.source_bytes,
    };
    let file = copied.map_err(Failed::at("write", &place))?;
    let saved = finish_file(context, path.clone(), file, content)?;
    if saved.sha256 != artifact.sha256 {
        return Err(Error::last_backup(&old)("it changed while it was copied"));
    }
    Ok(saved)
}

/// Copies the frames of old segments that still hold a living member.
pub(crate) struct Copier<'a, 'b> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) history: &'a History<'a>,
    pub(crate) output: &'a mut Output<'b>,
    /// What became of the members: of those that are copied it is forgotten, or gets its new place.
    pub(crate) changes: &'a mut BTreeMap<Place, Change>,
    pub(crate) names: &'a mut StoredNames,
    pub(crate) listing: &'a Listing,
}

/// A member that is copied.
struct Living {
    /// Its name in the old segment.
    stored: RelPath,
    /// Its line in the new one, but for its place.
    line: IndexEntry,
}

/// A frame that is on its way.
struct Waiting {
    old: Location,
    living: Vec<Living>,
    /// `None` for one that is copied as it is.
    rebuilt: Option<Receiver<Result<Vec<u8>, Error>>>,
}

/// The members of a frame.
#[derive(Default)]
struct FrameLines {
    living: Vec<Living>,
    dead: Vec<RelPath>,
}

impl FrameLines {
    /// Whether the frame may be copied as it is.
    fn is_as_stored(&self) -> bool {
        let is_named = |member: &Living| member.stored == member.line.live.path;
        self.dead.is_empty() && self.living.iter().all(is_named)
    }
}

impl Copier<'_, '_> {
    /// Copies what is alive in the segment `number`.
    pub(crate) fn copy(&mut self, number: u32) -> Result<(), Error> {
        let history = self.history;
        let Some(segment) = history.segments().get(&number) else {
            return Ok(());
        };
        let file = beneath::regular_file(&segment.file);
        let file = Arc::new(file.map_err(Error::last_backup(&segment.file))?);
        let mut waiting = VecDeque::new();
        for (old, lines) in self.frames_of(number)? {
            self.context.check_interrupt()?;
            if waiting.len() >= self.context.pool.in_flight {
                self.write_first(&mut waiting, segment, &file)?;
            }
            if !lines.living.is_empty() {
                waiting.push_back(self.start(old, lines, segment, &file));
            }
        }
        while !waiting.is_empty() {
            self.write_first(&mut waiting, segment, &file)?;
        }
        Ok(())
    }

    /// The frames of a segment, in the order in which they lie in it.
    fn frames_of(&mut self, number: u32) -> Result<BTreeMap<Location, FrameLines>, Error> {
        let mut frames: BTreeMap<Location, FrameLines> = BTreeMap::new();
        for line in self.history.members_of(number)? {
            let mut line = line?;
            let stored = line.live.path.clone();
            let frame = frames.entry(line.location).or_default();
            let place = (number, stored);
            if let Some(Change::Gone { .. }) = self.changes.get(&place) {
                frame.dead.push(place.1);
                continue;
            }
            self.bring_up_to_date(&mut line, &place);
            let stored = place.1;
            frame.living.push(Living { stored, line });
        }
        Ok(frames)
    }

    /// Gives `line`, of the member at `place`, the name and the times of today, and forgets what is
    /// known of the member besides. Where that name is not free, it keeps the old one, and so does
    /// what is too large for memory.
    fn bring_up_to_date(&mut self, line: &mut IndexEntry, place: &Place) {
        let Some(Change::Here {
            path,
            inode,
            ctime_ns,
        }) = self.changes.get(place)
        else {
            return;
        };
        let is_small = line.live.stat.size <= LARGE_BYTES;
        if *path == place.1 || is_small && self.names.is_free(path) {
            self.names.meet_stored(path, self.listing);
            line.live.path.clone_from(path);
            line.live.stat.inode = *inode;
            line.live.stat.ctime_ns = *ctime_ns;
            self.changes.remove(place);
        }
    }

    fn start(
        &self,
        old: Location,
        lines: FrameLines,
        segment: &OldSegment<'_>,
        file: &Arc<File>,
    ) -> Waiting {
        let is_as_stored = lines.is_as_stored();
        let FrameLines { living, dead } = lines;
        let names = |member: &Living| (member.stored.clone(), member.line.live.path.clone());
        let rebuilt = (!is_as_stored).then(|| {
            self.context.pool.rebuild(OldFrame {
                segment: Arc::clone(file),
                path: segment.file.clone(),
                span: span(old),
                living: living.iter().map(names).collect(),
                dead: dead.into_iter().collect(),
            })
        });
        Waiting {
            old,
            living,
            rebuilt,
        }
    }

    fn write_first(
        &mut self,
        waiting: &mut VecDeque<Waiting>,
        segment: &OldSegment<'_>,
        file: &File,
    ) -> Result<(), Error> {
        let Some(Waiting {
            old,
            living,
            rebuilt,
        }) = waiting.pop_front()
        else {
            return Ok(());
        };
        let frame = match rebuilt {
            Some(answer) => answer.recv().map_err(|_| self.context.no_answer())??,
            None => read_frame(file, span(old)).map_err(Error::last_backup(&segment.file))?,
        };
        let new = self.output.append(&frame)?;
        let mut lines = Vec::with_capacity(living.len());
        for Living { stored, mut line } in living {
            line.location = new;
            self.take_along(old.segment, new.segment, &stored);
            lines.push(line);
        }
        self.output.add_lines(lines)
    }

    /// What is still known of a member is known of it in its new segment.
    fn take_along(&mut self, from: u32, to: u32, stored: &RelPath) {
        if let Some(change) = self.changes.remove(&(from, stored.clone())) {
            self.changes.insert((to, stored.clone()), change);
        }
    }
}

fn span(location: Location) -> FrameSpan {
    FrameSpan {
        offset: location.frame_offset,
        bytes: location.frame_bytes,
    }
}
