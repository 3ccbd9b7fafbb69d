//! A file of a set read once to its end: its digest, and what is in it.

use std::io::{self, Read, Write};
use std::path::Path;

use mail_common::archive::reader::TarReader;
use mail_common::checksum::Sha256Writer;
use mail_common::relpath::RelPath;
use mail_common::set::SetFile;
use mail_common::set::verify::{self, Damage};

use super::problem::Problem;

const BUFFER_BYTES: usize = 256 * 1024;

/// What every dump ends with, those of mysqldump and mariadb-dump too.
const FOOTER: &[u8] = b"-- Dump completed";

/// A footer is no longer than this.
const FOOTER_MAX_BYTES: usize = 4096;

/// Hashes what is read of it.
struct Hashed<R> {
    inner: R,
    digest: Sha256Writer<io::Sink>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.digest.write_all(&buffer[..length])?;
        Ok(length)
    }
}

/// Reads a file to its end and lets `inspect` see its bytes. A wrong digest explains whatever
/// `inspect` found, and comes before it.
pub(super) fn read_file(
    set: &Path,
    file: &SetFile,
    inspect: impl FnOnce(&mut (dyn Read + Send)) -> Result<(), Problem>,
) -> (u64, Result<(), Problem>) {
    let opened = match verify::open(set, &file.path) {
        Ok(opened) => opened,
        Err(damage) => return (0, Err(damage.into())),
    };
    let mut hashed = Hashed {
        inner: opened,
        digest: Sha256Writer::new(io::sink()),
    };
    let inspected = inspect(&mut hashed);
    let drained = drain(&mut hashed);
    let (_, found, bytes) = hashed.digest.into_parts();
    let path = || file.path.clone();
    let result = match drained {
        Err(source) => Err(Damage::Read {
            path: path(),
            source,
        }
        .into()),
        Ok(()) if found != file.sha256 => Err(Damage::digest(file, found).into()),
        Ok(()) => inspected,
    };
    (bytes, result)
}

fn drain(input: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    while input.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Reads an archive from its first member to its end, and compares their number with the manifest.
pub(super) fn read_members(file: &SetFile, mut tar: TarReader<impl Read>) -> Result<(), Problem> {
    let failed = |source| Problem::Archive {
        path: file.path.clone(),
        source,
    };
    let mut members = 0;
    while tar.next_member().map_err(failed)?.is_some() {
        members += 1;
    }
    tar.finish().map_err(failed)?;
    compare_entries(file, members)
}

/// The number of entries, where the manifest says one.
pub(super) fn compare_entries(file: &SetFile, found: u64) -> Result<(), Problem> {
    match file.recorded {
        Some(recorded) if recorded.entries != found => Err(Problem::Entries {
            path: file.path.clone(),
            found,
            recorded: recorded.entries,
        }),
        _ => Ok(()),
    }
}

/// Reads a dump to its end, where a line has to say that it is one.
pub(super) fn read_footer(path: &RelPath, mut input: impl Read) -> Result<(), Problem> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(source) => {
                return Err(Problem::Unreadable {
                    path: path.clone(),
                    source,
                });
            }
        };
        tail.extend_from_slice(&buffer[length.saturating_sub(FOOTER_MAX_BYTES)..length]);
        tail.drain(..tail.len().saturating_sub(FOOTER_MAX_BYTES));
    }
    let last_line = tail.trim_ascii_end().rsplit(|&byte| byte == b'\n').next();
    match last_line {
        Some(line) if line.starts_with(FOOTER) => Ok(()),
        _ => Err(Problem::NoFooter { path: path.clone() }),
    }
}
