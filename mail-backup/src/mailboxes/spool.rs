//! Entries in unnamed temporary files, so that memory does not grow with the mailbox.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IntoInnerError, Seek};
use std::path::Path;

use mail_common::archive::index::{
    self, IndexEntry, IndexReader, IndexWriter, LiveEntry, SpoolReader,
};

const BUFFER_BYTES: usize = 64 * 1024;

/// More lines of an index go to a temporary file: about eight megabytes.
const LINES_IN_MEMORY: usize = 10_000;

/// Entries that are still to be saved, in the order of their paths.
#[derive(Debug)]
pub(crate) struct LiveSpool {
    writer: IndexWriter<BufWriter<File>>,
    /// Sum of the sizes of the files.
    pub(crate) bytes: u64,
}

/// Lines of an index in any order, which come back sorted by path.
#[derive(Debug, Default)]
pub(crate) struct IndexSorter {
    lines: Vec<IndexEntry>,
    /// Sorted lines that are no longer in memory.
    runs: Vec<Run>,
}

/// Reads lines in the order of their paths.
type Run = IndexReader<BufReader<File>>;

/// Gives sorted lines of several runs, sorted.
struct Merged {
    runs: Vec<Run>,
    /// The next line of each.
    heads: Vec<Option<Result<IndexEntry, index::Error>>>,
}

impl LiveSpool {
    pub(crate) fn create(scratch: &Path) -> io::Result<Self> {
        Ok(Self {
            writer: create(scratch)?,
            bytes: 0,
        })
    }

    pub(crate) fn push(&mut self, entry: &LiveEntry) -> io::Result<()> {
        self.bytes += entry.stat.size;
        self.writer.write_live(entry)
    }

    /// The entries from the first.
    pub(crate) fn read(self) -> io::Result<SpoolReader<BufReader<File>>> {
        Ok(SpoolReader::new(rewind(self.writer)?))
    }
}

impl IndexSorter {
    pub(crate) fn push(&mut self, line: IndexEntry, scratch: &Path) -> io::Result<()> {
        self.lines.push(line);
        if self.lines.len() >= LINES_IN_MEMORY {
            self.spill(scratch)?;
        }
        Ok(())
    }

    fn spill(&mut self, scratch: &Path) -> io::Result<()> {
        let mut writer = create(scratch)?;
        for line in self.take_sorted() {
            writer.write(&line)?;
        }
        self.runs.push(IndexReader::new(rewind(writer)?));
        Ok(())
    }

    fn take_sorted(&mut self) -> Vec<IndexEntry> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.sort_unstable_by(|a, b| a.live.path.cmp(&b.live.path));
        lines
    }

    /// All lines in order.
    pub(crate) fn sorted(
        mut self,
        scratch: &Path,
    ) -> io::Result<Box<dyn Iterator<Item = Result<IndexEntry, index::Error>>>> {
        if self.runs.is_empty() {
            return Ok(Box::new(self.take_sorted().into_iter().map(Ok)));
        }
        if !self.lines.is_empty() {
            self.spill(scratch)?;
        }
        Ok(Box::new(Merged::new(self.runs)))
    }
}

impl Merged {
    fn new(mut runs: Vec<Run>) -> Self {
        let heads = runs.iter_mut().map(Iterator::next).collect();
        Self { runs, heads }
    }
}

impl Iterator for Merged {
    type Item = Result<IndexEntry, index::Error>;

    /// There are few runs: a segment is closed before it has many lines. What cannot be read comes
    /// first.
    fn next(&mut self) -> Option<Self::Item> {
        let heads = self.heads.iter().enumerate();
        let (first, _) = heads
            .filter_map(|(number, head)| Some((number, head.as_ref()?)))
            .min_by_key(|(_, head)| head.as_ref().ok().map(|line| &line.live.path))?;
        let next = self.runs[first].next();
        std::mem::replace(&mut self.heads[first], next)
    }
}

fn create(scratch: &Path) -> io::Result<IndexWriter<BufWriter<File>>> {
    let file = tempfile::tempfile_in(scratch)?;
    Ok(IndexWriter::new(BufWriter::with_capacity(
        BUFFER_BYTES,
        file,
    )))
}

fn rewind(lines: IndexWriter<BufWriter<File>>) -> io::Result<BufReader<File>> {
    let (buffered, _) = lines.into_parts();
    let mut file = buffered.into_inner().map_err(IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}

#[cfg(test)]
mod tests {
    use mail_common::archive::index::{Kind, Location, Stat};

    use super::*;

    fn line(number: usize) -> IndexEntry {
        let stat = Stat {
            size: 0,
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime_ns: 0,
            inode: 1,
            ctime_ns: 0,
        };
        IndexEntry {
            live: LiveEntry {
                path: format!("m/{number:06}").parse().unwrap(),
                kind: Kind::Symlink,
                stat,
            },
            sha256: None,
            location: Location {
                segment: 1,
                frame_offset: 0,
                frame_bytes: 1,
            },
            message_id: None,
            envelope: None,
            attachments: None,
            xattrs_sha256: None,
        }
    }

    fn check(count: usize) {
        let scratch = tempfile::tempdir().unwrap();
        let mut sorter = IndexSorter::default();
        for number in 0..count {
            let line = line((number * 7919) % count);
            sorter.push(line, scratch.path()).unwrap();
        }
        let sorted = sorter.sorted(scratch.path()).unwrap();
        let found: Vec<IndexEntry> = sorted.map(Result::unwrap).collect();
        assert_eq!(found, (0..count).map(line).collect::<Vec<_>>());
    }

    #[test]
    fn lines_come_sorted_whether_or_not_they_fit_in_memory() {
        check(0);
        check(10);
        check(LINES_IN_MEMORY);
        check(LINES_IN_MEMORY * 2 + 1);
    }
}
