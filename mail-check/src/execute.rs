//! The run: records of other tools are judged, checks are made, and what they found is told.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use mail_common::exit::Exit;
use mail_common::record::{Check, Record};
use mail_common::report::chain;
use mail_common::tool::Session;

use crate::context::Context;
use crate::finding::{Finding, Status, word, worse};
use crate::notify::{Begun, Key, Notifier, Occasion, Outcome};
use crate::plan::Plan;
use crate::probe::run_all;
use crate::{prometheus, report};

/// Does what the plan says.
pub(crate) fn execute(plan: Plan, session: &Session) -> (Exit, BTreeMap<String, u64>) {
    for group in plan.left_out {
        session.report.info(format!("{} is left out: nothing is configured for it", group.name()));
    }
    let begun = plan.notifier.as_ref().map(Notifier::begin);
    let started = Instant::now();
    let mut findings = Vec::new();
    let answered = run_all(plan.probes, |finding| {
        session.emit(&Record::Check(Check::from(&finding)));
        findings.push(finding);
    });
    let mut told = Told { session, findings, context: &plan.context };
    if let Some(path) = &plan.prometheus {
        told.metrics(path, started.elapsed());
    }
    if let Some(path) = &plan.report {
        told.page(path);
    }
    if let (Some(notifier), Some(begun)) = (&plan.notifier, begun) {
        told.people(notifier, begun, answered);
    }
    let findings = told.findings;
    say(session, &findings);
    let worst = worst_of(&findings);
    (Exit::Checked(worst), totals(&findings, session))
}

/// What was found, and is told to machines and people. That it cannot be told is a finding, too.
struct Told<'a> {
    session: &'a Session,
    findings: Vec<Finding>,
    context: &'a Context,
}

impl Told<'_> {
    fn metrics(&mut self, path: &Path, elapsed: Duration) {
        let run = prometheus::Run {
            began_seconds: self.context.now.timestamp().as_second(),
            elapsed_seconds: elapsed.as_secs_f64(),
            worst: worst_of(&self.findings),
        };
        let written = prometheus::write(path, &self.findings, run);
        self.written("prometheus", path, written.err());
    }

    fn page(&mut self, path: &Path) {
        let written = report::write(path, self.occasion(), self.context);
        self.written("report", path, written.err());
    }

    fn people(&mut self, notifier: &Notifier, begun: Begun, answered: Vec<(&'static str, String)>) {
        let answered: Vec<Key> =
            answered.into_iter().map(|(name, target)| Key { name: name.to_owned(), target }).collect();
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
            self.found(Finding::critical(name, path.display().to_string(), chain(&error)));
        }
    }

    fn add(&mut self, outcome: Outcome) {
        for failure in &outcome.failures {
            self.session.fail(None, None, failure);
        }
        outcome.findings.into_iter().for_each(|finding| self.found(finding));
    }

    fn found(&mut self, finding: Finding) {
        self.session.emit(&Record::Check(Check::from(&finding)));
        self.findings.push(finding);
    }
}

/// Nothing checked is unknown, never ok.
fn worst_of(findings: &[Finding]) -> Status {
    findings.iter().map(|finding| finding.status).reduce(worse).unwrap_or(Status::Unknown)
}

fn totals(findings: &[Finding], session: &Session) -> BTreeMap<String, u64> {
    let statuses = [
        ("ok", Status::Ok),
        ("warning", Status::Warning),
        ("critical", Status::Critical),
        ("unknown", Status::Unknown),
    ];
    let mut totals: BTreeMap<String, u64> =
        statuses.iter().map(|(name, status)| ((*name).to_owned(), count(findings, *status))).collect();
    totals.insert("checks".to_owned(), findings.len() as u64);
    totals.insert("errors".to_owned(), session.errors().len() as u64);
    totals
}

fn count(findings: &[Finding], status: Status) -> u64 {
    findings.iter().filter(|finding| finding.status == status).count() as u64
}

/// One line, as Nagios shows it.
fn say(session: &Session, findings: &[Finding]) {
    let word = word(worst_of(findings));
    session.report.summary(format!(
        "{word}: {} checks, {} critical, {} warning, {} unknown",
        findings.len(),
        count(findings, Status::Critical),
        count(findings, Status::Warning),
        count(findings, Status::Unknown)
    ));
}
