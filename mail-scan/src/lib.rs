//! `mail-scan`: shows every byte that would be restored to ClamAV, or names it as not seen.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "sample files"))]

mod args; // the command line
mod plan; // what is to be scanned, and with what: reads, never writes

mod verdict; // what a scan comes to
mod tree; // a live tree, held open
mod look; // what stands at a name, and how it looks
mod listed; // what was found of live trees, since they change meanwhile
mod maildir; // messages, whose names change
mod message; // Message-ID and subject
mod item; // a file to be scanned, and how records name it
mod finding; // what was learnt of it, and the record

mod inside; // what a content holds that clamd does not find by itself
mod content; // what is shown to clamd: memory or a file
mod clamd; // the scanner: reached, proved, asked
mod cache; // verdicts of earlier runs
mod seen; // contents that were clean in this run
mod packing; // how a file is packed, by name and magic
mod encrypted; // archives with a password, where clamd keeps silent about them
mod budget; // how much is in memory at a time
mod quarantine; // infected messages of live Maildirs
mod totals; // counters

mod accepted; // what was let pass by its digest
mod scope; // what is fixed in a run
mod tally; // what it has found and counted
mod run; // both, shared by its threads
mod unscanned; // why a file has no verdict
mod examine; // from a content to what was found in it
mod mailbox; // which members of an archive were still in their mailbox
mod artifact; // a packed file: one verdict from many pieces
mod job; // what is handed to the workers
mod unpack; // packed files, read from beginning to end
mod file; // files as they are
mod source; // where files come from: paths, sets, records

mod checks; // what is reported of each clamd
mod error; // why a run did not begin, or is not whole
mod outcome; // what a run came to
mod execute; // the run

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use mail_common::failure::FailureKind;
use mail_common::tool::{Start, Subject, Tool};
use plan::Plan;

const MAIL_SCAN: Tool = Tool {
    name: "mail-scan",
    version: env!("CARGO_PKG_VERSION"),
    exit_codes: &[
        (0, "everything was scanned and is clean"),
        (1, "infected, or something was not scanned"),
        (2, "wrong usage or configuration"),
        (
            3,
            "could not finish: no clamd, a clamd that does not find EICAR, the upstream died",
        ),
    ],
    exit_of: FailureKind::exit,
};

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(command_line: impl Iterator<Item = OsString>) -> ExitCode {
    MAIL_SCAN.run(command_line, |start: &Start<Args>| {
        if !start.args.accept.is_empty() {
            let session = start.session(Subject::default());
            let result = accepted::accept(&start.args, &session, &start.now);
            return session.conclude(result);
        }
        let plan = Plan::new(&start.args);
        let session = start.session(plan.as_ref().map(Plan::subject).unwrap_or_default());
        let result = plan.map(|plan| execute::execute(&plan, &session, &start.now));
        session.conclude(result)
    })
}
