//! What became of the mail in thirty days, and what was found in it: a plot and its table.

use std::fmt::Write;

use mail_common::record::{Alarm, AlarmLevel};

use super::history::{DAYS, Day, MailChanges};
use super::markup::{Text, table_head};
use super::plot::{Bar, Plot};
use super::streams::{RunOf, Scan};
use crate::language::{Language, Words, fill};

/// The section; nothing where no set tells of changes.
pub(super) fn section(
    page: &mut String,
    language: Language,
    days: &[Day],
    scan: Option<&RunOf<Scan>>,
) {
    if days.iter().all(|day| day.changes.is_none()) {
        return;
    }
    let words = language.words();
    let _ = writeln!(
        page,
        "<section id=\"changes\"><h2>{}</h2>",
        fill(words.changes, &[&DAYS])
    );
    plots(page, days, words);
    let heads = [
        words.day,
        words.head_new,
        words.head_gone,
        words.head_replaced,
        words.head_headless,
        words.head_infected,
        words.what_to_know,
    ];
    let _ = writeln!(
        page,
        "<details><summary>{}</summary><table>{}<tbody>",
        words.as_table,
        table_head(&heads)
    );
    for day in days.iter().rev() {
        if let Some(changes) = &day.changes {
            row(page, language, day, changes, scan);
        }
    }
    page.push_str("</tbody></table></details></section>\n");
}

fn plots(page: &mut String, days: &[Day], words: &Words) {
    let bars = |parts, said| -> Vec<Bar> {
        let bars = days.iter().map(|day| bar(day, parts, said, words));
        bars.collect()
    };
    let gone = Plot {
        title: words.messages_gone,
        bars: &bars(gone_parts, gone_words),
        legend: &[words.gone, words.spoiled],
        mark: words.alarm,
    };
    let new = Plot {
        title: words.messages_new,
        bars: &bars(new_parts, new_words),
        legend: &[words.new],
        mark: words.alarm,
    };
    page.push_str("<div class=\"two\">");
    page.push_str(&gone.draw(words, |count| count.to_string()));
    let new = new.draw(words, |count| count.to_string());
    page.push_str(&new.replacen("<figure>", "<figure class=\"times\">", 1));
    page.push_str("</div>\n");
}

fn bar(
    day: &Day,
    parts: fn(&MailChanges) -> Vec<f64>,
    said: fn(&MailChanges, &Words) -> String,
    words: &Words,
) -> Bar {
    let changes = day.changes.as_ref();
    let alarms = changes.map_or(&[][..], |changes| &changes.alarms);
    let told: Vec<&str> = alarms.iter().map(|alarm| &*alarm.message).collect();
    let compared = changes.map(|changes| said(changes, words));
    let mut text = compared.unwrap_or_else(|| words.not_compared.to_owned());
    if !told.is_empty() {
        let _ = write!(text, "; {}", told.join("; "));
    }
    Bar {
        label: day.date.strftime("%m-%d").to_string(),
        parts: changes.map(parts).unwrap_or_default(),
        is_bad: alarms.iter().any(is_alarm),
        words: format!("{}: {text}", day.date),
    }
}

fn is_alarm(alarm: &Alarm) -> bool {
    alarm.level == AlarmLevel::Alarm
}

fn gone_parts(changes: &MailChanges) -> Vec<f64> {
    vec![
        changes.messages.vanished as f64,
        changes.messages.spoiled as f64,
    ]
}

fn gone_words(changes: &MailChanges, words: &Words) -> String {
    let messages = &changes.messages;
    fill(
        words.gone_and_spoiled,
        &[&messages.vanished, &messages.spoiled],
    )
}

fn new_parts(changes: &MailChanges) -> Vec<f64> {
    vec![changes.messages.new as f64]
}

fn new_words(changes: &MailChanges, words: &Words) -> String {
    fill(words.count_new, &[&changes.messages.new])
}

fn row(
    page: &mut String,
    language: Language,
    day: &Day,
    changes: &MailChanges,
    scan: Option<&RunOf<Scan>>,
) {
    let (words, messages) = (language.words(), &changes.messages);
    let told = changes.alarms.iter().map(|alarm| in_words(alarm, words));
    let told: Vec<String> = told.collect();
    let cells = [
        (words.head_new, messages.new.to_string()),
        (words.head_gone, messages.vanished.to_string()),
        (words.head_replaced, messages.replaced.to_string()),
        (words.head_headless, messages.headless.to_string()),
        (words.head_infected, infected(day, scan)),
    ];
    let cells = cells.iter();
    let cells = cells.map(|(name, text)| format!("<td data-label=\"{name}\">{text}</td>"));
    let _ = writeln!(
        page,
        "<tr><th scope=\"row\">{}</th>{}<td class=\"words\">{}</td></tr>",
        language.day(day.date),
        cells.collect::<String>(),
        Text(&told.join("; "))
    );
}

fn in_words(alarm: &Alarm, words: &Words) -> String {
    match alarm.level {
        AlarmLevel::Alarm => fill(words.alarm_of, &[&alarm.message]),
        AlarmLevel::Notable => alarm.message.clone(),
    }
}

/// What the newest scan found, on the day whose set it was. Of other days that is not known.
fn infected(day: &Day, scan: Option<&RunOf<Scan>>) -> String {
    let scanned = scan.and_then(|run| run.facts.set.as_deref());
    let is_of_day = scanned.is_some_and(|set| day.sets.iter().any(|of_day| of_day.name == set));
    match scan.filter(|_| is_of_day) {
        Some(run) => run.facts.infected.to_string(),
        None => String::new(),
    }
}
