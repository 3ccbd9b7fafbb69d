//! Puts something new where something old was, in one step, and can take it back.
//!
//! The new file or directory is built under a hidden name beside its target and changes places with
//! it; the old one is kept as `TARGET.bak.TIME`. A process that is killed at any moment leaves the
//! old or the new one at the target, and what it left under hidden names tells by its inode number
//! what it is.

mod hidden; // the names under which things are built
mod staged; // a new thing under construction, and its exchange for the old one
mod leftovers; // what killed runs left
mod target_lock; // one restore at a time to a directory

pub(crate) use leftovers::{Cleared, clear_leftovers};
pub(crate) use staged::{Left, NodeKind, NotSwapped, Staged, Swapped};
pub(crate) use target_lock::TargetLock;
