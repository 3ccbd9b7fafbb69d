//! Decides what a run does, from flags, settings and what is on the disk. It reads, and never
//! writes.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::config::{self, Config, Environment, Settings};
use mail_common::failure::{Failure, FailureKind};
use mail_common::relpath::RelPath;
use mail_common::report::Report;
use mail_common::set::{
    self, BackupRoot, Component, Force, SetId, SetKind, free_space, is_mount_point,
};
use mail_common::tool::{Subject, absolute};
use rustix::fs::Access;

use crate::args::Args;
use crate::databases::DatabasesPlan;
use crate::mailboxes::MailboxesPlan;
use crate::trees::{CopyPlan, TreePlan};

/// Below this a run does not start.
const LEAST_FREE_BYTES: u64 = 16 << 20;

/// Below this a run does not start.
const LEAST_FREE_INODES: u64 = 100;

/// Settings and flags, read and checked, before the disk is looked at.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) root: PathBuf,
    pub(crate) id: SetId,
    databases: Option<DatabasesPlan>,
}

/// What a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: BackupRoot,
    pub(crate) id: SetId,
    pub(crate) dated: Dated,
    pub(crate) work: Work,
    /// In the order in which they are saved.
    pub(crate) components: Vec<Component>,
    pub(crate) reading: Reading,
    pub(crate) mailboxes: MailboxesPlan,
    /// `None` when mysql is not asked for: its option file is not even read then.
    pub(crate) databases: Option<DatabasesPlan>,
    pub(crate) trees: Vec<TreePlan>,
    pub(crate) copies: Vec<CopyPlan>,
    pub(crate) retention: Retention,
}

/// Where the date of the set comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dated {
    ByClock,
    ByFlag,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A set.
    Save,
    /// To say what would be saved.
    Show,
    /// Retention alone.
    Prune,
    /// To say what retention would remove.
    ShowPrune,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// What has changed since the newest set.
    Changes,
    /// Everything, so that one damaged file cannot reach every set.
    Everything,
}

/// How long sets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) wanted: Wanted,
    pub(crate) daily_days: NonZeroU32,
    pub(crate) weekly_weeks: NonZeroU32,
    pub(crate) force: Force,
}

/// Whether old sets are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    No,
}

/// Why a run does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("read the settings of the database connection")]
    Database(#[from] mail_mysql::Error),
    #[error(
        "{mountpoint} is not mounted (BACKUP_MOUNTPOINT); mount the backup disk, nothing was written"
    )]
    NotMounted { mountpoint: PathBuf },
    #[error("look at the mount point {mountpoint} (BACKUP_MOUNTPOINT)")]
    Mountpoint {
        mountpoint: PathBuf,
        source: io::Error,
    },
    #[error(
        "the backup root cannot be used; make the directory once, or name another by --root or BACKUP_ROOT"
    )]
    Root(#[source] set::Error),
    #[error("the path of the backup root {root} is not UTF-8, and records are; use another name")]
    RootName { root: PathBuf },
    #[error(
        "the backup root {root} lies in {source_dir}, which is to be saved: each set would hold the ones before it"
    )]
    RootInSource { root: PathBuf, source_dir: PathBuf },
    #[error("the backup root {root} cannot be written")]
    NotWritable { root: PathBuf, source: io::Error },
    #[error(
        "{root} has {free_bytes} bytes free, and a backup needs at least {needed_bytes}; make room or use another disk"
    )]
    DiskFull {
        root: PathBuf,
        free_bytes: u64,
        needed_bytes: u64,
    },
    #[error(
        "{root} has {free_inodes} inodes free, and a backup needs at least {LEAST_FREE_INODES}"
    )]
    NoInodes { root: PathBuf, free_inodes: u64 },
    #[error("find out how much is free on {root}")]
    Space { root: PathBuf, source: io::Error },
}

/// Nothing has been touched, whatever it is; a full disk is no matter of configuration.
impl Failure for Error {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::NotMounted { .. } | Self::Mountpoint { .. } | Self::Root(_) => {
                FailureKind::NotMounted
            }
            Self::Database(_)
            | Self::RootName { .. }
            | Self::RootInSource { .. }
            | Self::NotWritable { .. } => FailureKind::Configuration,
            Self::DiskFull { .. } | Self::NoInodes { .. } => FailureKind::NoSpace,
            Self::Space { source, .. } => FailureKind::of_io(source),
        }
    }
}

impl Setup {
    /// Reads the settings.
    pub(crate) fn read(args: &Args, now: &ZonedDateTime, report: &Report) -> Result<Self, Error> {
        let config = Config::load(args.common.config.as_deref(), Environment::of_process())?;
        let settings = Settings::new(&config)?;
        Ok(Self {
            root: absolute(args.root.as_ref().unwrap_or(&settings.backup_root)),
            id: SetId::for_date(args.kind(), args.date.unwrap_or_else(|| now.date())),
            databases: match args.components().contains(&Component::Mysql) && !args.prune_only {
                true => Some(DatabasesPlan::read(
                    &config,
                    &settings.mysql,
                    args.level,
                    report,
                )?),
                false => None,
            },
            settings,
        })
    }

