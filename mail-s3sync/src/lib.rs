//! `mail-s3sync`: the off-site copy of backup sets: pushed, proven, brought back.

mod args; // the command line
mod location; // s3://bucket/prefix, file:///directory
mod plan; // what is to be done: reads, never writes

mod credentials; // from where AWS users expect them
mod store; // objects in a bucket or a directory, behind one trait
mod remote; // sets as a store holds them
mod encryption; // to public keys, as `age` does it
mod parallel; // work on many things by a few threads
mod totals; // transfers, counted
mod place; // how a finished file gets its name

mod execute; // the run
mod upstream; // records from standard input
mod push; // a set into the store
mod pull; // a set, or a part of it, out of the store
mod verify; // a set in the store against its own digests
mod list; // the sets in the store
mod usage; // what is stored, and what it costs

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use jiff::ZonedDateTime;
use mail_common::exit::Exit;
use mail_common::tool::{self, Opening, Session, Totals};
use plan::{Plan, What, Work};

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let command_line: Vec<OsString> = args.collect();
    let args: Args = match tool::parse(command_line.iter().cloned(), Exit::Usage.into()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let now = ZonedDateTime::now();
    let plan = Plan::new(&args, &now);
    let session = Session::start(
        opening(&command_line, &now, plan.as_ref().ok()),
        &args.common,
    );
    match plan {
        Ok(plan) => {
            let (exit, totals) = execute::execute(&plan, &session, &now);
            session.finish(exit, totals)
        }
        Err(error) => {
            session.fail(None, None, &error);
            session.finish(error.exit(), Totals::default())
        }
    }
}

fn opening(command_line: &[OsString], now: &ZonedDateTime, plan: Option<&Plan>) -> Opening {
    let pushed = plan.and_then(|plan| match &plan.work {
        Work::Push {
            what: What::Set(directory),
            ..
        } => remote::SetName::of_directory(directory).ok(),
        _ => None,
    });
    Opening {
        tool: "mail-s3sync",
        version: env!("CARGO_PKG_VERSION"),
        args: tool::visible_args(command_line.iter().skip(1)),
        time: now.clone(),
        set: pushed.map(|name| name.to_string()),
        root: None,
    }
}
