//! The page: checks with the worst first, backups, scan and copy.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use mail_common::record::{EndStatus, VerdictStatus};
use mail_common::set::{SetKind, SetState};
use mail_common::tool::{human_duration, human_size};

use super::changes;
use super::history::{Backup, DAYS, Day, History};
use super::markup::Text;
use super::plot::{Bar, plot};
use super::streams::{Copies, MAX_SHOWN, Push, RunOf, Scan, Stream};
use crate::finding::{Finding, Measure};
use crate::notify::Occasion;
use crate::status::{Status, word};

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded and nothing is run, whatever a name should contain.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// What a cross in the plots of sets says.
const MISSING: &str = "missing or failed";

/// All that is on it.
pub(super) struct Page<'a> {
    pub(super) occasion: Occasion<'a>,
    pub(super) history: History,
    pub(super) scan: Stream<RunOf<Scan>>,
    pub(super) copy: Stream<Copies>,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let (host, worst) = (self.occasion.host, self.occasion.worst);
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"robots\" content=\"noindex\">\n\
             <title>{} {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
            word(worst),
            Text(host)
        );
        self.head(&mut page);
        self.checks(&mut page);
        self.backups(&mut page);
        changes::section(&mut page, &self.history.days, self.scan.newest.as_ref());
        page.push_str("<div class=\"two\" style=\"margin-top:16px\">\n");
        self.scan(&mut page);
        self.copy(&mut page);
        page.push_str("</div>\n");
        let _ = write!(
            page,
            "<footer>Written by mail-check {}. Status: ok, as it should be; \
             warning, somebody should look; critical, somebody must act; \
             unknown, it could not be checked. An age is as of the time above.</footer>\n\
             </body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        );
        page
    }

    fn head(&self, page: &mut String) {
        let Occasion {
            host,
            now,
            findings,
            worst,
            ..
        } = self.occasion;
        let _ = write!(
            page,
            "<header><span class=\"badge big {}\">{}</span><h1>Mail server {}</h1>\
             <p><time datetime=\"{}\">{}</time></p></header>\n\
             <ul class=\"counts\">",
            class(worst),
            word(worst),
            Text(host),
            now.strftime("%Y-%m-%dT%H:%M:%S%:z"),
            now.strftime("%A, %-d %B %Y, %H:%M %:z")
        );
        for status in [
            Status::Critical,
            Status::Warning,
            Status::Unknown,
            Status::Ok,
        ] {
            let count = findings
                .iter()
                .filter(|finding| finding.status == status)
                .count();
            let shown = if count == 0 { "" } else { class(status) };
            let _ = write!(
                page,
                "<li><b class=\"{shown}\">{count}</b>{}</li>",
                class(status)
            );
        }
        page.push_str("</ul>\n");
    }

    fn checks(&self, page: &mut String) {
        page.push_str(
            "<section id=\"checks\"><h2>Checks</h2>\n<table><thead><tr>\
             <th scope=\"col\">Check</th><th scope=\"col\">Status</th>\
             <th scope=\"col\">Of what</th><th scope=\"col\">Measured</th>\
             <th scope=\"col\">What to know</th></tr></thead>\n",
        );
        for (name, findings) in grouped(self.occasion.findings) {
            page.push_str("<tbody>");
            for (number, finding) in findings.iter().enumerate() {
                // Where cells stand below one another, a name does not span the rows after it.
                let head = match number {
                    0 => format!(
                        "<tr><th scope=\"rowgroup\" rowspan=\"{}\">{}</th>",
                        findings.len(),
                        Text(name)
                    ),
                    _ => format!("<tr data-check=\"{}\">", Text(name)),
                };
                let _ = write!(
                    page,
                    "{head}<td>{}</td><td class=\"target\">{}</td>\
                     <td class=\"number\" data-label=\"Measured\">{}</td>\
                     <td class=\"words\">{}</td></tr>",
                    badge(class(finding.status), word(finding.status)),
                    Text(&finding.target),
                    finding.measure.as_ref().map(measured).unwrap_or_default(),
                    Text(&finding.message)
                );
            }
            page.push_str("</tbody>\n");
        }
        page.push_str("</table></section>\n");
    }

    fn backups(&self, page: &mut String) {
        let days = &self.history.days;
        let _ = writeln!(
            page,
            "<section id=\"backups\"><h2>Backups of {DAYS} days</h2>"
        );
        note(page, self.history.problem.as_deref());
        page.push_str("<div class=\"two\">");
        let sizes = days.iter().map(size_bar).collect::<Vec<_>>();
        page.push_str(&plot(
            "Size of daily sets",
            &sizes,
            &["kept from before", "new"],
            MISSING,
            |bytes| human_size(bytes as u64),
        ));
        let times = days.iter().map(time_bar).collect::<Vec<_>>();
        let times = plot("Duration", &times, &["daily"], MISSING, duration);
        page.push_str(&times.replacen("<figure>", "<figure class=\"times\">", 1));
        page.push_str(
            "</div>\n<details><summary>The same as a table</summary><table><thead><tr>\
             <th scope=\"col\">Day</th>\
             <th scope=\"col\">Set</th><th scope=\"col\">Status</th><th scope=\"col\">Size</th>\
             <th scope=\"col\">New</th>\
             <th scope=\"col\">Duration</th><th scope=\"col\">What to know</th></tr></thead>\
             <tbody>\n",
        );
        for day in days.iter().rev() {
            day_rows(page, day);
        }
        page.push_str("</tbody></table></details></section>\n");
    }

    fn scan(&self, page: &mut String) {
        page.push_str("<section id=\"scan\"><h2>Newest scan</h2>\n");
        note(page, self.scan.problem.as_deref());
        if let Some(run) = &self.scan.newest {
            let scan = &run.facts;
            page.push_str("<dl>");
            row(page, "Result", &scan_result(run));
            row(page, "Began", &Text(&run.began).to_string());
            row(
                page,
                "Set",
                &Text(scan.set.as_deref().unwrap_or("no set: paths")).to_string(),
            );
            row(
                page,
                "Files",
                &format!(
                    "{} clean, {} infected, {} not scanned",
                    scan.clean, scan.infected, scan.unscanned
                ),
            );
            row(page, "Duration", &duration(run.seconds));
            page.push_str("</dl>\n");
            verdicts(page, scan);
        }
        page.push_str("</section>\n");
    }

    fn copy(&self, page: &mut String) {
        page.push_str("<section id=\"offsite\"><h2>Newest copy elsewhere</h2>\n");
        note(page, self.copy.problem.as_deref());
        if let Some(copies) = &self.copy.newest {
            page.push_str("<dl>");
            copy_rows(page, copies);
            page.push_str("</dl>\n");
        }
        page.push_str("</section>\n");
    }
}

