//! The live mailbox beside what the last backup has of it: what is unchanged, what has another name
//! or other times, what is new, what is gone.
//!
//! Both are sorted by path, so they are read side by side as streams. Memory grows with what has
//! changed, not with the mailbox.
//!
//! Unchanged means the same path, kind, size, mode, owner, times and inode. The change time (ctime)
//! is the one that a user cannot set back; an entry that was saved within a tick of its change is
//! stored with ctime 0 (`source::pack::settled`). What differs in no more than its inode and its
//! change time, or has the inode of a message that is no longer where it was, is read and compared
//! with the stored digests: only if it is another content is it stored again. An entry of a segment
//! that is lost counts as new, so that the live mailbox gives back what the backup disk has lost.
//!
//! Control files are compared like messages where a segment has them, but for their names: one that
//! is elsewhere is another one.
//!
//! A run that checks everything reads the unchanged, too. What holds other bytes then, though the
//! system knows of no change, has rotten on its disk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::iter::Peekable;

use mail_common::archive::index::{Kind, LiveEntry};
use mail_common::archive::members::{Member, Stored};
use mail_common::archive::state::{CONTROL, Change};
use mail_common::archive::view::View;
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;

use super::age::Age;
use super::changes::Buried;
use super::context::Context;
use super::error::Error;
use super::history::{Format, History};
use super::listing::{Listing, Missing};
use super::maildir::is_message_entry;
use super::old_member::{Judged, OldMember};
use super::spool::LiveSpool;
use super::stored_names::StoredNames;
use super::suspects::Suspects;
use super::units::{Reach, Unit};
use super::unusual::Unusual;
use super::usage::Usage;
use super::walk::Step;
use crate::previous::Reading;
use crate::source::recheck::Verdict;

/// What a mailbox looks like beside its last backup.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Messages to be stored in segments, and control files that have settled, by age; all in the
    /// youngest class when there is a last backup.
    pub(crate) messages: BTreeMap<Age, LiveSpool>,
    /// Directories, links, and the control files that no segment has: all of them, since they are
    /// saved together when one has changed. The mailbox itself comes first.
    pub(crate) control: Vec<LiveEntry>,
    /// Whether one of them is new, changed or gone.
    pub(crate) control_changed: bool,
    /// Whether a member of a segment is gone or has another name.
    pub(crate) names_changed: bool,
    /// What became of the members of the old segments.
    pub(crate) changes: BTreeMap<(u32, RelPath), Change>,
    /// Whether there is more to say than the last backup does.
    pub(crate) state_changed: bool,
    /// How much of the old segments is alive.
    pub(crate) usage: Usage,
    /// Old messages that are not there.
    pub(crate) buried: Buried,
    /// How many old messages have another name.
    pub(crate) renamed: u64,
    pub(crate) names: StoredNames,
    /// Messages that were listed and are gone.
    pub(crate) missing: Vec<Missing>,
    /// Names under which a message was met again: another name of it is among the entries.
    pub(crate) second_names: Vec<RelPath>,
    /// What cannot be read.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// What holds other bytes than it did, and was not changed.
    pub(crate) rotten: Vec<RelPath>,
    /// Sockets, pipes, devices.
    pub(crate) special: Vec<RelPath>,
    pub(crate) unusual: Unusual,
    /// Messages above the mailboxes, which are among the control entries.
    pub(crate) messages_above: u64,
    /// How many messages are not stored again, and their size.
    pub(crate) unchanged: u64,
    pub(crate) unchanged_bytes: u64,
    /// What was read to find that it is stored already, in bytes.
    pub(crate) rechecked_bytes: u64,
    /// How many lock and temporary files were left out.
    pub(crate) scratch_files: u64,
}

/// Compares `walk` of `unit` with `history`.
pub(crate) fn compare(
    context: &Context<'_>,
    unit: &Unit,
    listing: &Listing,
    walk: impl Iterator<Item = Step>,
    history: Option<&History<'_>>,
) -> Result<Comparison, Error> {
    let mut comparer = Comparer {
        context,
        unit,
        listing,
        found: Comparison::new(unit, history),
        old: OldMembers::open(history)?,
        history,
        vanished: BTreeMap::new(),
        arrived: LiveSpool::create(context.scratch())
            .map_err(|error| context.scratch_error(error))?,
        suspects: Suspects::new(context, history),
    };
    for step in walk {
        context.check_interrupt()?;
        comparer.take(step)?;
    }
    comparer.finish()
}

