//! What has become of databases, keys and files of the configuration, by the manifests of the sets
//! before.

use std::cmp::Reverse;

use mail_common::record::{DatabaseRows, WatchedFile};
use mail_common::set::{Component, SetState};
use mail_common::suspicion::{DayRun, Finding, Saved, is_of_day, judge_databases, judge_watched};

use crate::components::SavedComponents;
use crate::plan::Plan;

/// How many days a table is compared with.
const DAYS: i64 = 30;

/// What is told of `saved`, beside the sets from before the day that ends at `moment`, but for what
/// another run of that day has told: whoever asks is told it all day long. `earlier` are the runs
/// that made the sets of the root.
pub(crate) fn other_losses(
    plan: &Plan,
    saved: &SavedComponents,
    earlier: &[DayRun],
    now: jiff::Timestamp,
    moment: jiff::Timestamp,
) -> Vec<Finding> {
    let is_before = |run: &&DayRun| {
        run.state == SetState::Complete && run.begun <= now && !is_of_day(run, moment)
    };
    let mut complete: Vec<&DayRun> = earlier.iter().filter(is_before).collect();
    complete.sort_by_key(|run| Reverse((run.begun, run.set)));
    let mut findings = databases(plan, saved, &complete, now);
    findings.extend(watched(plan, saved, &complete));
    let told = told_today(earlier, moment);
    findings.retain(|it| !told.contains(&(it.rule.name(), it.component, loss(&it.message))));
    findings
}

/// The rule, the component and what was lost.
type Told<'a> = (&'a str, Option<Component>, String);

fn told_today(earlier: &[DayRun], moment: jiff::Timestamp) -> Vec<Told<'_>> {
    let today = earlier.iter().filter(|run| is_of_day(run, moment));
    let alarms = today.flat_map(|run| &run.records.alarms);
    let told = alarms.map(|alarm| (&*alarm.rule, alarm.component, loss(&alarm.message)));
    told.collect()
}

/// A message without the numbers of rows: those of a table that is in use change from run to run.
fn loss(message: &str) -> String {
    let without = |part: &str| match part.rsplit_once(" (") {
        Some((name, rows)) if are_rows(rows) => name.to_owned(),
        _ => part.to_owned(),
    };
    message.split_inclusive(')').map(without).collect()
}

/// Such as `9 of 20)`.
fn are_rows(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let numbers = text
        .strip_suffix(')')
        .and_then(|text| text.split_once(" of "));
    numbers.is_some_and(|(rows, least)| is_number(rows) && is_number(least))
}

fn databases(
    plan: &Plan,
    saved: &SavedComponents,
    complete: &[&DayRun],
    now: jiff::Timestamp,
) -> Vec<Finding> {
    if !plan.components.contains(&Component::Mysql) {
        return Vec::new();
    }
    let is_young = |run: &&&DayRun| now.duration_since(run.begun).as_hours() <= DAYS * 24;
    let before = complete.iter().filter(is_young);
    let before = before.map(|run| &*run.records.databases);
    let before: Vec<&[DatabaseRows]> = before.filter(|databases| !databases.is_empty()).collect();
    let whole = if saved.failed.contains(&Component::Mysql) {
        Saved::InPart
    } else {
        Saved::Whole
    };
    judge_databases(&saved.databases, &before, whole)
}

fn watched(plan: &Plan, saved: &SavedComponents, complete: &[&DayRun]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for component in [Component::Config, Component::Ssl, Component::Dkim] {
        let of_it = |files: &[WatchedFile]| -> Vec<WatchedFile> {
            let files = files.iter().filter(|file| file.component == component);
            files.cloned().collect()
        };
        if !plan.components.contains(&component) || saved.failed.contains(&component) {
            continue;
        }
        let mut known = complete.iter().map(|run| of_it(&run.records.watched));
        if let Some(last) = known.find(|files| !files.is_empty()) {
            findings.extend(judge_watched(&of_it(&saved.watched), &last, component));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_known_again_with_other_numbers_of_rows() {
        let one = "fewer rows: d.t (9 of 20), d.u (1 of 40)";
        assert_eq!(loss(one), "fewer rows: d.t, d.u");
        for other in ["gone: d.t (old), d.u (1 of", "gone: d.t (x of 20)", ""] {
            assert_eq!(loss(other), other);
        }
    }
}