/// By check, the one with the worst finding first, and in each the worst first.
fn grouped(findings: &[Finding]) -> Vec<(&str, Vec<&Finding>)> {
    let mut by_name: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        by_name.entry(&finding.name).or_default().push(finding);
    }
    let mut groups: Vec<_> = by_name.into_iter().collect();
    for (_, findings) in &mut groups {
        findings.sort_by(|a, b| {
            b.status
                .cmp(&a.status)
                .then_with(|| a.target.cmp(&b.target))
        });
    }
    groups.sort_by_key(|(_, findings)| Reverse(findings.first().map(|finding| finding.status)));
    groups
}

/// `91 %<small>warning 80 %, critical 95 %</small>`.
fn measured(measure: &Measure) -> String {
    let number = |value: f64| match measure.unit {
        "bytes" => human_size(value.max(0.0) as u64),
        "seconds" => duration(value),
        "percent" => format!("{} %", tenths(value)),
        "load_per_core" => format!("{} a processor", tenths(value)),
        unit => format!("{} {}", tenths(value), Text(unit)),
    };
    let limits: Vec<String> = [("warning", measure.warning), ("critical", measure.critical)]
        .into_iter()
        .filter_map(|(word, limit)| Some(format!("{word} {}", number(limit?))))
        .collect();
    let limits = if limits.is_empty() {
        String::new()
    } else {
        format!("<small>{}</small>", limits.join(", "))
    };
    format!("{}{limits}", number(measure.value))
}

