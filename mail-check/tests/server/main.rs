//! Checks of what the server is made of, on private services: containers, secrets, users.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "files of a test are not stored files"
)]

mod containers; // on a private Docker daemon
mod credentials; // on files
mod users; // on a private MariaDB
mod support; // a directory, a file of checks, what was found
