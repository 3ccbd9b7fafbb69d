//! How `tar --incremental` comes to the mailbox of the day: what a directory holds, and what was
//! renamed.

mod comparison; // whether tar comes to the mailbox that our tools see
mod record; // the dumpdir of one directory
mod renames; // from the stored names to the present ones, one after the other

pub use comparison::{Comparison, Dumpdirs, Error as DumpdirsError, Scope};
pub use record::{Dumpdir, Error, Listed, RECORD, Rename};
pub use renames::{Error as RenamesError, RenamePlanner, Still, plan_renames};
