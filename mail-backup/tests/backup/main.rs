//! The built `mail-backup` at its edge: what it makes of a mail server, what the stock programs
//! make of its sets, and what it says when something goes wrong.
#![allow(clippy::disallowed_methods, reason = "sample files")]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

mod support; // a mail server to back up, and the programs that every administrator has

mod set; // what a set is on the disk
mod odd_trees; // mail trees as they are found in the field
mod odd_roots; // mail roots as they are found in the field
mod incremental; // day after day, and damage of earlier sets
mod histories; // random days of mailboxes
mod settled; // control files that stay as they are
mod purge; // how long what was deleted stays in archives
mod suspicious; // nights on which the mail itself was destroyed, and ordinary ones
mod canary; // a message that nobody touches
mod other_losses; // databases, keys and files that are lost or changed
mod project; // the files of a Compose project
mod extra; // further directories, and what is left out of trees
mod hourly; // sets of every hour; equal files are linked
mod weekly; // sets of every week: all is read, and what is damaged is named
mod components; // parts asked for one by one, failing one by one
mod retention; // which old sets go
mod faults; // the disk, the clock, another run, the person at the keyboard