/// As exact as people read it.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn daily(day: &Day) -> Option<&Backup> {
    let of_day = || day.sets.iter().filter(|set| set.kind == SetKind::Daily);
    of_day()
        .find(|set| set.is_whole())
        .or_else(|| of_day().next())
}

fn size_bar(day: &Day) -> Bar {
    let run = daily(day).and_then(|set| set.run.as_ref());
    let parts = run.map(|run| {
        vec![
            (run.total_bytes - run.new_bytes) as f64,
            run.new_bytes as f64,
        ]
    });
    let words = run.map(|run| {
        format!(
            "{}, of which {} new",
            human_size(run.total_bytes),
            human_size(run.new_bytes)
        )
    });
    bar(day, parts, words)
}

fn time_bar(day: &Day) -> Bar {
    let run = daily(day).and_then(|set| set.run.as_ref());
    bar(
        day,
        run.map(|run| vec![run.seconds]),
        run.map(|run| duration(run.seconds)),
    )
}

fn bar(day: &Day, parts: Option<Vec<f64>>, words: Option<String>) -> Bar {
    let is_whole = daily(day).is_some_and(Backup::is_whole);
    let words = match (daily(day), words) {
        (None, _) => "no set".to_owned(),
        (Some(_), None) => "its manifest tells nothing".to_owned(),
        (Some(_), Some(words)) if is_whole => words,
        (Some(_), Some(words)) => format!("not whole; {words}"),
    };
    Bar {
        label: day.date.strftime("%m-%d").to_string(),
        parts: parts.unwrap_or_default(),
        is_bad: !is_whole,
        words: format!("{}: {words}", day.date),
    }
}

fn day_rows(page: &mut String, day: &Day) {
    let date = day.date.strftime("%a %Y-%m-%d").to_string();
    if day.sets.is_empty() {
        let missing = badge("critical", "MISSING");
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{date}</th><td></td><td>{missing}</td><td></td><td></td>\
             <td></td><td></td></tr>"
        );
    }
    for set in &day.sets {
        let status = match set.state {
            _ if !set.is_whole() => badge("critical", "NOT WHOLE"),
            SetState::Legacy => badge("ok", "OLD SCRIPT"),
            _ => badge("ok", "WHOLE"),
        };
        let run = set.run.as_ref();
        let shown = |show: fn(&super::history::Run) -> String| run.map(show).unwrap_or_default();
        let what = set
            .problem
            .clone()
            .unwrap_or_else(|| shown(|run| run.components.join(", ")));
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{date}</th><td>{}</td><td>{status}</td>\
             <td data-label=\"Size\">{}</td>\
             <td data-label=\"New\">{}</td><td data-label=\"Duration\">{}</td>\
             <td class=\"words\">{}</td></tr>",
            Text(&set.name),
            shown(|run| human_size(run.total_bytes)),
            shown(|run| human_size(run.new_bytes)),
            shown(|run| duration(run.seconds)),
            Text(&what)
        );
    }
}

fn scan_result(run: &RunOf<Scan>) -> String {
    match (run.status, run.facts.infected, run.facts.unscanned) {
        (None, ..) => badge("unknown", "NOT ENDED"),
        (_, 1.., _) => badge("critical", "INFECTED"),
        (Some(EndStatus::Ok), 0, 0) => badge("ok", "CLEAN"),
        _ => badge("warning", "NOT ALL SCANNED"),
    }
}

