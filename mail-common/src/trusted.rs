//! Files where nobody but the administrator can put one: settings, keys, records of other tools, what
//! the kernel tells. They may be reached through links and may be pipes, as in `--config <(...)`.
//!
//! What others may have written is opened by [`crate::beneath`].
#![expect(
    clippy::disallowed_methods,
    reason = "the caller says that nobody else can write there"
)]

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Opens a file, or a directory.
///
/// # Errors
/// As open(2).
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    File::open(path)
}

/// Reads a file whole.
///
/// # Errors
/// As open(2) and read(2).
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// Reads a text whole.
///
/// # Errors
/// As [`read`]; `InvalidData` when it is not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    fs::read_to_string(path)
}
