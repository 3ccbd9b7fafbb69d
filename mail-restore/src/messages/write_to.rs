//! Writes messages into a directory, under the names that they had:
//! `DIR/mailboxes/<domain>/<user>/...`.
//!
//! Any user may do so. Owners are given by root alone, and are in the outcome for all others.
//! Nothing is overwritten.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use mail_common::atomic;
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::set::Component;

use super::candidate::{Owner, SavedFile, Selection};
use super::content::{Content, read_all, unreadable};
use super::directory::Directory;
use super::error::{Error, Problem};
use super::folder::{hand_over, set_time};
use super::outcome::{Disposition, Outcome};
use super::present::hash_file;
use super::work::Work;

/// Before the process number in the name of a message that is not whole yet, as in
/// [`atomic::is_left_behind`].
const TEMPORARY: &str = ".tmp-";

/// Writes the messages of `selection` below `directory`, which is made where it is missing.
///
/// # Errors
/// When the directory cannot be made or opened. What fails later is in the outcome.
pub fn write_to(
    selection: &Selection,
    directory: &Path,
    work: &Work<'_>,
) -> Result<Outcome, Error> {
    let owner = Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mode: 0o700,
    };
    let opened = atomic::create_dir_all(directory)
        .and_then(|()| Directory::open_root(directory))
        .and_then(|root| root.ensure(Component::Mailboxes.name().as_bytes(), &owner));
    let (root, _) = opened.map_err(Failed::at("open or make", directory))?;
    let export = Export {
        root,
        owner,
        counter: AtomicU64::new(0),
        work,
    };
    let mut outcome = Outcome::default();
    export.write_all(selection, &mut outcome);
    Ok(outcome)
}

struct Export<'a> {
    /// `DIR/mailboxes`.
    root: Directory,
    /// Of directories that are made.
    owner: Owner,
    counter: AtomicU64,
    work: &'a Work<'a>,
}

impl Export<'_> {
    fn write_all(&self, selection: &Selection, outcome: &mut Outcome) {
        outcome.left = selection.candidates.len();
        self.clear_unfinished(selection);
        let files: Vec<&SavedFile> = selection
            .candidates
            .iter()
            .map(|candidate| &candidate.file)
            .collect();
        let is_full = AtomicBool::new(false);
        let is_over = || self.work.is_stopped() || is_full.load(Ordering::Relaxed);
        let answers = read_all(&selection.set, &files, is_over, |number, content| {
            if is_over() {
                return None;
            }
            let written = self.write_one(files[number], content);
            if matches!(written, Err(Error::Write { .. })) {
                is_full.store(true, Ordering::Relaxed);
            }
            Some(written)
        });
        let mut directories = BTreeSet::new();
        for (candidate, answer) in selection.candidates.iter().zip(answers) {
            match answer.flatten() {
                Some(Ok(disposition)) => {
                    directories.extend(candidate.file.path.parent());
                    outcome.note(candidate, in_directory(&candidate.file.path), disposition);
                }
                Some(Err(error)) => outcome.fail(candidate, error),
                None => {}
            }
        }
        for path in directories {
            if let Err(source) = self
                .root
                .descend(&path)
                .and_then(|directory| directory.sync())
            {
                let error = Failed::at("sync", in_directory(&path).as_path())(source).into();
                outcome.failures.push(Problem {
                    mailbox: String::new(),
                    path: None,
                    error,
                });
            }
        }
    }

    /// Removes what killed runs had not finished from the directories that are written to.
    fn clear_unfinished(&self, selection: &Selection) {
        let now = SystemTime::now();
        let parents: BTreeSet<RelPath> = selection
            .candidates
            .iter()
            .filter_map(|candidate| candidate.file.path.parent())
            .collect();
        for parent in parents {
            let Ok(directory) = self.root.descend(&parent) else {
                continue; // It is not there yet, or cannot be used, which writing to it will say.
            };
            for entry in directory.entries().unwrap_or_default() {
                let modified = directory.modified(&entry.name);
                if modified.is_ok_and(|time| atomic::is_left_behind(&entry.name, time, now)) {
                    // Only room is lost where this fails.
                    let _ = directory.remove_file(&entry.name);
                }
            }
        }
    }

    fn write_one(
        &self,
        file: &SavedFile,
        content: Result<Content<'_>, Error>,
    ) -> Result<Disposition, Error> {
        let content = content?;
        let parent = file.path.parent().unwrap_or_else(RelPath::root);
        let at = in_directory(&parent);
        let directory = self
            .ensure(&parent)
            .map_err(Failed::at("open or make", at.as_path()))?;
        if directory.look(file.path.name()).is_ok() {
            return self.compare(file);
        }
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{TEMPORARY}{}-{number}", std::process::id());
        let write = |source| Error::Write {
            path: in_directory(&parent),
            source,
        };
        let mut target = directory.create_file(temporary.as_bytes()).map_err(write)?;
        let written = self
            .fill(&mut target, content, file, &write)
            .and_then(|()| {
                let moved = directory.move_into(temporary.as_bytes(), &directory, file.path.name());
                moved.map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => Error::Occupied {
                        path: in_directory(&file.path),
                    },
                    _ => write(error),
                })
            });
        match written {
            Ok(()) => Ok(Disposition::Added),
            Err(error) => {
                // The failure matters more than whether this succeeds.
                let _ = directory.remove_file(temporary.as_bytes());
                Err(error)
            }
        }
    }

    fn ensure(&self, path: &RelPath) -> io::Result<Directory> {
        let start = self.root.descend(&RelPath::root())?;
        path.components().try_fold(start, |directory, name| {
            Ok(directory.ensure(name, &self.owner)?.0)
        })
    }

    /// What has the name already may be the message itself, from an earlier run.
    fn compare(&self, file: &SavedFile) -> Result<Disposition, Error> {
        match hash_file(&self.root, &file.path) {
            Ok((digest, _)) if digest == file.sha256 => Ok(Disposition::Present),
            _ => Err(Error::Occupied {
                path: in_directory(&file.path),
            }),
        }
    }

    fn fill(
        &self,
        target: &mut File,
        mut content: Content<'_>,
        file: &SavedFile,
        write: &impl Fn(io::Error) -> Error,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = content.read(&mut buffer).map_err(unreadable(file))?;
            if read == 0 {
                break;
            }
            target.write_all(&buffer[..read]).map_err(write)?;
            (self.work.progress)(read as u64);
        }
        let owner = if rustix::process::geteuid().is_root() {
            &file.owner
        } else {
            &self.owner
        };
        let finished = hand_over(target, owner, file.owner.mode & 0o777)
            .and_then(|()| set_time(target, file.mtime_ns))
            .and_then(|()| target.sync_all());
        finished.map_err(write)
    }
}

/// The path below the directory that was asked for.
fn in_directory(path: &RelPath) -> RelPath {
    RelPath::new(Component::Mailboxes.name())
        .map(|base| path.below(&base))
        .unwrap_or_else(|_| path.clone())
}
