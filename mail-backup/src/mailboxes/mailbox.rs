//! Saves one mailbox with the help of the last backup, as far as that can be trusted.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::report;
use mail_common::trusted;

use super::attempt::Attempt;
use super::compare::compare;
use super::context::{Context, Environment};
use super::error::Error;
use super::history::History;
use super::listing::Listing;
use super::old_segments::Dispositions;
use super::reuse::Purge;
use super::saved::{Comparing, Damage, SavedMailbox};
use super::units::Unit;
use super::walk::Walk;
use crate::previous::Reading;

/// Saves `unit`.
pub(crate) fn save(context: &Context<'_>, unit: &Unit) -> Result<SavedMailbox, Error> {
    let listing = Listing::of(context.tree, &unit.path, unit.reach, context.scratch());
    let mut listing = listing.map_err(|error| context.scratch_error(error))?;
    if !listing.lists(&unit.path) && listing.failed.is_empty() {
        return Ok(SavedMailbox::default()); // Removed since the run began.
    }
    let unlisted = std::mem::take(&mut listing.failed);
    let mut saver = Saver {
        context,
        unit,
        listing,
        unlisted: unlisted.iter().map(|(path, _)| path.clone()).collect(),
        notices: Vec::new(),
        damaged: BTreeSet::new(),
        rotten: BTreeSet::new(),
        last: Last::Usable,
    };
    let mut saved = saver.save()?;
    saved.damage = saver.damage();
    if saver.last == Last::Damaged {
        saved.comparison = Comparing::Impossible;
    }
    saved.notices.splice(0..0, saver.notices);
    let named: BTreeSet<RelPath> = saved.failed.iter().map(|(path, _)| path.clone()).collect();
    let unnamed = unlisted
        .into_iter()
        .filter(|(path, _)| !named.contains(path));
    saved.failed.extend(unnamed);
    Ok(saved)
}

struct Saver<'a> {
    context: &'a Context<'a>,
    unit: &'a Unit,
    listing: Listing,
    /// Directories that could not be listed.
    unlisted: Vec<RelPath>,
    notices: Vec<String>,
    /// Files of the last backup.
    damaged: BTreeSet<PathBuf>,
    /// Live files, and the set that has them as they were.
    rotten: BTreeSet<(RelPath, PathBuf)>,
    last: Last,
}

/// Whether the last backup can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Usable,
    Damaged,
}

