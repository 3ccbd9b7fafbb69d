//! Every dump as plain SQL in a directory, for who loads it by hand. No server is needed.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use mail_common::atomic::{self, StoredFile};
use mail_common::interrupt::Interrupted;
use mail_common::relpath::RelPath;

use super::dump::Dump;
use super::error::Error;
use super::load::Watch;
use super::source::{Content, with_content};

const CHUNK_BYTES: usize = 256 * 1024;

/// A dump that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSql {
    /// In the set.
    pub path: RelPath,
    /// Where it is now.
    pub target: PathBuf,
    /// Of SQL.
    pub bytes: u64,
    /// Tables, as the manifest has them; 0 where there is none.
    pub tables: u64,
}

/// Writes `dump` as `dir/<name>.sql`, which must not exist. It has that name only when it is
/// complete.
pub(super) fn write(dump: &Dump, dir: &Path, watch: Watch<'_>) -> Result<WrittenSql, Error> {
    let target = dir.join(format!("{}.sql", dump.stem));
    let hidden = dir.join(format!(".{}.sql.new", dump.stem));
    let failed = |source| Error::Write {
        path: target.clone(),
        source,
    };
    atomic::create_dir_all(dir).map_err(failed)?;
    atomic::remove_tree(&hidden).map_err(failed)?;
    let written = with_content(&dump.file, dump.expected_bytes(), |content| {
        copy(dump, content, &hidden, watch)
    });
    let named = written.and_then(|bytes| {
        atomic::rename_into_place(&hidden, &target)
            .and_then(|()| atomic::sync_dir(dir))
            .map_err(failed)?;
        Ok(bytes)
    });
    let bytes = named.inspect_err(|_| {
        // The failure is reported; what is left is hidden and written anew the next time.
        let _ = fs::remove_file(&hidden);
    })?;
    let tables = dump.recorded.map_or(0, |recorded| recorded.entries);
    Ok(WrittenSql {
        path: dump.path.clone(),
        target,
        bytes,
        tables,
    })
}

fn copy(dump: &Dump, mut content: Content, hidden: &Path, watch: Watch<'_>) -> Result<u64, Error> {
    let failed = |source| Error::Write {
        path: hidden.to_owned(),
        source,
    };
    let mut file = StoredFile::create(hidden).map_err(failed)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let bytes = content
            .read(&mut chunk)
            .map_err(|source| unreadable(dump, source))?;
        if bytes == 0 {
            return Ok(file.finish().map_err(failed)?.bytes);
        }
        if watch.stop.load(Ordering::Relaxed) {
            return Err(Interrupted.into());
        }
        file.write_all(&chunk[..bytes]).map_err(failed)?;
        (watch.progress)(bytes as u64);
    }
}

fn unreadable(dump: &Dump, source: io::Error) -> Error {
    Error::Read {
        file: dump.path.clone(),
        source: source.into(),
    }
}
