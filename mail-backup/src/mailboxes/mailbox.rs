//! Saves one mailbox: lists it, compares it with the last backup, links what is unchanged, packs
//! the rest, and writes the index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mail_common::archive::index::{Kind, LiveEntry, Location};
use mail_common::relpath::RelPath;

use super::carry::{self, Fates};
use super::compare::{self, Comparison, FrameUse, Spool, compare};
use super::context::{Context, Error};
use super::history::{History, INDEX_NAME};
use super::listing::{Listing, Missing, Reach};
use super::output::{CONTROL, Output};
use super::packing::Packing;
use super::reindex::{ControlEntries, Kept, write_index};
use super::reuse::Fate;
use super::walk::Walk;
use crate::saved::SavedFile;
use crate::source::tree::Look;

/// How often moved messages are looked for. Each look takes what it finds, so that only what moves
/// during every one of them is left.
const LOOKS: usize = 20;

/// A part of the mail tree that has a directory of its own in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// In the mail tree.
    pub(crate) path: RelPath,
    /// In the set.
    pub(crate) directory: RelPath,
    pub(crate) reach: Reach,
}

/// A mailbox as it was saved.
#[derive(Debug, Default)]
pub(crate) struct SavedMailbox {
    pub(crate) files: Vec<SavedFile>,
    /// What is missing from the set, and why.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// What a person should know and what does not make the backup bad.
    pub(crate) notices: Vec<String>,
    pub(crate) counts: Counts,
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Messages that were not read again.
    pub(crate) unchanged: u64,
    /// Bytes that were read from the live tree.
    pub(crate) read_bytes: u64,
    /// Messages that went away while the backup ran.
    pub(crate) expunged: u64,
    /// Lock and temporary files, left out by design.
    pub(crate) scratch_files: u64,
}

/// Saves `unit`.
pub(crate) fn save(context: &Context<'_>, unit: &Unit) -> Result<SavedMailbox, Error> {
    let listing = Listing::of(context.tree, &unit.path, unit.reach, context.scratch);
    let mut listing = listing.map_err(|error| context.scratch_error(error))?;
    if !listing.lists(&unit.path) && listing.failed.is_empty() {
        return Ok(SavedMailbox::default()); // Removed since the run began.
    }
    let unread = std::mem::take(&mut listing.failed);
    let mut saver = Saver {
        context,
        unit,
        listing,
        saved: SavedMailbox::default(),
    };
    let mut history = saver.find_history();
    while saver.attempt(&mut history)? == Attempt::Again {
        context.check_stop()?;
    }
    let mut saved = saver.saved;
    let named: BTreeSet<RelPath> = saved.failed.iter().map(|(path, _)| path.clone()).collect();
    saved
        .failed
        .extend(unread.into_iter().filter(|(path, _)| !named.contains(path)));
    Ok(saved)
}

/// What came of an attempt at saving a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Saved,
    /// The last backup is worth less than it seemed: without it, or without one of its segments, it
    /// goes on.
    Again,
}

struct Saver<'a> {
    context: &'a Context<'a>,
    unit: &'a Unit,
    listing: Listing,
    saved: SavedMailbox,
}

