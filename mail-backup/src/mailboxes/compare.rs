//! The live mailbox beside its last index: what is unchanged and where it lies, what is new, what
//! is gone.
//!
//! Both are sorted by path, so they are read side by side as streams, and memory does not grow with
//! the mailbox. Each old entry is either kept or dropped, in the order of the index. That order is
//! all that ties a line of the index to its member in a frame: the lines of one frame come in the
//! order of its members, and the index does not number them. So every old entry must be noted
//! exactly once, also those before, between and after the live entries; one that is passed over
//! would shift all behind it in its frame, and the wrong message would be dropped.
//!
//! Unchanged means the same kind, size, mode, owner, times and inode. The change time (ctime) is
//! the one that a user cannot set back; an entry that was saved within a tick of its change is
//! stored with ctime 0 (`source::pack::settled`), and is read again. An entry of a segment that is
//! lost counts as changed, so that the live mailbox gives back what the backup disk has lost.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::iter::Peekable;

use mail_common::archive::index::{IndexEntry, LiveEntry};
use mail_common::relpath::RelPath;

use super::age::Age;
use super::context::Context;
use super::error::Error;
use super::frames::Frames;
use super::history::{CONTROL, History, Index};
use super::listing::Missing;
use super::maildir::is_message_entry;
use super::spool::LiveSpool;
use super::unusual::Unusual;
use super::walk::Step;

/// What a mailbox looks like beside its last index.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// New and changed messages by age; all in the youngest class when there is a last index.
    pub(crate) messages: BTreeMap<Age, LiveSpool>,
    /// Directories, control files, links: all of them, since they are saved together when one has
    /// changed.
    pub(crate) control: LiveSpool,
    /// Whether one of them is new, changed or gone.
    pub(crate) control_changed: bool,
    /// What is still wanted of the last backup.
    pub(crate) frames: Frames,
    /// Messages that were listed and are gone.
    pub(crate) missing: Vec<Missing>,
    /// Names under which a message was met again: another name of it is among the entries.
    pub(crate) second_names: Vec<RelPath>,
    /// What cannot be looked at.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Sockets, pipes, devices.
    pub(crate) special: Vec<RelPath>,
    pub(crate) unusual: Unusual,
    /// How many messages need not be read.
    pub(crate) unchanged: u64,
    /// How many lock and temporary files were left out.
    pub(crate) scratch_files: u64,
}

/// Compares `walk` with the index of `history`.
pub(crate) fn compare(
    context: &Context<'_>,
    walk: impl Iterator<Item = Step>,
    history: Option<&History<'_>>,
) -> Result<Comparison, Error> {
    let mut comparer = Comparer {
        context,
        found: Comparison::new(context)?,
        old: OldEntries::open(history)?,
        history,
    };
    for step in walk {
        comparer.take(step)?;
    }
    comparer.finish()
}

impl Comparison {
    fn new(context: &Context<'_>) -> Result<Self, Error> {
        Ok(Self {
            messages: BTreeMap::new(),
            control: create_spool(context)?,
            control_changed: false,
            frames: Frames::default(),
            missing: Vec::new(),
            second_names: Vec::new(),
            failed: Vec::new(),
            special: Vec::new(),
            unusual: Unusual::default(),
            unchanged: 0,
            scratch_files: 0,
        })
    }

    /// The size of the messages that are to be read, in bytes.
    pub(crate) fn new_bytes(&self) -> u64 {
        self.messages.values().map(|spool| spool.bytes).sum()
    }

    /// Whether the last backup of this mailbox can be linked as it is.
    pub(crate) fn is_unchanged(&self) -> bool {
        !self.control_changed
            && self.messages.is_empty()
            && self.missing.is_empty()
            && self.failed.is_empty()
            && self.frames.are_clean()
    }
}

fn create_spool(context: &Context<'_>) -> Result<LiveSpool, Error> {
    LiveSpool::create(context.scratch()).map_err(|error| context.scratch_error(error))
}

struct Comparer<'a> {
    context: &'a Context<'a>,
    found: Comparison,
    old: OldEntries<'a>,
    history: Option<&'a History<'a>>,
}

