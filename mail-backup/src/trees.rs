//! The components that are small trees of files: configuration, certificates, DKIM keys.
//!
//! Each becomes one archive, read whole every time. What cannot be read is named; the rest is
//! saved.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mail_common::archive::frame::{FRAME_TAR_BYTES, FrameCompressor};
use mail_common::archive::index::{Kind, LiveEntry};
use mail_common::archive::segment::SegmentWriter;
use mail_common::atomic::StoredFile;
use mail_common::failure::Failed;
use mail_common::interrupt::Interrupt;
use mail_common::record::{WatchedFile, WatchedRole};
use mail_common::relpath::RelPath;
use mail_common::set::{Component, Staging};
use mail_common::trusted;
use walkdir::{DirEntry, WalkDir};

use crate::error::Error;
use crate::exclude::{Exclude, LeftOut, Named};
use crate::part::SavedPart;
use crate::saved::{Content, SavedFile};
use crate::source::large::{self, Streamed};
use crate::source::pack::{LARGE_BYTES, PackedEntry, Request, pack};
use crate::source::tree::{Look, SourceTree};
use crate::sqlite;

/// A directory and the archive that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreePlan {
    pub(crate) component: Component,
    pub(crate) source: PathBuf,
    /// In the set.
    pub(crate) archive: RelPath,
    /// zstd's.
    pub(crate) level: i32,
    /// What of it is left out.
    pub(crate) exclude: Exclude,
    /// How to say that the server has none.
    pub(crate) absence: Option<String>,
}

/// A file that is copied into the set as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyPlan {
    pub(crate) component: Component,
    pub(crate) source: PathBuf,
    /// In the set.
    pub(crate) target: RelPath,
    /// How to say that the server has none.
    pub(crate) absence: Option<String>,
}

/// Saves a directory as one archive.
///
/// # Errors
/// Only when the set cannot be written, or the run is interrupted; the rest is in the result.
pub(crate) fn save_tree(
    plan: &TreePlan,
    staging: &Staging<'_>,
    interrupt: &Interrupt,
) -> Result<SavedPart, Error> {
    let tree = match SourceTree::open(&plan.source) {
        Ok(tree) => tree,
        Err(error) => return Ok(SavedPart::nothing(plan.unread(error))),
    };
    let mut saved = SavedPart::default();
    let (entries, left_out) = list(plan, &tree, &mut saved);
    for database in sqlite::unsettled(&tree, &entries) {
        let path = plan.live_path(&database);
        saved
            .notices
            .push(sqlite::notice(&path.display().to_string()));
    }
    saved.remarks.extend(left_out.sentence(&plan.source));
    saved.totals.add("excluded_entries", left_out.entries);
    let file = staging.path().join(plan.archive.as_path());
    let written = || Failed::at("write", &file);
    let mut archiver = Archiver {
        plan,
        tree: &tree,
        compressor: FrameCompressor::new(plan.level).map_err(written())?,
        segment: SegmentWriter::new(staging.create_file(&plan.archive).map_err(written())?),
        content: Content::default(),
        excluded: left_out.entries,
        saved,
    };
    for batch in batches(entries) {
        interrupt.check()?;
        archiver.append(batch).map_err(written())?;
    }
    Ok(archiver.finish().map_err(written())?)
}

/// Why a source cannot be read, and what to say where there is none.
fn unread(source: &Path, absence: Option<&String>, error: io::Error) -> Error {
    match absence {
        Some(say) if error.kind() == io::ErrorKind::NotFound => Error::NotThere {
            path: source.to_owned(),
            say: say.clone(),
            source: error,
        },
        _ => Failed::at("read", source)(error).into(),
    }
}

impl CopyPlan {
    pub(crate) fn unread(&self, error: io::Error) -> Error {
        unread(&self.source, self.absence.as_ref(), error)
    }
}

impl TreePlan {
    pub(crate) fn unread(&self, error: io::Error) -> Error {
        unread(&self.source, self.absence.as_ref(), error)
    }

    fn leaves_out(&self, entry: &DirEntry) -> bool {
        let path = entry.path();
        self.exclude.names(Named {
            path,
            below: path.strip_prefix(&self.source).unwrap_or(path),
            is_directory: entry.file_type().is_dir(),
        })
    }

    /// A path of the archive in the live system.
    fn live_path(&self, path: &RelPath) -> PathBuf {
        if path.is_root() {
            self.source.clone()
        } else {
            self.source.join(path.as_path())
        }
    }
}

