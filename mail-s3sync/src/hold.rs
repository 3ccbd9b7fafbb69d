//! The last set from before an alarm: while nobody has accepted that, its copy stays locked.

use std::path::{Path, PathBuf};

use mail_common::set::{self, BackupRoot, SetState};
use mail_common::suspicion::Hold;

use crate::error::Error;
use crate::remote::{self, names};
use crate::store::ObjectStore;

/// What holds for a backup root.
#[derive(Debug)]
pub(crate) enum LastGood {
    /// No alarm is open.
    NoAlarm,
    /// The sets of the root cannot be listed, so nobody knows.
    Unknown(set::Error),
    /// One is, and the store has no set from before it, or nobody knows since when.
    NotThere,
    /// The newest set of the store from before the alarm, which lies here.
    Here(PathBuf),
    /// It is in the store, and no longer here.
    OnlyThere(String),
}

/// Looks for the last set in `store` from before the open alarm of the root that holds the set in
/// `directory`.
pub(crate) fn last_good(directory: &Path, store: &dyn ObjectStore) -> Result<LastGood, Error> {
    let root = directory.parent().and_then(Path::parent);
    let Some(root) = root.and_then(|root| BackupRoot::open(root).ok()) else {
        return Ok(LastGood::NoAlarm);
    };
    let hold = match Hold::of(&root) {
        Ok(Some(hold)) => hold,
        Ok(None) => return Ok(LastGood::NoAlarm),
        Err(error) => return Ok(LastGood::Unknown(error)),
    };
    let there = names(store).map_err(remote::Error::from)?;
    let mut before = there.into_iter();
    let Some(name) = before.find(|name| !name.is_incomplete() && hold.is_before(name.id())) else {
        return Ok(LastGood::NotThere);
    };
    let set = root.set_path(name.id());
    Ok(match SetState::of(&set) {
        SetState::Complete | SetState::Legacy => LastGood::Here(set),
        SetState::Incomplete | SetState::Damaged => LastGood::OnlyThere(name.to_string()),
    })
}