fn verdicts(page: &mut String, scan: &Scan) {
    if scan.shown.is_empty() {
        return;
    }
    page.push_str(
        "<table><thead><tr><th scope=\"col\">Verdict</th><th scope=\"col\">File</th>\
                   <th scope=\"col\">Why</th></tr></thead><tbody>\n",
    );
    for verdict in &scan.shown {
        let (class, word) = match verdict.status {
            VerdictStatus::Infected => ("critical", "INFECTED"),
            _ => ("warning", "UNSCANNED"),
        };
        let mut file = verdict.path.path.clone();
        if let Some(member) = &verdict.member {
            let _ = write!(file, ": {member}");
        }
        let why = [&verdict.signature, &verdict.reason, &verdict.subject]
            .into_iter()
            .flatten();
        let why: Vec<&str> = why.map(String::as_str).collect();
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td data-label=\"File\">{}</td><td data-label=\"Why\">{}</td></tr>",
            badge(class, word),
            Text(&file),
            Text(&why.join("; "))
        );
    }
    page.push_str("</tbody></table>\n");
    let more = (scan.infected + scan.unscanned).saturating_sub(MAX_SHOWN as u64);
    if more > 0 {
        let _ = writeln!(page, "<p>And {more} more.</p>");
    }
}

fn copy_rows(page: &mut String, copies: &Copies) {
    if let Some(run) = &copies.push {
        push_rows(page, run);
    }
    if let Some(run) = &copies.sets {
        let whole = run.facts.iter().filter(|set| set.complete).count();
        let text = format!(
            "{} {whole} of {} sets whole, as of {}",
            ending(run),
            run.facts.len(),
            Text(&run.began)
        );
        row(page, "Stored", &text);
    }
    if let Some(run) = &copies.usage {
        for usage in &run.facts {
            let text = format!(
                "{} USD a month for {} in {}",
                usage.price(),
                human_size(usage.bytes),
                Text(&usage.url)
            );
            row(page, "Cost", &text);
        }
    }
}

fn push_rows(page: &mut String, run: &RunOf<Push>) {
    let push = &run.facts;
    let set = push.set.as_deref().unwrap_or("unknown");
    let locked_until = push.locked_until.as_deref().unwrap_or("not locked");
    let actions: Vec<String> = push
        .by_action
        .iter()
        .map(|(action, count)| format!("{count} {action}"))
        .collect();
    let bytes = human_size(push.bytes);
    let files = format!("{} ({bytes}); {}", push.files, actions.join(", "));
    row(page, "Push", &ending(run));
    row(page, "Began", &Text(&run.began).to_string());
    row(page, "Set", &Text(set).to_string());
    row(page, "Files", &files);
    row(page, "Duration", &duration(run.seconds));
    row(page, "Locked until", &Text(locked_until).to_string());
    if push.errors > 0 {
        row(page, "Errors", &push.errors.to_string());
    }
}

fn ending<T>(run: &RunOf<T>) -> String {
    match run.status {
        None => badge("unknown", "NOT ENDED"),
        Some(EndStatus::Ok) => badge("ok", "OK"),
        Some(EndStatus::Bad) => badge("critical", "BAD"),
        Some(EndStatus::Incomplete) => badge("critical", "INCOMPLETE"),
    }
}

/// `value` is markup.
fn row(page: &mut String, name: &str, value: &str) {
    let _ = write!(page, "<dt>{name}</dt><dd>{value}</dd>");
}

fn note(page: &mut String, problem: Option<&str>) {
    if let Some(problem) = problem {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", Text(problem));
    }
}

/// Words and colour: who sees no colours reads the same.
fn badge(class: &str, word: &str) -> String {
    format!("<span class=\"badge {class}\">{word}</span>")
}

fn class(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Critical => "critical",
        Status::Unknown => "unknown",
    }
}

fn duration(seconds: f64) -> String {
    human_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
