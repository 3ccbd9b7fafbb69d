//! What `0000` of a mailbox holds: its directories and control files, each directory with the names
//! that are in it, and the renames that lead from the stored names to those of today.
//!
//! The names of the messages are read back from the indexes that the set has by now, so that they
//! are those that every reader will see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use mail_common::archive::dumpdir::{Dumpdir, Listed, Rename, RenamePlanner, Still};
use mail_common::archive::index::{Kind, LiveEntry};
use mail_common::archive::members::Member;
use mail_common::archive::state::{Change, State};
use mail_common::archive::view::View;
use mail_common::beneath;
use mail_common::relpath::RelPath;
use mail_common::set::mailbox::segment_index_in;

use super::context::Context;
use super::error::Error;
use super::units::Unit;
use crate::saved::Content;
use crate::source::pack::Request;

/// The names of a mailbox, as its directories are to list them.
#[derive(Debug)]
pub(crate) struct Names {
    records: Records,
    /// Of the mailbox itself.
    top: Dumpdir,
    /// The living messages.
    pub(crate) messages: Content,
}

/// Collects the names of `unit`, whose control entries, sorted, are `control`, and whose messages
/// are those of `state`.
pub(crate) fn collect_names(
    context: &Context<'_>,
    unit: &Unit,
    control: &[LiveEntry],
    state: &State,
) -> Result<Names, Error> {
    let moves = renames_of(state);
    let planner = RenamePlanner::new(&unit.path, &moves).map_err(Error::Renames)?;
    let mut collector = Collector {
        context,
        tree: NameTree::new(context, &unit.path)?,
        planner,
        messages: Content::default(),
        control: control.iter().peekable(),
    };
    let open = |number| {
        let path = segment_index_in(&unit.directory, number);
        beneath::regular_file(&context.in_set(&path))
    };
    let view = View::of_state(state, open);
    for member in view.map_err(Error::NewIndexes)? {
        context.check_interrupt()?;
        collector.take(member.map_err(Error::NewIndexes)?)?;
    }
    collector.finish(dead_names(state))
}

/// From stored to present names.
fn renames_of(state: &State) -> Vec<Rename> {
    let mut renames = Vec::new();
    for ((_, stored), change) in &state.changes {
        if let Change::Here { path, .. } = change
            && path != stored
        {
            renames.push(Rename {
                from: stored.clone(),
                to: path.clone(),
            });
        }
    }
    renames
}

/// The stored names of members that are gone, each once.
fn dead_names(state: &State) -> BTreeSet<&RelPath> {
    let gone = state
        .changes
        .iter()
        .filter(|(_, change)| matches!(change, Change::Gone { .. }));
    gone.map(|((_, stored), _)| stored).collect()
}

struct Collector<'a> {
    context: &'a Context<'a>,
    tree: NameTree,
    planner: RenamePlanner<'a>,
    messages: Content,
    /// Those that come after the messages so far.
    control: std::iter::Peekable<std::slice::Iter<'a, LiveEntry>>,
}

impl Collector<'_> {
    fn take(&mut self, member: Member) -> Result<(), Error> {
        let Member::Here(stored) = member else {
            return Ok(());
        };
        let path = &stored.entry.live.path;
        self.take_control_before(Some(path))?;
        self.tree.list(path, Listed::Elsewhere);
        self.messages += Content {
            entries: 1,
            source_bytes: stored.entry.live.stat.size,
        };
        if stored.stored == *path {
            let met = self.planner.meet(path, Still::InPlace);
            met.map_err(Error::Renames)?;
        }
        Ok(())
    }

    /// Takes the control entries that come before `path`, or all that are left.
    fn take_control_before(&mut self, path: Option<&RelPath>) -> Result<(), Error> {
        let comes_before = |entry: &&LiveEntry| path.is_none_or(|path| entry.path <= *path);
        while let Some(entry) = self.control.next_if(comes_before) {
            match entry.kind {
                Kind::Directory => {
                    let entered = self.tree.enter(&entry.path);
                    entered.map_err(|error| self.context.scratch_error(error))?;
                }
                Kind::File | Kind::Symlink => self.tree.list(&entry.path, Listed::Here),
            }
        }
        Ok(())
    }

    fn finish(mut self, dead: BTreeSet<&RelPath>) -> Result<Names, Error> {
        self.take_control_before(None)?;
        for path in dead {
            let met = self.planner.meet(path, Still::Dead);
            met.map_err(Error::Renames)?;
        }
        let finished = self.tree.finish();
        let (records, mut top) = finished.map_err(|error| self.context.scratch_error(error))?;
        top.renames = self.planner.plan();
        Ok(Names {
            records,
            top,
            messages: self.messages,
        })
    }
}

