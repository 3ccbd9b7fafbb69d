//! Where files that are to be scanned come from: directories, sets, the records of another tool.

mod outlet; // where they are sent
mod paths; // files and directories
mod sets; // sets, ours and those of the old scripts

pub(crate) use outlet::Outlet;
pub(crate) use paths::{feed_changed, feed_path};
pub(crate) use sets::{SetFailed, feed_artifacts, feed_set};
