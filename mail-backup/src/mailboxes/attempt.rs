//! One attempt at saving a mailbox, from what the comparison says: links what is unchanged, packs
//! the rest, looks for what moved, and writes the index.

use std::collections::{BTreeSet, HashMap};
use std::io;

use mail_common::archive::index::{self, Kind, LiveEntry, Location};
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::index_in;

use super::compare::Comparison;
use super::context::Context;
use super::error::Error;
use super::frames::Frames;
use super::history::{CONTROL, History, last_source_bytes};
use super::listing::{Listing, Missing};
use super::old_segments::{Copier, Dispositions, link};
use super::output::Output;
use super::packing::Packing;
use super::reindex::{ControlEntries, Kept, write_index};
use super::reuse::Disposition;
use super::saved::{Counts, SavedMailbox};
use super::spool::LiveSpool;
use super::units::Unit;
use crate::saved::SavedFile;
use crate::source::tree::Look;

/// How often moved messages are looked for. Each look takes what it finds, so that only what moves
/// during every one of them is left.
const LOOKS: usize = 20;

/// What an attempt goes by.
pub(crate) struct Attempt<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) unit: &'a Unit,
    pub(crate) listing: &'a Listing,
    pub(crate) history: Option<&'a History<'a>>,
    /// Of the segments of `history`.
    pub(crate) dispositions: Dispositions,
}

