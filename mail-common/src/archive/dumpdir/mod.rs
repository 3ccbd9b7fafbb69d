//! How `tar --incremental` comes to the mailbox of the day: what a directory holds, and what was
//! renamed.

mod record; // the dumpdir of one directory
mod renames; // from the stored names to the present ones, one after the other
mod control; // what `0000` says to tar
mod changed; // where the renames put what is gone or renamed
mod comparison; // whether that leads to the mailbox that our tools see
mod error;
#[cfg(test)]
mod testing; // mailboxes of few names, and the dumpdirs that lead to them

pub use comparison::Comparison;
pub use control::{Dumpdirs, Scope};
pub use error::Error;
pub use record::{Dumpdir, Listed, Rename};
pub use renames::{RenamePlanner, Still, plan_renames};

use crate::relpath::RelPath;

/// The folders of the mailbox that `path` lies in, from the innermost.
fn above(mailbox: &RelPath, path: &RelPath) -> impl Iterator<Item = RelPath> + use<> {
    let end = mailbox.clone();
    std::iter::successors(path.parent(), RelPath::parent).take_while(move |folder| *folder != end)
}