impl<'a> Saver<'a> {
    /// Tries with the last backup, then without what of it turned out to be damaged, and in the end
    /// without any of it.
    fn save(&mut self) -> Result<SavedMailbox, Error> {
        let mut history = self.find_history()?;
        loop {
            self.context.check_interrupt()?;
            match self.attempt(history.as_mut()) {
                Ok(Some(saved)) => return Ok(saved),
                Ok(None) => {}
                Err(error @ Error::LastBackup { .. }) if history.is_some() => {
                    self.distrust(&error);
                    self.clear_files()?;
                    history = None;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn find_history(&mut self) -> Result<Option<History<'a>>, Error> {
        let previous = self.context.environment.previous;
        let mut history = match History::find(previous, &self.unit.directory) {
            Ok(history) => history,
            Err(error) => {
                self.distrust(&error);
                None
            }
        };
        if let Some(history) = &mut history {
            if self.names_damage() {
                self.check_segments(history)?;
            }
            self.note_lost(history);
        }
        Ok(history)
    }

    fn note_lost(&mut self, history: &History<'_>) {
        for file in history.lost() {
            if !self.names_damage() {
                self.notices.push(self.lost_notice(file));
            }
            self.damaged.insert(file.clone());
        }
    }

    /// Whether damage is looked for, and told as such.
    fn names_damage(&self) -> bool {
        self.context.environment.previous.reading() == Reading::Checked
    }

    /// Reads every segment of the last backup, and does without those that are damaged.
    fn check_segments(&self, history: &mut History<'_>) -> Result<(), Error> {
        let numbers: Vec<u32> = history.segments().keys().copied().collect();
        for number in numbers {
            self.context.check_interrupt()?;
            if !history.is_whole(number) {
                history.drop_segment(number);
            }
        }
        Ok(())
    }

    /// Nothing of the last backup can be used.
    fn distrust(&mut self, error: &Error) {
        self.notices.push(self.read_all_notice(error));
        self.last = Last::Damaged;
        if let Error::LastBackup { path, .. } = error {
            self.damaged.insert(path.clone());
        }
    }

    /// What is told as damage.
    fn damage(&mut self) -> Vec<Damage> {
        if !self.names_damage() {
            return Vec::new();
        }
        let stored = std::mem::take(&mut self.damaged).into_iter();
        let live = std::mem::take(&mut self.rotten).into_iter();
        let live = live.map(|(path, set)| Damage::Live { path, set });
        stored.map(Damage::Stored).chain(live).collect()
    }

    /// `None` when a segment that is to be copied from turned out to be damaged: `history` does not
    /// have it any more.
    fn attempt(
        &mut self,
        mut history: Option<&mut History<'a>>,
    ) -> Result<Option<SavedMailbox>, Error> {
        let walk = Walk::new(self.context.tree, &self.listing, &self.unit.path);
        let (unit, listing) = (self.unit, &self.listing);
        let comparison = compare(self.context, unit, listing, walk, history.as_deref())?;
        let mut dispositions = Dispositions::default();
        if let Some(history) = history.as_deref_mut() {
            let set = history.set_directory();
            let rotten = comparison.rotten.iter();
            self.rotten
                .extend(rotten.map(|path| (path.clone(), set.to_owned())));
            let Environment {
                purge_days,
                now_seconds,
                interval_seconds,
                ..
            } = self.context.environment;
            let purge = Purge::after_days(purge_days, now_seconds, interval_seconds);
            dispositions = Dispositions::decide(history, &comparison.usage, purge);
            let damaged = dispositions.damaged(history);
            for number in &damaged {
                self.notices.push(self.damaged_notice(history, *number));
                history.drop_segment(*number);
                self.damaged.extend(history.lost().last().cloned());
            }
            if !damaged.is_empty() {
                return Ok(None);
            }
        }
        let attempt = Attempt {
            context: self.context,
            unit: self.unit,
            listing: &self.listing,
            unlisted: &self.unlisted,
            history: history.as_deref(),
            dispositions,
        };
        attempt.save(comparison).map(Some)
    }

    /// Removes the files of this unit from the set under way, and not what lies in directories
    /// below: a domain may be called `_root`, too.
    fn clear_files(&self) -> Result<(), Error> {
        let directory = self.context.in_set(&self.unit.directory);
        Ok(self
            .clear_files_in(&directory)
            .map_err(Failed::at("clear", &directory))?)
    }

    fn clear_files_in(&self, directory: &Path) -> io::Result<()> {
        let entries = match trusted::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = self.unit.directory.child(entry.file_name().as_bytes());
                let path = name.map_err(io::Error::other)?;
                self.context.environment.staging.clear(&path)?;
            }
        }
        Ok(())
    }

    fn read_all_notice(&self, reason: &dyn StdError) -> String {
        format!(
            "mailbox {}: reading all of it again, since the last backup cannot be used: {}",
            self.unit.path,
            report::chain(reason)
        )
    }

    fn lost_notice(&self, file: &Path) -> String {
        format!(
            "mailbox {}: reading again what was in {} of the last backup, which is missing, \
             damaged or of another size; check that disk and run mail-backup --full",
            self.unit.path,
            file.display()
        )
    }

    fn damaged_notice(&self, history: &History<'_>, number: u32) -> String {
        let segment = history.segments().get(&number);
        let file = segment.map_or(Path::new(""), |segment| &segment.file);
        format!(
            "mailbox {}: reading messages again, since {} of the last backup is damaged; check \
             that disk and run mail-backup --full",
            self.unit.path,
            file.display()
        )
    }
}
