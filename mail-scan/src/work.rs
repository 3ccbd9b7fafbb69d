//! What is handed from those who find and read to those who scan.

use std::sync::Arc;

use crate::artifact::{Artifact, Part};
use crate::budget::Taken;
use crate::item::Item;

/// Files of a few bytes are handed over several at a time.
pub(crate) const FILES_A_JOB: usize = 16;

/// Work for whoever scans.
#[derive(Debug)]
pub(crate) enum Job {
    /// Files that are scanned as they are.
    Files(Vec<Item>),
    /// A piece of a packed file.
    Piece(Piece),
}

/// A member, a window or the whole of a packed file, in memory.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) part: Part,
    pub(crate) content: Vec<u8>,
    pub(crate) taken: Taken,
}
