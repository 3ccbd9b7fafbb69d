//! What the newest earlier set holds of a mailbox: its state, its indexes and its segments, checked
//! before they are trusted.
//!
//! A set of format 1 has one index of all segments, and no member of them is gone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use mail_common::archive::index::{IndexEntry, IndexReader};
use mail_common::archive::members;
use mail_common::archive::segment::segment_number;
use mail_common::archive::state::{CONTROL, State};
use mail_common::archive::view::View;
use mail_common::beneath;
use mail_common::checksum::Sha256;
use mail_common::record::Artifact;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::{index_in, segment_index_in, state_in};

use super::error::Error;
use crate::previous::{PreviousSet, PreviousSets};

/// Reads a compressed index line by line.
pub(crate) type Index = IndexReader<BufReader<zstd::Decoder<'static, BufReader<File>>>>;

/// A mailbox as an earlier set holds it.
#[derive(Debug)]
pub(crate) struct History<'a> {
    sets: &'a PreviousSets,
    set: &'a PreviousSet,
    directory: RelPath,
    pub(crate) format: Format,
    /// Of the segments that are there; of format 1 nothing but their numbers.
    state: State,
    segments: BTreeMap<u32, OldSegment<'a>>,
    /// The highest number of a segment, be it there or not.
    last_number: u32,
    /// Files that the records name and that are not there as they were.
    lost: Vec<PathBuf>,
}

/// How the mailbox is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// With one index.
    One,
    /// With an index for each segment, and a state.
    Two,
}

/// A segment of the earlier set.
#[derive(Debug)]
pub(crate) struct OldSegment<'a> {
    pub(crate) path: RelPath,
    pub(crate) file: PathBuf,
    pub(crate) artifact: &'a Artifact,
}

/// The size of the mailbox in `directory` when it was saved last, in bytes of the source; 0 for a
/// new one.
pub(crate) fn last_source_bytes(sets: &PreviousSets, directory: &RelPath) -> u64 {
    let Some(set) = sets.newest_with_any(&descriptions(directory)) else {
        return 0;
    };
    if let Some(state) = set.file(&state_in(directory)) {
        return state.source_bytes;
    }
    let files = set.files_in(directory).into_iter();
    let segments = files.filter(|(path, _)| segment_number(path.name()).is_some());
    segments.map(|(_, artifact)| artifact.source_bytes).sum()
}

/// The files that say what is in a mailbox: every mailbox has one of them.
fn descriptions(directory: &RelPath) -> [RelPath; 2] {
    [state_in(directory), index_in(directory)]
}

impl<'a> History<'a> {
    /// What the newest set with the mailbox in `directory` (of the set) has of it; `None` for a new
    /// mailbox, and when nothing is linked.
    pub(crate) fn find(sets: &'a PreviousSets, directory: &RelPath) -> Result<Option<Self>, Error> {
        let Some(set) = sets.linkable_with_any(&descriptions(directory)) else {
            return Ok(None);
        };
        let has_state = set.file(&state_in(directory)).is_some();
        let mut history = Self {
            sets,
            set,
            directory: directory.clone(),
            format: if has_state { Format::Two } else { Format::One },
            state: State::default(),
            segments: BTreeMap::new(),
            last_number: CONTROL,
            lost: Vec::new(),
        };
        history.check_description()?;
        if history.format == Format::Two {
            history.state = history.read_state()?;
        }
        for (path, artifact) in set.files_in(directory) {
            if let Some(number) = segment_number(path.name()) {
                history.add_segment(number, path, artifact);
            }
        }
        history.keep_to_segments()?;
        Ok(Some(history))
    }

    /// The state, or the index of format 1, is what was recorded.
    fn check_description(&self) -> Result<(), Error> {
        let path = self.description();
        let file = self.set.locate(&path);
        if self.format == Format::Two && self.set.file(&index_in(&self.directory)).is_some() {
            return Err(Error::last_backup(&file)(
                "the mailbox has an index of the older format, too",
            ));
        }
        let digest = beneath::regular_file(&file).and_then(Sha256::of_reader);
        let (digest, _) = digest.map_err(Error::last_backup(&file))?;
        let recorded = self.set.file(&path).map(|artifact| artifact.sha256);
        if recorded != Some(digest) {
            let damaged = "it is damaged: its digest is not the one in the manifest";
            return Err(Error::last_backup(&file)(damaged));
        }
        Ok(())
    }

    /// In the set.
    fn description(&self) -> RelPath {
        match self.format {
            Format::One => index_in(&self.directory),
            Format::Two => state_in(&self.directory),
        }
    }

    fn read_state(&self) -> Result<State, Error> {
        let file = self.set.locate(&self.description());
        let opened = beneath::regular_file(&file).map_err(Error::last_backup(&file))?;
        State::read(opened).map_err(Error::last_backup(&file))
    }

    /// Takes a segment, in format 2 with its index, if both are there.
    fn add_segment(&mut self, number: u32, path: &RelPath, artifact: &'a Artifact) {
        self.last_number = self.last_number.max(number);
        let file = self.set.locate(path);
        if !self.set.is_there(artifact, &file) {
            self.lost.push(file);
            return;
        }
        if self.format == Format::Two && number != CONTROL && !self.has_index(number) {
            let index = segment_index_in(&self.directory, number);
            self.lost.push(self.set.locate(&index));
            return;
        }
        let segment = OldSegment {
            path: path.clone(),
            file,
            artifact,
        };
        self.segments.insert(number, segment);
    }

