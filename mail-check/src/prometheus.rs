//! `--prometheus FILE`: what this run found, in the text format of the textfile collector.
//!
//! The format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. The file holds the
//! findings of one run, so that two lines of a crontab that check different things write two files;
//! what is said of the run itself is told apart by the checks that were asked for.

use std::fmt::{self, Write};
use std::path::Path;

use mail_common::atomic;
use mail_common::failure::Failed;
use mail_common::text::printable;

use crate::finding::{Finding, worst_by_target};
use crate::status::Status;

/// The collector runs as another user.
const MODE: u32 = 0o644;

/// What the metrics say of the run itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// What was asked for, in the words of the command line: it tells the files of a host apart,
    /// which are read as one.
    pub(crate) checks: &'a str,
    /// When it began, in seconds since 1970.
    pub(crate) began_seconds: i64,
    pub(crate) elapsed_seconds: f64,
    pub(crate) worst: Status,
}

/// Replaces `path` in one step.
pub(crate) fn write(path: &Path, findings: &[Finding], run: Run<'_>) -> Result<(), Failed> {
    let text = render(findings, run);
    let written = atomic::write_file_for(path, text.as_bytes(), MODE);
    written
        .map(drop)
        .map_err(Failed::at("write metrics to", path))
}

fn render(findings: &[Finding], run: Run<'_>) -> String {
    let mut text = String::new();
    of_findings(&mut text, &worst_by_target(findings));
    of_run(&mut text, run);
    text
}

fn of_findings(text: &mut String, findings: &[&Finding]) {
    let mut add = |name, help, samples: Vec<_>| family(text, name, help, samples);
    let status = |finding: &&Finding| (labels(finding), code(finding.status));
    add(
        "mail_check_status",
        "Result of a check: 0 ok, 1 warning, 2 critical, 3 unknown.",
        findings.iter().map(status).collect(),
    );
    add(
        "mail_check_value",
        "What a check measured.",
        measured(findings, |measure| Some(measure.value)),
    );
    add(
        "mail_check_warning_limit",
        "From which value on it is a warning.",
        measured(findings, |measure| measure.warning),
    );
    add(
        "mail_check_critical_limit",
        "From which value on it is critical.",
        measured(findings, |measure| measure.critical),
    );
}

fn of_run(text: &mut String, run: Run<'_>) {
    let labels = format!("{{checks=\"{}\"}}", escape(run.checks));
    let mut add = |name, help, value| family(text, name, help, vec![(labels.clone(), value)]);
    add(
        "mail_check_worst",
        "The worst result of the run, as mail_check_status.",
        code(run.worst),
    );
    add(
        "mail_check_last_run_timestamp_seconds",
        "When the run began, in seconds since 1970.",
        run.began_seconds as f64,
    );
    add(
        "mail_check_duration_seconds",
        "How long the checks took.",
        run.elapsed_seconds,
    );
}

/// A metric with its samples; nothing at all when there is none.
fn family(text: &mut String, name: &str, help: &str, samples: Vec<(String, f64)>) {
    if samples.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {}", Number(value));
    }
}

fn measured(
    findings: &[&Finding],
    pick: impl Fn(&crate::finding::Measure) -> Option<f64>,
) -> Vec<(String, f64)> {
    let samples = findings.iter().filter_map(|finding| {
        let measure = finding.measure.as_ref()?;
        let unit = escape(measure.unit);
        Some((
            format!("{{{},unit=\"{unit}\"}}", pairs(finding)),
            pick(measure)?,
        ))
    });
    samples.collect()
}

fn labels(finding: &Finding) -> String {
    format!("{{{}}}", pairs(finding))
}

fn pairs(finding: &Finding) -> String {
    format!(
        "check=\"{}\",target=\"{}\"",
        escape(&finding.name),
        escape(&finding.target)
    )
}

/// The value of a label, as the format wants it: backslash, quote and newline are escaped. What
/// would act on a terminal is shown instead.
fn escape(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(escape_line).collect();
    lines.join("\\n")
}

fn escape_line(line: &str) -> String {
    printable(line).replace('\\', "\\\\").replace('"', "\\\"")
}

fn code(status: Status) -> f64 {
    match status {
        Status::Ok => 0.0,
        Status::Warning => 1.0,
        Status::Critical => 2.0,
        Status::Unknown => 3.0,
    }
}

/// A number as the format wants it.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            value if value.is_infinite() => f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Ceiling;

    const RUN: Run<'static> = Run {
        checks: "resources containers",
        began_seconds: 1_795_000_000,
        elapsed_seconds: 1.25,
        worst: Status::Critical,
    };

    #[test]
    fn what_would_act_is_shown_in_a_label() {
        assert_eq!(
            escape("a\u{1b}[2J\r\u{202e}\nb"),
            r"a\\u{1b}[2J\\r\\u{202e}\nb"
        );
    }

    #[test]
    fn findings_become_samples_in_order() {
        let findings = [
            Finding::ok("disk", "/", "fine").under(81.5, "percent", Ceiling::new(80.0, 95.0)),
            Finding::critical("container", "a\"b\\c\nd", "down"),
            Finding::ok(
                "container",
                "a\"b\\c\nd",
                "the same twice: one sample, and the worse",
            ),
        ];
        let expected = r#"# HELP mail_check_status Result of a check: 0 ok, 1 warning, 2 critical, 3 unknown.
# TYPE mail_check_status gauge
mail_check_status{check="container",target="a\"b\\c\nd"} 2
mail_check_status{check="disk",target="/"} 1
# HELP mail_check_value What a check measured.
# TYPE mail_check_value gauge
mail_check_value{check="disk",target="/",unit="percent"} 81.5
# HELP mail_check_warning_limit From which value on it is a warning.
# TYPE mail_check_warning_limit gauge
mail_check_warning_limit{check="disk",target="/",unit="percent"} 80
# HELP mail_check_critical_limit From which value on it is critical.
# TYPE mail_check_critical_limit gauge
mail_check_critical_limit{check="disk",target="/",unit="percent"} 95
# HELP mail_check_worst The worst result of the run, as mail_check_status.
# TYPE mail_check_worst gauge
mail_check_worst{checks="resources containers"} 2
# HELP mail_check_last_run_timestamp_seconds When the run began, in seconds since 1970.
# TYPE mail_check_last_run_timestamp_seconds gauge
mail_check_last_run_timestamp_seconds{checks="resources containers"} 1795000000
# HELP mail_check_duration_seconds How long the checks took.
# TYPE mail_check_duration_seconds gauge
mail_check_duration_seconds{checks="resources containers"} 1.25
"#;
        assert_eq!(render(&findings, RUN), expected);
    }

    #[test]
    fn numbers_that_are_none_have_their_own_words() {
        let words = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e21]
            .map(|value| Number(value).to_string());
        assert_eq!(words, ["NaN", "+Inf", "-Inf", "1000000000000000000000"]);
    }
}
