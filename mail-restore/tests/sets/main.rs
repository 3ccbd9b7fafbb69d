//! `mail-restore` as its users run it: whole sets, components, damage, faults, records.
#![allow(clippy::disallowed_methods, reason = "sample files")]

#[path = "../support/mod.rs"]
mod support; // a mail server with a set of it, and ways to spoil both

mod damage; // sets that are not what they should be
mod faults; // what goes wrong around a restore
mod legacy; // sets of the old scripts
mod records; // what comes and goes by pipe
mod single; // one component, one message
mod whole; // everything, onto the server and into a directory
