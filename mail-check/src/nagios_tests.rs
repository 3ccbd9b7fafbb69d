//! What `--format nagios` writes, read by a parser that keeps to the guidelines of the monitoring
//! plugins: <https://www.monitoring-plugins.org/doc/guidelines.html>, "Plugin Output for Nagios"
//! and "Threshold and Ranges".

use proptest::prelude::*;

use super::*;
use crate::limits::{Ceiling, Floor};

/// One entry of the performance data.
#[derive(Debug, PartialEq)]
struct Parsed {
    label: String,
    /// `None` is `U`: there is no value.
    value: Option<f64>,
    unit: String,
    warning: Option<Range>,
    critical: Option<Range>,
}

/// From where to where a value is well.
#[derive(Debug, PartialEq)]
struct Range {
    start: f64,
    end: f64,
}

impl Range {
    /// `10`, `10:`, `~:10`, `10:20`.
    fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let (start, end) = text.split_once(':').unwrap_or(("0", text));
        let start = match start {
            "~" => f64::NEG_INFINITY,
            start => number(start)?,
        };
        let end = match end {
            "" => f64::INFINITY,
            end => number(end)?,
        };
        if start > end {
            return Err(format!("a range that ends before it starts: {text}"));
        }
        Ok(Some(Self { start, end }))
    }

    fn holds(&self, value: f64) -> bool {
        (self.start..=self.end).contains(&value)
    }
}

/// Digits, a dot and a minus sign; no exponent.
fn number(text: &str) -> Result<f64, String> {
    let is_plain = text.bytes().all(|byte| b"0123456789.-".contains(&byte));
    let parsed = text.parse().ok().filter(|_| is_plain);
    parsed.ok_or_else(|| format!("not a number: {text:?}"))
}

/// Entries with a blank between.
fn figures(mut text: &str) -> Result<Vec<Parsed>, String> {
    let mut parsed = Vec::new();
    while !text.is_empty() {
        let (label, rest) = label_of(text)?;
        let (entry, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        parsed.push(entry_of(label, entry)?);
        text = rest;
    }
    Ok(parsed)
}

/// The label up to its equals sign, and the rest.
fn label_of(text: &str) -> Result<(String, &str), String> {
    let (label, rest) = match text.strip_prefix('\'') {
        None => text.split_once('=').ok_or("a label without `=`")?,
        Some(quoted) => {
            let end = end_of_quote(quoted).ok_or("a quote that does not end")?;
            let rest = quoted[end + 1..].strip_prefix('=');
            (&quoted[..end], rest.ok_or("no `=` behind a quote")?)
        }
    };
    let is_quoted = text.starts_with('\'');
    if label.is_empty() || label.contains('=') || (!is_quoted && label.contains([' ', '\''])) {
        return Err(format!("not a label: {label:?}"));
    }
    Ok((label.replace("''", "'"), rest))
}

/// Two quotes stand for one.
fn end_of_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let quote = from + text[from..].find('\'')?;
        if !text[quote + 1..].starts_with('\'') {
            return Some(quote);
        }
        from = quote + 2;
    }
}

/// `value[unit];[warning];[critical];[least];[most]`.
fn entry_of(label: String, entry: &str) -> Result<Parsed, String> {
    let mut fields = entry.split(';');
    let value = fields.next().unwrap_or_default();
    let digits = value.trim_end_matches(|c: char| !"0123456789.".contains(c));
    let (value, unit) = match value {
        "U" => (None, ""),
        value => (Some(number(digits)?), &value[digits.len()..]),
    };
    if !["", "s", "us", "ms", "%", "B", "KB", "MB", "GB", "TB", "c"].contains(&unit) {
        return Err(format!("no unit of the guidelines: {unit:?}"));
    }
    let mut range = || Range::parse(fields.next().unwrap_or_default());
    Ok(Parsed {
        label,
        value,
        unit: unit.to_owned(),
        warning: range()?,
        critical: range()?,
    })
}

/// The status line, the figures and the details.
#[derive(Debug)]
struct Output {
    status: String,
    figures: Vec<Parsed>,
    details: Vec<String>,
}

fn parse(text: &str) -> Result<Output, String> {
    let mut lines = text.lines();
    let first = lines.next().ok_or("nothing at all")?;
    let (shown, figures_text) = first.split_once(" | ").unwrap_or((first, ""));
    let status = shown
        .strip_prefix("MAIL ")
        .and_then(|rest| rest.split_once(" - "));
    let (status, _) = status.ok_or_else(|| format!("not a status line: {shown}"))?;
    if !["OK", "WARNING", "CRITICAL", "UNKNOWN"].contains(&status) {
        return Err(format!("not a status: {status}"));
    }
    let details: Vec<String> = lines.map(str::to_owned).collect();
    if shown.contains('|') || details.iter().any(|line| line.contains('|')) {
        return Err("a bar where none may be".to_owned());
    }
    Ok(Output {
        status: status.to_owned(),
        figures: figures(figures_text)?,
        details,
    })
}

