//! Builds everything that is restored beside its target, then puts all of it in place, one exchange
//! after the other. What fails at any point takes back what was done before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::atomic;
use mail_common::beneath;
use mail_common::failure::Failed;
use mail_common::interrupt::Interrupt;
use mail_common::report::{self, Unit};
use mail_common::set::verify;
use mail_common::tool::{Session, Totals};
use mail_common::trusted;

use crate::build::{Builder, Built, BuiltTree};
use crate::databases::Loaded;
use crate::dumps;
use crate::error::{Error, NotPutBack};
use crate::jobs::{FileJob, TreeJob};
use crate::left_out::LeftOut;
use crate::plan::Plan;
use crate::restored::{Ledger, Mode};
use crate::services;
use crate::setup::Destination;
use crate::swap::{Left, NodeKind, NotSwapped, Staged, Swapped};
use crate::tree::{Attributes, Owners, acl_text};
use crate::unpack::{self, Unpacked};
use mail_common::relpath::RelPath;

/// Something that is ready to be put in place.
struct Ready {
    staged: Staged,
    target: PathBuf,
    parts: Vec<Built>,
    /// Owners that could not be given, and the list that they are to be written to.
    owners: Option<(PathBuf, Vec<(RelPath, Attributes)>)>,
}

/// Something that is in place.
struct Placed {
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
    left_out: &LeftOut,
    session: &Session,
    interrupt: &Interrupt,
    now: &ZonedDateTime,
) -> Result<Totals, Error> {
    // Lives longer than what is built in it: what is thrown away leaves no directory behind.
    let _made = MadeDirectories::for_files(&plan.jobs.files)?;
    let ready = build_all(plan, left_out, session, interrupt)?;
    let loaded = match &plan.dumps {
        Some(dumps) => dumps.load(&plan.root, session, interrupt, now)?,
        None => None,
    };
    let placed = match swap_all(plan, ready, session) {
        Ok(placed) => placed,
        Err(error) => {
            if let Some(loaded) = loaded {
                loaded.roll_back(&report::chain(&error))?;
            }
            return Err(error);
        }
    };
    session.has_done(done_text(&placed, loaded.as_ref().map(Loaded::saved)));
    let mut ledger = Ledger::new(session, Mode::Apply);
    if let Some(loaded) = loaded {
        dumps::report(loaded, session, &mut ledger.totals);
    }
    for part in &placed {
        ledger.add_built(&part.parts, &part.target);
    }
    print_summary(plan, session, &placed, &ledger.totals);
    Ok(ledger.totals)
}

