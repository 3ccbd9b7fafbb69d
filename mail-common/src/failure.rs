//! What kind of failure it was: for programs that read the records, and for the exit code of a run
//! that the failure ends.
//!
//! Messages are for people and may be reworded; kinds are for programs and stay.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::interrupt::Interrupted;

/// An error whose kind is known. Every error that reaches a record implements it.
pub trait Failure: Error {
    /// What kind it is.
    fn kind(&self) -> FailureKind;
}

/// Kinds of failures, as `error` records name them. A reader meets kinds of newer tools as
/// [`FailureKind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The command line asks for something that cannot be.
    Usage,
    /// A setting or a configuration file is wrong.
    Configuration,
    /// The backup disk is not mounted, or the root is not there.
    NotMounted,
    /// The set, mailbox or component that was asked for does not exist.
    NoSuch,
    /// The clock is behind what was written before.
    Clock,
    /// Another run holds what this one needs.
    Locked,
    /// What is stored is not what was written: a digest, a size or a structure is wrong.
    Damaged,
    /// It was written by a newer version, or in a form that this version does not read.
    Unsupported,
    /// A file of a set, or an object of its copy, is not there.
    Missing,
    /// Malware was found.
    Infected,
    /// Not scanned, so not known to be clean.
    Unscanned,
    /// Nothing fits the query.
    NotFound,
    /// More fits the query than was asked for.
    Ambiguous,
    /// Refused as unsafe: an archive, a dump or a name that reaches where it must not.
    Refused,
    /// The source changed while it was read.
    Changed,
    /// A file or directory cannot be read or written.
    Io,
    /// The system, a server or a store forbids it.
    Denied,
    /// No room, no inodes or no quota is left.
    NoSpace,
    /// A signal asked the run to stop.
    Interrupted,
    /// The records of the tool before this one are cut or damaged.
    Upstream,
    /// The database server cannot be reached, or answers with an error.
    Database,
    /// The object store cannot be reached, or answers with an error.
    Store,
    /// The scanner cannot be reached, or cannot be trusted.
    Scanner,
    /// Another server cannot be reached, or answers with an error.
    Network,
    /// A program that was started failed.
    Program,
    /// What a tool keeps from run to run cannot be read or written.
    State,
    /// Every part of the work failed, so that nothing was done; each has a failure of its own.
    NothingDone,
    /// A kind that this reader does not know.
    #[serde(other)]
    Other,
}

impl FailureKind {
    /// The kind of an error of the system.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied,
            _ => Self::Io,
        }
    }
}

impl FailureKind {
    /// The kind of an error while something stored is read and decoded: an error that is not the
    /// system's is the decoder's, and means that the bytes are damaged.
    #[must_use]
    pub(crate) fn of_stored(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(_) => Self::of_io(error),
            None => Self::Damaged,
        }
    }
}

/// Something failed at a path: the most common error there is.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}", path.display())]
pub struct Failed {
    /// What was being done, such as `read` or `create`.
    pub doing: &'static str,
    /// What it was done to.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Failed {
    /// For `map_err`: what a cause means that comes of doing this to `path`.
    pub fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

impl Failure for Failed {
    fn kind(&self) -> FailureKind {
        FailureKind::of_io(&self.source)
    }
}

impl Failure for Interrupted {
    fn kind(&self) -> FailureKind {
        FailureKind::Interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_a_newer_tool_is_other() {
        let kind: FailureKind = serde_json::from_str(r#""of_tomorrow""#).unwrap();
        assert_eq!(kind, FailureKind::Other);
        assert_eq!(
            serde_json::to_string(&FailureKind::NoSpace).unwrap(),
            r#""no_space""#
        );
    }

    #[test]
    fn bytes_that_cannot_be_decoded_are_damage_and_a_bad_disk_is_not() {
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(FailureKind::of_stored(&cut), FailureKind::Damaged);
        let disk = io::Error::from(rustix::io::Errno::IO);
        assert_eq!(FailureKind::of_stored(&disk), FailureKind::Io);
    }

    #[test]
    fn what_failed_at_a_path_names_it_and_knows_a_full_disk() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let failed = Failed::at("write", Path::new("/b/x"))(full);
        assert_eq!(failed.to_string(), "write /b/x");
        assert_eq!(failed.kind(), FailureKind::NoSpace);
    }
}
