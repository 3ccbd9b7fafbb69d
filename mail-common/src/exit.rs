//! How a run ended, and the exit code for it. Every tool chooses its code here; mail-check uses
//! those of Nagios.

use std::process::ExitCode;

use crate::failure::FailureKind;
use crate::record::{CheckStatus, EndStatus};

/// How a run ended. The worse is the greater: of the parts of a run, `max` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All was done, and the answer is good.
    Done,
    /// A part failed and the others were done; the records say which.
    Partial,
    /// All was done, and the answer is bad: infected, a mismatch.
    Bad,
    /// Another run holds the lock.
    Locked,
    /// The command line or the configuration is wrong; nothing was touched.
    Usage,
    /// It could not finish.
    Unfinished,
    /// The worst of what mail-check found; nothing else uses it.
    Checked(CheckStatus),
}

impl Exit {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Bad | Self::Partial => 1,
            Self::Usage => 2,
            Self::Unfinished => 3,
            Self::Locked => 4,
            Self::Checked(CheckStatus::Ok) => 0,
            Self::Checked(CheckStatus::Warning) => 1,
            Self::Checked(CheckStatus::Critical) => 2,
            Self::Checked(CheckStatus::Unknown) => 3,
        }
    }

    /// The status in the `end` record.
    #[must_use]
    pub const fn status(self) -> EndStatus {
        match self {
            Self::Done | Self::Checked(CheckStatus::Ok) => EndStatus::Ok,
            Self::Bad | Self::Checked(CheckStatus::Warning | CheckStatus::Critical) => {
                EndStatus::Bad
            }
            Self::Partial
            | Self::Usage
            | Self::Unfinished
            | Self::Locked
            | Self::Checked(CheckStatus::Unknown) => EndStatus::Incomplete,
        }
    }
}

impl FailureKind {
    /// How a run ends that this failure stops.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::Usage | Self::Configuration | Self::NotMounted | Self::NoSuch | Self::Clock => {
                Exit::Usage
            }
            Self::Locked => Exit::Locked,
            Self::Damaged
            | Self::Missing
            | Self::Infected
            | Self::Unscanned
            | Self::NotFound
            | Self::Ambiguous => Exit::Bad,
            Self::Unsupported
            | Self::Refused
            | Self::Changed
            | Self::Io
            | Self::Denied
            | Self::NoSpace
            | Self::Interrupted
            | Self::Upstream
            | Self::Database
            | Self::Store
            | Self::Scanner
            | Self::Network
            | Self::Program
            | Self::State
            | Self::NothingDone
            | Self::Other => Exit::Unfinished,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_what_could_not_finish() {
        let parts = [Exit::Partial, Exit::Done, Exit::Unfinished, Exit::Bad];
        assert_eq!(parts.into_iter().max(), Some(Exit::Unfinished));
        assert_eq!(Exit::Partial.max(Exit::Bad), Exit::Bad);
        assert_eq!(Exit::Partial.max(Exit::Done), Exit::Partial);
    }

    #[test]
    fn the_worst_check_is_critical_then_warning_then_unknown() {
        let mut statuses = [
            CheckStatus::Critical,
            CheckStatus::Unknown,
            CheckStatus::Ok,
            CheckStatus::Warning,
        ];
        statuses.sort();
        let by_code = statuses.map(|status| Exit::Checked(status).code());
        assert_eq!(by_code, [0, 3, 1, 2]);
    }
}
