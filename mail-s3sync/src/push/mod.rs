//! Sends a set to a store: what is not there yet first, in parallel; its manifest and checksums
//! last.
//!
//! Until its checksums are there, a set is not. Nothing is deleted, and nothing is taken to be
//! there that the store has not confirmed by digest.

mod error; // why a set was not pushed
mod local; // the set on this machine
mod context; // where it goes, and how
mod choice; // in which layout
mod item; // a file on its way
mod encrypted; // what stands beside an encrypted set
mod recipients; // which sets are encrypted to the same keys
mod disposition; // what is to be done with a file
mod plan; // what is to be done with the set
mod sources; // what earlier sets in the store already hold
mod copying; // inside the store, where it can
mod transfer; // one file
mod report; // records and counts
mod closing; // the manifest and the checksums, which make a set of the files
mod protection; // how the bucket protects it, and locks
mod stale; // what runs that died have left
mod pooled; // each content once, in the pool of all sets
mod run; // all of it, in order

pub(crate) use context::{Intent, Push};
pub(crate) use error::Error;
pub(crate) use local::LocalSet;
