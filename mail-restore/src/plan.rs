//! Decides what a run does, from flags, settings, the set and what is on the disk. It reads, and
//! never writes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::config::{self, Config, Environment, Settings};
use mail_common::failure::{Failure, FailureKind};
use mail_common::jsonl;
use mail_common::report::Report;
use mail_common::set::{
    self, Component, Inventory, InventoryError, LockError, ReadLock, SetFile, find_set, free_space,
    is_mount_point,
};
use mail_common::tool::{self, Subject};
use mail_common::upstream::Upstream;
use rustix::fs::Access;

use crate::args::Args;
use crate::dumps::{self, DumpsJob};
use crate::jobs::{Jobs, TreeJob};
use crate::messages::Query;
use crate::places::Places;
use crate::single::{self, QueryError};

/// What a file takes on a disk beside its content, about.
const BYTES_A_FILE: u64 = 4096;

/// Settings and flags, read and checked, before the set is looked at.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    /// The backup root, which need not be there.
    pub(crate) root: PathBuf,
}

/// What a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) inventory: Inventory,
    /// Keeps the set from being replaced or removed.
    _reader: ReadLock,
    pub(crate) root: PathBuf,
    pub(crate) work: Work,
    pub(crate) destination: Destination,
    pub(crate) components: Vec<Component>,
    pub(crate) places: Places,
    /// Single messages; then there are no jobs.
    pub(crate) query: Option<Query>,
    pub(crate) jobs: Jobs,
    pub(crate) dumps: Option<DumpsJob>,
    pub(crate) clearance: Clearance,
    pub(crate) threads: NonZeroUsize,
    /// Names what is kept of what was there.
    pub(crate) time: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Restore,
    /// To verify everything and say what would be restored.
    Show,
    /// To verify digests and nothing else.
    Verify,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The live mail server.
    Live,
    /// A directory of its own for each component.
    Directory(PathBuf),
}

/// What must be known of a file before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clearance {
    /// Its digest.
    Digest,
    /// That a scanner found it clean, too.
    Scan,
}

/// Why a run does not start. Nothing has been touched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Records(#[from] jsonl::Error),
    #[error(transparent)]
    Set(#[from] set::Error),
    #[error("the records name no set; name it by --from")]
    NoSetNamed,
    #[error("the records name {} sets, such as {} and {}; name one by --from", sets.len(), sets[0], sets[1])]
    SeveralSets { sets: Vec<String> },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("this set cannot be restored")]
    Inventory(#[from] InventoryError),
    #[error("{} holds no {component}; it holds {held}", set.display())]
    NoComponent {
        set: PathBuf,
        component: Component,
        held: String,
    },
    #[error("{} holds nothing that can be restored", set.display())]
    Empty { set: PathBuf },
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Dumps(#[from] dumps::PlanError),
    #[error("look at {}", path.display())]
    Look { path: PathBuf, source: io::Error },
    #[error(
        "{} is a mount point and cannot change places with another directory; use --to {}/restored, then move what is in it",
        target.display(), target.display()
    )]
    MountPoint { target: PathBuf },
    #[error("{} is not a {wanted}, and would be replaced by one; move it away or name another target", target.display())]
    OtherKind {
        target: PathBuf,
        wanted: &'static str,
    },
    #[error("{} holds the set; it cannot be replaced by what is in it", target.display())]
    SetInTarget { target: PathBuf },
    #[error("{} holds the backup root; it cannot be replaced", target.display())]
    RootInTarget { target: PathBuf },
    #[error("{} lies in the set; restore to another place", target.display())]
    TargetInSet { target: PathBuf },
    #[error("{} is not there, and {} is to be restored into it; make the directory first", parent.display(), target.display())]
    NoParent { target: PathBuf, parent: PathBuf },
    #[error("{} cannot be written, and {} is to be restored into it", parent.display(), target.display())]
    NotWritable {
        target: PathBuf,
        parent: PathBuf,
        source: io::Error,
    },
    #[error("{} is there already and is not empty; restore into another directory", target.display())]
    NotEmpty { target: PathBuf },
    #[error(
        "{} has {free_bytes} bytes free, and what is restored beside the present state takes {needed_bytes}; make room or use --to on another disk",
        place.display()
    )]
    NoRoom {
        place: PathBuf,
        free_bytes: u64,
        needed_bytes: u64,
    },
    #[error("{} has {free} inodes free, and {needed} files are to be restored", place.display())]
    NoInodes {
        place: PathBuf,
        free: u64,
        needed: u64,
    },
}

impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::Records(error) => error.kind(),
            Self::Set(set::Error::OpenRoot { .. }) => FailureKind::NotMounted,
            Self::Lock(
                LockError::BeingReplaced { .. } | LockError::Held { .. } | LockError::Busy { .. },
            ) => FailureKind::Locked,
            Self::Set(_)
            | Self::Lock(LockError::NotASet { .. } | LockError::Failed(_))
            | Self::NoComponent { .. }
            | Self::Empty { .. } => FailureKind::NoSuch,
            Self::Inventory(_) => FailureKind::Damaged,
            Self::Dumps(_) => FailureKind::Configuration,
            Self::Look { source, .. } => FailureKind::of_io(source),
            Self::NoRoom { .. } | Self::NoInodes { .. } => FailureKind::NoSpace,
            Self::NoSetNamed
            | Self::SeveralSets { .. }
            | Self::Query(_)
            | Self::MountPoint { .. }
            | Self::OtherKind { .. }
            | Self::SetInTarget { .. }
            | Self::RootInTarget { .. }
            | Self::TargetInSet { .. }
            | Self::NoParent { .. }
            | Self::NotWritable { .. }
            | Self::NotEmpty { .. } => FailureKind::Usage,
        }
    }
}

impl Setup {
    /// Reads the settings.
    pub(crate) fn read(args: &Args) -> Result<Self, Error> {
        let config = Config::load(args.common.config.as_deref(), Environment::of_process())?;
        let settings = Settings::new(&config)?;
        Ok(Self {
            root: tool::absolute(args.root.as_ref().unwrap_or(&settings.backup_root)),
            config,
            settings,
        })
    }

    /// What the `begin` record says: the set relative to the root where it lies below it, else by
    /// itself.
    pub(crate) fn subject(&self, args: &Args) -> Subject {
        let text = |path: &Path| Some(path.to_string_lossy().into_owned());
        let (root, set) = (text(&self.root), args.from.as_deref());
        let Some(set) = set.and_then(|from| self.resolve(from).ok()) else {
            return Subject { root, set: None };
        };
        let real_root = self.root.canonicalize().ok();
        match real_root.and_then(|root| set.strip_prefix(root).ok().map(Path::to_owned)) {
            Some(below) => Subject {
                root,
                set: text(&below),
            },
            None => Subject {
                root: None,
                set: text(&set),
            },
        }
    }

    /// Opens the set, looks at the disk and decides.
    pub(crate) fn plan(
        &self,
        args: &Args,
        upstream: &Upstream,
        now: &ZonedDateTime,
        report: &Report,
    ) -> Result<Plan, Error> {
        let set = match &args.from {
            Some(operand) => self.resolve(operand)?,
            None => set_of_records(upstream)?,
        };
        let reader = ReadLock::acquire(&set)?;
        let inventory = Inventory::read(&set)?;
        let query = single::query(args, now.time_zone())?;
        let components = match query {
            Some(_) => vec![Component::Mailboxes],
            None => components(args, &inventory)?,
        };
        let (destination, places) = match &args.to {
            Some(directory) => {
                let directory = absolute(directory)?;
                (
                    Destination::Directory(directory.clone()),
                    Places::below(&directory),
                )
            }
            None => (Destination::Live, Places::live(args, &self.settings)),
        };
        let dumps = match components.contains(&Component::Mysql) {
            true => Some(DumpsJob::plan(
                args,
                self,
                &inventory,
                &destination,
                report,
            )?),
            false => None,
        };
        let plan = Plan {
            jobs: match query {
                Some(_) => Jobs::default(),
                None => Jobs::new(&inventory, &components, &places),
            },
            dumps,
            places,
            query,
            inventory,
            _reader: reader,
            root: self.root.clone(),
            work: work(args),
            destination,
            components,
            clearance: if args.require_scan {
                Clearance::Scan
            } else {
                Clearance::Digest
            },
            threads: args.threads(),
            time: now.strftime("%Y%m%dT%H%M%S").to_string(),
        };
        if plan.work != Work::Verify {
            plan.check_targets()?;
            plan.check_room()?;
        }
        Ok(plan)
    }