impl Comparer<'_> {
    fn take(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Entry { entry, links } => {
                self.found.unusual.look(&entry, links);
                self.take_entry(&entry)?;
            }
            Step::Missing(missing) => self.found.missing.push(missing),
            Step::SecondName(path) => self.found.second_names.push(path),
            Step::Scratch => self.found.scratch_files += 1,
            Step::Special(path) => self.found.special.push(path),
            Step::Failed(path, error) => self.found.failed.push((path, error)),
        }
        Ok(())
    }

    fn take_entry(&mut self, entry: &LiveEntry) -> Result<(), Error> {
        let old = self.advance_to(&entry.path)?;
        let is_unchanged = old.is_some_and(|old| self.settle(&old, entry));
        if !is_message_entry(entry) {
            self.found.control_changed |= !is_unchanged;
            return self.push(entry, None);
        }
        if is_unchanged {
            self.found.unchanged += 1;
            return Ok(());
        }
        let age = match self.history {
            None => Age::of(
                entry.stat.mtime_ns / 1_000_000_000,
                self.context.environment.now_seconds,
            ),
            Some(_) => Age::YOUNGEST,
        };
        self.push(entry, Some(age))
    }

    /// Puts an entry into the spool of its age, or into that of the control entries.
    fn push(&mut self, entry: &LiveEntry, age: Option<Age>) -> Result<(), Error> {
        let spool = match age.map(|age| self.found.messages.entry(age)) {
            None => &mut self.found.control,
            Some(Entry::Occupied(spool)) => spool.into_mut(),
            Some(Entry::Vacant(place)) => place.insert(create_spool(self.context)?),
        };
        spool
            .push(entry)
            .map_err(|error| self.context.scratch_error(error))
    }

    /// Notes the old entry at the path of `live`: kept, or changed. Returns whether it is kept.
    fn settle(&mut self, old: &IndexEntry, live: &LiveEntry) -> bool {
        let is_there = self
            .history
            .is_some_and(|history| history.segments().contains_key(&old.location.segment));
        let is_unchanged = is_there && old.live == *live;
        if !is_unchanged {
            self.drop_old(old);
        } else if old.location.segment != CONTROL {
            self.found
                .frames
                .keep_member(old.location, old.live.stat.size);
        }
        is_unchanged
    }

    fn drop_old(&mut self, old: &IndexEntry) {
        if old.location.segment == CONTROL {
            self.found.control_changed = true;
        } else {
            self.found.frames.drop_member(old.location);
        }
    }

    /// Drops the old entries before `path`, which are gone, and returns the one at it.
    fn advance_to(&mut self, path: &RelPath) -> Result<Option<IndexEntry>, Error> {
        while let Some(old) = self.old.next_until(path)? {
            if old.live.path == *path {
                return Ok(Some(old));
            }
            self.drop_old(&old);
        }
        Ok(None)
    }

    fn finish(mut self) -> Result<Comparison, Error> {
        while let Some(old) = self.old.next()? {
            self.drop_old(&old);
        }
        self.found.control_changed |= self.history.is_none();
        Ok(self.found)
    }
}

/// The entries of the last index, in order; none when there is no last index.
struct OldEntries<'a>(Option<(&'a History<'a>, Peekable<Index>)>);

impl<'a> OldEntries<'a> {
    fn open(history: Option<&'a History<'a>>) -> Result<Self, Error> {
        let Some(history) = history else {
            return Ok(Self(None));
        };
        Ok(Self(Some((history, history.read_index()?.peekable()))))
    }

    fn next(&mut self) -> Result<Option<IndexEntry>, Error> {
        let Some((history, entries)) = &mut self.0 else {
            return Ok(None);
        };
        entries
            .next()
            .transpose()
            .map_err(|error| history.index_error(error))
    }

    /// The next entry that does not come after `path`.
    fn next_until(&mut self, path: &RelPath) -> Result<Option<IndexEntry>, Error> {
        match self.0.as_mut().and_then(|(_, entries)| entries.peek()) {
            Some(Ok(old)) if old.live.path > *path => Ok(None),
            _ => self.next(),
        }
    }
}
