//! What the tests of `mail-s3sync` share: sets made by hand, and stores to push them to.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

mod sample; // a backup root with sets
mod bucket; // the tool with a bucket of a private server

pub(crate) use sample::{DAY_1, DAY_2, SampleRoot, Tree, assert_sums, tree};
