//! Writes the index of the new set: what was kept, where it is now, and what was packed, merged by
//! path.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::iter::Peekable;

use mail_common::archive::index::{IndexEntry, IndexWriter, Location};
use mail_common::atomic::StoredFile;
use mail_common::relpath::RelPath;
use mail_common::set::Component;
use zstd::zstd_safe::CParameter;

use super::compare::FrameUse;
use super::context::{Context, Error};
use super::history::{Distrust, History};
use super::output::CONTROL;
use super::packing::Run;
use super::syncer::hand_over;
use crate::saved::{Content, SavedFile};

/// What becomes of the control entries of the last index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlEntries {
    /// Their segment is linked.
    Kept,
    /// They were saved anew.
    Replaced,
}

/// The entries of the last index that are still true, with their new places.
pub(crate) struct Kept<'a> {
    pub(crate) history: &'a History<'a>,
    pub(crate) frames: &'a BTreeMap<Location, FrameUse>,
    pub(crate) moved: &'a HashMap<Location, Location>,
    pub(crate) control: ControlEntries,
}

type Entries<'a> = Peekable<Box<dyn Iterator<Item = Result<IndexEntry, Error>> + 'a>>;

impl<'a> Kept<'a> {
    fn entries(self) -> Result<impl Iterator<Item = Result<IndexEntry, Error>> + 'a, Error> {
        let history = self.history;
        let index = history.read_index().map_err(distrust)?;
        let mut ranks: HashMap<Location, usize> = HashMap::new();
        Ok(index.filter_map(move |entry| match entry {
            Ok(entry) => self.keep(entry, &mut ranks).map(Ok),
            Err(error) => Some(Err(distrust(history.index_error(error)))),
        }))
    }

    fn keep(
        &self,
        mut entry: IndexEntry,
        ranks: &mut HashMap<Location, usize>,
    ) -> Option<IndexEntry> {
        if entry.location.segment == CONTROL {
            return (self.control == ControlEntries::Kept).then_some(entry);
        }
        let rank = ranks.entry(entry.location).or_insert(0);
        let is_kept = self
            .frames
            .get(&entry.location)
            .and_then(|usage| usage.keep.get(*rank))
            .copied();
        *rank += 1;
        if is_kept != Some(true) {
            return None;
        }
        entry.location = self
            .moved
            .get(&entry.location)
            .copied()
            .unwrap_or(entry.location);
        Some(entry)
    }
}

/// The index was read whole a moment ago; that it cannot be read now is a fault of the disk.
fn distrust(error: Distrust) -> Error {
    Error::Reread(Box::new(error))
}

/// Writes the index at `path` of the set. `late` need not be sorted.
pub(crate) fn write_index(
    context: &Context<'_>,
    path: RelPath,
    kept: Option<Kept<'_>>,
    runs: Vec<Run>,
    mut late: Vec<IndexEntry>,
) -> Result<SavedFile, Error> {
    late.sort_unstable_by(|a, b| a.live.path.cmp(&b.live.path));
    let mut sources: Vec<Entries<'_>> = Vec::new();
    if let Some(kept) = kept {
        sources.push(peekable(kept.entries()?));
    }
    for run in runs {
        sources.push(peekable(
            run.map(|entry| entry.map_err(|error| context.spool_error(error))),
        ));
    }
    sources.push(peekable(late.into_iter().map(Ok)));
    let written = context
        .staging
        .create_file(&path)
        .map_err(Error::writing(&path));
    let mut writer =
        written.and_then(|file| compressed(file, context.level).map_err(Error::writing(&path)))?;
    while let Some(entry) = next(&mut sources)? {
        writer.write(&entry).map_err(Error::writing(&path))?;
    }
    let source_bytes = writer.bytes();
    let (encoder, entries) = writer.into_parts();
    let content = Content {
        entries,
        source_bytes,
    };
    let stored = encoder.finish().and_then(StoredFile::finish_unsynced);
    let (stored, file) = stored.map_err(Error::writing(&path))?;
    hand_over(&context.syncing, &path, file)?;
    Ok(SavedFile::written(
        Component::Mailboxes,
        path,
        &stored,
        content,
    ))
}

fn peekable<'a>(entries: impl Iterator<Item = Result<IndexEntry, Error>> + 'a) -> Entries<'a> {
    (Box::new(entries) as Box<dyn Iterator<Item = _> + 'a>).peekable()
}

fn compressed(
    file: StoredFile,
    level: i32,
) -> io::Result<IndexWriter<zstd::Encoder<'static, StoredFile>>> {
    let mut encoder = zstd::Encoder::new(file, level)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(IndexWriter::new(encoder))
}

/// The entry with the smallest path.
fn next(sources: &mut [Entries<'_>]) -> Result<Option<IndexEntry>, Error> {
    let mut first: Option<(usize, RelPath)> = None;
    for (number, source) in sources.iter_mut().enumerate() {
        match source.peek() {
            Some(Ok(entry))
                if first
                    .as_ref()
                    .is_none_or(|(_, path)| entry.live.path < *path) =>
            {
                first = Some((number, entry.live.path.clone()));
            }
            Some(Err(_)) => return source.next().transpose(),
            _ => {}
        }
    }
    first
        .and_then(|(number, _)| sources[number].next())
        .transpose()
}
