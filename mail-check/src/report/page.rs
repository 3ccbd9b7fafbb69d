//! The page: checks with the worst first, backups, scan and copy.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

use mail_common::record::{EndStatus, TransferAction, VerdictStatus};
use mail_common::set::{SetKind, SetState};
use mail_common::tool::{human_duration, human_size};

use super::changes;
use super::history::{Backup, DAYS, Day, History};
use super::markup::{Text, table_head};
use super::plot::{Bar, Plot};
use super::streams::{Copies, MAX_SHOWN, Push, RunOf, Scan, Stream};
use crate::finding::{Finding, Measure};
use crate::language::{Language, Words, fill};
use crate::notify::Occasion;
use crate::status::Status;

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded and nothing is run, whatever a name should contain.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// All that is on it.
pub(super) struct Page<'a> {
    pub(super) occasion: Occasion<'a>,
    pub(super) history: History,
    pub(super) scan: Stream<RunOf<Scan>>,
    pub(super) copy: Stream<Copies>,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let (host, language) = (self.occasion.host, self.occasion.language);
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"robots\" content=\"noindex\">\n\
             <title>{} {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
            language.code(),
            language.status(self.occasion.worst),
            Text(host)
        );
        self.head(&mut page);
        self.checks(&mut page);
        self.backups(&mut page);
        let scan = self.scan.newest.as_ref();
        changes::section(&mut page, language, &self.history.days, scan);
        page.push_str("<div class=\"two\" style=\"margin-top:16px\">\n");
        self.scan(&mut page);
        self.copy(&mut page);
        page.push_str("</div>\n");
        let _ = write!(
            page,
            "<footer>{}</footer>\n</body>\n</html>\n",
            fill(language.words().footer, &[&env!("CARGO_PKG_VERSION")])
        );
        page
    }

    fn head(&self, page: &mut String) {
        let Occasion {
            host,
            now,
            findings,
            worst,
            language,
            ..
        } = self.occasion;
        let _ = write!(
            page,
            "<header><span class=\"badge big {}\">{}</span><h1>{}</h1>\
             <p><time datetime=\"{}\">{}</time></p></header>\n\
             <ul class=\"counts\">",
            class(worst),
            language.status(worst),
            fill(language.words().server, &[&Text(host)]),
            now.strftime("%Y-%m-%dT%H:%M:%S%:z"),
            language.moment(now)
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
                language.status(status).to_lowercase()
            );
        }
        page.push_str("</ul>\n");
    }

    fn checks(&self, page: &mut String) {
        let language = self.occasion.language;
        let words = language.words();
        let heads = [
            words.check,
            words.status,
            words.target,
            words.measured,
            words.what_to_know,
        ];
        let _ = writeln!(
            page,
            "<section id=\"checks\"><h2>{}</h2>\n<table>{}",
            words.checks,
            table_head(&heads)
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
                let measure = finding.measure.as_ref();
                let _ = write!(
                    page,
                    "{head}<td>{}</td><td class=\"target\">{}</td>\
                     <td class=\"number\" data-label=\"{}\">{}</td>\
                     <td class=\"words\">{}</td></tr>",
                    badge(class(finding.status), language.status(finding.status)),
                    Text(&finding.target),
                    words.measured,
                    measure
                        .map(|measure| measured(measure, words))
                        .unwrap_or_default(),
                    Text(&finding.message)
                );
            }
            page.push_str("</tbody>\n");
        }
        page.push_str("</table></section>\n");
    }

    fn backups(&self, page: &mut String) {
        let (language, days) = (self.occasion.language, &self.history.days);
        let words = language.words();
        let _ = writeln!(
            page,
            "<section id=\"backups\"><h2>{}</h2>",
            fill(words.backups, &[&DAYS])
        );
        note(page, self.history.problem.as_deref());
        page.push_str("<div class=\"two\">");
        let sizes: Vec<Bar> = days.iter().map(|day| size_bar(day, words)).collect();
        let sizes = Plot {
            title: words.sizes,
            bars: &sizes,
            legend: &[words.kept, words.new],
            mark: words.missing_or_failed,
        };
        page.push_str(&sizes.draw(words, |bytes| human_size(bytes as u64)));
        let times: Vec<Bar> = days.iter().map(|day| time_bar(day, words)).collect();
        let times = Plot {
            title: words.durations,
            bars: &times,
            legend: &[words.daily],
            mark: words.missing_or_failed,
        };
        let times = times.draw(words, duration);
        page.push_str(&times.replacen("<figure>", "<figure class=\"times\">", 1));
        let heads = [
            words.day,
            words.set,
            words.status,
            words.size,
            words.head_new,
            words.durations,
            words.what_to_know,
        ];
        let _ = writeln!(
            page,
            "</div>\n<details><summary>{}</summary><table>{}<tbody>",
            words.as_table,
            table_head(&heads)
        );
        for day in days.iter().rev() {
            day_rows(page, day, language);
        }
        page.push_str("</tbody></table></details></section>\n");
    }

    fn scan(&self, page: &mut String) {
        let words = self.occasion.language.words();
        let _ = writeln!(page, "<section id=\"scan\"><h2>{}</h2>", words.scan);
        note(page, self.scan.problem.as_deref());
        if let Some(run) = &self.scan.newest {
            let scan = &run.facts;
            page.push_str("<dl>");
            let set = scan.set.as_deref().unwrap_or(words.no_set_but_paths);
            let counts: [&dyn Display; 3] = [&scan.clean, &scan.infected, &scan.unscanned];
            row(page, words.result, &scan_result(run, words));
            row(page, words.began, &Text(&run.began).to_string());
            row(page, words.set, &Text(set).to_string());
            row(page, words.files, &fill(words.verdict_counts, &counts));
            row(page, words.durations, &duration(run.seconds));
            page.push_str("</dl>\n");
            verdicts(page, scan, words);
        }
        page.push_str("</section>\n");
    }

    fn copy(&self, page: &mut String) {
        let words = self.occasion.language.words();
        let _ = writeln!(page, "<section id=\"offsite\"><h2>{}</h2>", words.copy);
        note(page, self.copy.problem.as_deref());
        if let Some(copies) = &self.copy.newest {
            page.push_str("<dl>");
            copy_rows(page, copies, words);
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
fn measured(measure: &Measure, words: &Words) -> String {
    let number = |value: f64| match measure.unit {
        "bytes" => human_size(value.max(0.0) as u64),
        "seconds" => duration(value),
        "percent" => format!("{} %", tenths(value)),
        "load_per_core" => fill(words.per_processor, &[&tenths(value)]),
        unit => format!("{} {}", tenths(value), Text(unit)),
    };
    let limits = [
        (words.warning_from, measure.warning),
        (words.critical_from, measure.critical),
    ];
    let limits = limits.into_iter();
    let limits = limits.filter_map(|(text, limit)| Some(fill(text, &[&number(limit?)])));
    let limits: Vec<String> = limits.collect();
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

fn size_bar(day: &Day, words: &Words) -> Bar {
    let run = daily(day).and_then(|set| set.run.as_ref());
    let parts = run.map(|run| {
        vec![
            (run.total_bytes - run.new_bytes) as f64,
            run.new_bytes as f64,
        ]
    });
    let said = run.map(|run| {
        let (total, new) = (human_size(run.total_bytes), human_size(run.new_bytes));
        fill(words.of_which_new, &[&total, &new])
    });
    bar(day, parts, said, words)
}

fn time_bar(day: &Day, words: &Words) -> Bar {
    let run = daily(day).and_then(|set| set.run.as_ref());
    bar(
        day,
        run.map(|run| vec![run.seconds]),
        run.map(|run| duration(run.seconds)),
        words,
    )
}

fn bar(day: &Day, parts: Option<Vec<f64>>, said: Option<String>, words: &Words) -> Bar {
    let is_whole = daily(day).is_some_and(Backup::is_whole);
    let said = match (daily(day), said) {
        (None, _) => words.no_set.to_owned(),
        (Some(_), None) => words.no_manifest.to_owned(),
        (Some(_), Some(said)) if is_whole => said,
        (Some(_), Some(said)) => fill(words.not_whole_but, &[&said]),
    };
    Bar {
        label: day.date.strftime("%m-%d").to_string(),
        parts: parts.unwrap_or_default(),
        is_bad: !is_whole,
        words: format!("{}: {said}", day.date),
    }
}

fn day_rows(page: &mut String, day: &Day, language: Language) {
    let (words, date) = (language.words(), language.day(day.date));
    if day.sets.is_empty() {
        let missing = badge("critical", words.missing);
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{date}</th><td></td><td>{missing}</td><td></td><td></td>\
             <td></td><td></td></tr>"
        );
    }
    for set in &day.sets {
        let status = match set.state {
            _ if !set.is_whole() => badge("critical", words.not_whole),
            SetState::Legacy => badge("ok", words.old_script),
            _ => badge("ok", words.whole),
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
             <td data-label=\"{}\">{}</td><td data-label=\"{}\">{}</td>\
             <td data-label=\"{}\">{}</td><td class=\"words\">{}</td></tr>",
            Text(&set.name),
            words.size,
            shown(|run| human_size(run.total_bytes)),
            words.head_new,
            shown(|run| human_size(run.new_bytes)),
            words.durations,
            shown(|run| duration(run.seconds)),
            Text(&what)
        );
    }
}

fn scan_result(run: &RunOf<Scan>, words: &Words) -> String {
    match (run.status, run.facts.infected, run.facts.unscanned) {
        (None, ..) => badge("unknown", words.not_ended),
        (_, 1.., _) => badge("critical", words.infected),
        (Some(EndStatus::Ok), 0, 0) => badge("ok", words.clean),
        _ => badge("warning", words.not_all_scanned),
    }
}

fn verdicts(page: &mut String, scan: &Scan, words: &Words) {
    if scan.shown.is_empty() {
        return;
    }
    let head = table_head(&[words.verdict, words.file, words.why]);
    let _ = writeln!(page, "<table>{head}<tbody>");
    for verdict in &scan.shown {
        let (class, word) = match verdict.status {
            VerdictStatus::Infected => ("critical", words.infected),
            _ => ("warning", words.unscanned),
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
            "<tr><td>{}</td><td data-label=\"{}\">{}</td><td data-label=\"{}\">{}</td></tr>",
            badge(class, word),
            words.file,
            Text(&file),
            words.why,
            Text(&why.join("; "))
        );
    }
    page.push_str("</tbody></table>\n");
    let more = (scan.infected + scan.unscanned).saturating_sub(MAX_SHOWN as u64);
    if more > 0 {
        let _ = writeln!(page, "<p>{}</p>", fill(words.and_others, &[&more]));
    }
}

fn copy_rows(page: &mut String, copies: &Copies, words: &Words) {
    if let Some(run) = &copies.push {
        push_rows(page, run, words);
    }
    if let Some(run) = &copies.sets {
        let whole = run.facts.iter().filter(|set| set.complete).count();
        let began = Text(&run.began);
        let text = fill(words.sets_whole, &[&whole, &run.facts.len(), &began]);
        row(
            page,
            words.stored,
            &format!("{} {text}", ending(run, words)),
        );
    }
    if let Some(run) = &copies.usage {
        for usage in &run.facts {
            let (price, size) = (usage.price(), human_size(usage.bytes));
            let text = fill(words.a_month, &[&price, &size, &Text(&usage.url)]);
            row(page, words.cost, &text);
        }
    }
}

fn push_rows(page: &mut String, run: &RunOf<Push>, words: &Words) {
    let push = &run.facts;
    let set = push.set.as_deref().unwrap_or(words.unknown_set);
    let locked_until = push.locked_until.as_deref().unwrap_or(words.not_locked);
    let actions = push.by_action.iter();
    let actions = actions.map(|(action, count)| fill(done(*action, words), &[count]));
    let actions: Vec<String> = actions.collect();
    let bytes = human_size(push.bytes);
    let files = format!("{} ({bytes}); {}", push.files, actions.join(", "));
    row(page, words.push, &ending(run, words));
    row(page, words.began, &Text(&run.began).to_string());
    row(page, words.set, &Text(set).to_string());
    row(page, words.files, &files);
    row(page, words.durations, &duration(run.seconds));
    row(page, words.locked_until, &Text(locked_until).to_string());
    if push.errors > 0 {
        row(page, words.errors, &push.errors.to_string());
    }
}

fn done(action: TransferAction, words: &Words) -> &'static str {
    match action {
        TransferAction::Uploaded => words.uploaded,
        TransferAction::Copied => words.copied,
        TransferAction::Skipped => words.skipped,
        TransferAction::Downloaded => words.downloaded,
    }
}

fn ending<T>(run: &RunOf<T>, words: &Words) -> String {
    match run.status {
        None => badge("unknown", words.not_ended),
        Some(EndStatus::Ok) => badge("ok", words.ended_well),
        Some(EndStatus::Bad) => badge("critical", words.bad),
        Some(EndStatus::Incomplete) => badge("critical", words.incomplete),
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
