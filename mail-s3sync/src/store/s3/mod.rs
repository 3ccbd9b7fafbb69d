//! A bucket: rusoto behind the trait, and nowhere else.
//!
//! Every request is tried again while that can help, and a put counts once the store's ETag is the
//! one computed here.

mod config; // how the bucket is reached, and what its objects get
mod bucket; // what the requests share
mod advice; // what to do about an error, by its code
mod cause; // a failed request in the words of the store
mod attempt; // a request, with fresh keys, until it succeeds or cannot
mod interrupted; // what ends every wait
mod etag; // what the store says that it has
mod marks; // what we write beside the content
mod request; // what all requests that make an object have
mod look; // one object, and its lock
mod protection; // how the bucket protects what it holds
mod lifecycle; // when its rules remove objects
mod listing; // keys, versions, unfinished uploads
mod upload; // content, whole or in parts
mod remove; // an object with all its versions
mod copy; // inside the store, whole or in parts
mod download; // content, taken up again where it broke off
mod adapter; // all of it behind the trait

pub(crate) use adapter::S3Store;
pub(crate) use config::{S3Config, Sizes, Writing};