impl Attempt<'_> {
    /// Saves the mailbox.
    ///
    /// # Errors
    /// [`Error::LastBackup`] when the last backup is not what it should be: the attempt may be made
    /// again without it.
    pub(crate) fn save(&self, comparison: Comparison) -> Result<SavedMailbox, Error> {
        let mut saved = SavedMailbox {
            notices: self.notices(&comparison),
            counts: Counts {
                unchanged: comparison.unchanged,
                scratch_files: comparison.scratch_files,
                ..Counts::default()
            },
            ..SavedMailbox::default()
        };
        self.begin_progress(&comparison);
        match self.history {
            Some(history) if comparison.is_unchanged() && self.listing.unaccounted.is_empty() => {
                self.context.progress.advance(comparison.control.bytes);
                self.link_all(history, &mut saved)?;
            }
            _ => self.save_changes(comparison, &mut saved)?,
        }
        Ok(saved)
    }

    fn notices(&self, comparison: &Comparison) -> Vec<String> {
        let mut notices = special_notices(&comparison.special);
        let unusual = &comparison.unusual;
        notices.extend(unusual.notices(self.context.tree, &self.unit.path));
        notices
    }

    fn begin_progress(&self, comparison: &Comparison) {
        let previous = self.context.environment.previous;
        let last_bytes = last_source_bytes(previous, &self.unit.directory);
        let kept_bytes = comparison.frames.kept_bytes();
        let bytes = kept_bytes + comparison.new_bytes() + comparison.control.bytes;
        self.context.progress.correct(last_bytes, bytes);
        self.context.progress.advance(kept_bytes);
    }

    fn link_all(&self, history: &History<'_>, saved: &mut SavedMailbox) -> Result<(), Error> {
        for number in history.segments().keys() {
            saved.files.extend(link(self.context, history, *number)?);
        }
        if let Some(index) = history.index_artifact() {
            let path = index_in(&self.unit.directory);
            let staging = self.context.environment.staging;
            let linked = staging
                .link_from(history.set_directory(), &path)
                .and_then(|_| SavedFile::reused(index).map_err(io::Error::other));
            let index = linked.map_err(Failed::at("link", &self.context.in_set(&path)))?;
            saved.files.push(index);
        }
        Ok(())
    }

    fn save_changes(&self, comparison: Comparison, saved: &mut SavedMailbox) -> Result<(), Error> {
        let frames = comparison.frames;
        let (mut packing, moved) = self.reuse_segments(&frames, saved)?;
        packing.failed = comparison.failed;
        packing.search.add(comparison.missing);
        packing.search.add(self.listing.unaccounted.iter().cloned());
        packing.search.add_unread(comparison.second_names);
        for spool in comparison.messages.into_values() {
            packing.output.begin_class()?;
            packing.pack_sorted(self.read(spool)?)?;
        }
        self.save_moved(&mut packing)?;
        let control = if comparison.control_changed {
            None
        } else {
            self.link_control(&packing, comparison.control.bytes)?
        };
        let control_entries = match control {
            Some(linked) => {
                saved.files.push(linked);
                ControlEntries::Kept
            }
            None => {
                self.pack_control(&mut packing, comparison.control)?;
                ControlEntries::Replaced
            }
        };
        let kept = self.history.map(|history| Kept {
            history,
            frames: &frames,
            moved: &moved,
            control: control_entries,
        });
        self.finish(packing, kept, saved)
    }

    /// Links or copies the old segments. Gives the packing that goes on behind them, and where the
    /// frames that were copied are now.
    fn reuse_segments(
        &self,
        frames: &Frames,
        saved: &mut SavedMailbox,
    ) -> Result<(Packing<'_>, HashMap<Location, Location>), Error> {
        let first_new = self.dispositions.first_new_number();
        let mut output = Output::new(self.context, self.unit.directory.clone(), first_new);
        let mut moved = HashMap::new();
        if let Some(history) = self.history {
            for number in self.dispositions.all(Disposition::Link) {
                saved.files.extend(link(self.context, history, number)?);
            }
            let mut copier = Copier {
                context: self.context,
                history,
                frames,
                output: &mut output,
                moved,
            };
            for number in self.dispositions.all(Disposition::Rewrite) {
                copier.output.switch_to(number)?;
                copier.copy(number)?;
            }
            copier.output.close()?;
            for number in self.dispositions.all(Disposition::Merge) {
                copier.copy(number)?;
            }
            moved = copier.moved;
        }
        Ok((Packing::new(self.context, output), moved))
    }

    fn read(
        &self,
        spool: LiveSpool,
    ) -> Result<impl Iterator<Item = Result<LiveEntry, index::Error>> + use<>, Error> {
        spool
            .read()
            .map_err(|error| self.context.scratch_error(error))
    }

    /// Finds and saves messages that moved after they were listed.
    fn save_moved(&self, packing: &mut Packing<'_>) -> Result<(), Error> {
        for _ in 0..LOOKS {
            if packing.search.is_over() {
                break;
            }
            self.context.check_interrupt()?;
            let context = self.context;
            let now = Listing::of(
                context.tree,
                &self.unit.path,
                self.unit.reach,
                context.scratch(),
            );
            let places = now.and_then(|now| packing.search.look(&now, self.listing));
            let places = places.map_err(|error| context.scratch_error(error))?;
            self.pack_places(places, packing)?;
        }
        Ok(())
    }

    /// Packs the messages at `places`. One that has moved on, perhaps by copying, is looked for
    /// under what is known of it now.
    fn pack_places(&self, places: Vec<Missing>, packing: &mut Packing<'_>) -> Result<(), Error> {
        let mut found = Vec::new();
        for place in places {
            match self.context.tree.look(&place.path) {
                Ok(Look::Savable(kind, stat)) => found.push(LiveEntry {
                    path: place.path,
                    kind,
                    stat,
                }),
                Ok(Look::Special) => {}
                Err(_) => packing.search.add([place]),
            }
        }
        packing.pack_unsorted(found)
    }

    /// Links the control segment of the last backup, whose entries are unchanged. `None` when there
    /// is none, or when messages that moved lie in directories that it does not have.
    fn link_control(
        &self,
        packing: &Packing<'_>,
        source_bytes: u64,
    ) -> Result<Option<SavedFile>, Error> {
        let Some(history) = self.history else {
            return Ok(None);
        };
        if !self.new_directories(packing)?.is_empty() {
            return Ok(None);
        }
        let linked = link(self.context, history, CONTROL)?;
        if linked.is_some() {
            self.context.progress.advance(source_bytes);
        }
        Ok(linked)
    }

    fn pack_control(&self, packing: &mut Packing<'_>, control: LiveSpool) -> Result<(), Error> {
        let new_directories = self.new_directories(packing)?;
        packing.output.switch_to(CONTROL)?;
        packing.pack_sorted(self.read(control)?)?;
        packing.pack_unsorted(new_directories)
    }

    /// The directories of moved messages that were made while the backup ran, beside those that
    /// were met in the walk.
    fn new_directories(&self, packing: &Packing<'_>) -> Result<Vec<LiveEntry>, Error> {
        let above = |path: &RelPath| std::iter::successors(path.parent(), RelPath::parent);
        let unlisted: BTreeSet<RelPath> = packing
            .unsorted
            .iter()
            .flat_map(|entry| above(&entry.live.path))
            .filter(|path| path.is_within(&self.unit.path) && !self.listing.lists(path))
            .collect();
        let met = self.listing.known(&unlisted);
        let met = met.map_err(|error| self.context.scratch_error(error))?;
        let mut new = Vec::new();
        for path in unlisted {
            if !met.contains(&path)
                && let Ok(Look::Savable(kind @ Kind::Directory, stat)) =
                    self.context.tree.look(&path)
            {
                new.push(LiveEntry { path, kind, stat });
            }
        }
        Ok(new)
    }

    fn finish(
        &self,
        mut packing: Packing<'_>,
        kept: Option<Kept<'_>>,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        packing.output.close()?;
        let index = write_index(
            self.context,
            index_in(&self.unit.directory),
            kept,
            packing.runs,
            packing.unsorted,
        )?;
        saved.files.append(&mut packing.output.saved);
        saved.files.push(index);
        saved.failed = packing.failed;
        saved.still_moving = packing.search.left();
        saved.notices.extend(packing.unsteady.iter().map(|path| {
            format!("{path} changed during each of three readings; the last one is saved")
        }));
        saved.counts.read_bytes = packing.read_bytes;
        saved.counts.expunged = packing.search.expunged;
        Ok(())
    }
}

fn special_notices(special: &[RelPath]) -> Vec<String> {
    special
        .iter()
        .map(|path| {
            format!("{path} is a socket, a named pipe or a device: it is not in the backup")
        })
        .collect()
}
