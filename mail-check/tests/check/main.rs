//! `mail-check` at its edge: the built program on files, sets, containers and private services, its
//! records and exit codes.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

mod edge; // the command line, sets, records of other tools
mod logs; // logs that are rotated, and --diagnose
mod alerts; // --notify, --prometheus, --report
mod server; // containers, secrets, users
mod services; // services that are spoken with
mod planted; // what acts on a terminal, wherever others write
