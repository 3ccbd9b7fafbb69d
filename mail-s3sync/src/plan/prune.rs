//! What a prune goes by.

use std::path::Path;

use mail_common::config::{Config, Settings};
use mail_common::set::{BackupRoot, SetKind};
use mail_common::suspicion::Hold;

use crate::args::PruneArgs;
use crate::error::Error;
use crate::keep::Keep;
use crate::location::Location;
use crate::prune::Mode;

/// A prune.
#[derive(Debug)]
pub(crate) struct PruneWork {
    pub(crate) keep: Keep,
    /// Alarms that nobody has accepted.
    pub(crate) hold: Option<Hold>,
    pub(crate) mode: Mode,
}

impl PruneWork {
    pub(super) fn new(
        args: &PruneArgs,
        location: &Location,
        config: &Config,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let keep = match location {
            Location::Bucket { .. } => Keep::new(config)?,
            Location::Directory(_) => Keep::given(config)?.ok_or(Error::NoDays)?,
        };
        let hold = if args.no_alarm {
            None
        } else {
            open_alarms(&settings.backup_root)?
        };
        Ok(Self {
            keep,
            hold,
            mode: if args.yes { Mode::Remove } else { Mode::List },
        })
    }
}

/// The alarms that nobody has accepted. A root that is not there, or whose disk is not, tells
/// nothing of them.
fn open_alarms(root: &Path) -> Result<Option<Hold>, Error> {
    let unknown = || Error::NoRoot {
        root: root.display().to_string(),
    };
    let opened = BackupRoot::open(root).map_err(|_| unknown())?;
    let mut has_sets = false;
    for kind in SetKind::ALL {
        has_sets |= !opened.sets(kind)?.is_empty();
    }
    let hold = Hold::of(&opened)?;
    if hold.is_none() && !has_sets {
        return Err(unknown());
    }
    Ok(hold)
}