    /// The directory that a SET operand means. Not through `latest`, which may be pointed elsewhere
    /// while the set is in use.
    fn resolve(&self, operand: &Path) -> Result<PathBuf, Error> {
        let found = find_set(operand, &self.root)?;
        found.canonicalize().map_err(|source| Error::Look {
            path: found.clone(),
            source,
        })
    }
}

fn work(args: &Args) -> Work {
    match (args.dry_run, args.verify) {
        (true, _) => Work::Show,
        (false, true) => Work::Verify,
        (false, false) => Work::Restore,
    }
}

fn set_of_records(upstream: &Upstream) -> Result<PathBuf, Error> {
    match &upstream.named_sets()[..] {
        [] => Err(Error::NoSetNamed),
        [one] => {
            let path = one.directory();
            path.canonicalize()
                .map_err(|source| Error::Look { path, source })
        }
        several => Err(Error::SeveralSets {
            sets: several
                .iter()
                .map(|name| format!("{}/{}", name.root, name.set))
                .collect(),
        }),
    }
}

fn components(args: &Args, inventory: &Inventory) -> Result<Vec<Component>, Error> {
    let held = inventory.components();
    let set = inventory.set.clone();
    let Some(asked) = args.components() else {
        return if held.is_empty() {
            Err(Error::Empty { set })
        } else {
            Ok(held)
        };
    };
    match asked.iter().find(|component| !held.contains(component)) {
        None => Ok(asked),
        Some(component) => {
            let held = held
                .iter()
                .map(|component| component.name())
                .collect::<Vec<_>>()
                .join(", ");
            Err(Error::NoComponent {
                set,
                component: *component,
                held,
            })
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Look {
        path: path.to_owned(),
        source,
    })
}

impl Plan {
    /// The files of the set that are used.
    pub(crate) fn used(&self) -> Vec<&SetFile> {
        let dumps = self.dumps.iter().flat_map(|dumps| &dumps.files);
        self.jobs.used().into_iter().chain(dumps).collect()
    }

    /// Bytes that come out of the archives, as far as that is recorded.
    pub(crate) fn unpacked_bytes(&self) -> u64 {
        self.jobs
            .used()
            .iter()
            .filter_map(|file| file.recorded)
            .map(|recorded| recorded.source_bytes)
            .sum()
    }

    /// Everything that changes places, with what it must be.
    pub(crate) fn targets(&self) -> Vec<(&Path, &'static str)> {
        let trees = self
            .jobs
            .trees
            .iter()
            .map(|tree| (&*tree.target, "directory"));
        let files = self.jobs.files.iter().map(|job| (&*job.target, "file"));
        let sql = self
            .dumps
            .iter()
            .filter_map(DumpsJob::directory)
            .map(|target| (target, "directory"));
        trees.chain(files).chain(sql).collect()
    }

    fn check_targets(&self) -> Result<(), Error> {
        for (target, wanted) in self.targets() {
            self.check_apart(target)?;
            match &self.destination {
                Destination::Live => check_live(target, wanted)?,
                Destination::Directory(directory) => check_new(directory, target)?,
            }
        }
        Ok(())
    }

    fn check_apart(&self, target: &Path) -> Result<(), Error> {
        let owned = || target.to_owned();
        if self.inventory.set.starts_with(target) {
            return Err(Error::SetInTarget { target: owned() });
        }
        if target.starts_with(&self.inventory.set) {
            return Err(Error::TargetInSet { target: owned() });
        }
        match self.root.canonicalize() {
            Ok(root) if root.starts_with(target) => Err(Error::RootInTarget { target: owned() }),
            _ => Ok(()),
        }
    }

    /// Everything that is restored is there beside what it replaces for a while, or for as long as
    /// that is kept.
    fn check_room(&self) -> Result<(), Error> {
        let mut needs: BTreeMap<u64, Need> = BTreeMap::new();
        let trees = self
            .jobs
            .trees
            .iter()
            .map(|tree| (&*tree.target, need_of_tree(&self.inventory.set, tree)));
        let files = self
            .jobs
            .files
            .iter()
            .map(|job| (&*job.target, need_of_file(&self.inventory.set, &job.file)));
        let dumps = self
            .dumps
            .iter()
            .filter_map(|dumps| Some((dumps.directory()?, dumps)));
        let dumps =
            dumps.map(|(directory, dumps)| (directory, sum(&self.inventory.set, &dumps.files)));
        for (target, (bytes, entries)) in trees.chain(files).chain(dumps) {
            let place = existing_ancestor(target);
            let device = fs::metadata(&place)
                .map_err(|source| Error::Look {
                    path: place.clone(),
                    source,
                })?
                .dev();
            let need = needs.entry(device).or_insert(Need {
                place,
                bytes: 0,
                entries: 0,
            });
            need.bytes = need.bytes.saturating_add(bytes);
            need.entries += entries;
        }
        needs.into_values().try_for_each(Need::check)
    }
}

/// What is needed on one file system.
struct Need {
    place: PathBuf,
    bytes: u64,
    entries: u64,
}

impl Need {
    fn check(self) -> Result<(), Error> {
        let Self {
            place,
            bytes,
            entries,
        } = self;
        let space = free_space(&place).map_err(|source| Error::Look {
            path: place.clone(),
            source,
        })?;
        let needed_bytes = bytes.saturating_add(entries.saturating_mul(BYTES_A_FILE));
        if space.bytes_free < needed_bytes {
            return Err(Error::NoRoom {
                place,
                free_bytes: space.bytes_free,
                needed_bytes,
            });
        }
        match space.inodes_free {
            Some(free) if free < entries => Err(Error::NoInodes {
                place,
                free,
                needed: entries,
            }),
            _ => Ok(()),
        }
    }
}

fn need_of_tree(set: &Path, tree: &TreeJob) -> (u64, u64) {
    let own = tree
        .archives
        .iter()
        .chain(tree.files.iter().map(|(file, _)| file))
        .map(|file| need_of_file(set, file));
    let inner = tree.inner.iter().map(|(_, inner)| need_of_tree(set, inner));
    own.chain(inner)
        .fold((0, 0), |(bytes, entries), (more, others)| {
            (bytes + more, entries + others)
        })
}

fn sum(set: &Path, files: &[SetFile]) -> (u64, u64) {
    files
        .iter()
        .map(|file| need_of_file(set, file))
        .fold((0, 0), |(bytes, _), (more, _)| (bytes + more, 0))
}

/// Bytes and entries; of a file without a record its own size, which is less than what it unpacks
/// to.
fn need_of_file(set: &Path, file: &SetFile) -> (u64, u64) {
    match file.recorded {
        Some(recorded) => (recorded.source_bytes, recorded.entries),
        None => (
            fs::metadata(set.join(file.path.as_path())).map_or(0, |metadata| metadata.len()),
            1,
        ),
    }
}

fn existing_ancestor(path: &Path) -> PathBuf {
    path.ancestors()
        .skip(1)
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

/// Whether what is at a target of the live server can change places with something new.
fn check_live(target: &Path, wanted: &'static str) -> Result<(), Error> {
    let owned = || target.to_owned();
    let parent = target
        .parent()
        .map(Path::to_owned)
        .ok_or_else(|| Error::MountPoint { target: owned() })?;
    if !parent.is_dir() {
        return Err(Error::NoParent {
            target: owned(),
            parent,
        });
    }
    if let Err(errno) = rustix::fs::access(&parent, Access::WRITE_OK | Access::EXEC_OK) {
        return Err(Error::NotWritable {
            target: owned(),
            parent,
            source: errno.into(),
        });
    }
    match target.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(Error::Look {
                path: owned(),
                source,
            });
        }
        Ok(metadata) if metadata.is_dir() != (wanted == "directory") => {
            return Err(Error::OtherKind {
                target: owned(),
                wanted,
            });
        }
        Ok(_) => {}
    }
    match is_mount_point(target) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::MountPoint { target: owned() }),
        Err(source) => Err(Error::Look {
            path: owned(),
            source,
        }),
    }
}

/// Whether something can be made at `target` in `directory`, which need not be there yet.
fn check_new(directory: &Path, target: &Path) -> Result<(), Error> {
    let owned = || target.to_owned();
    let parent = if directory.exists() {
        directory.to_owned()
    } else {
        existing_ancestor(directory)
    };
    if let Err(errno) = rustix::fs::access(&parent, Access::WRITE_OK | Access::EXEC_OK) {
        return Err(Error::NotWritable {
            target: owned(),
            parent,
            source: errno.into(),
        });
    }
    match fs::read_dir(target).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NotEmpty { target: owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::NotEmpty { target: owned() })
        }
        Err(source) => Err(Error::Look {
            path: owned(),
            source,
        }),
    }
}
