//! What two of the mail tools must agree on.
//!
//! It knows nothing of S3, MySQL or Docker's daemon, of ClamAV only what its version says, and has
//! no async runtime.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "sample files"))]

pub mod relpath; // names inside a set or a mail tree, which cannot escape it

pub mod checksum; // sha256 digests and the files that list them

pub mod secret; // passwords and keys, which never print themselves

pub mod xattr; // extended attributes and ACLs of open files

pub mod beneath; // what lies below a directory, opened never through a link

pub mod trusted; // files that only the administrator can write

pub mod flock; // one writer, many readers: locks that end with the process

pub mod atomic; // files and directories: created, linked, synced, renamed

pub mod maildir; // which file of a mail tree is a message

pub mod text; // text of others, made safe to show

pub mod message; // the header of a message

pub mod mime; // its body, part by part

pub mod clamav; // the version of clamd, with the age of its signatures

pub mod archive; // segments, frames and their index

pub mod set; // backup sets: layout, naming, lock, commit

pub mod record; // what the tools tell each other: the wire types

pub mod jsonl; // records as JSON lines, with pass-through of what is not known

pub mod signature; // who made a set, by ssh-keygen

pub mod manifest; // the records that are kept in a set

pub mod suspicion; // whether a day's changes are those of an ordinary day, and what holds until then

pub mod upstream; // what came by pipe: runs, artifacts, verdicts

pub mod clearance; // what of it a scanner has found clean

pub mod config; // settings from the environment, the configuration file and defaults

pub mod compose; // the files of a Docker Compose project

pub mod exit; // how a run ended, and its exit code

pub mod failure; // what kind of failure it was

pub mod report; // stderr: errors, warnings, progress

pub mod pool; // several threads at many things

pub mod interrupt; // SIGTERM, SIGINT and SIGHUP end a run cleanly

pub mod tool; // what every tool does before and after its own work