/// What is below the source, sorted, and what is left out of it; what cannot be looked at is noted.
fn list(plan: &TreePlan, tree: &SourceTree, saved: &mut SavedPart) -> (Vec<LiveEntry>, LeftOut) {
    let (mut entries, mut left_out) = (Vec::new(), LeftOut::default());
    let mut walk = WalkDir::new(&plan.source).sort_by_file_name().into_iter();
    while let Some(found) = walk.next() {
        let path = match found {
            Ok(found) if plan.leaves_out(&found) => {
                left_out.add(found.path());
                if found.file_type().is_dir() {
                    walk.skip_current_dir();
                }
                continue;
            }
            Ok(found) => found.into_path(),
            Err(error) => {
                let path = error.path().unwrap_or(&plan.source).to_owned();
                saved.fail(None, Failed::at("read", &path)(error.into()));
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
            Err(error) => saved.fail(None, Failed::at("read", &path)(error)),
        }
    }
    (entries, left_out)
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
fn batches(entries: Vec<LiveEntry>) -> Vec<Vec<Request>> {
    let mut batches: Vec<Vec<Request>> = Vec::new();
    let mut bytes = u64::MAX;
    for entry in entries {
        let size = entry.stat.size;
        if bytes >= FRAME_TAR_BYTES || size > LARGE_BYTES {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes = bytes.saturating_add(size.max(1));
        if let Some(batch) = batches.last_mut() {
            batch.push(Request {
                is_watched: true,
                ..Request::plain(entry)
            });
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
    excluded: u64,
    saved: SavedPart,
}

impl Archiver<'_> {
    fn append(&mut self, batch: Vec<Request>) -> io::Result<()> {
        if let [request] = &batch[..]
            && request.live.kind == Kind::File
            && request.live.stat.size > LARGE_BYTES
        {
            return self.stream(request);
        }
        let plan = self.plan;
        let mut tar = Vec::new();
        let packed = pack(self.tree, batch, &mut tar);
        if !packed.entries.is_empty() {
            self.segment.append(&self.compressor.compress(&tar)?)?;
        }
        for entry in &packed.entries {
            self.add_entry(entry.live.stat.size);
            self.watch(entry);
        }
        for (path, error) in packed.failed {
            self.fail(&path, error);
        }
        for path in &packed.unsteady {
            self.saved.notices.push(format!(
                "{} changed during each of three readings; the last one is saved",
                plan.live_path(path).display()
            ));
        }
        for request in &packed.large {
            self.stream(request)?;
        }
        Ok(())
    }

    /// Takes note of a private key.
    fn watch(&mut self, entry: &PackedEntry) {
        if entry.holds_key
            && let Some(sha256) = entry.sha256
        {
            self.saved.watched.push(WatchedFile {
                component: self.plan.component,
                role: WatchedRole::Key,
                archive: Some(self.plan.archive.to_string()),
                path: (&entry.live.path).into(),
                sha256,
            });
        }
    }

    fn add_entry(&mut self, source_bytes: u64) {
        self.content += Content {
            entries: 1,
            source_bytes,
        };
    }

    fn fail(&mut self, path: &RelPath, error: io::Error) {
        let path = self.plan.live_path(path);
        self.saved.fail(None, Failed::at("read", &path)(error));
    }

    fn stream(&mut self, request: &Request) -> io::Result<()> {
        let (segment, level) = (&mut self.segment, self.plan.level);
        let write = |head: &[u8], content: &mut dyn io::Read, tail: &[u8], _: &_| {
            segment.append_stream(level, head, content, tail)
        };
        match large::stream(self.tree, request, write)? {
            Streamed::Whole { entry, .. } => self.add_entry(entry.live.stat.size),
            Streamed::Cut(error) | Streamed::Failed(error) => {
                self.fail(&request.live.path, error);
            }
            Streamed::Vanished => {}
        }
        Ok(())
    }

    fn finish(self) -> io::Result<SavedPart> {
        let mut saved = self.saved;
        let stored = self.segment.finish()?.finish()?;
        let (component, path) = (self.plan.component, self.plan.archive.clone());
        saved.files.push(SavedFile {
            excluded: self.excluded,
            ..SavedFile::written(component, path, &stored, self.content)
        });
        Ok(saved)
    }
}

/// Copies a single file into the set.
///
/// # Errors
/// Only when the set cannot be written.
pub(crate) fn save_copy(plan: &CopyPlan, staging: &Staging<'_>) -> Result<SavedPart, Error> {
    let content = match trusted::read(&plan.source) {
        Ok(content) => content,
        Err(error) => return Ok(SavedPart::nothing(plan.unread(error))),
    };
    let file = staging.path().join(plan.target.as_path());
    let written = staging.create_file(&plan.target).and_then(|mut stored| {
        stored.write_all(&content)?;
        stored.finish()
    });
    let stored = written.map_err(Failed::at("write", &file))?;
    let content = Content {
        entries: 1,
        source_bytes: content.len() as u64,
    };
    let target = plan.target.clone();
    let watched = WatchedFile {
        component: plan.component,
        role: WatchedRole::Compose,
        archive: None,
        path: (&target).into(),
        sha256: stored.sha256,
    };
    Ok(SavedPart {
        watched: vec![watched],
        files: vec![SavedFile::written(plan.component, target, &stored, content)],
        ..SavedPart::default()
    })
}
