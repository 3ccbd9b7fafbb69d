//! The names in a directory, sorted, in a spool on disk: a folder of a million messages takes no
//! more memory than one of a hundred.
//!
//! `readdir` gives names in the order of the file system, and the index of a mailbox is sorted by
//! path. To compare the two as streams, the names are sorted as an external merge sort does: runs
//! that fit in memory go to temporary files, and are merged into the spool. A folder is listed
//! again when it changes meanwhile; what it had before stays in the spool, so that the two listings
//! can be compared, and the space comes back when the spool is closed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType};

/// Names are sorted in memory up to this many bytes, then merged from disk.
const RUN_BYTES: usize = 4 << 20;

/// A directory entry as `readdir` gives it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) bytes: Vec<u8>,
    pub(crate) inode: u64,
    pub(crate) hint: Hint,
}

/// What `readdir` knows of an entry without looking at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hint {
    Directory,
    Other,
    Unknown,
}

/// Where the sorted names of one listing of a directory lie in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameRange {
    start: u64,
    end: u64,
}

/// Sorted names of many directories, in one unnamed file.
#[derive(Debug)]
pub(crate) struct NameSpool {
    file: File,
    end: u64,
    scratch: PathBuf,
}

impl NameSpool {
    pub(crate) fn create(scratch: &Path) -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile_in(scratch)?,
            end: 0,
            scratch: scratch.to_owned(),
        })
    }

    /// Reads and sorts the names of an open directory; `.` and `..` are left out.
    pub(crate) fn list(&mut self, directory: impl AsFd) -> io::Result<NameRange> {
        let mut run = Vec::new();
        let mut run_bytes = 0;
        let mut runs = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            run_bytes += bytes.len() + size_of::<Name>();
            run.push(Name {
                bytes: bytes.to_vec(),
                inode: entry.ino(),
                hint: hint(entry.file_type()),
            });
            if run_bytes >= RUN_BYTES {
                runs.push(self.spill(&mut run)?);
                run_bytes = 0;
            }
        }
        if runs.is_empty() {
            run.sort_unstable();
            return self.append(run.into_iter().map(Ok));
        }
        runs.push(self.spill(&mut run)?);
        self.append(Merge::new(runs)?)
    }

    fn spill(&self, run: &mut Vec<Name>) -> io::Result<NameReader<File>> {
        run.sort_unstable();
        let mut file = BufWriter::new(tempfile::tempfile_in(&self.scratch)?);
        for name in run.drain(..) {
            name.write_to(&mut file)?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(NameReader::new(file, u64::MAX))
    }

    fn append(&mut self, names: impl Iterator<Item = io::Result<Name>>) -> io::Result<NameRange> {
        let start = self.end;
        let mut writer = BufWriter::with_capacity(
            64 * 1024,
            At {
                file: &self.file,
                offset: start,
            },
        );
        for name in names {
            name?.write_to(&mut writer)?;
        }
        writer.flush()?;
        self.end = writer.get_ref().offset;
        Ok(NameRange {
            start,
            end: self.end,
        })
    }

    /// Leaves a file that can be written to only.
    #[cfg(test)]
    pub(crate) fn lose(&mut self, scratch: &Path) {
        let path = scratch.join("write-only");
        let mut options = std::fs::OpenOptions::new();
        self.file = options.write(true).create(true).open(path).unwrap();
    }

    /// The names in order.
    pub(crate) fn read(&self, names: NameRange) -> NameReader<At<'_>> {
        NameReader::new(
            At {
                file: &self.file,
                offset: names.start,
            },
            names.end - names.start,
        )
    }
}

fn hint(file_type: FileType) -> Hint {
    match file_type {
        FileType::Directory => Hint::Directory,
        FileType::Unknown => Hint::Unknown,
        _ => Hint::Other,
    }
}

impl Name {
    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        // A name has at most 255 bytes on Linux (NAME_MAX), some file systems allow more.
        let length = u16::try_from(self.bytes.len()).map_err(io::Error::other)?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&[self.hint as u8])?;
        out.write_all(&self.inode.to_le_bytes())?;
        out.write_all(&self.bytes)
    }

    fn read_from(input: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 11];
        input.read_exact(&mut head)?;
        let [l0, l1, hint, inode @ ..] = head;
        let mut bytes = vec![0; u16::from_le_bytes([l0, l1]).into()];
        input.read_exact(&mut bytes)?;
        let hint = match hint {
            h if h == Hint::Directory as u8 => Hint::Directory,
            h if h == Hint::Other as u8 => Hint::Other,
            _ => Hint::Unknown,
        };
        Ok(Self {
            bytes,
            inode: u64::from_le_bytes(inode),
            hint,
        })
    }
}

/// Reads and writes a shared file at an offset of its own.
#[derive(Debug)]
pub(crate) struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(buffer, self.offset)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}

impl Write for At<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let bytes = self.file.write_at(data, self.offset)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Names one after the other.
#[derive(Debug)]
pub(crate) struct NameReader<R> {
    input: io::BufReader<io::Take<R>>,
}

impl<R: Read> NameReader<R> {
    fn new(input: R, bytes: u64) -> Self {
        Self {
            input: io::BufReader::with_capacity(16 * 1024, input.take(bytes)),
        }
    }
}

impl<R: Read> Iterator for NameReader<R> {
    type Item = io::Result<Name>;

    fn next(&mut self) -> Option<io::Result<Name>> {
        match io::BufRead::fill_buf(&mut self.input) {
            Ok([]) => None,
            Ok(_) => Some(Name::read_from(&mut self.input)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Merges sorted runs.
struct Merge {
    heads: BinaryHeap<Reverse<(Name, usize)>>,
    runs: Vec<NameReader<File>>,
}

impl Merge {
    fn new(runs: Vec<NameReader<File>>) -> io::Result<Self> {
        let mut merge = Self {
            heads: BinaryHeap::new(),
            runs,
        };
        for run in 0..merge.runs.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, run: usize) -> io::Result<()> {
        if let Some(name) = self.runs[run].next() {
            self.heads.push(Reverse((name?, run)));
        }
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = io::Result<Name>;

    fn next(&mut self) -> Option<io::Result<Name>> {
        let Reverse((name, run)) = self.heads.pop()?;
        Some(self.advance(run).map(|()| name))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make the directories that are listed"
)]
mod tests {
    use super::*;

    fn check(count: usize) {
        let directory = tempfile::tempdir().unwrap();
        let long = "x".repeat(200);
        let mut expected: Vec<String> = (0..count)
            .map(|i| format!("{}.{long}", (i * 7919) % count))
            .collect();
        for name in &expected {
            std::fs::write(directory.path().join(name), b"").unwrap();
        }
        expected.sort();
        let mut spool = NameSpool::create(directory.path()).unwrap();
        let names = spool.list(File::open(directory.path()).unwrap()).unwrap();
        let found: Vec<String> = spool
            .read(names)
            .map(|n| String::from_utf8(n.unwrap().bytes).unwrap())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_come_sorted_whether_or_not_they_fit_in_memory() {
        check(0);
        check(10);
        check(30_000);
    }
}
