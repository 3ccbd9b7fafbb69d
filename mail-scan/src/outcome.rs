//! What a run came to, and the exit code for it. It is never better than that of the tool whose
//! records were read.

use mail_common::exit::Exit;
use mail_common::report::chain;
use mail_common::tool::Session;

use crate::clamd::ServerError;
use crate::source::Upstream;
use crate::totals::{Counters, get};

/// What decides the exit code, beside the totals.
#[derive(Debug)]
pub(crate) struct Outcome {
    worst: Exit,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}; what was named before is scanned all the same")]
    Broken(String),
    #[error(
        "{tool} ended with exit code {code}; what it saved is scanned, and this run does not end better"
    )]
    Upstream { tool: String, code: u8 },
    #[error("the records name no artifact: nothing is scanned")]
    Nothing,
    #[error("interrupted by a signal: what has no verdict was not scanned")]
    Interrupted,
    #[error("what was called clean is not to be believed")]
    Disbelieved(#[source] ServerError),
    #[error(
        "no clamd answered any more: what has no clean verdict was not scanned; start clamd and run again"
    )]
    Lost,
}

impl Outcome {
    /// Of a run that reads the records of `upstream`, or none. What is wrong with them is said.
    pub(crate) fn of_upstream(upstream: Option<&Upstream>, session: &Session) -> Self {
        let mut outcome = Self { worst: Exit::Done };
        let Some(upstream) = upstream else {
            return outcome;
        };
        for (tool, code) in &upstream.failed {
            outcome.fail(
                session,
                &Failure::Upstream {
                    tool: tool.clone(),
                    code: *code,
                },
                of_code(*code),
            );
        }
        if let Some(error) = &upstream.broken {
            outcome.fail(session, &Failure::Broken(chain(error)), Exit::Unfinished);
        } else if upstream.artifacts.is_empty() {
            outcome.fail(session, &Failure::Nothing, Exit::Unfinished);
        }
        outcome
    }

    pub(crate) fn could_not_finish(&mut self) {
        self.worst = Exit::Unfinished;
    }

    pub(crate) fn interrupted(&mut self, session: &Session) {
        self.fail(session, &Failure::Interrupted, Exit::Unfinished);
    }

    pub(crate) fn lost_clamd(&mut self, session: &Session) {
        self.fail(session, &Failure::Lost, Exit::Unfinished);
    }

    /// A clamd could not prove at the end what it had proved before.
    pub(crate) fn disbelieved(&mut self, session: &Session, error: ServerError) {
        self.fail(session, &Failure::Disbelieved(error), Exit::Unfinished);
    }

    /// The exit code: 0 only when everything was scanned and clean.
    pub(crate) fn exit(&self, totals: &Counters, session: &Session) -> Exit {
        let is_infected = get(&totals.infected) > 0 || get(&totals.infected_members) > 0;
        let is_part = get(&totals.unscanned) > 0
            || !session.errors().is_empty()
            || self.worst == Exit::Partial;
        match (self.worst, is_infected, is_part) {
            (Exit::Unfinished, _, _) => Exit::Unfinished,
            (_, true, _) => Exit::Bad,
            (_, false, true) => Exit::Partial,
            (_, false, false) => Exit::Done,
        }
    }

    fn fail(&mut self, session: &Session, failure: &Failure, exit: Exit) {
        session.fail(None, None, failure);
        self.worst = self.worst.max(exit);
    }
}

/// A tool that could not finish is not made whole by this one; one whose answer is bad has done its
/// work.
fn of_code(code: u8) -> Exit {
    if code == Exit::Bad.code() {
        Exit::Partial
    } else {
        Exit::Unfinished
    }
}
