//! Backup sets: layout, naming, lock, commit.
//!
//! A root holds `daily/` and `weekly/` sets. One writer at a time holds the root's lock, builds a
//! set in a hidden directory and commits it; any number of readers hold locks on single sets.

mod address; // how people name a mailbox
mod component; // what a set is made of
mod depth; // how deep below the mail root mailboxes lie
mod error; // what can go wrong with sets
mod extra; // where further directories lie in a set, and back
#[cfg(test)]
mod fixture; // roots and sets for the tests of this module
mod holder; // who has the lock of a root
mod id; // daily/2026-11-23, weekly/2026-week-47
mod inventory; // the files of a set, with their digests
mod layout; // the names in a root, visible and hidden
mod backup_root; // the directory that holds the sets
mod lock; // one writer to a root, many readers to a set
pub mod mailbox; // where a mailbox lies in a set, and back
mod numbered; // files of a mailbox by the numbers of their segments
mod saved_mailbox; // a mailbox of a set, by its files
mod mount; // whether the disk is there, and how much room it has
mod operand; // what a SET on a command line means
mod remove; // how a set leaves its root
mod root; // the sets of a root, and `latest`
mod staging; // a set under construction, and its commit
pub mod verify; // whether the files of a set are what its checksums say

pub use address::{Address, NotAnAddress, address_of};
pub use backup_root::BackupRoot;
pub use component::{Component, UnknownComponent};
pub use depth::{MailboxDepth, NotADepth};
pub use error::Error;
pub use extra::{extra_archive, extra_dir, extra_dir_path, is_extra};
pub use holder::Holder;
pub use id::{NotASetId, SetId, SetKind};
pub use inventory::{FileFacts, Inventory, InventoryError, Recorded, SetFile};
pub use layout::{CHECKSUMS, LATEST, LOCK, LOG, MANIFEST, PROJECT, SIGNATURE};
pub use lock::{ReadLock, RootLock};
pub use mount::{Space, free_space, is_mount_point};
pub use numbered::Numbered;
pub use operand::{SetReference, find_set};
pub use remove::{ALWAYS_KEPT_SETS, Removal, remove_set};
pub use root::{FoundSet, SetState};
pub use saved_mailbox::{Listing, MailboxError, SavedMailbox, is_of_mailbox, saved_mailboxes};
pub use staging::{CommitAs, Committed, NotRemoved, Staging};
