//! Entries in unnamed temporary files, so that memory does not grow with the mailbox.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IntoInnerError, Seek};
use std::path::Path;

use mail_common::archive::index::{IndexEntry, IndexReader, IndexWriter, LiveEntry, SpoolReader};

const BUFFER_BYTES: usize = 64 * 1024;

/// Entries that are still to be saved, in the order of their paths.
#[derive(Debug)]
pub(crate) struct LiveSpool {
    writer: IndexWriter<BufWriter<File>>,
    /// Sum of the sizes of the files.
    pub(crate) bytes: u64,
}

/// Entries that were saved, in the order in which they were.
#[derive(Debug)]
pub(crate) struct SavedSpool(IndexWriter<BufWriter<File>>);

/// Saved entries in the order of their paths.
pub(crate) type SavedRun = IndexReader<BufReader<File>>;

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

impl SavedSpool {
    pub(crate) fn create(scratch: &Path) -> io::Result<Self> {
        Ok(Self(create(scratch)?))
    }

    pub(crate) fn push(&mut self, entry: &IndexEntry) -> io::Result<()> {
        self.0.write(entry)
    }

    /// The entries from the first. Reading fails where they were not pushed in the order of their
    /// paths.
    pub(crate) fn read(self) -> io::Result<SavedRun> {
        Ok(IndexReader::new(rewind(self.0)?))
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
