//! The live mailbox beside its last index: what is unchanged and where it lies, what is new, what
//! is gone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek};
use std::iter::Peekable;
use std::path::Path;

use mail_common::archive::index::{
    IndexEntry, IndexWriter, Kind, LiveEntry, Location, SpoolReader,
};
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;

use super::age::Age;
use super::history::{Distrust, History};
use super::listing::Missing;
use super::output::CONTROL;
use super::walk::Step;

/// Entries in a temporary file, in the order of their paths.
#[derive(Debug)]
pub(crate) struct Spool {
    writer: IndexWriter<BufWriter<File>>,
    /// Sum of the sizes of the files.
    pub(crate) bytes: u64,
    /// How many.
    pub(crate) entries: u64,
}

impl Spool {
    pub(crate) fn create(scratch: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(64 * 1024, tempfile::tempfile_in(scratch)?);
        Ok(Self {
            writer: IndexWriter::new(file),
            bytes: 0,
            entries: 0,
        })
    }

    pub(crate) fn push(&mut self, entry: &LiveEntry) -> io::Result<()> {
        self.bytes += entry.stat.size;
        self.entries += 1;
        self.writer.write_live(entry)
    }

    /// The entries from the first.
    pub(crate) fn read(self) -> io::Result<SpoolReader<BufReader<File>>> {
        let mut file = self
            .writer
            .into_parts()
            .0
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(SpoolReader::new(BufReader::with_capacity(64 * 1024, file)))
    }
}

/// Which members of an old frame are still wanted, in the order in which they lie in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameUse {
    pub(crate) keep: Vec<bool>,
    /// Sum of the sizes of those that are kept.
    pub(crate) kept_bytes: u64,
}

impl FrameUse {
    pub(crate) fn kept(&self) -> u64 {
        self.keep.iter().filter(|keep| **keep).count() as u64
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.keep.iter().all(|keep| *keep)
    }
}

/// What a mailbox looks like beside its last index.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// New and changed messages by age; all in the youngest class when there is a last index.
    pub(crate) messages: BTreeMap<Age, Spool>,
    /// Directories, control files, links: all of them, since they are saved anew when one has
    /// changed.
    pub(crate) control: Spool,
    /// Whether one of them is new, changed or gone.
    pub(crate) control_changed: bool,
    /// The frames of the last backup that hold messages.
    pub(crate) frames: BTreeMap<Location, FrameUse>,
    /// Messages that were listed and are gone.
    pub(crate) missing: Vec<Missing>,
    /// Names under which a message was met again: another name of it is among the entries.
    pub(crate) again: Vec<RelPath>,
    /// What cannot be looked at.
    pub(crate) failed: Vec<(RelPath, io::Error)>,
    /// Sockets, pipes, devices.
    pub(crate) special: Vec<RelPath>,
    /// Messages that need not be read.
    pub(crate) unchanged: u64,
    /// Lock and temporary files that were left out.
    pub(crate) scratch_files: u64,
}

/// Why a comparison failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The last index cannot be used after all: compare again without it.
    #[error(transparent)]
    History(#[from] Distrust),
    /// A temporary file cannot be written.
    #[error("write a temporary file of the comparison")]
    Scratch(#[from] io::Error),
}

/// Compares `walk` with the index of `history`.
pub(crate) fn compare(
    walk: impl Iterator<Item = Step>,
    history: Option<&History<'_>>,
    now_seconds: i64,
    scratch: &Path,
) -> Result<Comparison, Error> {
    let mut comparer = Comparer {
        found: Comparison::new(scratch)?,
        old: OldEntries::open(history)?,
        history,
        now_seconds,
        scratch,
    };
    for step in walk {
        comparer.take(step)?;
    }
    comparer.finish()
}

impl Comparison {
    fn new(scratch: &Path) -> io::Result<Self> {
        Ok(Self {
            messages: BTreeMap::new(),
            control: Spool::create(scratch)?,
            control_changed: false,
            frames: BTreeMap::new(),
            missing: Vec::new(),
            again: Vec::new(),
            failed: Vec::new(),
            special: Vec::new(),
            unchanged: 0,
            scratch_files: 0,
        })
    }

    /// Whether the last backup of this mailbox can be linked as it is.
    pub(crate) fn is_unchanged(&self) -> bool {
        !self.control_changed
            && self.messages.is_empty()
            && self.missing.is_empty()
            && self.failed.is_empty()
            && self.frames.values().all(FrameUse::is_clean)
    }
}

struct Comparer<'a> {
    found: Comparison,
    old: OldEntries<'a>,
    history: Option<&'a History<'a>>,
    now_seconds: i64,
    scratch: &'a Path,
}

