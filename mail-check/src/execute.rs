//! The run: records of other tools are judged, checks are made, and what they found is reported.

use std::io;
use std::time::Instant;

use mail_common::exit::Exit;
use mail_common::record::{Check, Record};
use mail_common::tool::{Session, Totals};

use crate::finding::{Finding, worst_of};
use crate::nagios;
use crate::notify::Notifier;
use crate::plan::Plan;
use crate::probe::run_all;
use crate::publish::Publisher;
use crate::status::{Status, word};
use crate::stream::{self, Facts};

/// Does what the plan says.
pub(crate) fn execute(plan: Plan, session: &Session) -> (Exit, Totals) {
    for group in plan.left_out {
        session.report.info(format!(
            "{} is left out: nothing is configured for it",
            group.name()
        ));
    }
    let begun = plan.notifier.as_ref().map(Notifier::begin);
    let started = Instant::now();
    let mut findings = Vec::new();
    if plan.reads_records {
        findings = judge_records(session);
    }
    let answered = run_all(plan.probes, |finding| {
        session.emit(&Record::Check(Check::from(&finding)));
        findings.push(finding);
    });
    if let Some(diagnosis) = plan.diagnosis {
        let found = diagnosis.run(|step| session.report.info(format!("looking at {step}")));
        for finding in found {
            session.emit(&Record::Check(Check::from(&finding)));
            findings.push(finding);
        }
    }
    let mut publisher = Publisher {
        session,
        findings,
        context: &plan.context,
    };
    if let Some(metrics) = &plan.metrics {
        publisher.metrics(metrics, started.elapsed());
    }
    if let Some((path, sources)) = &plan.report {
        publisher.page(path, sources);
    }
    if let (Some(notifier), Some(begun)) = (&plan.notifier, begun) {
        publisher.alerts(notifier, begun, answered);
    }
    let findings = publisher.findings;
    if session.is_plain() {
        session.print(&nagios::render(&findings));
    } else {
        print_summary(session, &findings);
    }
    let worst = worst_of(&findings);
    (Exit::Checked(worst), totals(&findings, session))
}

/// Judges what comes on stdin while it is passed on. Checks that others made count as if they were
/// made here, and are not reported again.
fn judge_records(session: &Session) -> Vec<Finding> {
    let facts = Facts::pass(session, io::stdin().lock());
    let mut findings = stream::judge(&facts);
    for finding in &findings {
        session.emit(&Record::Check(Check::from(finding)));
    }
    findings.extend(facts.checks.iter().map(Finding::from));
    findings
}

fn totals(findings: &[Finding], session: &Session) -> Totals {
    Totals::from([
        ("ok", count(findings, Status::Ok)),
        ("warning", count(findings, Status::Warning)),
        ("critical", count(findings, Status::Critical)),
        ("unknown", count(findings, Status::Unknown)),
        ("checks", findings.len() as u64),
        ("errors", session.error_count()),
    ])
}

fn count(findings: &[Finding], status: Status) -> u64 {
    findings
        .iter()
        .filter(|finding| finding.status == status)
        .count() as u64
}

/// One line.
fn print_summary(session: &Session, findings: &[Finding]) {
    let word = word(worst_of(findings));
    session.report.summary(format!(
        "{word}: {} checks, {} critical, {} warning, {} unknown",
        findings.len(),
        count(findings, Status::Critical),
        count(findings, Status::Warning),
        count(findings, Status::Unknown)
    ));
}
