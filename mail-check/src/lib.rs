//! `mail-check`: tells the truth about a mail server before a user does.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "sample files"))]

mod args; // the command line
mod error; // why nothing was checked
mod settings; // the file of checks
mod group; // what can be checked, by name
mod context; // what a check may look at besides its own settings
mod catalog; // from the name of a group to its checks
mod plan; // which checks are made: reads, never writes

mod span; // lengths of time: "90s", "26h", "8d"
mod status; // ok, warning, critical, unknown
mod language; // the words of letters and pages, in English and Japanese
mod limits; // from which value on it is a warning
mod finding; // what a check found
mod probe; // checks, side by side, each bounded in time
mod state; // what is kept from run to run
mod command; // programs of the system, bounded in time
mod stream; // records of the other tools, judged
mod net; // servers, asked over a socket
mod docker; // the Docker daemon, asked over its socket
mod checks; // the checks, a module a group
mod diagnose; // from what checks find to the likely cause

mod nagios; // --format nagios: one line and its details
mod prometheus; // --prometheus: metrics
mod report; // --report: a page
mod notify; // --notify: who is notified of what
mod publish; // what is done with what was found

mod execute; // the run

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
use mail_common::exit::Exit;
use mail_common::record::CheckStatus;
use mail_common::report::chain;
use mail_common::tool::{Start, Subject, Tool};
use plan::Plan;

/// Nagios gets *unknown* when nothing could be checked, whatever the reason.
const MAIL_CHECK: Tool = Tool {
    name: "mail-check",
    version: env!("CARGO_PKG_VERSION"),
    exit_codes: &[
        (0, "ok"),
        (1, "warning"),
        (2, "critical"),
        (
            3,
            "unknown: something could not be checked, wrong usage or configuration, \
             the upstream died",
        ),
    ],
    exit_of: |_| Exit::Checked(CheckStatus::Unknown),
};

/// Runs the tool with a command line whose first element is the program's name.
pub fn run(command_line: impl Iterator<Item = OsString>) -> ExitCode {
    MAIL_CHECK.run(command_line, |start: &Start<Args>| {
        if start.args.print_config {
            return settings::print_example();
        }
        let plan = Plan::new(&start.args, &start.now);
        let session = start.session(Subject::default());
        if let Err(error) = &plan {
            session.print(&nagios::unknown(&chain(error)));
        }
        let result = plan.map(|plan| execute::execute(plan, &session));
        session.conclude(result)
    })
}
