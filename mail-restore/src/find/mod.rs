//! Messages looked for in any number of sets at once, by what people know of them: who wrote, when,
//! what about.
//!
//! Nearly everything is answered by the indexes, each of which is read once however many sets share
//! it. What no index says is read, and only that.

mod error; // what can go wrong
mod fold; // texts made comparable
mod words; // what a text must hold
mod conditions; // what a message must be

mod sets; // a set that is searched
mod found; // a message that was found
mod share; // all of them at once, or lot by lot
mod mailbox; // one mailbox in all sets
mod contents; // one mailbox in one set, to compare with

mod html; // the text of a page
mod body; // the parts of a message
mod look; // what has to be read
mod older; // where else a message is that a set cannot give

mod live; // what is in the live mail now
mod sieve; // what is left out
mod search; // all of it, in order

pub(crate) use conditions::Conditions;
pub(crate) use error::Error;
pub(crate) use fold::folded;
pub(crate) use found::{Message, Unread};
pub(crate) use older::{Turned, older_copies};
pub(crate) use search::{Detail, Found, Search, sets_text};
pub(crate) use sets::SearchedSet;
pub(crate) use sieve::Whereabouts;
pub(crate) use words::{Language, Words};
