//! `mail-scan`: shows every byte that would be restored to ClamAV, or names it as not seen.

mod args; // the command line
mod plan; // what is to be scanned, and with what: reads, never writes

mod clamd; // the scanner: reached, proved, asked
mod cache; // verdicts of earlier runs
mod seen; // contents that were clean in this run

mod item; // a file to be scanned, and how records name it
mod maildir; // messages, whose names change
mod message; // Message-ID and subject
mod packing; // how a file is packed, by name and magic
mod source; // where files come from: paths, sets, records

mod budget; // how much is in memory at a time
mod content; // what is shown to clamd: memory or a file
mod encrypted; // archives with a password, where clamd keeps silent about them
mod run; // what threads share, and how verdicts are told
mod examine; // from a content to what was found in it
mod work; // what is handed to the workers
mod artifact; // a packed file: one verdict from many pieces
mod unpack; // packed files, read from beginning to end
mod file; // files as they are
mod quarantine; // infected messages of live Maildirs

mod checks; // what is said of each clamd
mod totals; // what is counted
mod outcome; // what a run came to
mod execute; // the run

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use jiff::ZonedDateTime;
use mail_common::exit::Exit;
use mail_common::tool::{self, Opening, Session, Totals};
use plan::{Operand, Plan};

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let command_line: Vec<OsString> = args.collect();
    let args: Args = match tool::parse(command_line.iter().cloned(), Exit::Usage.into()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let now = ZonedDateTime::now();
    let plan = Plan::new(&args);
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

/// A run over one set names it.
fn opening(command_line: &[OsString], now: &ZonedDateTime, plan: Option<&Plan>) -> Opening {
    let set = match plan.map(|plan| plan.operands.as_slice()) {
        Some([Operand::Set(set)]) => Some(set),
        _ => None,
    };
    Opening {
        tool: "mail-scan",
        version: env!("CARGO_PKG_VERSION"),
        args: tool::visible_args(command_line.iter().skip(1)),
        time: now.clone(),
        set: set.map(|set| set.set.clone()),
        root: set.map(|set| set.root.clone()),
    }
}
