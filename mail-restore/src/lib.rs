//! `mail-restore`: restores a backup set, or any part of it, onto a mail server.

mod args; // the command line
mod upstream; // the records of the tools before this one
mod places; // where the parts of a set go
mod jobs; // which file of a set becomes what
mod plan; // what is to be done: reads, never writes

mod clearance; // what a scanner said of what is used
mod tree; // a new tree, made entry by entry
mod unpack; // archives into a tree
mod build; // the tree of a component
mod swap; // the new in the place of the old, and back
pub mod databases; // dumps back into a MariaDB server, all or nothing
pub mod messages; // single messages out of a set, into a live mailbox or a directory

mod dumps; // the databases of a run
mod single; // single messages of a run
mod services; // who uses what is restored
mod examine; // archives read to their end, nothing written
mod show; // the dry run
mod place; // everything built, then everything put in place
mod execute; // the run: locks, digests, and the rest

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use args::Args;
use jiff::ZonedDateTime;
use mail_common::exit::Exit;
use mail_common::jsonl;
use mail_common::tool::{self, Opening, Session, Totals};
use plan::Setup;
use upstream::Upstream;

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let command_line: Vec<OsString> = args.collect();
    let args: Args = match tool::parse(command_line.iter().cloned(), Exit::Usage.into()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let now = ZonedDateTime::now();
    let setup = Setup::read(&args);
    let session = Session::start(
        opening(&command_line, &args, &now, setup.as_ref().ok()),
        &args.common,
    );
    let upstream = match read_upstream(&args, &session) {
        Ok(upstream) => upstream,
        Err(error) => return fail(session, &error, Exit::Unfinished),
    };
    match setup.and_then(|setup| setup.plan(&args, &upstream, &now, &session.report)) {
        Ok(plan) => {
            let (exit, totals) = execute::execute(&plan, &upstream.verdicts, &session, &now);
            session.finish(exit, totals)
        }
        Err(error) => {
            let exit = error.exit();
            fail(session, &error, exit)
        }
    }
}

const TOOL: &str = "mail-restore";

fn opening(
    command_line: &[OsString],
    args: &Args,
    now: &ZonedDateTime,
    setup: Option<&Setup>,
) -> Opening {
    let (root, set) = setup
        .map(|setup| setup.names(args.from.as_deref()))
        .unwrap_or_default();
    Opening {
        tool: TOOL,
        version: env!("CARGO_PKG_VERSION"),
        args: tool::visible_args(command_line.iter().skip(1)),
        time: now.clone(),
        set,
        root,
    }
}

fn read_upstream(args: &Args, session: &Session) -> Result<Upstream, jsonl::Error> {
    match args.records {
        Some(_) => Upstream::read(io::stdin().lock(), session),
        None => Ok(Upstream::default()),
    }
}

fn fail(session: Session, error: &dyn std::error::Error, exit: Exit) -> ExitCode {
    session.fail(None, None, error);
    session.finish(exit, Totals::default())
}
