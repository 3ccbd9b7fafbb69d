//! A file of a set, decompressed while it is read.

use std::io::{BufReader, Read};
use std::path::Path;

use mail_common::archive::compression::Compression;
use mail_common::relpath::RelPath;
use mail_common::set::verify;

use super::error::Error;

const BUFFER_BYTES: usize = 256 * 1024;

/// Opens a file of a set, decompressed.
pub(super) fn open(set: &Path, path: &RelPath) -> Result<impl Read, Error> {
    let file = verify::open(set, path)?;
    let decompressed = Compression::of_name(path.as_bytes()).reader(file);
    let decompressed = decompressed.map_err(|source| Error::Decompress {
        archive: path.clone(),
        source,
    })?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, decompressed))
}
