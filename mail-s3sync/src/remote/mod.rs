//! Sets as a store holds them.
//!
//! `layout` says under which key a file of a set lies. A set is there once its checksums are, which
//! come last; and it is complete while every file that they list is there.

mod error; // what is stored is not what it should be
mod name; // daily/2026-11-23, daily/2026-11-23.incomplete
mod small; // checksums and manifests, read whole
mod entries; // what the checksums of a set list, and the digests before encryption
mod contents; // what a set says of itself
mod seal; // whether the objects are those that were confirmed
mod pool; // the pool of all sets, as the store lists it
mod set; // the objects of a set, and what it says of itself
mod survey; // every set below a prefix

pub(crate) use contents::Contents;
#[cfg(test)]
pub(crate) use entries::Encrypted;
pub(crate) use entries::{AsText, Entry, path_of};
pub(crate) use error::Error;
pub(crate) use name::SetName;
pub(crate) use pool::{PRUNE_MARK, Pool, PoolListing, since};
pub(crate) use seal::seal;
pub(crate) use set::{RemoteSet, list};
pub(crate) use small::read_small;
pub(crate) use survey::{Survey, Surveyed, names, survey};
