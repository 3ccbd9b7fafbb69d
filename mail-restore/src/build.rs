//! Builds the tree of a component from the files of a set.

use std::num::NonZeroUsize;
use std::path::Path;

use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, SetFile};
use mail_common::trusted;

use crate::jobs::TreeJob;
use crate::tree::{Attributes, Lacking, NewTree, Owners};
use crate::unpack::{self, Archive, Error, Unpacked};
use mail_common::pool;

/// What every tree of a run is built with.
#[derive(Clone, Copy)]
pub(crate) struct Builder<'a> {
    /// The directory of the set.
    pub(crate) set: &'a Path,
    pub(crate) owners: Owners,
    pub(crate) threads: NonZeroUsize,
    pub(crate) interrupt: &'a Interrupt,
    /// Notified of the bytes that are written.
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
}

/// A file of the set that is in a tree now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) component: Component,
    pub(crate) path: RelPath,
    pub(crate) unpacked: Unpacked,
}

/// What a tree was built of, and what it lacks.
#[derive(Debug, Default)]
pub(crate) struct BuiltTree {
    pub(crate) parts: Vec<Built>,
    pub(crate) lacking: Lacking,
}

impl Builder<'_> {
    /// Builds the tree of `job` in the empty directory `path`.
    ///
    /// # Errors
    /// At the first file that cannot be used or written; what is in `path` is to be thrown away
    /// then.
    pub(crate) fn build(&self, job: &TreeJob, path: &Path) -> Result<BuiltTree, Error> {
        let failed = |source| Error::Write {
            archive: first_name(job),
            target: path.to_owned(),
            source,
        };
        let tree = NewTree::open(path, self.owners).map_err(failed)?;
        let mut built = BuiltTree::default();
        built.parts.extend(self.unpack_archives(job, &tree)?);
        built.parts.extend(self.copy_files(job, &tree)?);
        for (first, name) in unpack::find_links(self.set, &job.indices)? {
            let joined = tree.join(&first, &name);
            joined.map_err(|source| Error::Write {
                archive: first_name(job),
                target: path.join(name.as_path()),
                source,
            })?;
        }
        for (at, inner) in &job.inner {
            let directory = tree.clear(at).map_err(failed)?;
            let of_inner = self.build(inner, &directory)?;
            built.parts.extend(of_inner.parts);
            built.lacking.add(at, of_inner.lacking);
        }
        built.lacking.add(
            &RelPath::root(),
            tree.finish(root_attributes(job)).map_err(failed)?,
        );
        Ok(built)
    }

    fn unpack_archives(&self, job: &TreeJob, tree: &NewTree) -> Result<Vec<Built>, Error> {
        let archives = by_size(self.set, &job.archives);
        pool::for_each(
            self.threads,
            &archives,
            || tree.maker(),
            |maker, file| {
                let prefix = self.prefix(job, file)?;
                let archive = Archive {
                    set: self.set,
                    file,
                    prefix: &prefix,
                };
                let unpacked = unpack::unpack(archive, maker, self.interrupt, self.progress)?;
                Ok(Built {
                    component: job.component,
                    path: file.path.clone(),
                    unpacked,
                })
            },
        )
    }

    /// Only the old scripts put something before the names.
    pub(crate) fn prefix(&self, job: &TreeJob, file: &SetFile) -> Result<RelPath, Error> {
        match file.recorded {
            Some(_) => Ok(RelPath::root()),
            None => unpack::find_prefix(self.set, &file.path, &job.target),
        }
    }

    fn copy_files(&self, job: &TreeJob, tree: &NewTree) -> Result<Vec<Built>, Error> {
        let is_mail = job.component == Component::Mailboxes && !job.files.is_empty();
        if is_mail {
            let copied = unpack::copy_frame(self.set, &mut tree.maker());
            copied.map_err(|source| Error::Write {
                archive: first_name(job),
                target: tree.path().to_owned(),
                source,
            })?;
        }
        pool::for_each(
            self.threads,
            &job.files,
            || tree.maker(),
            |maker, (file, path)| {
                self.interrupt.check()?;
                let unpacked = unpack::copy_file(self.set, file, path, maker)?;
                (self.progress)(unpacked.bytes);
                Ok(Built {
                    component: job.component,
                    path: file.path.clone(),
                    unpacked,
                })
            },
        )
    }
}

/// The largest first, so that no thread is left with the last large one alone.
fn by_size<'a>(set: &Path, archives: &'a [SetFile]) -> Vec<&'a SetFile> {
    let mut archives: Vec<&SetFile> = archives.iter().collect();
    let size = |file: &&SetFile| match file.recorded {
        Some(recorded) => recorded.source_bytes,
        None => set
            .join(file.path.as_path())
            .metadata()
            .map_or(0, |metadata| metadata.len()),
    };
    archives.sort_by_cached_key(|file| std::cmp::Reverse(size(file)));
    archives
}

/// What the root of the tree gets where no archive says it: the attributes of the directory that it
/// replaces.
fn root_attributes(job: &TreeJob) -> Option<Attributes> {
    Attributes::of(&trusted::open(&job.target).ok()?).ok()
}

/// For errors that concern no single file.
fn first_name(job: &TreeJob) -> RelPath {
    job.used()
        .next()
        .map_or_else(RelPath::root, |file| file.path.clone())
}
