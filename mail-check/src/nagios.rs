//! `--format nagios`: one line and its details, as the monitoring plugins print them.
//!
//! The format: <https://www.monitoring-plugins.org/doc/guidelines.html>. A program that reads it
//! takes what stands behind the first `|` for figures, and what follows the first line for details.

use std::fmt::{self, Write};

use mail_common::text::printable;

use crate::finding::{Bad, Finding, Measure, worst_by_target};
use crate::status::{Status, word};

/// Names that the first line shows; the rest is counted. NRPE cuts it at 1024 bytes.
const MAX_NAMED: usize = 10;

/// The line that tells why nothing was checked.
pub(crate) fn unknown(why: &str) -> String {
    format!("MAIL UNKNOWN - {}\n", inert(why))
}

/// The lines that tell what was found, the worst first.
pub(crate) fn render(findings: &[Finding]) -> String {
    let mut findings = worst_by_target(findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.status));
    let mut text = first_line(&findings);
    for (number, finding) in findings.iter().filter(|f| f.measure.is_some()).enumerate() {
        text.push_str(if number == 0 { " | " } else { " " });
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", Figure(finding));
    }
    text.push('\n');
    for finding in findings {
        let (name, target) = (inert(&finding.name), inert(&finding.target));
        let (word, message) = (word(finding.status), inert(&finding.message));
        let _ = writeln!(text, "{word} {name} {target}: {message}");
    }
    text
}

/// `MAIL CRITICAL - 3 checks, 2 critical: imaps, disk`
fn first_line(findings: &[&Finding]) -> String {
    let worst = findings
        .first()
        .map_or(Status::Unknown, |finding| finding.status);
    let mut line = format!("MAIL {} - {} checks", word(worst), findings.len());
    for status in [Status::Critical, Status::Warning, Status::Unknown] {
        let of_status = findings.iter().filter(|finding| finding.status == status);
        let mut names: Vec<String> = of_status.map(|finding| inert(&finding.name)).collect();
        if names.is_empty() {
            continue;
        }
        let _ = write!(line, ", {} {}", names.len(), word(status).to_lowercase());
        names.dedup();
        let more = names.len().saturating_sub(MAX_NAMED);
        names.truncate(MAX_NAMED);
        let _ = write!(line, ": {}", names.join(", "));
        if more > 0 {
            let _ = write!(line, " and {more} more");
        }
    }
    line
}

/// On one line, and without the sign that begins the figures.
fn inert(text: &str) -> String {
    printable(text).replace('|', "/")
}

/// `'disk /'=81.5%;80;95`: label, value, unit, warning, critical.
struct Figure<'a>(&'a Finding);

impl fmt::Display for Figure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(measure) = &self.0.measure else {
            return Ok(());
        };
        write!(f, "{}=", label(self.0))?;
        if measure.value.is_finite() {
            write!(f, "{}{}", measure.value, unit(measure.unit))?;
        } else {
            f.write_str("U")?;
        }
        let limits = [measure.warning, measure.critical].map(|limit| range(measure, limit));
        match limits {
            [warning, critical] if warning.is_empty() && critical.is_empty() => Ok(()),
            [warning, critical] => write!(f, ";{warning};{critical}"),
        }
    }
}

/// The name of the check, and of what; `machine` says nothing. A quote is doubled, and the sign
/// that ends the label may not stand in it.
fn label(finding: &Finding) -> String {
    let label = if finding.target == "machine" {
        inert(&finding.name)
    } else {
        inert(&format!("{} {}", finding.name, finding.target))
    };
    let label = label.replace('=', "-").replace('\'', "''");
    if label.contains([' ', '\'']) {
        format!("'{label}'")
    } else {
        label
    }
}

/// The units that the format knows; others are left out, as it wants.
fn unit(unit: &str) -> &'static str {
    match unit {
        "percent" => "%",
        "seconds" => "s",
        "bytes" => "B",
        _ => "",
    }
}

/// `80`: up to 80 is well; `7:`: from 7 on.
fn range(measure: &Measure, limit: Option<f64>) -> String {
    match (limit, measure.bad) {
        (None, _) => String::new(),
        (Some(limit), Bad::Large) => limit.to_string(),
        (Some(limit), Bad::Small) => format!("{limit}:"),
    }
}

#[cfg(test)]
#[path = "nagios_tests.rs"]
mod tests;