    /// Whether the index of a segment is there as it was recorded.
    fn has_index(&self, number: u32) -> bool {
        let path = segment_index_in(&self.directory, number);
        let Some(artifact) = self.set.file(&path) else {
            return false;
        };
        let digest = beneath::regular_file(&self.set.locate(&path)).and_then(Sha256::of_reader);
        digest.is_ok_and(|(digest, _)| digest == artifact.sha256)
    }

    /// Forgets what the state says of segments that are not there.
    fn keep_to_segments(&mut self) -> Result<(), Error> {
        let messages = self.segments.keys().copied();
        let messages: Vec<u32> = messages.filter(|number| *number != CONTROL).collect();
        if self.format == Format::Two {
            let is_known = |number: &u32| self.state.segments.contains(number);
            if !messages.iter().all(is_known) {
                let file = self.set.locate(&self.description());
                return Err(Error::last_backup(&file)("it does not name every segment"));
            }
            self.note_missing_segments();
        }
        self.state.segments = messages;
        let segments = &self.state.segments;
        let is_there = |number: &u32| segments.binary_search(number).is_ok();
        self.state.changes.retain(|(number, _), _| is_there(number));
        Ok(())
    }

    /// Segments that the state names and the manifest does not.
    fn note_missing_segments(&mut self) {
        for number in &self.state.segments {
            self.last_number = self.last_number.max(*number);
            let path = mail_common::archive::segment::segment_name(*number).below(&self.directory);
            if self.set.file(&path).is_none() {
                self.lost.push(self.set.locate(&path));
            }
        }
    }

    /// The mailbox as the earlier set has it.
    pub(crate) fn view(&self) -> Result<View<'_, File>, Error> {
        let open = |path: &RelPath| beneath::regular_file(&self.set.locate(path));
        let view = match self.format {
            Format::One => {
                let path = index_in(&self.directory);
                let index = open(&path).map_err(Error::last_backup(&self.set.locate(&path)))?;
                View::of_index(index)
            }
            Format::Two => View::of_state(&self.state, |number| {
                open(&segment_index_in(&self.directory, number))
            }),
        };
        view.map_err(|error| self.view_error(error))
    }

    /// For `map_err`: the mailbox cannot be seen whole.
    pub(crate) fn view_error(&self, source: members::Error) -> Error {
        Error::last_backup(&self.set.locate(&self.description()))(source)
    }

    /// The members of a segment, in the order of their stored names.
    pub(crate) fn members_of(
        &self,
        number: u32,
    ) -> Result<impl Iterator<Item = Result<IndexEntry, Error>> + use<'a>, Error> {
        let path = match self.format {
            Format::One => index_in(&self.directory),
            Format::Two => segment_index_in(&self.directory, number),
        };
        let is_of = move |entry: &IndexEntry| entry.location.segment == number;
        let entries = self.entries_in(&path)?;
        Ok(entries.filter(move |entry| entry.as_ref().map_or(true, is_of)))
    }

    /// The entries of all segments, in format 1.
    pub(crate) fn all_members(
        &self,
    ) -> Result<impl Iterator<Item = Result<IndexEntry, Error>> + use<'a>, Error> {
        self.entries_in(&index_in(&self.directory))
    }

    fn entries_in(
        &self,
        path: &RelPath,
    ) -> Result<impl Iterator<Item = Result<IndexEntry, Error>> + use<'a>, Error> {
        let file = self.set.locate(path);
        let opened = beneath::regular_file(&file).and_then(Index::open);
        let entries = opened.map_err(Error::last_backup(&file))?;
        Ok(entries.map(move |entry| entry.map_err(Error::last_backup(&file))))
    }

    /// What became of the members of the segments until the last backup.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The record of a file of this mailbox.
    pub(crate) fn artifact(&self, path: &RelPath) -> Option<&'a Artifact> {
        self.set.file(path)
    }

    /// The directory of the earlier set.
    pub(crate) fn set_directory(&self) -> &'a Path {
        &self.set.directory
    }

    /// The segments that are there, by number.
    pub(crate) fn segments(&self) -> &BTreeMap<u32, OldSegment<'a>> {
        &self.segments
    }

    /// The first number that no segment of messages has had.
    pub(crate) fn first_new_number(&self) -> u32 {
        self.last_number + 1
    }

    /// The files that are missing, cut short or damaged.
    pub(crate) fn lost(&self) -> &[PathBuf] {
        &self.lost
    }

    /// Whether a file of the mailbox is to be copied, not linked.
    pub(crate) fn is_tied(&self, path: &RelPath) -> bool {
        self.sets.is_tied(self.set, path)
    }

    /// Whether the bytes of a segment are still those that were recorded.
    pub(crate) fn is_whole(&self, number: u32) -> bool {
        let segment = self.segments.get(&number);
        segment.is_some_and(|segment| segment.verify().unwrap_or(false))
    }

    /// No longer counts on a segment.
    pub(crate) fn drop_segment(&mut self, number: u32) {
        let segment = self.segments.remove(&number);
        self.lost.extend(segment.map(|segment| segment.file));
        self.state.segments.retain(|other| *other != number);
        self.state.changes.retain(|(other, _), _| *other != number);
    }
}

impl OldSegment<'_> {
    /// Whether the bytes are still those that were recorded. Frames are copied out of a verified
    /// segment only: a new checksum must not bless old damage.
    fn verify(&self) -> io::Result<bool> {
        let (digest, _) = Sha256::of_reader(beneath::regular_file(&self.file)?)?;
        Ok(digest == self.artifact.sha256)
    }
}
