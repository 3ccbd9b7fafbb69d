//! The components that are small trees of files: configuration, certificates, DKIM keys.
//!
//! Each becomes one archive, read whole every time. What cannot be read is named; the rest is
//! saved.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mail_common::archive::frame::{FRAME_TAR_BYTES, FrameCompressor};
use mail_common::archive::index::{Kind, LiveEntry};
use mail_common::archive::segment::SegmentWriter;
use mail_common::atomic::StoredFile;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Staging};
use walkdir::WalkDir;

use crate::saved::{Content, SavedFile};
use crate::source::large::{self, Streamed};
use crate::source::pack::{LARGE_BYTES, pack};
use crate::source::tree::{Look, SourceTree};

/// A directory and the archive that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreePlan {
    pub(crate) component: Component,
    pub(crate) source: PathBuf,
    /// In the set.
    pub(crate) archive: RelPath,
    /// zstd's.
    pub(crate) level: i32,
}

/// A file that is copied into the set as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyPlan {
    pub(crate) component: Component,
    pub(crate) source: PathBuf,
    /// In the set.
    pub(crate) target: RelPath,
}

/// What was saved of a tree, and what was not.
#[derive(Debug, Default)]
pub(crate) struct SavedTree {
    pub(crate) files: Vec<SavedFile>,
    /// What is missing from the set, and why. Paths are of the live system.
    pub(crate) failed: Vec<(PathBuf, io::Error)>,
    pub(crate) notices: Vec<String>,
}

/// Why the run cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("write {path} of the set")]
    Write { path: RelPath, source: io::Error },
    #[error("interrupted by a signal")]
    Interrupted,
}

/// Saves a directory as one archive.
pub(crate) fn save_tree(
    plan: &TreePlan,
    staging: &Staging<'_>,
    stop: &AtomicBool,
) -> Result<SavedTree, Error> {
    let mut saved = SavedTree::default();
    let tree = match SourceTree::open(&plan.source) {
        Ok(tree) => tree,
        Err(error) => {
            saved.failed.push((plan.source.clone(), error));
            return Ok(saved);
        }
    };
    let entries = list(plan, &tree, &mut saved);
    let write = |source| Error::Write {
        path: plan.archive.clone(),
        source,
    };
    let mut archiver = Archiver {
        plan,
        tree: &tree,
        compressor: FrameCompressor::new(plan.level).map_err(write)?,
        segment: SegmentWriter::new(staging.create_file(&plan.archive).map_err(write)?),
        content: Content::default(),
        saved,
    };
    for batch in batches(entries) {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        archiver.append(batch).map_err(write)?;
    }
    archiver.finish().map_err(write)
}

impl TreePlan {
    /// A path of the archive in the live system.
    fn live_path(&self, path: &RelPath) -> PathBuf {
        if path.is_root() {
            self.source.clone()
        } else {
            self.source.join(path.as_path())
        }
    }
}

/// What is below the source, sorted; what cannot be looked at is noted.
fn list(plan: &TreePlan, tree: &SourceTree, saved: &mut SavedTree) -> Vec<LiveEntry> {
    let mut entries = Vec::new();
    for found in WalkDir::new(&plan.source).sort_by_file_name() {
        let path = match found {
            Ok(found) => found.into_path(),
            Err(error) => {
                let path = error.path().unwrap_or(&plan.source).to_owned();
                saved.failed.push((path, error.into()));
                continue;
            }
        };
        match look(plan, tree, &path) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => saved.notices.push(format!(
                "{} is a socket, a named pipe or a device: it is not in the backup",
                path.display()
            )),
            // A file that went away was replaced or removed by its program.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => saved.failed.push((path, error)),
        }
    }
    entries
}

fn look(plan: &TreePlan, tree: &SourceTree, path: &Path) -> io::Result<Option<LiveEntry>> {
    let below = path
        .strip_prefix(&plan.source)
        .map_err(io::Error::other)?
        .to_owned();
    let path = if below.as_os_str().is_empty() {
        Ok(RelPath::root())
    } else {
        RelPath::try_from(below)
    };
    let path = path.map_err(io::Error::other)?;
    Ok(match tree.look(&path)? {
        Look::Savable(kind, stat) => Some(LiveEntry { path, kind, stat }),
        Look::Special => None,
    })
}

