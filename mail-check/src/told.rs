//! What is done with what was found: metrics, a page, alerts. What cannot be told is a finding,
//! too.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use mail_common::record::{Check, Record};
use mail_common::report::chain;
use mail_common::tool::Session;

use crate::context::Context;
use crate::finding::{Finding, worst_of};
use crate::notify::{Begun, Key, Notifier, Occasion, Outcome};
use crate::{prometheus, report};

/// What was found, and is told to machines and people. That it cannot be told is a finding, too.
pub(crate) struct Told<'a> {
    pub(crate) session: &'a Session,
    pub(crate) findings: Vec<Finding>,
    pub(crate) context: &'a Context,
}

impl Told<'_> {
    pub(crate) fn metrics(&mut self, path: &Path, elapsed: Duration) {
        let run = prometheus::Run {
            began_seconds: self.context.now.timestamp().as_second(),
            elapsed_seconds: elapsed.as_secs_f64(),
            worst: worst_of(&self.findings),
        };
        let written = prometheus::write(path, &self.findings, run);
        self.written("prometheus", path, written.err());
    }

    pub(crate) fn page(&mut self, path: &Path) {
        let written = report::write(path, self.occasion(), self.context);
        self.written("report", path, written.err());
    }

    pub(crate) fn people(
        &mut self,
        notifier: &Notifier,
        begun: Begun,
        answered: Vec<(&'static str, String)>,
    ) {
        let answered: Vec<Key> = answered
            .into_iter()
            .map(|(name, target)| Key {
                name: name.to_owned(),
                target,
            })
            .collect();
        let outcome = notifier.tell(self.occasion(), &answered, &self.context.state);
        self.add(outcome);
        // The switch is told last: it knows whether the others could be told.
        let outcome = notifier.end(begun, self.occasion(), &self.context.state);
        self.add(outcome);
    }

    fn occasion(&self) -> Occasion<'_> {
        Occasion {
            host: &self.session.begin().host,
            now: &self.context.now,
            findings: &self.findings,
            worst: worst_of(&self.findings),
            remark: None,
        }
    }

    fn written(&mut self, name: &str, path: &Path, error: Option<impl Error>) {
        if let Some(error) = error {
            self.session.fail(None, None, &error);
            self.found(Finding::critical(
                name,
                path.display().to_string(),
                chain(&error),
            ));
        }
    }

    fn add(&mut self, outcome: Outcome) {
        for failure in &outcome.failures {
            self.session.fail(None, None, failure);
        }
        outcome
            .findings
            .into_iter()
            .for_each(|finding| self.found(finding));
    }

    fn found(&mut self, finding: Finding) {
        self.session.emit(&Record::Check(Check::from(&finding)));
        self.findings.push(finding);
    }
}
