//! Decides what a run does, from flags, settings and what is on the disk. It reads, and never
//! writes.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use mail_common::config::{Config, Environment, Settings};
use mail_common::failure::Failed;
use mail_common::relpath::RelPath;
use mail_common::report::Report;
use mail_common::set::{
    BackupRoot, Component, SetId, SetKind, extra_archive, free_space, is_mount_point,
};
use mail_common::signature::{AllowedSigners, SigningKey};
use mail_common::suspicion::Limits;
use mail_common::tool::{Subject, absolute};
use rustix::fs::Access;

use crate::absence::Absence;
use crate::args::Args;
use crate::canary::CanaryPlan;
use crate::compose::{self, ProjectPlan};
use crate::databases::DatabasesPlan;
use crate::error::Error;
use crate::exclude::Exclude;
use crate::mailboxes::MailboxesPlan;
use crate::naming::set_id;
use crate::previous::{Chain, Reading, Reuse};
use crate::retention::Force;
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
    scope: Scope,
    components: Vec<Component>,
    wanted: Vec<Component>,
    databases: Option<DatabasesPlan>,
}

/// What a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: BackupRoot,
    pub(crate) id: SetId,
    pub(crate) dated: Dated,
    pub(crate) work: Work,
    pub(crate) scope: Scope,
    /// In the order in which they are saved.
    pub(crate) components: Vec<Component>,
    /// What a full set of this server holds.
    pub(crate) wanted: Vec<Component>,
    pub(crate) reuse: Reuse,
    pub(crate) mailboxes: MailboxesPlan,
    /// `None` when mysql is not asked for: its option file is not even read then.
    pub(crate) databases: Option<DatabasesPlan>,
    pub(crate) trees: Vec<TreePlan>,
    pub(crate) copies: Vec<CopyPlan>,
    /// Other files of the Compose project; none when config is not asked for.
    pub(crate) project: ProjectPlan,
    pub(crate) retention: Retention,
    /// From where on changes of the mail are not those of an ordinary day.
    pub(crate) change_limits: Limits,
    /// Where the message lies that nobody touches; `None` when none is wanted.
    pub(crate) canary: Option<CanaryPlan>,
    /// What the set is signed with.
    pub(crate) signing_key: Option<SigningKey>,
    /// Whose sets are linked and compared with; `None`: any are.
    pub(crate) signers: Option<AllowedSigners>,
    /// Why alarms are ended; may be empty.
    pub(crate) reason: String,
}

/// Where the date of the set comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dated {
    ByClock,
    ByFlag,
}

/// How much of the server is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All that it has.
    Whole,
    /// The components that were asked for; the others of the day's set stay as they are.
    Parts,
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
    /// To end alarms.
    Accept,
    /// To say which alarms would be ended.
    ShowAccept,
}

/// How long sets are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) wanted: Wanted,
    /// What a full set of this server holds.
    pub(crate) components: Vec<Component>,
    pub(crate) daily_days: NonZeroU32,
    pub(crate) weekly_weeks: NonZeroU32,
    pub(crate) hourly_hours: NonZeroU32,
    pub(crate) force: Force,
}

/// Whether old sets are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    No,
}

