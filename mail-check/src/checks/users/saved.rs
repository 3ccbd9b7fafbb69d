//! The mailboxes in the newest complete set.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use mail_common::manifest::Manifest;
use mail_common::report::chain;
use mail_common::set::{
    BackupRoot, Component, FoundSet, MANIFEST, SetKind, SetState, mailbox as set_mailbox,
};

use super::mailboxes;

/// The newest set that holds mail.
#[derive(Debug)]
pub(super) struct SavedSet {
    /// Such as `daily/2026-11-23`.
    pub(super) name: String,
    /// When it was begun; `None` for one of the old scripts.
    pub(super) begun: Option<Timestamp>,
    /// Addresses, in small letters.
    pub(super) mailboxes: BTreeSet<String>,
}

/// The newest complete set below `root` that holds mail, or why there is none.
pub(super) fn newest(root: &Path) -> Result<SavedSet, String> {
    let opened = BackupRoot::open(root).map_err(|error| chain(&error))?;
    let mut sets = Vec::new();
    for kind in SetKind::ALL {
        sets.extend(opened.sets(kind).map_err(|error| chain(&error))?);
    }
    let mut whole: Vec<FoundSet> = sets
        .into_iter()
        .filter(|set| mail_in(set).is_some())
        .collect();
    whole.sort_by_key(|set| (set.id.date(), rank(set.id.kind()), set.id.start()));
    match whole.last().and_then(|set| Some((set, mail_in(set)?))) {
        Some((set, mail)) => read(set, mail),
        None => Err(format!(
            "there is no complete set with mailboxes in {}; run mail-backup",
            root.display()
        )),
    }
}

/// Of the sets of a day, which kind is the newest: a daily set is made in the night, hourly ones go
/// on until the next.
fn rank(kind: SetKind) -> u8 {
    match kind {
        SetKind::Weekly => 0,
        SetKind::Daily => 1,
        SetKind::Hourly => 2,
    }
}

/// Where a set holds its mailboxes; `None` for one that is not whole or has none.
fn mail_in(set: &FoundSet) -> Option<&'static str> {
    let directory = match set.state {
        SetState::Complete => Component::Mailboxes.name(),
        SetState::Legacy => set_mailbox::PLAIN,
        SetState::Damaged | SetState::Incomplete => return None,
    };
    set.path.join(directory).is_dir().then_some(directory)
}

fn read(set: &FoundSet, mail: &str) -> Result<SavedSet, String> {
    let begun = match set.state {
        SetState::Complete => {
            let manifest =
                Manifest::read(&set.path.join(MANIFEST)).map_err(|error| chain(&error))?;
            manifest.begin.time.parse().ok()
        }
        _ => None,
    };
    let directory = set.path.join(mail);
    let listed = mailboxes::list(&directory);
    let listed =
        listed.map_err(|error| format!("{} cannot be listed: {error}", directory.display()))?;
    Ok(SavedSet {
        name: set.id.to_string(),
        begun,
        mailboxes: listed.into_keys().collect(),
    })
}
