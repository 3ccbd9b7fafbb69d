//! `mail-backup`: makes a complete backup set of a running mail server.

mod args; // the command line
mod plan; // what is to be done: reads, never writes
mod show; // the dry run

mod source; // live trees: opened, looked at, read into tar
mod saved; // a file of the set under way
mod previous; // the sets of earlier runs
mod mailboxes; // Maildirs into segments
mod databases; // the mysql component of a set
mod trees; // configuration, certificates, keys

mod execute; // the run: lock, components, commit, retention
mod components; // one after the other, each with its failures
mod carry_over; // components of the day's set that were not asked for
mod seal; // manifest, log, checksums
mod prune; // retention

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use jiff::ZonedDateTime;
use mail_common::exit::Exit;
use mail_common::report::{Report, Verbosity};
use mail_common::tool::{self, Opening, Session, Totals};
use plan::Setup;

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let command_line: Vec<OsString> = args.collect();
    let args: Args = match tool::parse(command_line.iter().cloned(), Exit::Usage.into()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let now = ZonedDateTime::now();
    let setup = Setup::read(&args, &now, &Report::to_stderr(TOOL, Verbosity::Normal));
    let session = Session::start(
        opening(&command_line, &now, setup.as_ref().ok()),
        &args.common,
    );
    match setup.and_then(|setup| setup.plan(&args)) {
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

const TOOL: &str = "mail-backup";

fn opening(command_line: &[OsString], now: &ZonedDateTime, setup: Option<&Setup>) -> Opening {
    Opening {
        tool: TOOL,
        version: env!("CARGO_PKG_VERSION"),
        args: tool::visible_args(command_line.iter().skip(1)),
        time: now.clone(),
        set: setup.map(|setup| setup.id.to_string()),
        root: setup.map(|setup| setup.root.to_string_lossy().into_owned()),
    }
}
