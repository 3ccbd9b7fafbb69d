//! Builds the tree of a component from the files of a set.

use std::num::NonZeroUsize;
use std::path::Path;

use mail_common::checksum::Sha256;
use mail_common::interrupt::Interrupt;
use mail_common::relpath::RelPath;
use mail_common::set::{Component, SetFile};
use mail_common::trusted;

use crate::jobs::TreeJob;
use crate::left_out::LeftOut;
use crate::tree::{Attributes, Lacking, NewTree, Owners, Standing};
use crate::unpack::{self, Archive, Error, Mailboxes, Unpacked};
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
    /// What is not restored.
    pub(crate) left_out: &'a LeftOut,
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
        let mailboxes = self.mailboxes(job)?;
        let unpacked = self.unpack_archives(job, &mailboxes, &tree)?;
        built.parts.extend(unpacked);
        for copied in self.copy_files(job, &tree)? {
            match copied {
                Copied::Built(part) => built.parts.push(part),
                Copied::Differs(sentence) => built.lacking.sentences.push(sentence),
            }
        }
        for (first, name) in mailboxes.links()? {
            if self.left_out.has(&first) || self.left_out.has(&name) {
                continue;
            }
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

    /// The mailboxes of `job`, examined.
    pub(crate) fn mailboxes<'a>(&'a self, job: &'a TreeJob) -> Result<Mailboxes<'a>, Error> {
        Mailboxes::examine(self.set, &job.mailboxes, self.threads, self.interrupt)
    }

    fn unpack_archives(
        &self,
        job: &TreeJob,
        mailboxes: &Mailboxes<'_>,
        tree: &NewTree,
    ) -> Result<Vec<Built>, Error> {
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
                    segment: job.mailbox_of(file).and_then(|at| mailboxes.segment(at)),
                    left_out: self.left_out.of(&file.path),
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

    /// Only the old scripts put something before the names, and they archived no mailboxes.
    pub(crate) fn prefix(&self, job: &TreeJob, file: &SetFile) -> Result<RelPath, Error> {
        match (file.recorded, job.mailbox_of(file)) {
            (None, None) => unpack::find_prefix(self.set, &file.path, &job.target),
            _ => Ok(RelPath::root()),
        }
    }

    fn copy_files(&self, job: &TreeJob, tree: &NewTree) -> Result<Vec<Copied>, Error> {
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
                if !is_mail && let Some(stands) = stands_already(job, file, path, tree)? {
                    return Ok(stands);
                }
                let unpacked = unpack::copy_file(self.set, file, path, maker)?;
                (self.progress)(unpacked.bytes);
                Ok(Copied::Built(Built {
                    component: job.component,
                    path: file.path.clone(),
                    unpacked,
                }))
            },
        )
    }
}

/// What became of a file of the set that lies beside the archives.
enum Copied {
    Built(Built),
    /// The archives have something else in its place; a sentence.
    Differs(String),
}

/// What the archives have put in the place of a file, where they have: the compose file may lie in
/// the directory of the configuration, and so be in the set twice. The archive's has its owner and
/// mode, and stays.
fn stands_already(
    job: &TreeJob,
    file: &SetFile,
    path: &RelPath,
    tree: &NewTree,
) -> Result<Option<Copied>, Error> {
    let failed = |source| Error::Write {
        archive: file.path.clone(),
        target: tree.path().join(path.as_path()),
        source,
    };
    let standing = tree.stands_at(path).map_err(failed)?;
    let digest = match standing {
        Standing::Nothing => return Ok(None),
        Standing::File(found) => Some(Sha256::of_reader(found).map_err(failed)?),
        Standing::Other => None,
    };
    Ok(Some(match digest {
        Some((sha256, bytes)) if sha256 == file.sha256 => Copied::Built(Built {
            component: job.component,
            path: file.path.clone(),
            unpacked: Unpacked { entries: 1, bytes },
        }),
        _ => Copied::Differs(format!(
            "{} of the set is not restored: the archives have something else in its place, {}",
            file.path,
            job.target.join(path.as_path()).display()
        )),
    }))
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