impl<'a> Saver<'a> {
    fn find_history(&mut self) -> Option<History<'a>> {
        let history =
            History::find(self.context.previous, &self.unit.directory).unwrap_or_else(|distrust| {
                self.saved
                    .notices
                    .push(read_all_notice(self.unit, &distrust));
                None
            });
        let lost = history.iter().flat_map(History::lost);
        self.saved
            .notices
            .extend(lost.map(|file| lost_notice(self.unit, file)));
        history
    }

    fn attempt(&mut self, history: &mut Option<History<'a>>) -> Result<Attempt, Error> {
        let walk = Walk::new(self.context.tree, &self.listing, &self.unit.path);
        let comparison = match compare(
            walk,
            history.as_ref(),
            self.context.now_seconds,
            self.context.scratch,
        ) {
            Ok(comparison) => comparison,
            Err(compare::Error::History(distrust)) => {
                return Ok(self.do_without(history, &distrust));
            }
            Err(compare::Error::Scratch(error)) => return Err(self.context.scratch_error(error)),
        };
        let fates = match history {
            Some(history) => self.fates(history, &comparison)?,
            None => Some(Fates::new()),
        };
        let Some(fates) = fates else {
            return Ok(Attempt::Again);
        };
        let job = Job {
            context: self.context,
            unit: self.unit,
            listing: &self.listing,
            history: history.as_ref(),
        };
        match job.run(comparison, &fates, &mut self.saved) {
            Ok(()) => Ok(Attempt::Saved),
            Err(Error::Rebuild(error)) if history.is_some() => {
                self.saved = SavedMailbox {
                    notices: std::mem::take(&mut self.saved.notices),
                    ..Default::default()
                };
                self.clear_files()
                    .map_err(Error::writing(&self.unit.directory))?;
                Ok(self.do_without(history, &error))
            }
            Err(error) => Err(error),
        }
    }

    /// What becomes of the old segments; `None` when one that is to be copied from turned out to be
    /// damaged.
    fn fates(
        &mut self,
        history: &mut History<'a>,
        comparison: &Comparison,
    ) -> Result<Option<Fates>, Error> {
        let new_bytes = comparison.messages.values().map(|spool| spool.bytes).sum();
        let fates = carry::fates(history, &comparison.frames, new_bytes);
        let damaged = carry::damaged(history, &fates);
        for number in &damaged {
            self.context.check_stop()?;
            self.saved
                .notices
                .push(damaged_notice(self.unit, history, *number));
            history.drop_segment(*number);
        }
        Ok(damaged.is_empty().then_some(fates))
    }

    /// Removes the files of this unit from the set under way, and not what lies in directories
    /// below: a domain may be called `_root`, too.
    fn clear_files(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(
            self.context
                .staging
                .path()
                .join(self.unit.directory.as_path()),
        )? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let path = self
                    .unit
                    .directory
                    .child(entry.file_name().as_bytes())
                    .map_err(io::Error::other)?;
                self.context.staging.clear(&path)?;
            }
        }
        Ok(())
    }

    fn do_without(
        &mut self,
        history: &mut Option<History<'a>>,
        reason: &dyn std::error::Error,
    ) -> Attempt {
        self.saved.notices.push(read_all_notice(self.unit, reason));
        *history = None;
        Attempt::Again
    }
}

fn read_all_notice(unit: &Unit, reason: &dyn std::error::Error) -> String {
    let causes: String = std::iter::successors(reason.source(), |error| error.source())
        .map(|e| format!(": {e}"))
        .collect();
    format!(
        "mailbox {}: reading all of it again, since the last backup is of no use: {reason}{causes}",
        unit.path
    )
}

fn lost_notice(unit: &Unit, file: &Path) -> String {
    format!(
        "mailbox {}: reading again what was in {} of the last backup, which is missing or has another size; check that \
         disk and run mail-backup --full",
        unit.path,
        file.display()
    )
}

fn damaged_notice(unit: &Unit, history: &History<'_>, number: u32) -> String {
    let file = history
        .segments()
        .get(&number)
        .map(|segment| segment.file.display().to_string())
        .unwrap_or_default();
    format!(
        "mailbox {}: reading messages again, since {file} of the last backup is damaged; check that disk and run \
         mail-backup --full",
        unit.path
    )
}

/// One attempt at saving a mailbox.
struct Job<'a> {
    context: &'a Context<'a>,
    unit: &'a Unit,
    listing: &'a Listing,
    history: Option<&'a History<'a>>,
}

