//! Archives of a backup set: ordinary tar in independent zstd frames, with an index beside them.
//!
//! `tar --zstd -xf` opens them. A tool of ours goes to one frame by the index and reads nothing
//! else.

pub mod frame; // about 4 MiB of tar, compressed by itself
pub mod index; // one line for each entry: where it is and what it was
pub mod member; // one entry as tar writes it
pub mod segment; // a file of frames that ends as a tar ends

pub mod state; // what became of the members since their segments were written
pub mod members; // the members of a mailbox on the day of a set, as they are stored
pub mod view; // the same by the names that they had
pub mod dumpdir; // how tar --incremental comes to the same

mod pax; // what a tar header cannot hold
pub mod reader; // any tar, member by member, as a stream
pub mod compression; // zstd, gzip or neither
#[cfg(test)]
pub(crate) mod fixture; // entries of an index
