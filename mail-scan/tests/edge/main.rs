//! `mail-scan` at its edge, with a real clamd that has small signatures of its own.
#![expect(
    clippy::disallowed_methods,
    reason = "sample files are not stored files"
)]
#![expect(clippy::unwrap_used, reason = "a fixture that fails ends the test")]

mod support; // a clamd, a directory, a scan, and its verdicts
mod warden; // a proxy that keeps descriptors of files back
mod meddler; // a proxy before clamd that breaks what it passes on

mod contents; // EICAR wherever it can lie, and what is no file
mod messages; // messages in whatever form
mod encrypted; // mail that is encrypted or signed as a whole
mod limits; // too large, encrypted, damaged: not scanned, never clean
mod clamds; // absent, hung, blind, killed, several
mod private_clamd; // one that the scan starts for itself
mod sets; // backup sets, ours and the old scripts'
mod records; // the records of another tool
mod cache; // verdicts of earlier runs
mod quarantine; // infected messages of live Maildirs
mod planted; // what acts on a terminal, wherever others write