impl Job<'_> {
    fn run(
        &self,
        comparison: Comparison,
        fates: &Fates,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        saved.counts.unchanged = comparison.unchanged;
        saved.counts.scratch_files = comparison.scratch_files;
        saved.notices.extend(comparison.special.iter().map(|path| {
            format!("{path} is a socket, a named pipe or a device: it is not in the backup")
        }));
        if let Some(history) = self.history
            && comparison.is_unchanged()
            && self.listing.strays.is_empty()
        {
            return self.link_all(history, saved);
        }
        self.save_changes(comparison, fates, saved)
    }

    fn link_all(&self, history: &History<'_>, saved: &mut SavedMailbox) -> Result<(), Error> {
        for number in history.segments().keys() {
            saved
                .files
                .extend(carry::link(self.context, history, *number)?);
        }
        let Some(index) = history.index_artifact() else {
            return Ok(());
        };
        let path = self.index_path();
        let linked = self
            .context
            .staging
            .link_from(history.set_directory(), &path);
        linked.map_err(Error::writing(&path))?;
        let index = SavedFile::reused(index)
            .map_err(io::Error::other)
            .map_err(Error::writing(&path))?;
        (self.context.progress)(index.source_bytes);
        saved.files.push(index);
        Ok(())
    }

    fn save_changes(
        &self,
        comparison: Comparison,
        fates: &Fates,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        let Comparison {
            messages,
            control,
            control_changed,
            frames,
            missing,
            again,
            failed,
            ..
        } = comparison;
        let first_new = fates.keys().next_back().map_or(1, |last| last + 1).max(1);
        let mut output = Output::new(self.context, self.unit.directory.clone(), first_new);
        let moved = self.carry_segments(fates, &frames, &mut output, saved)?;
        let mut packing = Packing::new(self.context, output);
        packing.failed = failed;
        packing.search.add(
            missing
                .into_iter()
                .chain(self.listing.strays.iter().cloned()),
        );
        packing.search.add_unclaimed(again);
        for spool in messages.into_values() {
            packing.output.set_apart()?;
            packing.pack_sorted(self.read(spool)?)?;
        }
        self.save_late(&mut packing)?;
        let control = self.save_control(&mut packing, control, control_changed, saved)?;
        let kept = self.history.map(|history| Kept {
            history,
            frames: &frames,
            moved: &moved,
            control,
        });
        self.finish(packing, kept, saved)
    }

    /// Links or copies the old segments. Returns where the frames that were copied are now.
    fn carry_segments(
        &self,
        fates: &Fates,
        frames: &BTreeMap<Location, FrameUse>,
        output: &mut Output<'_>,
        saved: &mut SavedMailbox,
    ) -> Result<HashMap<Location, Location>, Error> {
        let mut moved = HashMap::new();
        let Some(history) = self.history else {
            return Ok(moved);
        };
        let with = |wanted| {
            fates
                .iter()
                .filter(move |(_, fate)| **fate == wanted)
                .map(|(number, _)| *number)
        };
        for number in with(Fate::Link) {
            saved
                .files
                .extend(carry::link(self.context, history, number)?);
        }
        for number in with(Fate::Rewrite) {
            output.switch_to(number)?;
            carry::copy(self.context, history, number, frames, output, &mut moved)?;
        }
        output.close()?;
        for number in with(Fate::Merge) {
            carry::copy(self.context, history, number, frames, output, &mut moved)?;
        }
        Ok(moved)
    }

    fn read(
        &self,
        spool: Spool,
    ) -> Result<
        impl Iterator<Item = Result<LiveEntry, mail_common::archive::index::Error>> + use<>,
        Error,
    > {
        spool
            .read()
            .map_err(|error| self.context.scratch_error(error))
    }

    /// Finds and saves messages that moved after they were listed.
    fn save_late(&self, packing: &mut Packing<'_>) -> Result<(), Error> {
        for _ in 0..LOOKS {
            if packing.search.is_over() {
                return Ok(());
            }
            self.context.check_stop()?;
            let now = self.list_now()?;
            let places = packing
                .search
                .look(&now, self.listing)
                .map_err(|error| self.context.scratch_error(error))?;
            let found = self.look_at(places, &mut packing.search);
            packing.pack_late(found)?;
        }
        let left = packing.search.left();
        if left > 0 {
            let message =
                format!("{left} messages were moved too often to be read; run mail-backup again");
            packing
                .failed
                .push((self.unit.path.clone(), io::Error::other(message)));
        }
        Ok(())
    }

    fn list_now(&self) -> Result<Listing, Error> {
        let listed = Listing::of(
            self.context.tree,
            &self.unit.path,
            self.unit.reach,
            self.context.scratch,
        );
        listed.map_err(|error| self.context.scratch_error(error))
    }

    fn look_at(&self, places: Vec<Missing>, search: &mut super::late::Search) -> Vec<LiveEntry> {
        let mut found = Vec::new();
        for place in places {
            match self.context.tree.look(&place.path) {
                Ok(Look::Savable(kind, stat)) => found.push(LiveEntry {
                    path: place.path,
                    kind,
                    stat,
                }),
                Ok(Look::Special) => {}
                // It moved on, perhaps by copying: its unique name and its inode are what is known
                // of it.
                Err(_) => search.add([place]),
            }
        }
        found
    }

    fn save_control(
        &self,
        packing: &mut Packing<'_>,
        control: Spool,
        control_changed: bool,
        saved: &mut SavedMailbox,
    ) -> Result<ControlEntries, Error> {
        let new_directories = self.new_directories(packing)?;
        if let Some(history) = self.history
            && !control_changed
            && new_directories.is_empty()
            && let Some(file) = carry::link(self.context, history, CONTROL)?
        {
            packing.output.close()?;
            saved.files.push(file);
            return Ok(ControlEntries::Kept);
        }
        packing.output.switch_to(CONTROL)?;
        packing.pack_sorted(self.read(control)?)?;
        packing.pack_late(new_directories)?;
        Ok(ControlEntries::Replaced)
    }

    /// Directories of late messages that were made while the backup ran, beside those that were met
    /// in the walk.
    fn new_directories(&self, packing: &Packing<'_>) -> Result<Vec<LiveEntry>, Error> {
        let above = |path: &RelPath| std::iter::successors(path.parent(), RelPath::parent);
        let unlisted: BTreeSet<RelPath> = packing
            .late
            .iter()
            .flat_map(|entry| above(&entry.live.path))
            .filter(|path| path.is_within(&self.unit.path) && !self.listing.lists(path))
            .collect();
        let met = self
            .listing
            .known(&unlisted)
            .map_err(|error| self.context.scratch_error(error))?;
        let look = |path: RelPath| match self.context.tree.look(&path) {
            Ok(Look::Savable(Kind::Directory, stat)) => Some(LiveEntry {
                path,
                kind: Kind::Directory,
                stat,
            }),
            _ => None,
        };
        Ok(unlisted
            .into_iter()
            .filter(|path| !met.contains(path))
            .filter_map(look)
            .collect())
    }

    fn finish(
        &self,
        packing: Packing<'_>,
        kept: Option<Kept<'_>>,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        let Packing {
            mut output,
            runs,
            late,
            search,
            failed,
            unsteady,
            read_bytes,
            ..
        } = packing;
        output.close()?;
        saved.files.append(&mut output.saved);
        saved.files.push(write_index(
            self.context,
            self.index_path(),
            kept,
            runs,
            late,
        )?);
        saved.failed.extend(failed);
        saved.notices.extend(unsteady.iter().map(|path| {
            format!("{path} changed during each of three readings; the last one is saved")
        }));
        saved.counts.read_bytes = read_bytes;
        saved.counts.expunged = search.expunged;
        Ok(())
    }

    fn index_path(&self) -> RelPath {
        RelPath::new(INDEX_NAME)
            .unwrap_or_else(|_| RelPath::root())
            .below(&self.unit.directory)
    }
}