impl Setup {
    /// Reads the settings.
    pub(crate) fn read(args: &Args, now: &ZonedDateTime, report: &Report) -> Result<Self, Error> {
        let config = Config::load(args.common.config.as_deref(), Environment::of_process())?;
        let settings = with_flags(Settings::new(&config)?, args);
        settings.check_extra_dirs(&config)?;
        let wanted = settings.wanted_components();
        let components = match args.components() {
            Some(asked) => check_sources(asked, &settings)?,
            None => wanted.clone(),
        };
        if components.is_empty() {
            return Err(Error::NothingWanted);
        }
        let saves = !args.prune_only && args.accept.is_none();
        let asks_database = components.contains(&Component::Mysql) && saves;
        let databases = if asks_database {
            let plan = DatabasesPlan::read(&config, &settings.mysql, args.level, report)?;
            let absence = Absence { wanted: &wanted };
            Some(plan.where_none(absence.of_component(Component::Mysql)))
        } else {
            None
        };
        let root = absolute(&settings.backup_root);
        Ok(Self {
            id: set_id(args.kind(), args.date, now, &root),
            root,
            scope: if args.components().is_some() {
                Scope::Parts
            } else {
                Scope::Whole
            },
            components,
            wanted,
            databases,
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
        if self.root.to_str().is_none() {
            return Err(Error::RootName { root: self.root });
        }
        check_mounted(self.settings.backup_mountpoint.as_deref())?;
        let root = BackupRoot::open(&self.root).map_err(Error::Root)?;
        let work = work(args);
        if matches!(work, Work::Save | Work::Show) {
            check_writable(root.path())?;
            check_room(root.path())?;
        }
        let absence = Absence {
            wanted: &self.wanted,
        };
        let mut plan = Plan {
            root,
            id: self.id,
            dated: dated(args),
            work,
            scope: self.scope,
            canary: plan_canary(&self.settings, &self.components),
            components: self.components,
            reuse: Reuse {
                reading: reading(args, self.id.kind()),
                chain: Chain::of(self.id.kind(), self.settings.weekly_sets),
            },
            mailboxes: MailboxesPlan {
                mail_dir: self.settings.mail_data_dir.clone(),
                depth: self.settings.mailbox_depth.levels(),
                purge_days: self.settings.backup_purge_days,
                level: args.level,
                threads: args.threads(),
            },
            databases: self.databases,
            trees: plan_trees(args, &self.settings, &absence)?,
            copies: plan_copies(&self.settings),
            project: ProjectPlan::default(),
            retention: plan_retention(args, &self.settings),
            change_limits: self.settings.change_limits.clone(),
            signing_key: self.settings.signing_key.clone(),
            signers: self.settings.allowed_signers.clone(),
            reason: args.accept.clone().unwrap_or_default(),
            wanted: self.wanted,
        };
        plan.check_apart()?;
        if matches!(work, Work::Save | Work::Show) && plan.components.contains(&Component::Config) {
            plan.project = plan.read_project(&self.settings);
        }
        Ok(plan)
    }
}

impl Plan {
    /// A root below a directory that is saved would be saved into itself, and each set would hold
    /// the ones before it.
    fn check_apart(&self) -> Result<(), Error> {
        let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let root = resolved(self.root.path());
        for source in self.sources() {
            if root.starts_with(resolved(source)) {
                return Err(Error::RootInSource {
                    root: self.root.path().to_owned(),
                    source_directory: source.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// What is saved anyway is that of all components: those that are not asked for are in the set
    /// of the day, or are not looked for in this one.
    fn read_project(&self, settings: &Settings) -> ProjectPlan {
        let trees = self.trees.iter().map(|tree| &*tree.source);
        let saved: Vec<&Path> = trees.chain([&*self.mailboxes.mail_dir]).collect();
        ProjectPlan::read(settings, &saved)
    }

    /// The directories that are saved.
    fn sources(&self) -> Vec<&Path> {
        let mail = (Component::Mailboxes, &*self.mailboxes.mail_dir);
        let trees = self
            .trees
            .iter()
            .map(|tree| (tree.component, &*tree.source));
        [mail]
            .into_iter()
            .chain(trees)
            .filter(|(component, _)| self.components.contains(component))
            .map(|(_, source)| source)
            .collect()
    }
}

/// Flags go over settings.
fn with_flags(mut settings: Settings, args: &Args) -> Settings {
    let flags = [
        (&args.root, &mut settings.backup_root),
        (&args.mail_dir, &mut settings.mail_data_dir),
        (&args.config_dir, &mut settings.config_dir),
    ];
    for (flag, setting) in flags {
        if let Some(path) = flag {
            setting.clone_from(path);
        }
    }
    settings.mailbox_depth = args.mailbox_depth.unwrap_or(settings.mailbox_depth);
    settings.ssl_dir = args.ssl_dir.clone().or(settings.ssl_dir);
    settings.dkim_dir = args.dkim_dir.clone().or(settings.dkim_dir);
    settings
}

/// What the settings say is not there cannot be asked for.
fn check_sources(asked: Vec<Component>, settings: &Settings) -> Result<Vec<Component>, Error> {
    let sources = [
        (Component::Ssl, &settings.ssl_dir, "SSL_DIR"),
        (Component::Dkim, &settings.dkim_dir, "DKIM_DIR"),
    ];
    for (component, source, setting) in sources {
        if asked.contains(&component) && source.is_none() {
            return Err(Error::NoSource { component, setting });
        }
    }
    Ok(asked)
}

fn work(args: &Args) -> Work {
    match (args.dry_run, args.prune_only) {
        (true, _) if args.accept.is_some() => Work::ShowAccept,
        (false, _) if args.accept.is_some() => Work::Accept,
        (true, true) => Work::ShowPrune,
        (true, false) => Work::Show,
        (false, true) => Work::Prune,
        (false, false) => Work::Save,
    }
}

fn reading(args: &Args, kind: SetKind) -> Reading {
    if args.full {
        return Reading::Everything;
    }
    match kind {
        SetKind::Weekly => Reading::Checked,
        SetKind::Daily | SetKind::Hourly => Reading::Changes,
    }
}

fn dated(args: &Args) -> Dated {
    if args.date.is_some() {
        Dated::ByFlag
    } else {
        Dated::ByClock
    }
}

/// It is looked after when mail is saved.
fn plan_canary(settings: &Settings, components: &[Component]) -> Option<CanaryPlan> {
    (settings.backup_canary && components.contains(&Component::Mailboxes)).then(|| CanaryPlan {
        mail_dir: settings.mail_data_dir.clone(),
        depth: settings.mailbox_depth.levels(),
    })
}

fn plan_trees(
    args: &Args,
    settings: &Settings,
    absence: &Absence<'_>,
) -> Result<Vec<TreePlan>, Error> {
    let exclude = Exclude::parse(&settings.exclude);
    let exclude = exclude.map_err(|(pattern, source)| Error::Exclude { pattern, source })?;
    let tree = |component, source: &Path, archive| TreePlan {
        component,
        source: source.to_owned(),
        archive: fixed(archive),
        level: args.level,
        exclude: exclude.clone(),
        absence: absence.of_component(component),
    };
    let mut trees = vec![tree(
        Component::Config,
        &settings.config_dir,
        "config/config.tar.zst",
    )];
    if let Some(directory) = &settings.ssl_dir {
        trees.push(tree(Component::Ssl, directory, "ssl/certbot.tar.zst"));
    }
    if let Some(directory) = &settings.dkim_dir {
        trees.push(tree(Component::Dkim, directory, "dkim/dkim.tar.zst"));
    }
    for directory in &settings.extra_dirs {
        if let Some(archive) = extra_archive(directory) {
            trees.push(TreePlan {
                archive,
                absence: Some(without(&settings.extra_dirs, directory)),
                ..tree(Component::Config, directory, "config/config.tar.zst")
            });
        }
    }
    Ok(trees)
}

/// EXTRA_DIRS without one that is not there.
fn without(directories: &[PathBuf], absent: &Path) -> String {
    let others = directories.iter().filter(|directory| *directory != absent);
    let others: Vec<_> = others.map(|other| other.display().to_string()).collect();
    format!("EXTRA_DIRS=\"{}\"", others.join(" "))
}

fn plan_copies(settings: &Settings) -> Vec<CopyPlan> {
    let files = [
        (
            &settings.docker_compose_file,
            "config/docker-compose.yml",
            "DOCKER_COMPOSE_FILE",
        ),
        (&settings.env_file, "config/env", "ENV_FILE"),
    ];
    let mut copies = Vec::new();
    for (source, target, setting) in files {
        if let Some(source) = source {
            copies.push(CopyPlan {
                component: Component::Config,
                source: source.clone(),
                target: fixed(target),
                absence: Some(format!("{setting}=")),
            });
        }
    }
    if compose::has_stand_in(settings) {
        copies.retain(|copy| Some(&copy.source) != settings.docker_compose_file.as_ref());
    }
    copies
}

fn plan_retention(args: &Args, settings: &Settings) -> Retention {
    Retention {
        wanted: if args.no_prune {
            Wanted::No
        } else {
            Wanted::Yes
        },
        components: settings.wanted_components(),
        daily_days: at_least_one(settings.daily_retention_days),
        weekly_weeks: at_least_one(settings.weekly_retention_weeks),
        hourly_hours: at_least_one(settings.hourly_retention_hours),
        force: if args.force {
            Force::Override
        } else {
            Force::Refuse
        },
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
    let Some(mountpoint) = mountpoint else {
        return Ok(());
    };
    let is_mounted = is_mount_point(mountpoint)
        .map_err(Failed::at("examine BACKUP_MOUNTPOINT", mountpoint))
        .map_err(Error::MountPoint)?;
    if is_mounted {
        return Ok(());
    }
    Err(Error::NotMounted {
        mountpoint: mountpoint.to_owned(),
    })
}

fn check_writable(root: &Path) -> Result<(), Error> {
    rustix::fs::access(root, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(io::Error::from)
        .map_err(Failed::at("write to the backup root", root))
        .map_err(Error::RootNotWritable)
}

fn check_room(root: &Path) -> Result<(), Error> {
    let space = free_space(root).map_err(Failed::at("find the free space of", root))?;
    let no_room = |free, needed, unit| Error::NoRoom {
        root: root.to_owned(),
        free,
        needed,
        unit,
    };
    if space.bytes_free < LEAST_FREE_BYTES {
        return Err(no_room(space.bytes_free, LEAST_FREE_BYTES, "bytes"));
    }
    match space.inodes_free {
        Some(free) if free < LEAST_FREE_INODES => Err(no_room(free, LEAST_FREE_INODES, "inodes")),
        _ => Ok(()),
    }
}
