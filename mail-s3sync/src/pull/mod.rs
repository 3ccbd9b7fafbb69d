//! Brings a set back: each file verified before it has its name, the checksums last.

mod error; // why a set, or a file of it, did not come back
mod wanted; // which files
mod context; // where it comes from, and how
mod fetch; // one file
mod run; // all of it, in order

pub(crate) use context::Pull;
pub(crate) use error::Error;
pub(crate) use wanted::Wanted;
