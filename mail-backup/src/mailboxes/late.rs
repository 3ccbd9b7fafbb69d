//! Finds messages that were listed and then moved: by their unique names, or by their inodes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;

use mail_common::relpath::RelPath;

use super::listing::{Listing, Missing};
use super::maildir::{holds_messages, unique_name};

/// A message that two looks at the whole mailbox do not find has been expunged.
const LOOKS: u8 = 2;

/// The messages that are looked for.
#[derive(Debug, Default)]
pub(crate) struct Search {
    looked: BTreeMap<Missing, u8>,
    /// Listed paths that nobody has saved: to find a message there is news.
    unclaimed: BTreeSet<RelPath>,
    /// Paths that were already returned.
    claimed: BTreeSet<RelPath>,
    /// Not found: expunged while the backup ran.
    pub(crate) expunged: u64,
}

impl Search {
    /// Looks for these too.
    pub(crate) fn add(&mut self, missing: impl IntoIterator<Item = Missing>) {
        for message in missing {
            self.unclaimed.insert(message.path.clone());
            self.claimed.remove(&message.path);
            self.looked.entry(message).or_insert(0);
        }
    }

    /// Listed paths that were passed over, since their message was met under another name.
    pub(crate) fn add_unclaimed(&mut self, paths: impl IntoIterator<Item = RelPath>) {
        self.unclaimed.extend(paths);
    }

    /// Whether nothing is left to look for.
    pub(crate) fn is_over(&self) -> bool {
        self.looked.is_empty()
    }

    /// How many are still looked for.
    pub(crate) fn left(&self) -> usize {
        self.looked.len()
    }

    /// Looks once through the whole mailbox. Returns where messages are now that are not saved there already.
    pub(crate) fn look(&mut self, now: &Listing, listed: &Listing) -> io::Result<BTreeSet<RelPath>> {
        let mut places = self.places(now)?;
        let known = listed.known(&places)?;
        places.retain(|path| !known.contains(path) || self.unclaimed.contains(path));
        places.retain(|path| self.claimed.insert(path.clone()));
        Ok(places)
    }

    /// Where the looked-for messages are in `now`; those that are nowhere for the second time are given up.
    fn places(&mut self, now: &Listing) -> io::Result<BTreeSet<RelPath>> {
        let names: HashSet<&[u8]> = self.looked.keys().map(|missing| unique_name(missing.path.name())).collect();
        let inodes: HashSet<u64> = self.looked.keys().map(|missing| missing.inode).collect();
        let mut places = BTreeSet::new();
        let mut found = Found::default();
        for directory in now.directories().filter(|path| holds_messages(path.name())) {
            for name in now.names(directory) {
                let name = name?;
                let unique = unique_name(&name.bytes);
                if !names.contains(unique) && !inodes.contains(&name.inode) {
                    continue;
                }
                found.names.insert(unique.to_vec());
                found.inodes.insert(name.inode);
                places.extend(directory.child(&name.bytes));
            }
        }
        self.settle(&found);
        Ok(places)
    }

    fn settle(&mut self, found: &Found) {
        let mut expunged = 0;
        self.looked.retain(|missing, looks| {
            let is_found =
                found.names.contains(unique_name(missing.path.name())) || found.inodes.contains(&missing.inode);
            *looks += 1;
            let is_gone = !is_found && *looks >= LOOKS;
            expunged += u64::from(is_gone);
            !is_found && !is_gone
        });
        self.expunged += expunged;
    }
}

#[derive(Default)]
struct Found {
    names: HashSet<Vec<u8>>,
    inodes: HashSet<u64>,
}
