//! One attempt at saving a mailbox, from what the comparison says: links what is unchanged, packs
//! the rest, looks for what moved, and writes what became of it all.

use std::collections::BTreeSet;

use mail_common::archive::index::{self, IndexEntry, Kind, LiveEntry};
use mail_common::archive::state::{CONTROL, State};
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::{ABOVE, segment_index_in, state_in};

use super::changes::Tally;
use super::compare::Comparison;
use super::context::{Context, Environment};
use super::control::collect_names;
use super::error::Error;
use super::history::{Format, History, last_source_bytes};
use super::listing::{Listing, Missing};
use super::old_segments::{Copier, Dispositions, link, link_segment};
use super::output::{Output, finish_file};
use super::packing::Packing;
use super::reuse::Disposition;
use super::saved::{Comparing, Counts, SavedMailbox};
use super::settled::{NewSegment, take_settled};
use super::spool::LiveSpool;
use super::units::{Reach, Unit};
use super::upgrade::write_indexes;
use crate::saved::{Content, SavedFile};
use crate::source::pack::Request;
use crate::source::tree::Look;

/// How often moved messages are looked for. Each look takes what it finds, so that only what moves
/// during every one of them is left.
const LOOKS: usize = 20;

/// What an attempt goes by.
pub(crate) struct Attempt<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) unit: &'a Unit,
    pub(crate) listing: &'a Listing,
    /// Directories that could not be listed.
    pub(crate) unlisted: &'a [RelPath],
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
                read_bytes: comparison.rechecked_bytes,
                scratch_files: comparison.scratch_files,
                ..Counts::default()
            },
            ..SavedMailbox::default()
        };
        self.begin_progress(&comparison);
        match self.history {
            Some(history) if self.is_unchanged(&comparison) => {
                self.context.progress.advance(comparison.control_bytes());
                self.link_all(history, &mut saved)?;
                let tally = Tally::new(comparison.unchanged, 0, comparison.buried);
                saved.comparison = self.compared(Some(tally), &saved);
            }
            _ => self.save_changes(comparison, &mut saved)?,
        }
        Ok(saved)
    }

    fn is_unchanged(&self, comparison: &Comparison) -> bool {
        comparison.is_unchanged()
            && self.listing.unaccounted.is_empty()
            && self.dispositions.link_all()
    }

    fn notices(&self, comparison: &Comparison) -> Vec<String> {
        let mut notices = special_notices(&comparison.special);
        let unusual = &comparison.unusual;
        notices.extend(unusual.notices(self.context.tree, &self.unit.path));
        notices.extend(above_notice(comparison.messages_above));
        notices
    }

    fn begin_progress(&self, comparison: &Comparison) {
        let previous = self.context.environment.previous;
        let last_bytes = last_source_bytes(previous, &self.unit.directory);
        let kept_bytes = comparison.unchanged_bytes;
        let bytes = kept_bytes + comparison.new_bytes() + comparison.control_bytes();
        self.context.progress.correct(last_bytes, bytes);
        self.context.progress.advance(kept_bytes);
    }

    fn link_all(&self, history: &History<'_>, saved: &mut SavedMailbox) -> Result<(), Error> {
        for number in history.segments().keys() {
            self.link_with_index(history, *number, saved)?;
        }
        let state = state_in(&self.unit.directory);
        saved.files.extend(link(self.context, history, &state)?);
        Ok(())
    }

    /// Links a segment, and its index where the last backup has one.
    fn link_with_index(
        &self,
        history: &History<'_>,
        number: u32,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        let segment = link_segment(self.context, history, number)?;
        saved.files.extend(segment);
        if number != CONTROL {
            let index = segment_index_in(&self.unit.directory, number);
            saved.files.extend(link(self.context, history, &index)?);
        }
        Ok(())
    }

    fn save_changes(
        &self,
        mut comparison: Comparison,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        self.settle(&mut comparison)?;
        let first_new = self.history.map_or(CONTROL + 1, History::first_new_number);
        let output = Output::new(self.context, self.unit.directory.clone(), first_new);
        let mut packing = Packing::new(self.context, output, comparison.names, comparison.changes);
        if self.unit.reach == Reach::Whole && self.context.compares {
            let (unchanged, renamed) = (comparison.unchanged, comparison.renamed);
            packing.tally = Some(Tally::new(unchanged, renamed, comparison.buried));
        }
        packing.failed = comparison.failed;
        packing.search.add(comparison.missing);
        packing.search.add(self.listing.unaccounted.iter().cloned());
        packing.search.add_unread(comparison.second_names);
        self.reuse_segments(&mut packing, saved)?;
        for spool in comparison.messages.into_values() {
            packing.output.begin_class()?;
            packing.pack_messages(self.read(spool)?)?;
        }
        let names_changed = comparison.control_changed || comparison.names_changed;
        let (state, content) = match self.unit.reach {
            Reach::Above(_) => self.save_above(comparison.control, &mut packing)?,
            Reach::Whole => {
                self.save_moved(&mut packing)?;
                packing.output.close()?;
                let linked = if names_changed {
                    None
                } else {
                    self.link_control(&mut packing, saved)?
                };
                match linked {
                    Some(linked) => linked,
                    None => self.save_control(comparison.control, &mut packing)?,
                }
            }
        };
        self.finish(packing, &state, content, saved)
    }

    /// Has control files that stay as they are stored in a segment. As long as `0000` can be linked
    /// they may as well be in it.
    fn settle(&self, comparison: &mut Comparison) -> Result<(), Error> {
        let Environment {
            purge_days,
            now_seconds,
            ..
        } = self.context.environment;
        let has_names = comparison.control_changed || comparison.names_changed;
        let is_linked = !has_names && self.dispositions.link_all();
        // Where nothing dead may stay, a change of such a file would cost its whole segment.
        if self.unit.reach != Reach::Whole || is_linked || purge_days == 0 {
            return Ok(());
        }
        let segment = if comparison.messages.is_empty() && self.dispositions.link_all() {
            NewSegment::OfItsOwn
        } else {
            NewSegment::OfMessages
        };
        for entry in take_settled(&mut comparison.control, now_seconds, segment) {
            comparison.store(self.context, self.history, &entry)?;
        }
        Ok(())
    }

    /// Links or copies the old segments.
    fn reuse_segments(
        &self,
        packing: &mut Packing<'_>,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        let Some(history) = self.history else {
            return Ok(());
        };
        let linked: Vec<u32> = self.dispositions.all(Disposition::Link).collect();
        for number in &linked {
            self.link_with_index(history, *number, saved)?;
        }
        if history.format == Format::One {
            let indexes = write_indexes(self.context, history, &self.unit.directory, &linked)?;
            saved.files.extend(indexes);
        }
        let mut copier = Copier {
            context: self.context,
            history,
            output: &mut packing.output,
            changes: &mut packing.changes,
            names: &mut packing.names,
            listing: self.listing,
        };
        for number in self.dispositions.all(Disposition::Rewrite) {
            copier.copy(number)?;
            copier.output.close()?;
        }
        for number in self.dispositions.all(Disposition::Merge) {
            copier.copy(number)?;
        }
        Ok(())
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
            let found = self.look_at_places(places, packing);
            match self.unit.reach {
                Reach::Whole => packing.pack_late(found, self.listing)?,
                Reach::Above(_) => pack_above(found, packing)?,
            }
        }
        Ok(())
    }

    /// The messages at `places`. One that has moved on, perhaps by copying, is looked for under
    /// what is known of it now.
    fn look_at_places(&self, places: Vec<Missing>, packing: &mut Packing<'_>) -> Vec<LiveEntry> {
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
        found
    }

    /// What the set has of the mailbox besides its control entries.
    fn state_of(&self, packing: &mut Packing<'_>) -> State {
        let mut segments: Vec<u32> = self.dispositions.all(Disposition::Link).collect();
        segments.extend(&packing.output.numbers);
        segments.sort_unstable();
        let mut changes = std::mem::take(&mut packing.changes);
        changes.retain(|(number, _), _| segments.binary_search(number).is_ok());
        State {
            segments,
            control: Vec::new(),
            changes,
        }
    }

    /// Links `0000` of the last backup, if it is what would be written again: neither a control
    /// entry nor a name has changed, and every segment is there as it was.
    fn link_control(
        &self,
        packing: &mut Packing<'_>,
        saved: &mut SavedMailbox,
    ) -> Result<Option<(State, Content)>, Error> {
        let Some(history) = self.history.filter(|_| self.dispositions.link_all()) else {
            return Ok(None);
        };
        let state = history.artifact(&state_in(&self.unit.directory));
        let Some(state) = state.filter(|_| packing.output.numbers.is_empty()) else {
            return Ok(None);
        };
        let content = Content {
            entries: state.entries,
            source_bytes: state.source_bytes,
        };
        let Some(linked) = link_segment(self.context, history, CONTROL)? else {
            return Ok(None);
        };
        self.context.progress.advance(linked.source_bytes);
        saved.files.push(linked);
        let control = history.state().control.clone();
        let state = State {
            control,
            ..self.state_of(packing)
        };
        Ok(Some((state, content)))
    }

    /// Packs `0000` of a mailbox. Gives its state, and what it holds.
    fn save_control(
        &self,
        mut control: Vec<LiveEntry>,
        packing: &mut Packing<'_>,
    ) -> Result<(State, Content), Error> {
        control.extend(self.new_directories(packing, &control));
        control.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let mut state = self.state_of(packing);
        let names = collect_names(self.context, self.unit, &control, &state)?;
        packing.output.switch_to_control()?;
        let requests = control.into_iter().map(|live| names.request(live));
        let context = self.context;
        packing
            .pack(requests.map(|request| request.map_err(|error| context.scratch_error(error))))?;
        state.control = sorted_control(packing);
        packing.output.close()?;
        let mut content = names.messages;
        content += content_of(&state);
        Ok((state, content))
    }

    /// Packs what lies above the mailboxes, all into `0000`.
    fn save_above(
        &self,
        control: Vec<LiveEntry>,
        packing: &mut Packing<'_>,
    ) -> Result<(State, Content), Error> {
        packing.output.switch_to_control()?;
        packing.pack(control.into_iter().map(|live| Ok(Request::plain(live))))?;
        self.save_moved(packing)?;
        let state = State {
            control: sorted_control(packing),
            ..State::default()
        };
        packing.output.close()?;
        let content = content_of(&state);
        Ok((state, content))
    }

    /// The directories of moved messages that were not met in the walk: they were made, or
    /// renamed, while the backup ran. One that is gone again is as the mailbox itself is: what is
    /// saved in it has a place.
    fn new_directories(&self, packing: &Packing<'_>, control: &[LiveEntry]) -> Vec<LiveEntry> {
        let Some(top) = control.first() else {
            return Vec::new();
        };
        let above = |path: &RelPath| std::iter::successors(path.parent(), RelPath::parent);
        let met: BTreeSet<&RelPath> = control.iter().map(|entry| &entry.path).collect();
        let new: BTreeSet<RelPath> = packing
            .late
            .iter()
            .flat_map(above)
            .filter(|path| path.is_within(&self.unit.path) && !met.contains(path))
            .collect();
        let as_found = |path: RelPath| LiveEntry {
            stat: match self.context.tree.look(&path) {
                Ok(Look::Savable(Kind::Directory, stat)) => stat,
                _ => top.stat,
            },
            path,
            kind: Kind::Directory,
        };
        new.into_iter().map(as_found).collect()
    }

    fn finish(
        &self,
        mut packing: Packing<'_>,
        state: &State,
        content: Content,
        saved: &mut SavedMailbox,
    ) -> Result<(), Error> {
        saved.files.append(&mut packing.output.saved);
        saved.files.push(self.write_state(state, content)?);
        saved.failed = packing.failed;
        saved.still_moving = packing.search.left();
        saved.notices.extend(packing.unsteady.iter().map(|path| {
            format!("{path} changed during each of three readings; the last one is saved")
        }));
        saved.counts.read_bytes += packing.read_bytes;
        saved.counts.expunged = packing.search.expunged;
        saved.comparison = self.compared(packing.tally.take(), saved);
        Ok(())
    }

    /// What became of the messages, but for those that could not be looked at.
    fn compared(&self, tally: Option<Tally>, saved: &SavedMailbox) -> Comparing {
        let Some(tally) = tally.filter(|_| self.unit.reach == Reach::Whole) else {
            return Comparing::None;
        };
        let failed = saved.failed.iter().map(|(path, _)| path);
        let unlisted = self.unlisted.iter();
        let unread: Vec<&RelPath> = failed.chain(&saved.still_moving).chain(unlisted).collect();
        Comparing::Done(tally.finish(name_of(&self.unit.path), &unread))
    }

    fn write_state(&self, state: &State, content: Content) -> Result<SavedFile, Error> {
        let context = self.context;
        let path = state_in(&self.unit.directory);
        let file = context.in_set(&path);
        let created = context.environment.staging.create_file(&path);
        let created = created.map_err(Failed::at("create", &file))?;
        let written = state.write(created, context.level);
        let written = written.map_err(Failed::at("write", &file))?;
        finish_file(context, path, written, content)
    }
}