fn build_all(
    plan: &Plan,
    left_out: &LeftOut,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<Vec<Ready>, Error> {
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
        left_out,
    };
    let mut ready = Vec::new();
    for job in &plan.jobs.trees {
        progress.message(job.component.name());
        ready.push(build_tree(&builder, job, plan, session)?);
    }
    for job in &plan.jobs.files {
        ready.push(build_file(job, plan)?);
    }
    if let Some(dumps) = &plan.dumps
        && let Some(target) = dumps.directory()
    {
        let staged = stage(target, NodeKind::Directory, plan)?;
        let parts = dumps.unpack(staged.path(), session, interrupt)?;
        ready.push(Ready {
            staged,
            target: target.to_owned(),
            parts,
            owners: None,
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

fn stage(target: &Path, kind: NodeKind, plan: &Plan) -> Result<Staged, Error> {
    let staged = Staged::create(target, kind, &plan.time);
    Ok(staged.map_err(Failed::at("begin, under a hidden name, the new", target))?)
}

fn build_tree(
    builder: &Builder<'_>,
    job: &TreeJob,
    plan: &Plan,
    session: &Session,
) -> Result<Ready, Error> {
    let target = job.target.clone();
    let staged = stage(&target, NodeKind::Directory, plan)?;
    let built = builder.build(job, staged.path());
    let BuiltTree { parts, lacking } = built.map_err(|source| Error::Build {
        target: target.clone(),
        source,
    })?;
    for sentence in &lacking.sentences {
        session
            .report
            .warning(format!("{}: {sentence}", job.component));
    }
    let owners = match &plan.destination {
        Destination::Live => {
            sync(staged.path()).map_err(Failed::at("sync the new", &target))?;
            None
        }
        Destination::Directory(directory) => {
            let list = directory.join(format!("{}.owners", job.component));
            Some((list, lacking.owners)).filter(|(_, owners)| !owners.is_empty())
        }
    };
    Ok(Ready {
        staged,
        target,
        parts,
        owners,
    })
}

/// A file gets the attributes of the one that it replaces; a set has only its content.
fn build_file(job: &FileJob, plan: &Plan) -> Result<Ready, Error> {
    let target = job.target.clone();
    let staged = stage(&target, NodeKind::File, plan)?;
    let content = verify::open(&plan.inventory.set, &job.file.path);
    let mut content = content.map_err(|damage| Error::Build {
        target: target.clone(),
        source: unpack::Error::Open(damage),
    })?;
    let mut write = || {
        let mut file = beneath::regular_file_to_write(staged.path())?;
        let bytes = io::copy(&mut content, &mut file)?;
        take_attributes(&target, &file)?;
        file.sync_all()?;
        Ok(bytes)
    };
    let bytes = write().map_err(Failed::at("write", &target))?;
    let parts = vec![Built {
        component: job.component,
        path: job.file.path.clone(),
        unpacked: Unpacked { entries: 1, bytes },
    }];
    Ok(Ready {
        staged,
        target,
        parts,
        owners: None,
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

/// Directories that were made for files; those that are still empty at the end go.
struct MadeDirectories(Vec<PathBuf>);

impl MadeDirectories {
    /// Each gets owner and mode of the directory that it is made in: a set has only files of the
    /// project.
    fn for_files(jobs: &[FileJob]) -> Result<Self, Error> {
        let mut made = Self(Vec::new());
        for job in jobs {
            let above = job.target.ancestors().skip(1);
            let missing: Vec<&Path> = above.take_while(|path| !path.exists()).collect();
            for directory in missing.into_iter().rev() {
                made.add(directory).map_err(Failed::at("make", directory))?;
            }
        }
        Ok(made)
    }

    fn add(&mut self, directory: &Path) -> io::Result<()> {
        atomic::create_dir(directory)?;
        self.0.push(directory.to_owned());
        if let Some(parent) = directory.parent() {
            take_attributes(parent, &trusted::open(directory)?)?;
        }
        atomic::sync_parent(directory)
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        for directory in self.0.iter().rev() {
            // One that holds something stays.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Waits until everything on the file system of `path` is on the disk: one call for all files of a
/// tree.
fn sync(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(trusted::open(path)?)?)
}

/// Puts everything in place, or takes back what was.
fn swap_all(plan: &Plan, ready: Vec<Ready>, session: &Session) -> Result<Vec<Placed>, Error> {
    let mut placed = Vec::new();
    for ready in ready {
        if let Err(error) = swap(plan, ready, session, &mut placed) {
            return Err(take_back(placed, error));
        }
    }
    Ok(placed)
}

/// Puts one thing in place and adds it to `placed`. The list of owners comes first: without it the
/// tree would have lost what only the set knows.
fn swap(
    plan: &Plan,
    ready: Ready,
    session: &Session,
    placed: &mut Vec<Placed>,
) -> Result<(), Error> {
    let Ready {
        staged,
        target,
        parts,
        owners,
    } = ready;
    if let Destination::Directory(_) = plan.destination {
        // An empty directory that was there already: nothing to keep. Whatever else is wrong, the
        // swap says.
        let _ = fs::remove_dir(&target);
    }
    if let Some((list, owners)) = &owners {
        let text = acl_text(owners);
        atomic::write_file(list, text.as_bytes()).map_err(Failed::at("write", list))?;
    }
    match staged.swap() {
        Ok(swapped) => {
            if let Some((list, _)) = &owners {
                warn_of_owners(&target, list, session);
            }
            placed.push(Placed {
                swapped,
                target,
                parts,
            });
            Ok(())
        }
        Err(NotSwapped { source, left }) => {
            if let Some((list, _)) = &owners {
                // Without its tree it says nothing; the failure of the swap matters more.
                let _ = fs::remove_file(list);
            }
            let kept = match left {
                None => return Err(Error::Swap { target, source }),
                Some(Left::Old(kept)) => Some(kept),
                Some(Left::New) => None,
            };
            let left = vec![NotPutBack { target, kept }];
            Err(Error::RollBack { left, source })
        }
    }
}

fn warn_of_owners(target: &Path, list: &Path, session: &Session) {
    session.report.warning(format!(
        "owners were not applied, since you are not root; later, as root: cd {} && setfacl \
         --restore={}",
        target.display(),
        list.display()
    ));
}

/// Takes back all that is in place because of `error`. One that cannot be put back does not keep
/// the others from it, and each is named.
fn take_back(placed: Vec<Placed>, error: Error) -> Error {
    let (mut left, mut first) = (Vec::new(), None);
    for Placed {
        swapped, target, ..
    } in placed.into_iter().rev()
    {
        let kept = swapped.kept().map(Path::to_owned);
        if let Err(source) = swapped.roll_back() {
            left.push(NotPutBack { target, kept });
            first.get_or_insert(source);
        }
    }
    match (error, first) {
        (
            Error::RollBack {
                left: found,
                source,
            },
            _,
        ) => {
            left.extend(found);
            Error::RollBack { left, source }
        }
        (_, Some(source)) => Error::RollBack { left, source },
        (error, None) => error,
    }
}

fn print_summary(plan: &Plan, session: &Session, placed: &[Placed], totals: &Totals) {
    let components: Vec<&str> = plan.components.iter().map(|c| c.name()).collect();
    let counted = match (totals.get("entries"), totals.get("tables")) {
        (entries, 0) => format!("{entries} entries"),
        (0, tables) => format!("{tables} tables"),
        (entries, tables) => format!("{entries} entries, {tables} tables"),
    };
    session.report.summary(format!(
        "restored {}: {counted}, {} out of {} files of the set",
        components.join(", "),
        totals.size("bytes"),
        totals.get("files")
    ));
    let kept = kept(placed);
    if !kept.is_empty() {
        session.report.summary(format!(
            "what was there is kept, to be removed when all is well: {}",
            kept.join(" ")
        ));
    }
    if plan.destination == Destination::Live {
        session.report.summary(format!(
            "restart the services that use it, which hold on to what was there{}",
            services::list(&plan.services)
        ));
    }
}

fn kept(placed: &[Placed]) -> Vec<String> {
    let kept = placed.iter().filter_map(|part| part.swapped.kept());
    kept.map(|path| path.display().to_string()).collect()
}

/// What stderr says when the records of a finished restore cannot be written: exit code 3 alone
/// would mean that everything is as it was.
fn done_text(placed: &[Placed], saved: Option<&Path>) -> String {
    let targets = placed.iter().map(|part| part.target.display().to_string());
    let targets = targets.collect::<Vec<_>>().join(" ");
    let mut text = "the restore was done all the same".to_owned();
    if !targets.is_empty() {
        text += &format!("; in place: {targets}");
    }
    let kept = kept(placed);
    if !kept.is_empty() {
        text += &format!("; what was there is kept: {}", kept.join(" "));
    }
    if let Some(saved) = saved {
        text += &format!(
            "; the databases are loaded, and what they were is in {}",
            saved.display()
        );
    }
    text
}
