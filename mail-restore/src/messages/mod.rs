//! Single messages out of a set: found by mailbox, Message-ID, time or name, and added to a live
//! mailbox or a directory.
//!
//! [`find()`] says what a [`Query`] means in a set. [`inspect()`] reads what was found and
//! [`preview()`] looks where it would go, for a dry run or a list to choose from; neither writes.
//! [`deliver()`] adds it to the live mail tree while Dovecot runs, [`write_to()`] to a directory.
//! Nothing here prints: what was done comes back as data.

mod unsearched; // what a search could not look into
mod error; // what can go wrong
mod query; // what is asked for
mod work; // all processors, until a signal comes
mod lots; // no more of them at once than memory holds

mod saved; // the mailboxes of a set, and what is said of them, verified
mod candidate; // a message of a set
mod content; // the bytes of messages, each frame read once
mod scan; // one mailbox looked through
mod find; // all of them, and what the answer means
mod inspect; // everything but the writing

mod directory; // directories by descriptor, never through a link
mod unique_name; // names of messages in a Maildir
mod keywords; // flags a to z, which mean something else in each folder
mod present; // what a live mailbox holds already
mod folder; // a folder of a live mailbox
mod quota; // maildirsize
mod subscriptions; // the folders that mail programs show
mod outcome; // what became of each message
mod deliver; // into a live mailbox
mod preview; // what that would do
mod write_to; // into a directory

pub(crate) use content::{Content, read_all, unreadable};
pub(crate) use deliver::deliver_knowing;
pub(crate) use directory::Directory;
pub(crate) use error::similar_text;
pub(crate) use find::{Amount, Many, find_some, similar_to};
pub(crate) use lots::{LOT, Room};
pub(crate) use present::{Identity, Known, Wanted, contents_of, look_through};
pub(crate) use preview::preview_knowing;
pub(crate) use saved::{Source, Unit, VerifiedMailbox, open_listing, units, verify_listing};
pub(crate) use scan::{look_at_plain, mailbox_of, owner_of};
pub(crate) use work::for_each;

pub use candidate::{Ambiguous, Candidate, Found, Owner, Place, SavedFile, Selection};
pub use deliver::deliver;
pub use error::{Error, Problem};
pub use find::find;
pub use inspect::inspect;
pub use lots::Lot;
pub use outcome::{Disposition, Outcome, Restored, Warning};
pub use preview::preview;
pub use query::{MessageId, Query, Since, Until};
pub use unsearched::Unsearched;
pub use work::Work;
pub use write_to::write_to;
