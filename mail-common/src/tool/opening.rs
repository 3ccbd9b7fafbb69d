//! What is known of a run before it begins.

use jiff::ZonedDateTime;

use crate::exit::Exit;
use crate::failure::FailureKind;

/// A tool as its help, its records and its exit codes present it.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name, such as `mail-backup`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What its exit codes mean, for `--help`.
    pub exit_codes: &'static [(u8, &'static str)],
    /// How a run ends that a failure of this kind stops: [`FailureKind::exit`], unless the tool
    /// has exit codes of its own, as mail-check has those of Nagios.
    pub exit_of: fn(FailureKind) -> Exit,
}

/// What a run works on, as its `begin` record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The directory that holds the sets.
    pub root: Option<String>,
    /// The set, relative to the root.
    pub set: Option<String>,
}

/// What the `begin` record says of a run, beside the machine and the version of the records.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The tool.
    pub tool: Tool,
    /// The command line, without secrets.
    pub args: Vec<String>,
    /// When the run started.
    pub time: ZonedDateTime,
    /// What it works on.
    pub subject: Subject,
}
