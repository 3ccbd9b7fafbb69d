//! What a run is asked for, before the set is looked at: settings and flags, read and checked.

use std::path::{Path, PathBuf};

use mail_common::config::{Config, Environment, Settings};
use mail_common::failure::{Failed, FailureKind};
use mail_common::set::find_set;
use mail_common::tool::{self, Subject};

use crate::args::{Args, LeaveOutArg};
use crate::error::Error;

/// Settings and flags.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) settings: Settings,
    /// The backup root, which need not be there.
    pub(crate) root: PathBuf,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Restore,
    /// To verify everything and say what would be restored.
    Show,
    /// To verify digests and nothing else.
    Verify,
}

/// Where a set is restored to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The live mail server.
    Live,
    /// A directory, in which each component has one of its own.
    Directory(PathBuf),
}

/// What must be known of a file before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clearance {
    /// Its digest.
    Digest,
    /// That a scanner found it clean, too, but for what may be left out.
    Scan(LeaveOut),
}

/// Members of archives without which the rest is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaveOut {
    infected: bool,
    unscanned: bool,
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
        let root = text(&self.root);
        let set = match &args.from[..] {
            [one] => Some(one),
            _ => None,
        };
        let Some(set) = set.and_then(|from| self.find(from).ok()) else {
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

    /// The directory of the set that `operand` means. Not through `latest`, which may be pointed
    /// elsewhere while the set is in use.
    pub(crate) fn find(&self, operand: &Path) -> Result<PathBuf, Error> {
        let found = find_set(operand, &self.root)?;
        Ok(found.canonicalize().map_err(Failed::at("open", &found))?)
    }
}

impl Work {
    pub(crate) fn of(args: &Args) -> Self {
        if args.dry_run {
            Self::Show
        } else if args.verify {
            Self::Verify
        } else {
            Self::Restore
        }
    }
}

impl Destination {
    pub(crate) fn of(args: &Args) -> Self {
        match &args.to {
            Some(path) => Self::Directory(tool::absolute(path)),
            None => Self::Live,
        }
    }
}

impl Clearance {
    pub(crate) fn of(args: &Args) -> Self {
        if args.require_scan || !args.leave_out.is_empty() {
            Self::Scan(LeaveOut::of(&args.leave_out))
        } else {
            Self::Digest
        }
    }
}

impl LeaveOut {
    fn of(asked: &[LeaveOutArg]) -> Self {
        Self {
            infected: asked.contains(&LeaveOutArg::Infected),
            unscanned: asked.contains(&LeaveOutArg::Unscanned),
        }
    }

    /// Whether what was refused for such a failure may be left out.
    pub(crate) fn has(self, kind: FailureKind) -> bool {
        match kind {
            FailureKind::Infected => self.infected,
            FailureKind::Unscanned => self.unscanned,
            _ => false,
        }
    }
}
