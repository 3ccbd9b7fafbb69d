//! The run: records of other tools are judged, checks are made, and what they found is told.

use std::collections::BTreeMap;
use std::io;

use mail_common::exit::Exit;
use mail_common::record::{Check, Record};
use mail_common::tool::Session;

use crate::finding::{Finding, Status, worse};
use crate::plan::Plan;
use crate::probe::run_all;
use crate::stream::{self, Facts};

/// Does what the plan says.
pub(crate) fn execute(plan: Plan, session: &Session) -> (Exit, BTreeMap<String, u64>) {
    for group in plan.left_out {
        session.report.info(format!("{} is left out: nothing is configured for it", group.name()));
    }
    let mut findings = Vec::new();
    if plan.reads_records {
        findings = judge_records(session);
    }
    run_all(plan.probes, |finding| {
        session.emit(&Record::Check(Check::from(&finding)));
        findings.push(finding);
    });
    if let Some(diagnosis) = plan.diagnosis {
        diagnosis.run(|finding| {
            session.emit(&Record::Check(Check::from(finding)));
            findings.push(finding.clone());
        });
    }
    say(session, &findings);
    let worst = worst_of(&findings);
    (Exit::Checked(worst), totals(&findings, session))
}

/// Judges what comes on stdin while it is passed on. Checks that others made count as if they were made here, and are not told again.
fn judge_records(session: &Session) -> Vec<Finding> {
    let facts = Facts::pass(session, io::stdin().lock());
    let mut findings = stream::judge(&facts);
    for finding in &findings {
        session.emit(&Record::Check(Check::from(finding)));
    }
    findings.extend(facts.checks.iter().map(Finding::from));
    findings
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
    let word = match worst_of(findings) {
        Status::Ok => "OK",
        Status::Warning => "WARNING",
        Status::Critical => "CRITICAL",
        Status::Unknown => "UNKNOWN",
    };
    session.report.summary(format!(
        "{word}: {} checks, {} critical, {} warning, {} unknown",
        findings.len(),
        count(findings, Status::Critical),
        count(findings, Status::Warning),
        count(findings, Status::Unknown)
    ));
}
