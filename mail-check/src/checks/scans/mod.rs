//! `scans`: whether the newest scan is young, saw everything, and found nothing.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mail_common::trusted;
use mail_common::upstream::{SCANNER, ToolRun};
use serde::Deserialize;

use crate::context::Context;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::probe::Probe;
use crate::span::Span;
use crate::status::Status;
use crate::stream::{self, Facts, begun};

/// Its section of `--print-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// `[scans]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) records: Option<PathBuf>,
    max_age: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            records: None,
            max_age: Span::hours(26),
        }
    }
}

pub(crate) fn probes(settings: &Settings, context: &Context) -> Vec<Probe> {
    let Some(records) = settings.records.clone() else {
        return Vec::new();
    };
    let (max_age, now) = (settings.max_age, context.now.timestamp());
    let target = records.display().to_string();
    vec![Probe::new("scan", target, context.timeout, move || {
        check(&records, max_age, now)
    })]
}

fn check(records: &Path, max_age: Span, now: Timestamp) -> Vec<Finding> {
    let target = records.display().to_string();
    match read(records) {
        Ok(facts) => judge(&target, &facts, max_age, now),
        Err(error) => {
            let message = format!("the records cannot be read: {error}");
            vec![Finding::unknown("scan", target, message)]
        }
    }
}

fn read(records: &Path) -> io::Result<Facts> {
    Ok(Facts::read(BufReader::new(trusted::open(records)?)))
}

/// What was found, each by itself, and the scan as a whole.
fn judge(target: &str, facts: &Facts, max_age: Span, now: Timestamp) -> Vec<Finding> {
    let Some(run) = facts.last_run(SCANNER) else {
        let why = facts
            .broken
            .as_deref()
            .unwrap_or("they hold no run of mail-scan");
        return vec![Finding::unknown(
            "scan",
            target,
            format!("the records tell of no scan: {why}"),
        )];
    };
    let mut findings: Vec<Finding> = stream::judge(facts)
        .into_iter()
        .filter(|finding| ["infected", "unscanned"].contains(&&*finding.name))
        .collect();
    findings.insert(0, judge_run(target, run, facts, max_age, now));
    findings
}

fn judge_run(target: &str, run: &ToolRun, facts: &Facts, max_age: Span, now: Timestamp) -> Finding {
    let Some(begun) = begun(run) else {
        let time = &run.begin.time;
        let message = format!("the scan began at {time:?}, which is not a time");
        return Finding::unknown("scan", target, message);
    };
    let age = Span::seconds((now.as_second() - begun.as_second()).max(0).cast_unsigned());
    let (status, mut message) = outcome(run, facts, age);
    if age > max_age {
        message += "; nothing was scanned since, see the log of mail-scan";
    }
    // At its limit it is not late yet.
    let limits = Ceiling::critical((max_age.as_seconds() + 1.0) / 3600.0);
    Finding::new(status, "scan", target, message).under(age.as_seconds() / 3600.0, "hours", limits)
}

/// How the scan ended, and what it saw.
fn outcome(run: &ToolRun, facts: &Facts, age: Span) -> (Status, String) {
    let Facts {
        infected,
        unscanned,
        ..
    } = facts;
    match &run.end {
        None => {
            let words = format!("the scan that began {age} ago has not ended, or has died");
            (Status::Unknown, words)
        }
        Some(end) if end.exit == 0 => (Status::Ok, format!("all was scanned and clean, {age} ago")),
        Some(_) if *infected > 0 => {
            let words = format!("{infected} infected, {unscanned} not scanned, {age} ago");
            (Status::Critical, words)
        }
        Some(_) if *unscanned > 0 && facts.errors == 0 => (
            Status::Warning,
            format!("{unscanned} not scanned, {age} ago"),
        ),
        Some(end) => {
            let first = facts.errors_first.first();
            let why = first.map_or("see its records", String::as_str);
            let words = format!("the scan failed (exit {}), {age} ago: {why}", end.exit);
            (Status::Critical, words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = r#"{"type":"begin","data":{"v":1,"tool":"mail-scan","version":"1","host":"mx","time":"2026-11-23T05:00:00+00:00","args":[]}}"#;

    fn end(exit: u8) -> String {
        format!(
            r#"{{"type":"end","data":{{"tool":"mail-scan","status":"bad","exit":{exit},"seconds":1,"totals":{{}}}}}}"#
        )
    }

    fn verdict(status: &str) -> String {
        format!(r#"{{"type":"verdict","data":{{"path":"/m/1","status":"{status}","engine":"e"}}}}"#)
    }

    #[track_caller]
    fn check(lines: &[&str], hour: i8, status: Status, part: &str) {
        let text = lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        let now = jiff::civil::date(2026, 11, 24)
            .at(hour, 0, 0, 0)
            .in_tz("UTC")
            .unwrap()
            .timestamp();
        let findings = judge("/r", &Facts::read(text.as_bytes()), Span::hours(26), now);
        let found = &findings[0];
        assert!(
            found.status == status && found.message.contains(part),
            "{found:?}"
        );
    }

    #[test]
    fn a_scan_is_judged_by_its_age_and_by_what_it_saw() {
        let (clean, infected, unscanned) =
            (verdict("clean"), verdict("infected"), verdict("unscanned"));
        check(&[BEGIN, &clean, &end(0)], 4, Status::Ok, "23 h ago");
        check(
            &[BEGIN, &clean, &end(0)],
            8,
            Status::Critical,
            "nothing was scanned since",
        );
        check(
            &[BEGIN, &infected, &end(1)],
            4,
            Status::Critical,
            "1 infected",
        );
        check(
            &[BEGIN, &unscanned, &end(1)],
            4,
            Status::Warning,
            "1 not scanned",
        );
        check(
            &[BEGIN, &end(3)],
            4,
            Status::Critical,
            "the scan failed (exit 3)",
        );
        check(&[BEGIN, &clean], 4, Status::Unknown, "has died");
        check(&[], 4, Status::Unknown, "tell of no scan");
    }
}
