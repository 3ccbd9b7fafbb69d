//! `mail-restore`: restores a backup set, or any part of it, onto a mail server.

pub mod databases; // dumps back into a MariaDB server, all or nothing
pub mod messages; // single messages out of a set, into a live mailbox or a directory

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(_: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::from(3)
}
