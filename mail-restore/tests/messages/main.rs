//! Single messages out of a set: found, added to a live mailbox, written to a directory.
#![allow(clippy::disallowed_methods, reason = "sample files")]

mod support; // a mail server with a set of it, and forged sets

mod deliver; // into a live mailbox
mod dovecot; // as Dovecot sees it
mod faults; // damage, traps, full disks
mod killed; // signals and kills
mod lots; // more messages than are held at once
mod find; // what a query means
mod compressed; // messages that Dovecot has compressed
mod search; // messages looked for in many sets
mod search_odd; // what mail can be like
mod search_faults; // damage, wrong questions, sets that are gone
mod older_copy; // a message that the newest set cannot give
mod retention; // sets that go while they are searched
mod full_disk; // what was added before, and what a second run adds
mod slow_reader; // the same answers as a program that reads everything
