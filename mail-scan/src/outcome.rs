//! What a run came to, and the exit code for it. It is never better than that of the tool whose
//! records were read.

use mail_common::exit::Exit;
use mail_common::jsonl;
use mail_common::report::chain;
use mail_common::tool::Session;
use mail_common::upstream::{Ending, Upstream};

use crate::clamd;
use crate::error::Error;
use crate::totals::{Counters, get};

/// What decides the exit code, beside the totals.
#[derive(Debug)]
pub(crate) struct Outcome {
    worst: Exit,
}

impl Outcome {
    /// Of a run that has not begun its work.
    pub(crate) fn new() -> Self {
        Self { worst: Exit::Done }
    }

    /// This run ends no better than the tools before it, nor than their records are whole.
    pub(crate) fn add_upstream(
        &mut self,
        upstream: &Upstream,
        passed: Result<(), jsonl::Error>,
        session: &Session,
    ) {
        for end in upstream.runs.iter().filter_map(|run| run.end.as_ref()) {
            let exit = match Ending::of(end) {
                Ending::Good => continue,
                Ending::Bad | Ending::Partial => Exit::Partial,
                Ending::Locked | Ending::Unfinished | Ending::Died => Exit::Unfinished,
            };
            let failure = Error::FailedUpstream {
                tool: end.tool.clone(),
                code: end.exit,
            };
            self.fail(session, &failure, exit);
        }
        if let Err(error) = passed {
            self.fail(
                session,
                &Error::BrokenUpstream(chain(&error)),
                Exit::Unfinished,
            );
        } else if upstream.artifacts.is_empty() {
            self.fail(session, &Error::NothingToScan, Exit::Unfinished);
        }
    }

    pub(crate) fn could_not_finish(&mut self) {
        self.worst = Exit::Unfinished;
    }

    pub(crate) fn interrupted(&mut self, session: &Session) {
        self.fail(session, &Error::Interrupted, Exit::Unfinished);
    }

    pub(crate) fn lost_clamd(&mut self, session: &Session) {
        self.fail(session, &Error::LostClamd, Exit::Unfinished);
    }

    /// A clamd could not prove at the end what it had proved before.
    pub(crate) fn revoke_trust(&mut self, session: &Session, error: clamd::Error) {
        self.fail(session, &Error::NoLongerTrusted(error), Exit::Unfinished);
    }

    /// The exit code: 0 only when everything was scanned and clean.
    pub(crate) fn exit(&self, totals: &Counters, session: &Session) -> Exit {
        let is_infected = get(&totals.infected) > 0 || get(&totals.infected_members) > 0;
        let is_part =
            get(&totals.unscanned) > 0 || session.error_count() > 0 || self.worst == Exit::Partial;
        if self.worst == Exit::Unfinished {
            Exit::Unfinished
        } else if is_infected {
            Exit::Bad
        } else if is_part {
            Exit::Partial
        } else {
            Exit::Done
        }
    }

    fn fail(&mut self, session: &Session, failure: &Error, exit: Exit) {
        session.fail(None, None, failure);
        self.worst = self.worst.max(exit);
    }
}
