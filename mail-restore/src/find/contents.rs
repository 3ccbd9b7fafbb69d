//! What a mailbox holds in one set, whatever it is about: to compare with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mail_common::archive::members::{Member, Stored};
use mail_common::checksum::Sha256;
use mail_common::maildir::is_message;
use mail_common::relpath::RelPath;
use mail_common::set::SavedMailbox;

use super::sets::SearchedSet;
use super::share::Key;
use crate::messages::{Error, Identity, Source, Unit, VerifiedMailbox, look_at_plain, mailbox_of};

/// The contents of the messages that a mailbox has in one set.
pub(crate) fn contents(
    set: &SearchedSet,
    path: &Arc<RelPath>,
    unit: &Unit<'_>,
) -> Result<HashSet<Key>, Error> {
    let mut contents = HashSet::new();
    let mut add = |file: &RelPath, sha256| {
        let mailbox = mailbox_of(path, file);
        contents.insert(Key::of(path, &mailbox, sha256));
    };
    match &unit.source {
        Source::Saved(saved) => for_each_present(set, saved, |stored| {
            let entry = &stored.entry;
            if let Some(sha256) = entry.sha256.filter(|_| is_message(&entry.live.path)) {
                add(&entry.live.path, sha256);
            }
        })?,
        Source::Files(files) => {
            for file in files {
                let plain = look_at_plain(&set.inventory, file)?;
                add(&plain.path, plain.sha256);
            }
        }
    }
    Ok(contents)
}

/// The files of a mailbox as one set has them, and their contents. A change time of 0 is not known.
pub(crate) fn identities(
    set: &SearchedSet,
    unit: &Unit<'_>,
) -> Result<HashMap<Identity, Sha256>, Error> {
    let mut identities = HashMap::new();
    if let Source::Saved(saved) = &unit.source {
        for_each_present(set, saved, |stored| {
            let stat = &stored.entry.live.stat;
            if let Some(sha256) = stored.entry.sha256.filter(|_| stat.ctime_ns != 0) {
                let identity = (stat.inode, stat.size, stat.mtime_ns, stat.ctime_ns);
                identities.insert(identity, sha256);
            }
        })?;
    }
    Ok(identities)
}

/// Gives each entry of a mailbox, as it was on the day of a set, to `each`.
fn for_each_present(
    set: &SearchedSet,
    saved: &SavedMailbox,
    mut each: impl FnMut(&Stored),
) -> Result<(), Error> {
    let mailbox = VerifiedMailbox::open(&set.inventory, saved)?;
    for member in mailbox.members()? {
        let member = member.map_err(|source| Error::Index {
            index: mailbox.listing.clone(),
            source,
        })?;
        if let Member::Here(stored) = &member {
            each(stored);
        }
    }
    Ok(())
}