impl Names {
    /// What `0000` is to hold of `control`: the mailbox comes first, once with the renames, and
    /// again without them, since tar takes the names of a directory before it renames.
    pub(crate) fn request(&self, live: LiveEntry) -> io::Result<Request> {
        let dumpdirs = match live.kind {
            Kind::Directory if live.path == self.records.mailbox => self.of_mailbox(),
            Kind::Directory => vec![self.records.read(&live.path)?],
            Kind::File | Kind::Symlink => Vec::new(),
        };
        Ok(Request {
            stored: live.path.clone(),
            live,
            dumpdirs,
            is_watched: false,
        })
    }

    fn of_mailbox(&self) -> Vec<Vec<u8>> {
        let mut top = self.top.clone();
        let with_renames = top.to_bytes();
        top.renames.clear();
        vec![with_renames, top.to_bytes()]
    }
}

/// Puts names, which come in the order of a walk, into the directories that they are in.
struct NameTree {
    records: Records,
    /// The directories that lead to the last name, from the mailbox.
    open: Vec<(RelPath, Dumpdir)>,
}

impl NameTree {
    fn new(context: &Context<'_>, mailbox: &RelPath) -> Result<Self, Error> {
        let records = Records::create(context, mailbox);
        Ok(Self {
            records: records.map_err(|error| context.scratch_error(error))?,
            open: Vec::new(),
        })
    }

    /// Lists `path` in its directory. Where that has no entry, since it came and went, its own name
    /// is listed in the directory that it was in.
    fn list(&mut self, path: &RelPath, listed: Listed) {
        let (mut child, mut listed) = (path.clone(), listed);
        while let Some(parent) = child.parent() {
            if let Some((_, dumpdir)) = self.open.iter_mut().rfind(|(open, _)| *open == parent) {
                // A name that was met is a name that a directory can have.
                let _ = dumpdir.list(child.name(), listed);
                return;
            }
            (child, listed) = (parent, Listed::Directory);
        }
    }

    /// The names that follow are in the directory `path`, or behind it.
    fn enter(&mut self, path: &RelPath) -> io::Result<()> {
        while let Some((directory, dumpdir)) = self.open.pop_if(|(open, _)| !path.is_within(open)) {
            self.records.write(directory, &dumpdir)?;
        }
        if *path != self.records.mailbox {
            self.list(path, Listed::Directory);
        }
        self.open.push((path.clone(), Dumpdir::default()));
        Ok(())
    }

    /// The names of all directories, and those of the mailbox itself.
    fn finish(mut self) -> io::Result<(Records, Dumpdir)> {
        let mut top = Dumpdir::default();
        for (directory, dumpdir) in self.open {
            if directory == self.records.mailbox {
                top = dumpdir;
            } else {
                self.records.write(directory, &dumpdir)?;
            }
        }
        Ok((self.records, top))
    }
}

/// The records of directories, in an unnamed file: all names of a mailbox together may be long.
#[derive(Debug)]
struct Records {
    mailbox: RelPath,
    file: File,
    end: u64,
    places: BTreeMap<RelPath, (u64, usize)>,
}

impl Records {
    fn create(context: &Context<'_>, mailbox: &RelPath) -> io::Result<Self> {
        Ok(Self {
            mailbox: mailbox.clone(),
            file: tempfile::tempfile_in(context.scratch())?,
            end: 0,
            places: BTreeMap::new(),
        })
    }

    fn write(&mut self, directory: RelPath, dumpdir: &Dumpdir) -> io::Result<()> {
        let bytes = dumpdir.to_bytes();
        self.file.write_all_at(&bytes, self.end)?;
        self.places.insert(directory, (self.end, bytes.len()));
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn read(&self, directory: &RelPath) -> io::Result<Vec<u8>> {
        let Some((offset, length)) = self.places.get(directory) else {
            return Ok(Dumpdir::default().to_bytes());
        };
        let mut bytes = vec![0; *length];
        self.file.read_exact_at(&mut bytes, *offset)?;
        Ok(bytes)
    }
}
