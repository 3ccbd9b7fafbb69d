//! The scripts that take the places of the old four: alone, together, and when something goes
//! wrong.
#![expect(
    clippy::disallowed_methods,
    reason = "what a test spoils is not a stored file"
)]

mod combinations; // old and new scripts side by side
mod faults; // missing tools, wrong flags, signals, cron's environment, logs
mod new_machine; // everything onto a machine that has nothing
mod mail_flow; // a message through what was restored
mod services; // the compose services around a restore
