//! `mail-restore`: restores a backup set, or any part of it, onto a mail server.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "sample files"))]

mod args; // the command line
mod error; // why a run ends without having done what was asked
mod setup; // what is asked for
mod places; // where the parts of a set go
mod jobs; // which file of a set becomes what
mod plan; // what is to be done: reads, never writes

mod tree; // a new tree, made entry by entry
mod unpack; // archives into a tree
mod build; // the tree of a component
mod swap; // the new in the place of the old, and back
pub mod databases; // dumps back into a MariaDB server, all or nothing
pub mod messages; // single messages out of a set, into a live mailbox or a directory

mod services; // who uses what is restored
mod restored; // what was restored: records and totals
mod dumps; // the databases of a run
mod single; // single messages of a run

mod find; // messages looked for in any number of sets
mod hunt; // a run that does so

mod examine; // archives read to their end, nothing written
mod left_out; // what is not restored because a scanner did not find it clean
mod verify; // whether what is used is what was saved
mod show; // the dry run
mod locks; // one run at a time, and what earlier ones left
mod place; // everything built, then everything put in place
mod execute; // the plan followed

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use args::Args;
use error::{Error, exit_of};
use hunt::Hunt;
use mail_common::exit::Exit;
use mail_common::record::{self, Record};
use mail_common::tool::{Session, Start, Tool, Totals};
use mail_common::upstream::Upstream;
use plan::Plan;
use setup::Setup;

const MAIL_RESTORE: Tool = Tool {
    name: "mail-restore",
    version: env!("CARGO_PKG_VERSION"),
    exit_codes: &[
        (0, "done"),
        (
            1,
            "done, and the answer is bad (a dry run found damage, a message is ambiguous or not \
             found); of single messages, some were not added",
        ),
        (2, "wrong usage or configuration, nothing touched"),
        (
            3,
            "could not finish: everything is as it was, or the last lines of stderr say what is \
             not",
        ),
        (4, "another run holds the lock"),
    ],
    exit_of,
};

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(command_line: impl Iterator<Item = OsString>) -> ExitCode {
    MAIL_RESTORE.run(command_line, |start: &Start<Args>| {
        let setup = Setup::read(&start.args);
        let subject = setup.as_ref().map(|setup| setup.subject(&start.args));
        let session = start.session(subject.unwrap_or_default());
        let result = restore(start, setup, &session);
        session.conclude(result)
    })
}

fn restore(
    start: &Start<Args>,
    setup: Result<Setup, Error>,
    session: &Session,
) -> Result<(Exit, Totals), Error> {
    let (mut upstream, mut listed) = (Upstream::default(), Vec::new());
    if start.args.records.is_some() {
        session.pass_all(io::stdin().lock(), |record| match record {
            Record::Message(message) => listed.push(message),
            record => upstream.add(record),
        })?;
    }
    let (setup, args) = (setup?, &start.args);
    if let Some(hunt) = plan_hunt(args, &setup, &listed, start, session)? {
        return Ok(hunt::execute(&hunt, &upstream, session, &start.now));
    }
    let plan = Plan::new(&setup, args, &upstream, &start.now, &session.report)?;
    Ok(execute::execute(&plan, &upstream, session, &start.now))
}

/// A search, or what one before this has found; `None` where a set is restored, or messages of one.
fn plan_hunt(
    args: &Args,
    setup: &Setup,
    listed: &[record::Message],
    start: &Start<Args>,
    session: &Session,
) -> Result<Option<Hunt>, Error> {
    if hunt::is_asked_for(args) {
        return Hunt::new(args, setup, start.now.time_zone(), session).map(Some);
    }
    if args.from.is_empty() && !listed.is_empty() {
        return Hunt::of_records(args, setup, listed).map(Some);
    }
    Ok(None)
}
