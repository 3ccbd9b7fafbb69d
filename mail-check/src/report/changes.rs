//! What became of the mail in thirty days, and what was found in it: a plot and its table.

use std::fmt::Write;

use mail_common::record::{Alarm, AlarmLevel};

use super::history::{Day, MailChanges};
use super::markup::Text;
use super::plot::{Bar, plot};
use super::streams::{RunOf, Scan};

/// The section; nothing where no set tells of changes.
pub(super) fn section(page: &mut String, days: &[Day], scan: Option<&RunOf<Scan>>) {
    if days.iter().all(|day| day.changes.is_none()) {
        return;
    }
    page.push_str("<section id=\"changes\"><h2>Changes of the mail in 30 days</h2>\n");
    page.push_str("<div class=\"two\">");
    let gone = days.iter().map(|day| bar(day, gone_parts, gone_words));
    page.push_str(&plot(
        "Messages gone or spoiled",
        &gone.collect::<Vec<_>>(),
        &["gone", "other content or no header"],
        "alarm",
        |count| count.to_string(),
    ));
    let new = days.iter().map(|day| bar(day, new_parts, new_words));
    let new = plot(
        "Messages new",
        &new.collect::<Vec<_>>(),
        &["new"],
        "alarm",
        |count| count.to_string(),
    );
    page.push_str(&new.replacen("<figure>", "<figure class=\"times\">", 1));
    page.push_str(
        "</div>\n<details><summary>The same as a table</summary><table><thead><tr>\
         <th scope=\"col\">Day</th><th scope=\"col\">New</th><th scope=\"col\">Gone</th>\
         <th scope=\"col\">Replaced</th><th scope=\"col\">Without header</th>\
         <th scope=\"col\">Infected</th><th scope=\"col\">What to know</th></tr></thead><tbody>\n",
    );
    for day in days.iter().rev() {
        if let Some(changes) = &day.changes {
            row(page, day, changes, scan);
        }
    }
    page.push_str("</tbody></table></details></section>\n");
}

fn bar(day: &Day, parts: fn(&MailChanges) -> Vec<f64>, words: fn(&MailChanges) -> String) -> Bar {
    let changes = day.changes.as_ref();
    let alarms = changes.map_or(&[][..], |changes| &changes.alarms);
    let told: Vec<&str> = alarms.iter().map(|alarm| &*alarm.message).collect();
    let mut text = changes.map_or_else(|| "nothing was compared".to_owned(), words);
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

fn gone_words(changes: &MailChanges) -> String {
    format!(
        "{} gone, {} with other content or no header",
        changes.messages.vanished, changes.messages.spoiled
    )
}

fn new_parts(changes: &MailChanges) -> Vec<f64> {
    vec![changes.messages.new as f64]
}

fn new_words(changes: &MailChanges) -> String {
    format!("{} new", changes.messages.new)
}

fn row(page: &mut String, day: &Day, changes: &MailChanges, scan: Option<&RunOf<Scan>>) {
    let messages = &changes.messages;
    let told: Vec<String> = changes.alarms.iter().map(in_words).collect();
    let _ = writeln!(
        page,
        "<tr><th scope=\"row\">{}</th><td data-label=\"New\">{}</td>\
         <td data-label=\"Gone\">{}</td><td data-label=\"Replaced\">{}</td>\
         <td data-label=\"Without header\">{}</td><td data-label=\"Infected\">{}</td>\
         <td class=\"words\">{}</td></tr>",
        day.date.strftime("%a %Y-%m-%d"),
        messages.new,
        messages.vanished,
        messages.replaced,
        messages.headless,
        infected(day, scan),
        Text(&told.join("; "))
    );
}

fn in_words(alarm: &Alarm) -> String {
    match alarm.level {
        AlarmLevel::Alarm => format!("ALARM: {}", alarm.message),
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
