//! SQLite databases in the small trees: they are copied as files, which is right only while nobody
//! writes. Beside one that is in the middle of a change lies its journal or its write-ahead log
//! (<https://www.sqlite.org/fileformat2.html>, sections 1.3.1, 3 and 4).

use std::collections::BTreeMap;
use std::io::Read;

use mail_common::archive::index::{Kind, LiveEntry};
use mail_common::relpath::RelPath;

use crate::source::tree::SourceTree;

/// What every database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What follows the name of a database in that of its journal or log.
const COMPANIONS: [&[u8]; 2] = [b"-wal", b"-journal"];

/// The databases among `entries` that may be in the middle of a change.
pub(crate) fn unsettled(tree: &SourceTree, entries: &[LiveEntry]) -> Vec<RelPath> {
    let files = entries.iter().filter(|entry| entry.kind == Kind::File);
    let sizes: BTreeMap<&RelPath, u64> =
        files.map(|entry| (&entry.path, entry.stat.size)).collect();
    let has_companion = |path: &RelPath| {
        COMPANIONS.iter().any(|suffix| {
            let companion = RelPath::new([path.as_bytes(), suffix].concat());
            companion.is_ok_and(|companion| sizes.get(&companion).is_some_and(|size| *size > 0))
        })
    };
    let candidates = sizes.keys().filter(|path| has_companion(path));
    candidates
        .filter(|path| is_database(tree, path))
        .map(|path| RelPath::clone(path))
        .collect()
}

/// What cannot be read is named where it is saved.
fn is_database(tree: &SourceTree, path: &RelPath) -> bool {
    let mut head = [0; MAGIC.len()];
    let read = tree
        .open_file(path)
        .and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == *MAGIC
}

/// What is said of one.
pub(crate) fn notice(database: &str) -> String {
    format!(
        "{database} is a SQLite database that may be in the middle of a change, and is copied as a \
         file: save a copy that `sqlite3 '{database}' \".backup COPY\"` makes, and name this one in \
         EXCLUDE"
    )
}
