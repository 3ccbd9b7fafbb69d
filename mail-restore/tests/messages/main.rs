//! Single messages out of a set: found, added to a live mailbox, written to a directory.
#![allow(clippy::disallowed_methods, reason = "sample files")]

mod support; // a mail server with a set of it, and forged sets

mod deliver; // into a live mailbox
mod dovecot; // as Dovecot sees it
mod faults; // damage, full disks, kills
mod find; // what a query means
