//! The pool layout with real servers: each content once, found again by its digest, and brought
//! back by stock tools alone.

mod scene; // a server behind a proxy, and what was asked of it
mod layout; // each content once, beside plain sets
mod guide; // RESTORE.txt, given to bash; encrypted sets
mod locks; // as long as the longest set, extended when needed
mod rules; // what the bucket's lifecycle takes
mod faults; // damage, failing listings, pushes that end anywhere, two at once
mod signed; // the signature goes with its set, in both layouts
mod prune; // what is past its days
