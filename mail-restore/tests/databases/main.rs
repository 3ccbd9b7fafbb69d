//! Databases of a set into real servers: whole, or as they were before.
#![expect(
    clippy::disallowed_methods,
    reason = "sample sets are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a helper that fails ends the test")]

mod support; // a set with dumps, and the server that they are loaded into
mod scene; // three databases that use each other, before and after
mod statement_proxy; // between the restore and its server, and does harm
#[path = "../support/mod.rs"]
mod whole_sets; // a mail server with a set of it

mod loading; // what the server holds afterwards
mod refused; // what is refused before anything is touched
mod looked_at; // dry runs, and dumps as plain files
mod shapes; // what mariadb-dump writes with its options
mod field; // dumps of other programs and of other servers
mod exchange; // killed, refused or cut off at any statement
mod faults; // the server dies, its disk is full, a recovery is killed too
mod with_trees; // databases and trees together: all or nothing
