//! Files that had several names. A set holds each name as a file of its own, so that no message
//! depends on another; the index has the inode numbers, by which the names become one file again.

use std::collections::HashMap;
use std::path::Path;

use mail_common::archive::index::{IndexEntry, IndexReader, Kind};
use mail_common::relpath::RelPath;
use mail_common::set::SetFile;

use super::error::Error;
use mail_common::set::verify;

/// The first name of a file, and another one.
pub(crate) type Links = Vec<(RelPath, RelPath)>;

/// Finds in the indices of a set the names that were one file: the same inode, and nothing that
/// tells them apart.
pub(crate) fn find_links(set: &Path, indices: &[SetFile]) -> Result<Links, Error> {
    let shared = shared_inodes(set, indices)?;
    let mut links = Links::new();
    if shared.is_empty() {
        return Ok(links);
    }
    let mut first: HashMap<u64, Vec<IndexEntry>> = HashMap::new();
    for index in indices {
        for_each_file(set, &index.path, |entry| {
            if shared.binary_search(&entry.live.stat.inode).is_err() {
                return;
            }
            let firsts = first.entry(entry.live.stat.inode).or_default();
            match firsts.iter().find(|other| is_same(other, &entry)) {
                Some(other) => links.push((other.live.path.clone(), entry.live.path)),
                None => firsts.push(entry),
            }
        })?;
    }
    Ok(links)
}

/// Inode numbers that occur more than once, sorted. Eight bytes a message while they are counted.
fn shared_inodes(set: &Path, indices: &[SetFile]) -> Result<Vec<u64>, Error> {
    let mut inodes = Vec::new();
    for index in indices {
        for_each_file(set, &index.path, |entry| inodes.push(entry.live.stat.inode))?;
    }
    inodes.sort_unstable();
    let mut shared: Vec<u64> = inodes
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
        .collect();
    shared.dedup();
    Ok(shared)
}

fn for_each_file(
    set: &Path,
    index: &RelPath,
    mut visit: impl FnMut(IndexEntry),
) -> Result<(), Error> {
    let reader = IndexReader::open(verify::open(set, index)?);
    let reader = reader.map_err(|source| Error::Decompress {
        archive: index.clone(),
        source,
    })?;
    for entry in reader {
        let entry = entry.map_err(|source| Error::ReadIndex {
            index: index.clone(),
            source,
        })?;
        if entry.live.kind == Kind::File {
            visit(entry);
        }
    }
    Ok(())
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
