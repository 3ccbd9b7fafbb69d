//! From the files of a set into a tree: archives of these tools and of the old scripts, and the old
//! scripts' plain mail.

mod error; // what can be wrong with an archive, and what can fail
mod open; // a file of a set, decompressed
mod archive; // the members of one archive, each checked
mod links; // files that had several names
mod mailboxes; // which members of the archives are the mailboxes, and under which names
mod mail; // the mail that the old scripts copied
mod prefix; // what the old scripts put before the names in their archives
mod sums; // an index against its segments

pub(crate) use archive::{Archive, Unpacked, examine, unpack};
pub(crate) use error::Error;
pub(crate) use mail::{copy_file, copy_frame};
pub(crate) use mailboxes::Mailboxes;
pub(crate) use prefix::find_prefix;
pub(crate) use sums::{Sums, sums_of};
