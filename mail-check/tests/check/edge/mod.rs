//! `mail-check` at its edge: the built program, real services and sets, its records and exit codes.

mod support; // running it, and reading what it found

mod command_line; // operands, settings, help
mod backups; // the sets below the backup root
mod records; // the records of the other tools
mod set; // whether a set is as it was made