/// What a mailbox is called in records.
pub(crate) fn name_of(mailbox: &RelPath) -> String {
    if mailbox.is_root() {
        return ABOVE.to_owned();
    }
    mailbox.to_string_lossy()
}

/// Packs messages above the mailboxes that were found after they had moved.
fn pack_above(mut found: Vec<LiveEntry>, packing: &mut Packing<'_>) -> Result<(), Error> {
    let control = &packing.output.control;
    found.retain(|live| control.iter().all(|line| line.live.path != live.path));
    packing.pack(found.into_iter().map(|live| Ok(Request::plain(live))))
}

/// The lines of `0000`, in the order of their paths.
fn sorted_control(packing: &mut Packing<'_>) -> Vec<IndexEntry> {
    let mut control = std::mem::take(&mut packing.output.control);
    control.sort_unstable_by(|a, b| a.live.path.cmp(&b.live.path));
    control
}

/// What `0000` holds.
fn content_of(state: &State) -> Content {
    let sizes = state.control.iter().map(|line| line.live.stat.size);
    Content {
        entries: state.control.len() as u64,
        source_bytes: sizes.sum(),
    }
}

fn above_notice(messages: u64) -> Option<String> {
    let they_lie = match messages {
        0 => return None,
        1 => "1 message lies above the mailboxes and is".to_owned(),
        _ => format!("{messages} messages lie above the mailboxes and are"),
    };
    Some(format!(
        "{they_lie} stored whole by each run; see MAILBOX_DEPTH"
    ))
}

fn special_notices(special: &[RelPath]) -> Vec<String> {
    special
        .iter()
        .map(|path| {
            format!("{path} is a socket, a named pipe or a device: it is not in the backup")
        })
        .collect()
}
