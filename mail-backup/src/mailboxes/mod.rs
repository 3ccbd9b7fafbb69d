//! The mailboxes: segments of messages, read once, in parallel, linked where nothing changed.
//!
//! One mailbox at a time goes through the modules in this order; several mailboxes do so side by side, and share the
//! workers of one frame pool.

mod age; // young mail changes, old mail does not
mod carry; // links and copies them
mod compare; // the walk beside the last index
mod component;
mod context; // what all of them share
mod history; // the mailbox in the last backup
mod late; // messages that moved meanwhile
mod listing; // all directories of a mailbox, listed until they hold still
mod mailbox; // one mailbox, start to end
mod maildir; // what is a message, what is scratch
mod names; // the sorted names of a directory, on disk
mod output; // the segments
mod packing; // frames into segments, lines into runs
mod pool; // workers that do so in parallel
mod reindex; // the index
mod reuse; // what becomes of the old segments
mod units; // which mailboxes there are
mod walk; // their entries, in the order of their paths // all of them
