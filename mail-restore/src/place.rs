//! Builds everything that is restored beside its target, then puts all of it in place, one exchange
//! after the other. What fails at any point takes back what was done before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::atomic;
use mail_common::interrupt::Interrupt;
use mail_common::record::{Record, Restored};
use mail_common::relpath::PathField;
use mail_common::report::{self, Unit};
use mail_common::tool::{Session, Totals};

use crate::build::{Builder, Built, BuiltTree};
use crate::databases;
use crate::dumps;
use crate::jobs::{FileJob, TreeJob};
use crate::plan::{Destination, Plan};
use crate::services;
use crate::swap::{Kind, Staged, Swapped};
use crate::tree::{Lacking, Owners, acl_text};
use crate::unpack::{self, Unpacked};
use mail_common::set::verify;

/// Why nothing was put in place. What was there is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("begin {} beside it", target.display())]
    Stage { target: PathBuf, source: io::Error },
    #[error("restore {}: everything is as it was", target.display())]
    Build {
        target: PathBuf,
        source: unpack::Error,
    },
    #[error("write {}", target.display())]
    Write { target: PathBuf, source: io::Error },
    #[error("sync the new {}", target.display())]
    Sync { target: PathBuf, source: io::Error },
    #[error("put the new {} in place: everything is as it was", target.display())]
    Swap { target: PathBuf, source: io::Error },
    #[error(transparent)]
    Databases(#[from] databases::Error),
    #[error(
        "{} could not be put back: what was there is {}, move it back by hand", target.display(), kept.display()
    )]
    RollBack {
        target: PathBuf,
        kept: PathBuf,
        source: io::Error,
    },
}

/// Something that is ready to be put in place.
struct Ready {
    staged: Staged,
    target: PathBuf,
    parts: Vec<Built>,
}

/// Something that is in place.
struct Done {
    swapped: Swapped,
    target: PathBuf,
    parts: Vec<Built>,
}

/// Restores what the plan says.
///
/// The databases come between: what takes long and may fail is done before the exchanges, which
/// take a moment.
pub(crate) fn place(
    plan: &Plan,
    session: &Session,
    interrupt: &Interrupt,
    now: &ZonedDateTime,
) -> Result<Totals, Error> {
    let ready = build_all(plan, session, interrupt)?;
    let loaded = match &plan.dumps {
        Some(dumps) => dumps.load(&plan.root, session, interrupt, now)?,
        None => None,
    };
    let mut totals = Totals::default();
    match (swap_all(plan, ready), loaded) {
        (Ok(done), loaded) => {
            if let Some(loaded) = loaded {
                dumps::report(loaded, session, &mut totals);
            }
            say_done(plan, session, &done, &mut totals);
            Ok(totals)
        }
        (Err(error), None) => Err(error),
        (Err(error), Some(loaded)) => {
            loaded.roll_back(&report::chain(&error))?;
            Err(error)
        }
    }
}

fn build_all(plan: &Plan, session: &Session, interrupt: &Interrupt) -> Result<Vec<Ready>, Error> {
    let progress = session
        .report
        .progress("restore", Unit::Bytes, Some(plan.unpacked_bytes()));
    let advance = |bytes| progress.advance(bytes);
    let builder = Builder {
        set: &plan.inventory.set,
        owners: owners(plan),
        threads: plan.threads,
        interrupt,
        progress: &advance,
    };
    let mut ready = Vec::new();
    for job in &plan.jobs.trees {
        progress.message(job.component.name());
        let (tree, lacking) = build_tree(&builder, job, plan)?;
        say_lacking(&lacking, job, plan, session)?;
        ready.push(tree);
    }
    for job in &plan.jobs.files {
        ready.push(build_file(job, plan)?);
    }
    if let Some((dumps, target)) = plan
        .dumps
        .as_ref()
        .and_then(|dumps| Some((dumps, dumps.directory()?)))
    {
        let staged = Staged::create(target, Kind::Directory, &plan.time);
        let staged = staged.map_err(|source| Error::Stage {
            target: target.to_owned(),
            source,
        })?;
        let parts = dumps.unpack(staged.path(), session, interrupt)?;
        ready.push(Ready {
            staged,
            target: target.to_owned(),
            parts,
        });
    }
    Ok(ready)
}

/// Who is not root cannot give files away: into a directory they become the caller's; the live
/// server would be wrong.
fn owners(plan: &Plan) -> Owners {
    match (&plan.destination, rustix::process::geteuid().is_root()) {
        (Destination::Directory(_), false) => Owners::Record,
        _ => Owners::Apply,
    }
}

fn build_tree(
    builder: &Builder<'_>,
    job: &TreeJob,
    plan: &Plan,
) -> Result<(Ready, Lacking), Error> {
    let target = job.target.clone();
    let staged = Staged::create(&target, Kind::Directory, &plan.time);
    let staged = staged.map_err(|source| Error::Stage {
        target: target.clone(),
        source,
    })?;
    let built = builder.build(job, staged.path());
    let BuiltTree { parts, lacking } = built.map_err(|source| Error::Build {
        target: target.clone(),
        source,
    })?;
    if plan.destination == Destination::Live {
        sync(staged.path()).map_err(|source| Error::Sync {
            target: target.clone(),
            source,
        })?;
    }
    Ok((
        Ready {
            staged,
            target,
            parts,
        },
        lacking,
    ))
}

