//! `mail-backup`: makes a complete backup set of a running mail server.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "sample files"))]

mod args; // the command line
mod error; // what can go wrong, and its kind
mod absence; // how to say that the server does not have a part
mod naming; // the name of the set
mod plan; // what is to be done: reads, never writes
mod show; // the dry run

mod source; // live trees: opened, looked at, read into tar
mod trust; // whether a set may be built on
mod previous; // the sets of earlier runs
mod saved; // a file of the set under way
mod equal; // one that came out as it was becomes a link
mod mailboxes; // Maildirs into segments
mod part; // what was saved of a component, and what was not
mod databases; // the mysql component of a set
mod exclude; // what is left out of the next
mod sqlite; // databases that are files among them
mod trees; // configuration, certificates, keys
mod compose; // the files that a Compose project names

mod execute; // the run: lock, components, commit, retention
mod components; // one after the other, each with its failures
mod canary; // the message that nobody touches
mod other_losses; // what became of databases, keys and files
mod judgement; // whether the changes of the mail are those of an ordinary day
mod accept; // the end of alarms
mod carry_over; // components of the day's set that were not asked for
mod seal; // manifest, log, checksums
mod retention; // which old sets go
mod prune; // their removal

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use mail_common::failure::FailureKind;
use mail_common::tool::{Start, Tool};
use plan::Setup;

const MAIL_BACKUP: Tool = Tool {
    name: "mail-backup",
    version: env!("CARGO_PKG_VERSION"),
    exit_codes: &[
        (0, "done"),
        (
            1,
            "a part failed (the records say which; the set is kept as DATE.incomplete)",
        ),
        (2, "wrong usage or configuration, nothing touched"),
        (3, "could not finish"),
        (4, "another run holds the lock"),
    ],
    exit_of: FailureKind::exit,
};

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(command_line: impl Iterator<Item = OsString>) -> ExitCode {
    MAIL_BACKUP.run(command_line, |start: &Start<Args>| {
        let setup = Setup::read(&start.args, &start.now, &start.report);
        let session = start.session(setup.as_ref().map(Setup::subject).unwrap_or_default());
        let plan = setup.and_then(|setup| setup.plan(&start.args));
        let result = plan.and_then(|plan| execute::execute(&plan, &session, &start.now));
        session.conclude(result)
    })
}