impl Comparer<'_> {
    fn take(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Entry(entry) => self.take_entry(&entry)?,
            Step::Missing(missing) => self.found.missing.push(missing),
            Step::Again(path) => self.found.again.push(path),
            Step::Scratch => self.found.scratch_files += 1,
            Step::Special(path) => self.found.special.push(path),
            Step::Failed(path, error) => self.found.failed.push((path, error)),
        }
        Ok(())
    }

    fn take_entry(&mut self, entry: &LiveEntry) -> Result<(), Error> {
        let old = self.advance_to(&entry.path)?;
        let unchanged = old
            .as_ref()
            .is_some_and(|old| self.is_unchanged(old, entry));
        if let Some(old) = &old {
            self.note(
                old,
                if unchanged {
                    Verdict::Keep
                } else {
                    Verdict::Drop
                },
            );
        }
        if !is_message_entry(entry) {
            self.found.control_changed |= !unchanged;
            self.found.control.push(entry)?;
        } else if unchanged {
            self.found.unchanged += 1;
        } else {
            self.message_spool(entry)?.push(entry)?;
        }
        Ok(())
    }

    fn message_spool(&mut self, entry: &LiveEntry) -> io::Result<&mut Spool> {
        let age = match self.history {
            None => Age::of(entry.stat.mtime_ns / 1_000_000_000, self.now_seconds),
            Some(_) => Age::YOUNGEST,
        };
        match self.found.messages.entry(age) {
            std::collections::btree_map::Entry::Occupied(spool) => Ok(spool.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(Spool::create(self.scratch)?))
            }
        }
    }

    fn is_unchanged(&self, old: &IndexEntry, live: &LiveEntry) -> bool {
        let is_there =
            |history: &History<'_>| history.segments().contains_key(&old.location.segment);
        old.live == *live && self.history.is_some_and(is_there)
    }

    /// Drops the old entries before `path`, which are gone, and returns the one at it.
    fn advance_to(&mut self, path: &RelPath) -> Result<Option<IndexEntry>, Error> {
        while let Some(old) = self.old.next_until(path)? {
            if old.live.path == *path {
                return Ok(Some(old));
            }
            self.note(&old, Verdict::Drop);
        }
        Ok(None)
    }

    fn note(&mut self, old: &IndexEntry, verdict: Verdict) {
        if old.location.segment == CONTROL {
            self.found.control_changed |= verdict == Verdict::Drop;
            return;
        }
        let frame = self.found.frames.entry(old.location).or_default();
        frame.keep.push(verdict == Verdict::Keep);
        if verdict == Verdict::Keep {
            frame.kept_bytes += old.live.stat.size;
        }
    }

    fn finish(mut self) -> Result<Comparison, Error> {
        while let Some(old) = self.old.next()? {
            self.note(&old, Verdict::Drop);
        }
        self.found.control_changed |= self.history.is_none();
        Ok(self.found)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
}

/// Whether an entry belongs to the segments of messages, not to `0000`.
pub(crate) fn is_message_entry(entry: &LiveEntry) -> bool {
    entry.kind == Kind::File && is_message(&entry.path)
}

/// The entries of the last index, in order; none when there is no last index.
struct OldEntries<'a>(Option<(&'a History<'a>, Peekable<super::history::Index>)>);

impl<'a> OldEntries<'a> {
    fn open(history: Option<&'a History<'a>>) -> Result<Self, Distrust> {
        let Some(history) = history else {
            return Ok(Self(None));
        };
        Ok(Self(Some((history, history.read_index()?.peekable()))))
    }

    fn next(&mut self) -> Result<Option<IndexEntry>, Distrust> {
        let Some((history, entries)) = &mut self.0 else {
            return Ok(None);
        };
        entries
            .next()
            .transpose()
            .map_err(|error| history.index_error(error))
    }

    /// The next entry that does not come after `path`.
    fn next_until(&mut self, path: &RelPath) -> Result<Option<IndexEntry>, Distrust> {
        match self.0.as_mut().and_then(|(_, entries)| entries.peek()) {
            Some(Ok(old)) if old.live.path > *path => Ok(None),
            _ => self.next(),
        }
    }
}