/// Entries for one frame each, in order; a large file comes alone.
fn batches(entries: Vec<LiveEntry>) -> Vec<Vec<LiveEntry>> {
    let mut batches: Vec<Vec<LiveEntry>> = Vec::new();
    let mut bytes = u64::MAX;
    for entry in entries {
        let size = entry.stat.size;
        if bytes >= FRAME_TAR_BYTES || size > LARGE_BYTES {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes = bytes.saturating_add(size.max(1));
        if let Some(batch) = batches.last_mut() {
            batch.push(entry);
        }
    }
    batches
}

struct Archiver<'a> {
    plan: &'a TreePlan,
    tree: &'a SourceTree,
    compressor: FrameCompressor,
    segment: SegmentWriter<StoredFile>,
    content: Content,
    saved: SavedTree,
}

impl Archiver<'_> {
    fn append(&mut self, batch: Vec<LiveEntry>) -> io::Result<()> {
        if let [entry] = &batch[..]
            && entry.kind == Kind::File
            && entry.stat.size > LARGE_BYTES
        {
            return self.stream(&entry.path);
        }
        let plan = self.plan;
        let mut tar = Vec::new();
        let packed = pack(self.tree, batch, &mut tar);
        if !packed.entries.is_empty() {
            self.segment.append(&self.compressor.compress(&tar)?)?;
        }
        self.content.entries += packed.entries.len() as u64;
        self.content.source_bytes += packed
            .entries
            .iter()
            .map(|entry| entry.live.stat.size)
            .sum::<u64>();
        self.saved.failed.extend(
            packed
                .failed
                .into_iter()
                .map(|(path, error)| (plan.live_path(&path), error)),
        );
        self.saved
            .notices
            .extend(packed.unsteady.iter().map(|path| {
                format!(
                    "{} changed during each of three readings; the last one is saved",
                    plan.live_path(path).display()
                )
            }));
        packed
            .large
            .iter()
            .try_for_each(|entry| self.stream(&entry.path))
    }

    fn stream(&mut self, path: &RelPath) -> io::Result<()> {
        let (segment, level) = (&mut self.segment, self.plan.level);
        let write = |head: &[u8], content: &mut dyn io::Read, tail: &[u8], _: &_| {
            segment.append_stream(level, head, content, tail)
        };
        match large::stream(self.tree, path, write)? {
            Streamed::Whole { entry, .. } => {
                self.content.entries += 1;
                self.content.source_bytes += entry.live.stat.size;
            }
            Streamed::Cut(error) | Streamed::Failed(error) => {
                self.saved.failed.push((self.plan.live_path(path), error));
            }
            Streamed::Vanished => {}
        }
        Ok(())
    }

    fn finish(self) -> io::Result<SavedTree> {
        let mut saved = self.saved;
        let stored = self.segment.finish()?.finish()?;
        saved.files.push(SavedFile::written(
            self.plan.component,
            self.plan.archive.clone(),
            &stored,
            self.content,
        ));
        Ok(saved)
    }
}

/// Copies a single file into the set.
pub(crate) fn save_copy(plan: &CopyPlan, staging: &Staging<'_>) -> Result<SavedTree, Error> {
    let mut saved = SavedTree::default();
    let content = match std::fs::read(&plan.source) {
        Ok(content) => content,
        Err(error) => {
            saved.failed.push((plan.source.clone(), error));
            return Ok(saved);
        }
    };
    let written = staging.create_file(&plan.target).and_then(|mut file| {
        io::Write::write_all(&mut file, &content)?;
        file.finish()
    });
    let stored = written.map_err(|source| Error::Write {
        path: plan.target.clone(),
        source,
    })?;
    let content = Content {
        entries: 1,
        source_bytes: content.len() as u64,
    };
    saved.files.push(SavedFile::written(
        plan.component,
        plan.target.clone(),
        &stored,
        content,
    ));
    Ok(saved)
}
