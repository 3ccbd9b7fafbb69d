//! Files that had several names. A set holds each name as a file of its own, so that no message
//! depends on another; the index has the inode numbers, by which the names become one file again.

use std::collections::HashMap;
use std::path::Path;

use mail_common::archive::index::{IndexEntry, Kind};
use mail_common::archive::members::Member;
use mail_common::archive::state::State;
use mail_common::relpath::RelPath;
use mail_common::set::SavedMailbox;

use super::error::Error;

/// The first name of a file, and another one.
pub(crate) type Links = Vec<(RelPath, RelPath)>;

/// Finds in the mailboxes of a set the names that were one file: the same inode, and nothing that
/// tells them apart. `inodes` are those of all files.
pub(super) fn find_links(
    set: &Path,
    mailboxes: &[SavedMailbox],
    states: &[Option<State>],
    inodes: Vec<u64>,
) -> Result<Links, Error> {
    let shared = shared(inodes);
    let mut links = Links::new();
    if shared.is_empty() {
        return Ok(links);
    }
    let mut first: HashMap<u64, Vec<IndexEntry>> = HashMap::new();
    for (mailbox, state) in mailboxes.iter().zip(states) {
        for member in mailbox.view(set, state.as_ref())? {
            let member = member.map_err(|source| mailbox.unreadable(source))?;
            let Some(entry) = file_of(member) else {
                continue;
            };
            let inode = entry.live.stat.inode;
            if shared.binary_search(&inode).is_err() {
                continue;
            }
            let firsts = first.entry(inode).or_default();
            match firsts.iter().find(|other| is_same(other, &entry)) {
                Some(other) => links.push((other.live.path.clone(), entry.live.path)),
                None => firsts.push(entry),
            }
        }
    }
    Ok(links)
}

/// Those that occur more than once, sorted.
fn shared(mut inodes: Vec<u64>) -> Vec<u64> {
    inodes.sort_unstable();
    let pairs = inodes.windows(2).filter(|pair| pair[0] == pair[1]);
    let mut shared: Vec<u64> = pairs.map(|pair| pair[0]).collect();
    shared.dedup();
    shared
}

fn file_of(member: Member) -> Option<IndexEntry> {
    match member {
        Member::Here(stored) if stored.entry.live.kind == Kind::File => Some(stored.entry),
        Member::Here(_) | Member::Gone { .. } => None,
    }
}

/// A number may be used by another file of another day or disk; then at least the content would
/// differ.
fn is_same(one: &IndexEntry, other: &IndexEntry) -> bool {
    let facts = |entry: &IndexEntry| {
        let stat = entry.live.stat;
        (
            entry.sha256,
            stat.size,
            stat.mode,
            stat.uid,
            stat.gid,
            stat.mtime_ns,
        )
    };
    facts(one) == facts(other)
}
