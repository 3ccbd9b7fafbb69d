//! The mailboxes: segments of messages, read once, in parallel, linked where nothing changed.
//!
//! One mailbox at a time goes through the modules in this order; several mailboxes do so side by
//! side, and share the workers of one frame pool.

mod error; // what can go wrong with all of it
mod units; // which mailboxes there are
mod fit; // whether they lie as deep as it is said
mod census; // how many there are, for the dry run
mod maildir; // what an entry is to a backup, and what is left out
mod names; // the sorted names of a directory, on disk
mod listing; // all directories of a mailbox, listed until they hold still
mod walk; // their entries, in the order of their paths
mod unusual; // files that a mailbox should not have
mod spool; // entries in temporary files
mod history; // the mailbox in the last backup
mod age; // first backups keep old mail and young mail apart
mod usage; // how much of the old segments is alive
mod old_member; // what is known of an old message, and what may be it
mod stored_xattrs; // what archives say that indexes of format 1 do not
mod changes; // what became of old messages, for the judgement of the day
mod suspects; // messages that look like old ones, read
mod stored_names; // the names of new messages in the archives
mod compare; // the walk beside the last backup
mod settled; // control files that stay as they are
mod reuse; // what becomes of the old segments
mod old_segments; // links and copies them
mod upgrade; // indexes for segments of format 1
mod pool; // workers that read and compress frames in parallel
mod packing; // live entries into frames
mod moved; // messages that moved meanwhile
mod output; // frames into segments
mod syncer; // files onto stable storage, in the background
mod control; // the names and renames of the day
mod saved; // what was saved of a mailbox
mod gone; // mailboxes that the last backup has and the mail tree has not
mod attempt; // one mailbox, from the comparison to the state
mod mailbox; // one mailbox, again without what of the last backup is damaged
mod progress; // how far all of them are
mod context; // what all of them share
mod component; // all of them

pub(crate) use census::{Census, count};
pub(crate) use changes::match_mailboxes;
pub(crate) use component::{MailboxesPlan, save_mailboxes};
pub(crate) use context::Environment;
pub(crate) use error::Error;
pub(crate) use saved::{Comparing, Damage, SavedMailbox};
