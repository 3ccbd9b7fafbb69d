//! Writes the index of the new set: what was kept, where it is now, and what was packed, merged by
//! path.

use std::collections::HashMap;
use std::io;

use mail_common::archive::index::{IndexEntry, IndexWriter, Location};
use mail_common::atomic::StoredFile;
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::Component;
use zstd::zstd_safe::CParameter;

use super::context::Context;
use super::error::Error;
use super::frames::Frames;
use super::history::{CONTROL, History};
use super::spool::SavedRun;
use crate::saved::{Content, SavedFile};

/// What becomes of the control entries of the last index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlEntries {
    /// Their segment is linked.
    Kept,
    /// They were saved again.
    Replaced,
}

/// The entries of the last index that are still true, with their new places.
pub(crate) struct Kept<'a> {
    pub(crate) history: &'a History<'a>,
    pub(crate) frames: &'a Frames,
    pub(crate) moved: &'a HashMap<Location, Location>,
    pub(crate) control: ControlEntries,
}

type Entries<'a> = Box<dyn Iterator<Item = Result<IndexEntry, Error>> + 'a>;

impl<'a> Kept<'a> {
    fn entries(self) -> Result<Entries<'a>, Error> {
        let history = self.history;
        let index = history.read_index()?;
        let mut ranks: HashMap<Location, usize> = HashMap::new();
        Ok(Box::new(index.filter_map(move |entry| match entry {
            Ok(entry) => self.keep(entry, &mut ranks).map(Ok),
            Err(error) => Some(Err(history.index_error(error))),
        })))
    }

    /// The entry at its new place, if it is kept. `ranks` counts the members of each frame.
    fn keep(
        &self,
        mut entry: IndexEntry,
        ranks: &mut HashMap<Location, usize>,
    ) -> Option<IndexEntry> {
        if entry.location.segment == CONTROL {
            return (self.control == ControlEntries::Kept).then_some(entry);
        }
        let rank = ranks.entry(entry.location).or_insert(0);
        let is_kept = self.frames.keeps(entry.location, *rank);
        *rank += 1;
        if let Some(moved) = self.moved.get(&entry.location) {
            entry.location = *moved;
        }
        is_kept.then_some(entry)
    }
}

/// Writes the index at `path` of the set. `unsorted` are entries in any order.
pub(crate) fn write_index(
    context: &Context<'_>,
    path: RelPath,
    kept: Option<Kept<'_>>,
    runs: Vec<SavedRun>,
    mut unsorted: Vec<IndexEntry>,
) -> Result<SavedFile, Error> {
    unsorted.sort_unstable_by(|a, b| a.live.path.cmp(&b.live.path));
    let mut sources: Vec<Entries<'_>> = vec![Box::new(unsorted.into_iter().map(Ok))];
    if let Some(kept) = kept {
        sources.push(kept.entries()?);
    }
    for run in runs {
        sources.push(Box::new(
            run.map(|entry| entry.map_err(|error| context.read_back_error(error))),
        ));
    }
    let file = context.in_set(&path);
    let created = context.environment.staging.create_file(&path);
    let mut writer = created
        .and_then(|stored| compressed(stored, context.level))
        .map_err(Failed::at("create", &file))?;
    for entry in Merged::new(sources)? {
        writer.write(&entry?).map_err(Failed::at("write", &file))?;
    }
    let source_bytes = writer.bytes();
    let (encoder, entries) = writer.into_parts();
    let finished = encoder.finish().and_then(StoredFile::finish_unsynced);
    let (stored, handle) = finished.map_err(Failed::at("write", &file))?;
    context.sync_queue.push(file, handle)?;
    let content = Content {
        entries,
        source_bytes,
    };
    Ok(SavedFile::written(
        Component::Mailboxes,
        path,
        &stored,
        content,
    ))
}

fn compressed(
    file: StoredFile,
    level: i32,
) -> io::Result<IndexWriter<zstd::Encoder<'static, StoredFile>>> {
    let mut encoder = zstd::Encoder::new(file, level)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(IndexWriter::new(encoder))
}

/// The entries of several sorted sources, sorted. There are few sources: one a class of age, and
/// the last index.
struct Merged<'a> {
    sources: Vec<Entries<'a>>,
    /// The next entry of each.
    heads: Vec<Option<IndexEntry>>,
}

impl<'a> Merged<'a> {
    fn new(mut sources: Vec<Entries<'a>>) -> Result<Self, Error> {
        let heads = sources
            .iter_mut()
            .map(|source| source.next().transpose())
            .collect::<Result<_, _>>()?;
        Ok(Self { sources, heads })
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<IndexEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let present = self.heads.iter().enumerate();
        let (first, _) = present
            .filter_map(|(number, head)| Some((number, &head.as_ref()?.live.path)))
            .min_by_key(|(_, path)| *path)?;
        match self.sources[first].next().transpose() {
            Ok(next) => std::mem::replace(&mut self.heads[first], next).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}
