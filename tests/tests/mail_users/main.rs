//! `scripts/mail-users.sh` against an API that keeps state and fails on request.
#![expect(
    clippy::disallowed_methods,
    reason = "a token is not a stored file of a set"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

mod support; // the script, and its results

mod changes; // what it adds, changes and deletes
mod lists; // what it lists, and pages
mod faults; // what the API may do to it
mod input; // what it is given
mod secrets; // where passwords are not
mod machine; // flags, settings, and what it runs on