/// Says what the new tree lacks; owners that could not be given are written beside it.
fn say_lacking(
    lacking: &Lacking,
    job: &TreeJob,
    plan: &Plan,
    session: &Session,
) -> Result<(), Error> {
    for sentence in &lacking.xattrs {
        session
            .report
            .warning(format!("{}: {sentence}", job.component));
    }
    let Destination::Directory(directory) = &plan.destination else {
        return Ok(());
    };
    if lacking.owners.is_empty() {
        return Ok(());
    }
    let list = directory.join(format!("{}.owners", job.component));
    let written = atomic::write_file(&list, acl_text(&lacking.owners).as_bytes());
    written.map_err(|source| Error::Write {
        target: list.clone(),
        source,
    })?;
    session.report.warning(format!(
        "owners were not applied, since you are not root; later, as root: cd {} && setfacl --restore={}",
        job.target.display(),
        list.display()
    ));
    Ok(())
}

/// A file gets the attributes of the one that it replaces; a set has only its content.
fn build_file(job: &FileJob, plan: &Plan) -> Result<Ready, Error> {
    let target = job.target.clone();
    let failed = |source| Error::Write {
        target: target.clone(),
        source,
    };
    let staged = Staged::create(&target, Kind::File, &plan.time);
    let staged = staged.map_err(|source| Error::Stage {
        target: target.clone(),
        source,
    })?;
    let content = verify::open(&plan.inventory.set, &job.file.path);
    let mut content = content.map_err(|damage| Error::Build {
        target: target.clone(),
        source: unpack::Error::Open(damage),
    })?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(staged.path())
        .map_err(failed)?;
    let bytes = io::copy(&mut content, &mut file).map_err(failed)?;
    take_attributes(&target, &file).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    let unpacked = Unpacked { entries: 1, bytes };
    let parts = vec![Built {
        component: job.component,
        path: job.file.path.clone(),
        unpacked,
    }];
    Ok(Ready {
        staged,
        target,
        parts,
    })
}

fn take_attributes(target: &Path, file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let metadata = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    fchown(file, Some(metadata.uid()), Some(metadata.gid()))?;
    file.set_permissions(metadata.permissions())
}

/// Waits until everything on the file system of `path` is on the disk: one call for all files of a
/// tree.
fn sync(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(path)?)?)
}

/// Puts everything in place, or takes back what was.
fn swap_all(plan: &Plan, ready: Vec<Ready>) -> Result<Vec<Done>, Error> {
    let mut done = Vec::new();
    for Ready {
        staged,
        target,
        parts,
    } in ready
    {
        if let Destination::Directory(_) = plan.destination {
            // An empty directory that was there already: nothing to keep. Whatever else is wrong,
            // the swap says.
            let _ = fs::remove_dir(&target);
        }
        match staged.swap() {
            Ok(swapped) => done.push(Done {
                swapped,
                target,
                parts,
            }),
            Err(source) => {
                roll_back(done)?;
                return Err(Error::Swap { target, source });
            }
        }
    }
    Ok(done)
}

fn roll_back(done: Vec<Done>) -> Result<(), Error> {
    for Done {
        swapped, target, ..
    } in done.into_iter().rev()
    {
        let kept = swapped.kept().unwrap_or(&target).to_owned();
        swapped.roll_back().map_err(|source| Error::RollBack {
            target,
            kept,
            source,
        })?;
    }
    Ok(())
}

/// Says what is in place now, and adds it up.
fn say_done(plan: &Plan, session: &Session, done: &[Done], totals: &mut Totals) {
    let mut kept = Vec::new();
    for Done {
        swapped,
        target,
        parts,
    } in done
    {
        parts
            .iter()
            .for_each(|part| emit(session, part, target, false));
        add(totals, parts);
        kept.extend(swapped.kept().map(|path| path.display().to_string()));
    }
    session.report.summary(summary(
        totals,
        &plan.components.iter().map(|c| c.name()).collect::<Vec<_>>(),
    ));
    if !kept.is_empty() {
        session.report.summary(format!(
            "what was there is kept, to be removed when all is well: {}",
            kept.join(" ")
        ));
    }
    if plan.destination == Destination::Live {
        let services = services::affected(&plan.components).join(" ");
        session.report.summary(format!(
            "restart the services that use it, which hold on to what was there: {services}"
        ));
    }
}

/// Writes the record of what was made of one file of the set.
pub(crate) fn emit(session: &Session, part: &Built, target: &Path, dry_run: bool) {
    session.emit(&Record::Restored(Restored {
        component: part.component,
        path: PathField::from(&part.path),
        target: target.to_string_lossy().into_owned(),
        bytes: part.unpacked.bytes,
        entries: part.unpacked.entries,
        dry_run,
    }));
}

/// Adds up files of the set, what they held and how large that is.
pub(crate) fn add(totals: &mut Totals, parts: &[Built]) {
    for part in parts {
        totals.add("files", 1);
        totals.add("entries", part.unpacked.entries);
        totals.add("bytes", part.unpacked.bytes);
    }
}

fn summary(totals: &Totals, components: &[&str]) -> String {
    format!(
        "restored {}: {} entries, {} out of {} files of the set",
        components.join(", "),
        totals.get("entries"),
        totals.size("bytes"),
        totals.get("files")
    )
}