    /// What the `begin` record says.
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            root: Some(self.root.to_string_lossy().into_owned()),
            set: Some(self.id.to_string()),
        }
    }

    /// Looks at the disk and decides.
    pub(crate) fn plan(self, args: &Args) -> Result<Plan, Error> {
        let Self {
            settings,
            root: root_path,
            id,
            databases,
        } = self;
        if root_path.to_str().is_none() {
            return Err(Error::RootName { root: root_path });
        }
        check_mounted(settings.backup_mountpoint.as_deref())?;
        let root = BackupRoot::open(&root_path).map_err(Error::Root)?;
        let work = work(args);
        if matches!(work, Work::Save | Work::Show) {
            check_room(root.path())?;
        }
        let or = |flag: &Option<PathBuf>, setting: PathBuf| flag.clone().unwrap_or(setting);
        let tree = |component, source, archive: &str| TreePlan {
            component,
            source,
            archive: fixed(archive),
            level: args.level,
        };
        let copy = |source, target: &str| CopyPlan {
            component: Component::Config,
            source,
            target: fixed(target),
        };
        let plan = Plan {
            root,
            id,
            dated: if args.date.is_some() {
                Dated::ByFlag
            } else {
                Dated::ByClock
            },
            work,
            components: args.components(),
            reading: match args.full || id.kind() == SetKind::Weekly {
                true => Reading::Everything,
                false => Reading::Changes,
            },
            mailboxes: MailboxesPlan {
                mail_dir: or(&args.mail_dir, settings.mail_data_dir),
                depth: args.mailbox_depth.into(),
                level: args.level,
                threads: args.threads(),
            },
            databases,
            trees: vec![
                tree(
                    Component::Config,
                    or(&args.config_dir, settings.config_dir),
                    "config/config.tar.zst",
                ),
                tree(
                    Component::Ssl,
                    or(&args.ssl_dir, settings.ssl_dir),
                    "ssl/certbot.tar.zst",
                ),
                tree(
                    Component::Dkim,
                    or(&args.dkim_dir, settings.dkim_dir),
                    "dkim/dkim.tar.zst",
                ),
            ],
            copies: vec![
                copy(settings.docker_compose_file, "config/docker-compose.yml"),
                copy(settings.env_file, "config/env"),
            ],
            retention: Retention {
                wanted: if args.no_prune {
                    Wanted::No
                } else {
                    Wanted::Yes
                },
                daily_days: at_least_one(settings.daily_retention_days),
                weekly_weeks: at_least_one(settings.weekly_retention_weeks),
                force: if args.force {
                    Force::Override
                } else {
                    Force::Refuse
                },
            },
        };
        plan.check_apart()?;
        Ok(plan)
    }
}

impl Plan {
    /// A root below a directory that is saved would be saved into itself, every day anew.
    fn check_apart(&self) -> Result<(), Error> {
        let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let root = resolved(self.root.path());
        match self
            .sources()
            .find(|source| root.starts_with(resolved(source)))
        {
            Some(source) => Err(Error::RootInSource {
                root: self.root.path().to_owned(),
                source_dir: source.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// The directories that are saved.
    fn sources(&self) -> impl Iterator<Item = &Path> {
        let asked = |component: &Component| self.components.contains(component);
        let mail = Some(&*self.mailboxes.mail_dir).filter(move |_| asked(&Component::Mailboxes));
        mail.into_iter().chain(
            self.trees
                .iter()
                .filter(move |tree| asked(&tree.component))
                .map(|tree| &*tree.source),
        )
    }
}

fn work(args: &Args) -> Work {
    match (args.dry_run, args.prune_only) {
        (true, true) => Work::ShowPrune,
        (true, false) => Work::Show,
        (false, true) => Work::Prune,
        (false, false) => Work::Save,
    }
}

/// A path of the layout.
fn fixed(path: &str) -> RelPath {
    RelPath::new(path).expect("the paths of the layout are relative and safe")
}

/// Settings are checked to be positive.
fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn check_mounted(mountpoint: Option<&Path>) -> Result<(), Error> {
    let Some(mountpoint) = mountpoint.map(Path::to_owned) else {
        return Ok(());
    };
    match is_mount_point(&mountpoint) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::NotMounted { mountpoint }),
        Err(source) => Err(Error::Mountpoint { mountpoint, source }),
    }
}

fn check_room(root: &Path) -> Result<(), Error> {
    let root = root.to_owned();
    if let Err(errno) = rustix::fs::access(&root, Access::WRITE_OK | Access::EXEC_OK) {
        return Err(Error::NotWritable {
            root,
            source: errno.into(),
        });
    }
    let space = match free_space(&root) {
        Ok(space) => space,
        Err(source) => return Err(Error::Space { root, source }),
    };
    if space.bytes_free < LEAST_FREE_BYTES {
        return Err(Error::DiskFull {
            root,
            free_bytes: space.bytes_free,
            needed_bytes: LEAST_FREE_BYTES,
        });
    }
    match space.inodes_free {
        Some(free_inodes) if free_inodes < LEAST_FREE_INODES => {
            Err(Error::NoInodes { root, free_inodes })
        }
        _ => Ok(()),
    }
}
