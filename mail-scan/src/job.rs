//! What is handed from those who find and read to those who scan.

use std::sync::Arc;

use crate::artifact::{Artifact, Part};
use crate::budget::Taken;
use crate::item::Item;

/// Small contents are handed over, and shown to clamd, several at a time.
pub(crate) const CONTENTS_A_JOB: usize = 16;

/// Together they are not larger than this: somebody else could scan some of them.
pub(crate) const BYTES_A_JOB: u64 = 1 << 20;

/// Work for whoever scans.
#[derive(Debug)]
pub(crate) enum Job {
    /// Files that are scanned as they are.
    Files(Vec<Item>),
    /// Pieces of a packed file.
    Pieces(Vec<Piece>),
}

/// A member, a window or the whole of a packed file, in memory.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) part: Part,
    pub(crate) content: Vec<u8>,
    pub(crate) taken: Taken,
}
