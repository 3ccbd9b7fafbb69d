//! What the tests of `mail-s3sync` share: sets made by hand, and stores to push them to.

mod sample; // a backup root with sets
mod bucket; // the tool with a bucket of a private server

pub(crate) use bucket::{head, locked_until};
pub(crate) use sample::{DAY_1, DAY_2, SampleRoot, Tree, assert_sums, tree};