#[test]
fn the_parser_keeps_to_the_guidelines() {
    let range = |start, end| Some(Range { start, end });
    let read = figures("'disk /'=99%;70;95 'it''s'=9;30:;~:7 users=U load=-0.5;1:2;;0;9").unwrap();
    let limits: Vec<_> = read.iter().map(|f| (&f.warning, &f.critical)).collect();
    assert_eq!(read[1].label, "it's");
    assert_eq!((read[0].unit.as_str(), read[2].value), ("%", None));
    assert_eq!(limits[0], (&range(0.0, 70.0), &range(0.0, 95.0)));
    assert_eq!(
        limits[1],
        (&range(30.0, f64::INFINITY), &range(f64::NEG_INFINITY, 7.0))
    );
    assert_eq!(limits[3], (&range(1.0, 2.0), &None));
    for wrong in [
        "a b=1", "a=1e9", "a=1q", "'a=1", "a=NaN", "a=1;2:1", "a", "a=", "it's=1",
    ] {
        assert!(figures(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "CRITICAL", "MAIL BAD - x", "MAIL OK - x\na | b=1"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

/// What a check may be called, and what it may say: anything.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[ -~]{1,12}", ".{1,8}", "['=|; \n]{1,4}"]
}

fn finding() -> impl Strategy<Value = Finding> {
    let units = prop::sample::select(vec!["percent", "seconds", "bytes", "days", "count"]);
    let value = prop_oneof![0.0..100.0, any::<f64>(), Just(f64::NAN), Just(-0.0001)];
    let limits = (0.0..50.0, 50.0..90.0, 0..4);
    (name(), name(), name(), value, units, limits).prop_map(
        |(name, target, message, value, unit, (low, high, kind))| {
            let finding = Finding::ok(name, target, message);
            match kind {
                0 => finding,
                1 => finding.measured(value, unit),
                2 => finding.under(value, unit, Ceiling::new(low, high)),
                _ => finding.above(value, unit, Floor::new(high, low)),
            }
        },
    )
}

proptest! {
    /// Every figure is there with its value, and judged by its ranges it is no worse than what is
    /// said.
    #[test]
    fn every_output_is_read_by_a_monitor(findings in prop::collection::vec(finding(), 1..8)) {
        let kept = worst_by_target(&findings);
        let output = parse(&render(&findings)).map_err(TestCaseError::fail)?;
        let worst = kept.iter().map(|finding| finding.status).max();
        prop_assert_eq!(&output.status, word(worst.unwrap()));
        prop_assert_eq!(output.details.len(), kept.len());

        let sorted = |mut values: Vec<String>| { values.sort(); values };
        let measured = kept.iter().filter_map(|finding| finding.measure.as_ref());
        let expected = measured.map(|m| Some(m.value).filter(|value| value.is_finite()));
        let found = output.figures.iter().map(|figure| figure.value);
        let shown = |value: Option<f64>| format!("{value:?}");
        prop_assert_eq!(sorted(found.map(shown).collect()), sorted(expected.map(shown).collect()));

        let exceeds = |range: &Option<Range>, value| range.as_ref().is_some_and(|r| !r.holds(value));
        for figure in &output.figures {
            let Some(value) = figure.value.filter(|value| *value >= 0.0) else { continue };
            if exceeds(&figure.critical, value) {
                prop_assert_eq!(&output.status, "CRITICAL");
            } else if exceeds(&figure.warning, value) {
                prop_assert_ne!(&output.status, "OK");
            }
        }
    }
}

#[test]
fn the_first_line_has_all_that_a_monitor_shows_and_the_worst_first() {
    let findings = [
        Finding::ok("cpu", "machine", "busy").under(12.5, "percent", Ceiling::new(80.0, 95.0)),
        Finding::critical("imaps", "127.0.0.1:993", "refused | see\nits log"),
        Finding::ok("disk", "/", "full").under(99.0, "percent", Ceiling::new(70.0, 95.0)),
        Finding::ok("certificate", "it's=x", "soon").above(9.0, "days", Floor::new(30.0, 7.0)),
        Finding::unknown("users", "db", "no answer").measured(f64::NAN, "seconds"),
    ];
    let expected = "\
MAIL CRITICAL - 5 checks, 2 critical: disk, imaps, 1 warning: certificate, 1 unknown: users \
| 'disk /'=99%;70;95 'certificate it''s-x'=9;30:;7: 'users db'=U cpu=12.5%;80;95
CRITICAL disk /: full
CRITICAL imaps 127.0.0.1:993: refused / see\\nits log
WARNING certificate it's=x: soon
UNKNOWN users db: no answer
OK cpu machine: busy
";
    assert_eq!(render(&findings), expected);
}

#[test]
fn nothing_checked_is_unknown_and_a_long_list_is_cut() {
    assert_eq!(render(&[]), "MAIL UNKNOWN - 0 checks\n");
    assert_eq!(unknown("read a|b"), "MAIL UNKNOWN - read a/b\n");
    let many: Vec<Finding> = (10..40)
        .map(|number| Finding::warning(format!("c{number}"), "t", "m"))
        .collect();
    let text = render(&many);
    let first = text.lines().next().unwrap();
    assert!(first.ends_with("c18, c19 and 20 more"), "{first}");
}
