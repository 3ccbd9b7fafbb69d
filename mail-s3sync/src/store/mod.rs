//! Stores of objects behind one trait: a bucket, or a directory.

mod buffers; // memory for pieces, used again and again
mod body; // what is put: read once, withheld when it is not what it should be
mod error; // what can go wrong with a request
mod object; // what a store can do
mod listing; // what lies below an open directory
mod file; // a directory
pub(crate) mod s3; // a bucket
#[cfg(test)]
pub(crate) mod simulated; // in memory, with a clock of its own
#[cfg(test)]
mod conformance; // what each implementation must do

pub(crate) use body::{Body, LocalError};
pub(crate) use error::{Cause, StoreError};
pub(crate) use file::FileStore;
pub(crate) use object::{
    Attributes, Billed, Confirmed, Download, Expiry, Found, Listed, Lock, LockMode, Marks,
    NotListed, ObjectStore, Protection, Removal, TreeRemoval, Withheld,
};
pub(crate) use s3::S3Store;
