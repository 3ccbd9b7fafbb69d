//! How every tool is entered: the command line, the `begin` record, what the tool does, the `end`
//! record and the exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use jiff::ZonedDateTime;

use super::args::{CommonArgs, parse, visible_args};
use super::opening::{Opening, Subject, Tool};
use super::session::Session;
use crate::failure::FailureKind;
use crate::report::Report;

/// A run whose command line is understood, before its `begin` record.
#[derive(Debug)]
pub struct Start<A> {
    /// The command line.
    pub args: A,
    /// When the run started.
    pub now: ZonedDateTime,
    /// For warnings about the settings; the session goes on with it.
    pub report: Report,
    tool: Tool,
    command_line: Vec<String>,
}

impl Tool {
    /// Runs the tool with a command line whose first element is the program's name. `work` makes
    /// the plan, starts the session and ends it; it is not called when there is nothing to do but
    /// to print help or a usage error.
    pub fn run<A: Parser + AsRef<CommonArgs>>(
        &self,
        command_line: impl Iterator<Item = OsString>,
        work: impl FnOnce(&Start<A>) -> ExitCode,
    ) -> ExitCode {
        let command_line: Vec<OsString> = command_line.collect();
        let usage = (self.exit_of)(FailureKind::Usage).into();
        match parse::<A>(&command_line, self.exit_codes, usage) {
            Ok(args) => work(&self.start(args, &command_line)),
            Err(code) => code,
        }
    }

    fn start<A: AsRef<CommonArgs>>(&self, args: A, command_line: &[OsString]) -> Start<A> {
        Start {
            now: ZonedDateTime::now(),
            report: Report::to_stderr(self.name, args.as_ref().verbosity()),
            args,
            tool: *self,
            command_line: visible_args(command_line.iter().skip(1)),
        }
    }
}

impl<A: AsRef<CommonArgs>> Start<A> {
    /// Begins the session: its `begin` record is written.
    #[must_use]
    pub fn session(&self, subject: Subject) -> Session {
        let opening = Opening {
            tool: self.tool,
            args: self.command_line.clone(),
            time: self.now.clone(),
            subject,
        };
        Session::start(opening, self.args.as_ref().format, self.report.clone())
    }
}
