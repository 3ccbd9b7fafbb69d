//! `mail-check`: tells the truth about a mail server before a user does.

mod args; // the command line
mod settings; // the file of checks
mod group; // what can be checked, by name
mod context; // what every check may look at
mod plan; // which checks are made: reads, never writes

mod finding; // what a check found
mod limits; // from which value on it is a warning
mod probe; // checks, side by side, each bounded in time
mod state; // what is kept from run to run
mod command; // programs of the system, bounded in time
mod stream; // records of the other tools, judged
mod net; // servers, asked over a socket
mod docker; // the Docker daemon, asked over its socket
mod checks; // the checks, a module a group
mod diagnose; // from what checks find to the likely cause

mod prometheus; // --prometheus: metrics
mod report; // --report: a page
mod notify; // --notify: who is told what
mod told; // what is done with what was found

mod execute; // the run

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use jiff::ZonedDateTime;
use mail_common::exit::Exit;
use mail_common::record::CheckStatus;
use mail_common::tool::{self, Opening, Session, Totals};
use plan::Plan;

/// What Nagios is told when nothing could be checked.
const UNKNOWN: Exit = Exit::Checked(CheckStatus::Unknown);

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let command_line: Vec<OsString> = args.collect();
    let args: Args = match tool::parse(command_line.iter().cloned(), UNKNOWN.into()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    if args.print_config {
        return settings::print_example();
    }
    let now = ZonedDateTime::now();
    let plan = Plan::new(&args, &now);
    let session = Session::start(opening(&command_line, &now), &args.common);
    match plan {
        Ok(plan) => {
            let (exit, totals) = execute::execute(plan, &session);
            session.finish(exit, totals)
        }
        Err(error) => {
            session.fail(None, None, &error);
            session.finish(UNKNOWN, Totals::default())
        }
    }
}

fn opening(command_line: &[OsString], now: &ZonedDateTime) -> Opening {
    Opening {
        tool: "mail-check",
        version: env!("CARGO_PKG_VERSION"),
        args: tool::visible_args(command_line.iter().skip(1)),
        time: now.clone(),
        set: None,
        root: None,
    }
}
