//! `mail-s3sync`: the off-site copy of backup sets: pushed, proven, brought back.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "sample files"))]

mod args; // the command line
mod location; // s3://bucket/prefix, file:///directory
mod plan; // what is to be done: reads, never writes

mod layout; // under which key a file of a set lies
mod keep; // for how many days
mod cost; // prices, what is billed, requests by kind
mod limit; // how fast bytes may flow
mod aws; // signed requests over HTTP
mod credentials; // from where AWS users expect them
mod place; // how a finished file gets its name
mod store; // objects in a bucket or a directory, behind one trait
mod open; // the store of the plan
mod rehearsal; // a store that is asked and never changed
mod remote; // sets as a store holds them
mod signature; // who made a set
mod encryption; // to public keys, as `age` does it
mod parallel; // work on many things by a few threads
mod totals; // transfers, counted

mod push; // a set into the store
mod pull; // a set, or a part of it, out of the store
mod verify; // a set in the store against its own digests
mod list; // the sets in the store
mod usage; // what is stored, and what it costs
mod prune; // what is past its days, out of the store

mod error; // why a run did not begin, or did not do its work
mod planned; // what a push would do and cost, instead of doing it
mod hold; // the last set from before an alarm
mod execute; // the run
#[cfg(test)]
mod server; // a server whose sets go into a store in memory

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use mail_common::failure::FailureKind;
use mail_common::tool::{Start, Tool};
use plan::Plan;

const MAIL_S3SYNC: Tool = Tool {
    name: "mail-s3sync",
    version: env!("CARGO_PKG_VERSION"),
    exit_codes: &[
        (0, "done"),
        (
            1,
            "a file failed, or the answer is bad (the records say which)",
        ),
        (2, "wrong usage or configuration, nothing touched"),
        (3, "could not finish"),
    ],
    exit_of: FailureKind::exit,
};

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(command_line: impl Iterator<Item = OsString>) -> ExitCode {
    MAIL_S3SYNC.run(command_line, |start: &Start<Args>| {
        let plan = Plan::new(&start.args, &start.now);
        let session = start.session(plan.as_ref().map(Plan::subject).unwrap_or_default());
        let result = plan.map(|plan| execute::execute(&plan, &session, &start.now));
        session.conclude(result)
    })
}
