//! What is done with what was found: metrics, a page, alerts. That something cannot be published
//! is a finding, too.

use std::path::Path;
use std::time::Duration;

use mail_common::failure::Failed;
use mail_common::record::{Check, Record};
use mail_common::report::chain;
use mail_common::tool::Session;

use crate::context::Context;
use crate::finding::{Finding, worst_of};
use crate::notify::{Begun, Key, Notifier, Occasion, Outcome};
use crate::plan::Metrics;
use crate::prometheus;
use crate::report::{self, Sources};

/// What was found, on its transport to machines and people.
pub(crate) struct Publisher<'a> {
    pub(crate) session: &'a Session,
    pub(crate) findings: Vec<Finding>,
    pub(crate) context: &'a Context,
}

impl Publisher<'_> {
    pub(crate) fn metrics(&mut self, metrics: &Metrics, elapsed: Duration) {
        let Metrics { path, checks } = metrics;
        let run = prometheus::Run {
            checks,
            began_seconds: self.context.now.timestamp().as_second(),
            elapsed_seconds: elapsed.as_secs_f64(),
            worst: worst_of(&self.findings),
        };
        let written = prometheus::write(path, &self.findings, run);
        self.written("prometheus", path, written);
    }

    pub(crate) fn page(&mut self, path: &Path, sources: &Sources) {
        let written = report::write(path, self.occasion(), sources);
        self.written("report", path, written);
    }

    pub(crate) fn alerts(
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
        let outcome = notifier.notify(self.occasion(), &answered, &self.context.state);
        self.add(outcome);
        // The switch comes last: it knows whether the others could be notified.
        let outcome = notifier.end(begun, self.occasion(), &self.context.state);
        self.add(outcome);
    }

    fn occasion(&self) -> Occasion<'_> {
        Occasion {
            host: &self.session.begin().host,
            now: &self.context.now,
            language: self.context.language,
            findings: &self.findings,
            worst: worst_of(&self.findings),
            remark: None,
        }
    }

    fn written(&mut self, name: &str, path: &Path, written: Result<(), Failed>) {
        if let Err(failed) = written {
            self.session.fail(None, None, &failed);
            let message = format!("{}; what is there is of an earlier run", chain(&failed));
            self.found(Finding::critical(name, path.display().to_string(), message));
        }
    }

    fn add(&mut self, outcome: Outcome) {
        for failure in &outcome.failures {
            self.session.fail(None, None, failure);
        }
        for finding in outcome.findings {
            self.found(finding);
        }
    }

    fn found(&mut self, finding: Finding) {
        self.session.emit(&Record::Check(Check::from(&finding)));
        self.findings.push(finding);
    }
}
