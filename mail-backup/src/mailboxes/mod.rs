//! The mailboxes: segments of messages, read once, in parallel, linked where nothing changed.
//!
//! One mailbox at a time goes through the modules in this order; several mailboxes do so side by
//! side, and share the workers of one frame pool.

mod units; // which mailboxes there are
mod maildir; // what is left out
mod names; // the sorted names of a directory, on disk
mod listing; // all directories of a mailbox, listed until they hold still
mod walk; // their entries, in the order of their paths
mod history; // the mailbox in the last backup
mod age; // young mail changes, old mail does not
mod compare; // the walk beside the last index
mod reuse; // what becomes of the old segments
mod carry; // links and copies them
mod pool; // workers that read and compress frames in parallel
mod packing; // frames into segments, lines into runs
mod late; // messages that moved meanwhile
mod output; // the segments
mod syncer; // files onto stable storage, in the background
mod reindex; // the index
mod mailbox; // one mailbox, start to end
mod context; // what all of them share
mod component; // all of them

pub(crate) use component::{MailboxesPlan, Surroundings, save_mailboxes};
pub(crate) use context::Error;
pub(crate) use history::INDEX_NAME;
pub(crate) use mailbox::SavedMailbox;