impl Comparison {
    fn new(unit: &Unit, history: Option<&History<'_>>) -> Self {
        let changes = history.map(|history| history.state().changes.clone());
        Self {
            messages: BTreeMap::new(),
            control: Vec::new(),
            control_changed: history.is_none_or(|history| history.format == Format::One),
            names_changed: history.is_some_and(|history| !history.lost().is_empty()),
            changes: changes.unwrap_or_default(),
            state_changed: false,
            usage: Usage::default(),
            buried: Buried::default(),
            renamed: 0,
            names: StoredNames::new(&unit.path),
            missing: Vec::new(),
            second_names: Vec::new(),
            failed: Vec::new(),
            rotten: Vec::new(),
            special: Vec::new(),
            unusual: Unusual::default(),
            messages_above: 0,
            unchanged: 0,
            unchanged_bytes: 0,
            rechecked_bytes: 0,
            scratch_files: 0,
        }
    }

    /// Has `entry` stored in a segment.
    pub(crate) fn store(
        &mut self,
        context: &Context<'_>,
        history: Option<&History<'_>>,
        entry: &LiveEntry,
    ) -> Result<(), Error> {
        let now_seconds = context.environment.now_seconds;
        let age = match history {
            None => Age::of(entry.stat.mtime_ns / 1_000_000_000, now_seconds),
            Some(_) => Age::YOUNGEST,
        };
        let spool = match self.messages.entry(age) {
            Entry::Occupied(spool) => Ok(spool.into_mut()),
            Entry::Vacant(place) => {
                LiveSpool::create(context.scratch()).map(|spool| place.insert(spool))
            }
        };
        let pushed = spool.and_then(|spool| spool.push(entry));
        pushed.map_err(|error| context.scratch_error(error))
    }

    /// The size of the messages that are to be stored, in bytes.
    pub(crate) fn new_bytes(&self) -> u64 {
        self.messages.values().map(|spool| spool.bytes).sum()
    }

    /// The size of the control files, in bytes.
    pub(crate) fn control_bytes(&self) -> u64 {
        self.control.iter().map(|entry| entry.stat.size).sum()
    }

    /// Whether the last backup says all there is to say of this mailbox.
    pub(crate) fn is_unchanged(&self) -> bool {
        !self.control_changed
            && !self.names_changed
            && !self.state_changed
            && self.messages.is_empty()
            && self.missing.is_empty()
            && self.failed.is_empty()
    }
}

struct Comparer<'a> {
    context: &'a Context<'a>,
    unit: &'a Unit,
    listing: &'a Listing,
    found: Comparison,
    old: OldMembers<'a>,
    history: Option<&'a History<'a>>,
    /// Old messages that are not where they were, by inode.
    vanished: BTreeMap<u64, Vec<OldMember>>,
    /// Messages at places where there was none like them.
    arrived: LiveSpool,
    suspects: Suspects<'a>,
}

