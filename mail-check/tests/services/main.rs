//! Checks that speak with services, on a private Postfix and Dovecot, MariaDB and clamd.
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]
#![expect(
    clippy::disallowed_methods,
    reason = "files of a test are not stored files"
)]

mod certificates; // served and on disk
mod mailflow; // the round trip
mod protocols; // the mail protocols: sound, stopped, hung, nonsense
mod scanner; // clamd and MariaDB
#[path = "../server/support.rs"]
mod support; // a directory, a file of checks, what was found
