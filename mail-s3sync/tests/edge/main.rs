//! `mail-s3sync` at its edge: with a directory, and with private servers that speak S3.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

mod support; // sets made by hand, and stores to push them to
mod scene; // a server behind a proxy that does harm

mod file_store; // the whole logic without a network
mod prune_directory; // what of it is past its days
mod links; // links and pipes, which are never followed
mod hard_links; // what sets on one disk share
mod records; // `push -`: the set that records on standard input name
mod bucket; // the life of a set in a bucket
mod pool; // each content once, for all sets of a bucket
mod cost; // what a push would do and cost, and what there will be
mod objects; // what objects are like
mod encryption; // sets for those with the private key alone
mod credentials; // where keys come from
mod policy; // what the keys of the guide may do
mod tls; // whose certificates are trusted
mod through_proxy; // stores that are reached through a proxy
mod faults; // what networks and other programs do
mod killed; // pushes that are killed, and several at once
mod planted; // what acts on a terminal, wherever others write
mod killed_pull; // what a pull that is killed leaves