impl Comparer<'_> {
    fn take(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Entry { entry, links } => {
                self.found.unusual.look(&entry, links);
                self.take_entry(entry)?;
            }
            Step::Missing(missing) => self.found.missing.push(missing),
            Step::SecondName(path) => self.found.second_names.push(path),
            Step::Scratch => self.found.scratch_files += 1,
            Step::Special(path) => self.found.special.push(path),
            Step::Failed(path, error) => self.found.failed.push((path, error)),
            Step::Unlisted(error) => return Err(self.context.scratch_error(error)),
        }
        Ok(())
    }

    fn take_entry(&mut self, entry: LiveEntry) -> Result<(), Error> {
        self.found.names.meet_name(&entry.path);
        let old = self.advance_to(&entry.path)?;
        let is_message = is_message_entry(&entry);
        if is_message && self.unit.reach == Reach::Whole {
            return self.take_message(entry, old);
        }
        self.found.messages_above += u64::from(is_message);
        self.take_control(entry, old)
    }

    fn take_control(&mut self, entry: LiveEntry, old: Option<Stored>) -> Result<(), Error> {
        let old = match old {
            Some(old) if self.is_in_segment(&old) => return self.take_settled(entry, old),
            old => old,
        };
        self.found.control.push(entry.clone());
        match old {
            Some(old) if self.is_there(&old) && old.entry.live == entry => {
                if self.is_checked() && entry.kind == Kind::File {
                    return self.suspect(entry, OldMember::of(old));
                }
            }
            Some(old) => self.pass_by(old),
            None => self.found.control_changed = true,
        }
        Ok(())
    }

    /// Whether it is a file in a segment that can be linked.
    fn is_in_segment(&self, old: &Stored) -> bool {
        let is_file = old.entry.live.kind == Kind::File && !is_control(old);
        is_file && self.is_there(old) && self.unit.reach == Reach::Whole
    }

    /// Something at the place of a control file that a segment has: perhaps it.
    fn take_settled(&mut self, entry: LiveEntry, old: Stored) -> Result<(), Error> {
        if old.entry.live == entry && !self.is_checked() {
            let usage = &mut self.found.usage;
            usage.add_living(old.entry.location.segment, entry.stat.size);
            return Ok(());
        }
        let old = OldMember::of(old);
        if entry.kind == Kind::File && old.known.may_be(&entry.stat) {
            return self.suspect(entry, old);
        }
        self.bury(old);
        self.found.control.push(entry);
        Ok(())
    }

    /// Whether what looks unchanged is read.
    fn is_checked(&self) -> bool {
        self.context.environment.previous.reading() == Reading::Checked
    }

    fn take_message(&mut self, entry: LiveEntry, old: Option<Stored>) -> Result<(), Error> {
        match old {
            Some(old) if !self.is_there(&old) || is_control(&old) => self.pass_by(old),
            Some(old) if old.entry.live == entry => {
                if self.is_checked() {
                    return self.suspect(entry, OldMember::of(old));
                }
                self.keep(old.entry.location.segment, entry.stat.size);
                return Ok(());
            }
            Some(old) => {
                let old = OldMember::of(old);
                if old.known.may_be(&entry.stat) {
                    return self.suspect(entry, old);
                }
                self.vanish(old);
            }
            None => {}
        }
        if self.history.is_none() {
            return self.push_message(&entry);
        }
        let pushed = self.arrived.push(&entry);
        pushed.map_err(|error| self.context.scratch_error(error))
    }

    fn is_there(&self, old: &Stored) -> bool {
        let segments = self.history.map(History::segments);
        segments.is_some_and(|segments| segments.contains_key(&old.entry.location.segment))
    }

    fn keep(&mut self, segment: u32, bytes: u64) {
        self.found.usage.add_living(segment, bytes);
        self.found.unchanged += 1;
        self.found.unchanged_bytes += bytes;
    }

    /// An old entry is not at its place, or something else is.
    fn pass_by(&mut self, old: Stored) {
        if is_control(&old) {
            self.found.control_changed = true;
        } else if self.is_there(&old) && is_message(&old.entry.live.path) {
            self.vanish(OldMember::of(old));
        } else if self.is_there(&old) {
            self.bury(OldMember::of(old));
        }
    }

    fn vanish(&mut self, old: OldMember) {
        let inode = old.known.stat.inode;
        self.vanished.entry(inode).or_default().push(old);
    }

    /// Gives a message that may be `old` to be read.
    fn suspect(&mut self, entry: LiveEntry, old: OldMember) -> Result<(), Error> {
        for judged in self.suspects.add(entry, old)? {
            self.judge_in_place(judged)?;
        }
        Ok(())
    }

    /// A message at the place of an old one that looks like it.
    fn judge_in_place(&mut self, judged: Judged) -> Result<(), Error> {
        if judged.old.segment == CONTROL {
            self.judge_control(judged);
            return Ok(());
        }
        if !is_message(&judged.live.path) {
            self.judge_settled(judged);
            return Ok(());
        }
        let Some((entry, old)) = self.judge(judged)? else {
            return Ok(());
        };
        // The old one may have moved, and this one may be another that has.
        self.vanish(old);
        match entry {
            Some(entry) => {
                let pushed = self.arrived.push(&entry);
                pushed.map_err(|error| self.context.scratch_error(error))
            }
            None => Ok(()),
        }
    }

    /// A message with the inode of an old one that was elsewhere.
    fn judge_moved(&mut self, judged: Judged) -> Result<(), Error> {
        let Some((entry, old)) = self.judge(judged)? else {
            return Ok(());
        };
        self.bury(old);
        match entry {
            Some(entry) => self.push_message(&entry),
            None => Ok(()),
        }
    }

    /// Notes what the reading of a control file told. They are saved together when one has changed.
    fn judge_control(&mut self, judged: Judged) {
        let Judged { live, old, verdict } = judged;
        if let Verdict::Same(_) | Verdict::Rotten = verdict {
            self.found.rechecked_bytes += live.stat.size;
        }
        match verdict {
            Verdict::Same(stat) if stat == old.known.stat => return,
            Verdict::Rotten => self.found.rotten.push(live.path),
            // What cannot be read is named when it is saved.
            Verdict::Same(_) | Verdict::Other | Verdict::Vanished | Verdict::Failed(_) => {}
        }
        self.found.control_changed = true;
    }

    /// Notes what the reading of a control file that a segment has told. One that is not the same
    /// is saved with the others; there it is named if it cannot be read.
    fn judge_settled(&mut self, judged: Judged) {
        let Judged { live, old, verdict } = judged;
        if let Verdict::Same(_) | Verdict::Rotten = verdict {
            self.found.rechecked_bytes += live.stat.size;
        }
        if let Verdict::Same(stat) = verdict {
            return self.note_here(LiveEntry { stat, ..live }, old);
        }
        if let Verdict::Rotten = verdict {
            self.found.rotten.push(live.path.clone());
        }
        self.bury(old);
        self.found.control.push(live);
    }

    /// Notes what the reading of a message told. Gives it back with the old member if it is not
    /// that one, or the old member alone.
    fn judge(&mut self, judged: Judged) -> Result<Option<(Option<LiveEntry>, OldMember)>, Error> {
        let Judged { live, old, verdict } = judged;
        match verdict {
            Verdict::Same(stat) => {
                self.found.rechecked_bytes += stat.size;
                self.note_here(LiveEntry { stat, ..live }, old);
                return Ok(None);
            }
            Verdict::Rotten => {
                self.found.rechecked_bytes += live.stat.size;
                self.found.rotten.push(live.path.clone());
                self.bury(old);
                self.push_message(&live)?;
                return Ok(None);
            }
            Verdict::Other => return Ok(Some((Some(live), old))),
            Verdict::Vanished => self.found.missing.push(Missing {
                inode: live.stat.inode,
                path: live.path,
            }),
            Verdict::Failed(error) => self.found.failed.push((live.path, error)),
        }
        Ok(Some((None, old)))
    }

    /// The old member is alive, and is `live` now.
    fn note_here(&mut self, live: LiveEntry, old: OldMember) {
        if is_message(&live.path) {
            self.keep(old.segment, live.stat.size);
        } else {
            let usage = &mut self.found.usage;
            usage.add_living(old.segment, live.stat.size);
        }
        if live.path == old.path && live.stat == old.known.stat {
            return;
        }
        self.found.state_changed = true;
        self.found.names_changed |= live.path != old.path;
        self.found.renamed += u64::from(live.path != old.path);
        if live.path != old.stored {
            self.found.names.take(&old.stored);
        }
        let change = Change::Here {
            path: live.path,
            inode: live.stat.inode,
            ctime_ns: live.stat.ctime_ns,
        };
        self.found.changes.insert((old.segment, old.stored), change);
    }

    /// The old member is gone since now.
    fn bury(&mut self, old: OldMember) {
        let since_seconds = self.context.environment.now_seconds;
        let bytes = old.known.stat.size;
        if is_message(&old.path) {
            self.found.buried.add(&old);
        }
        self.found.usage.add_dead(old.segment, bytes, since_seconds);
        self.found.state_changed = true;
        self.found.names_changed = true;
        let change = Change::Gone { since_seconds };
        self.found.changes.insert((old.segment, old.stored), change);
    }

    fn push_message(&mut self, entry: &LiveEntry) -> Result<(), Error> {
        self.found.store(self.context, self.history, entry)
    }

    /// Passes by the old members before `path`, and returns the one at it.
    fn advance_to(&mut self, path: &RelPath) -> Result<Option<Stored>, Error> {
        while let Some(member) = self.old.next_until(path)? {
            if let Some(old) = self.meet(member) {
                if old.entry.live.path == *path {
                    return Ok(Some(old));
                }
                self.pass_by(old);
            }
        }
        Ok(None)
    }

    /// Notes the name of a member, and what is gone already.
    fn meet(&mut self, member: Member) -> Option<Stored> {
        match member {
            Member::Here(old) => {
                if !is_control(&old) {
                    self.found.names.meet_stored(&old.stored, self.listing);
                    if old.stored != old.entry.live.path {
                        self.found.names.take(&old.stored);
                    }
                }
                Some(old)
            }
            Member::Gone {
                entry,
                since_seconds,
            } => {
                let (segment, bytes) = (entry.location.segment, entry.live.stat.size);
                self.found.names.meet_stored(&entry.live.path, self.listing);
                self.found.usage.add_dead(segment, bytes, since_seconds);
                None
            }
        }
    }

    fn finish(mut self) -> Result<Comparison, Error> {
        while let Some(member) = self.old.next()? {
            if let Some(old) = self.meet(member) {
                self.pass_by(old);
            }
        }
        for judged in self.suspects.finish()? {
            self.judge_in_place(judged)?;
        }
        self.find_moved()?;
        for old in std::mem::take(&mut self.vanished).into_values().flatten() {
            self.bury(old);
        }
        self.found.names_changed |= !self.found.messages.is_empty();
        Ok(self.found)
    }

    /// Finds the old messages among those that arrived.
    fn find_moved(&mut self) -> Result<(), Error> {
        let context = self.context;
        let empty = LiveSpool::create(context.scratch());
        let empty = empty.map_err(|error| context.scratch_error(error))?;
        let arrived = std::mem::replace(&mut self.arrived, empty).read();
        for entry in arrived.map_err(|error| context.scratch_error(error))? {
            context.check_interrupt()?;
            let entry = entry.map_err(|error| context.read_back_error(error))?;
            let Some(old) = self.take_vanished(&entry) else {
                self.push_message(&entry)?;
                continue;
            };
            for judged in self.suspects.add(entry, old)? {
                self.judge_moved(judged)?;
            }
        }
        for judged in self.suspects.finish()? {
            self.judge_moved(judged)?;
        }
        Ok(())
    }

    /// An old message that has vanished and looks like `entry`, by its inode.
    fn take_vanished(&mut self, entry: &LiveEntry) -> Option<OldMember> {
        let candidates = self.vanished.get_mut(&entry.stat.inode)?;
        let found = candidates
            .iter()
            .position(|old| old.known.may_be(&entry.stat))?;
        Some(candidates.swap_remove(found))
    }
}

fn is_control(old: &Stored) -> bool {
    old.entry.location.segment == CONTROL
}

/// The members of the last backup, in order; none when there is no last backup.
struct OldMembers<'a>(Option<(&'a History<'a>, Peekable<View<'a, File>>)>);

impl<'a> OldMembers<'a> {
    fn open(history: Option<&'a History<'a>>) -> Result<Self, Error> {
        let Some(history) = history else {
            return Ok(Self(None));
        };
        Ok(Self(Some((history, history.view()?.peekable()))))
    }

    fn next(&mut self) -> Result<Option<Member>, Error> {
        let Some((history, members)) = &mut self.0 else {
            return Ok(None);
        };
        let next = members.next().transpose();
        next.map_err(|error| history.view_error(error))
    }

    /// The next member that does not come after `path`.
    fn next_until(&mut self, path: &RelPath) -> Result<Option<Member>, Error> {
        let next = self.0.as_mut().and_then(|(_, members)| members.peek());
        match next {
            Some(Ok(Member::Here(old))) if old.entry.live.path > *path => Ok(None),
            _ => self.next(),
        }
    }
}
