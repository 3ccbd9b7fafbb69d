//! From what the root holds to findings.

use jiff::{Timestamp, ZonedDateTime};
use mail_common::set::{Component, SetKind, SetState, Space};
use mail_common::tool::human_size;

use super::changes;
use super::sets::{Contents, Facts, Set};
use super::settings::Settings;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::span::Span;
use crate::status::Status;

/// With fewer sets before it, the size of the newest says nothing.
const COMPARED_AT_LEAST: usize = 3;

/// A clock may be so far ahead.
const AHEAD_SECONDS: i64 = 300;

pub(super) fn judge(facts: &Facts, settings: &Settings, now: &ZonedDateTime) -> Vec<Finding> {
    let now = now.timestamp();
    let mut findings = Vec::new();
    let daily = settings.daily.unwrap_or(regular(facts) == SetKind::Daily);
    if daily {
        findings.push(age(facts, SetKind::Daily, settings, now));
    }
    if settings.weekly {
        findings.push(weekly_age(facts, settings, now));
        findings.extend(damage_found(facts));
    }
    if settings.hourly.unwrap_or(!facts.hourly.is_empty()) {
        findings.push(age(facts, SetKind::Hourly, settings, now));
        findings.extend(failed_since(&facts.hourly));
    }
    findings.extend(failed_since(&facts.daily));
    findings.extend(damaged_before(facts));
    let regular = facts.of(regular(facts));
    let newest = regular.iter().find(|set| is_whole(set));
    findings.extend(newest.map(|set| components(set, facts, settings)));
    findings.extend(size(regular, settings));
    findings.push(room(facts, settings));
    let broken = |text: &String| Finding::warning("backup-chain", &facts.root, text);
    findings.extend(facts.breaks.iter().map(broken));
    findings.extend(changes::judge(
        &facts.changes,
        &facts.root,
        &settings.changes,
    ));
    findings
}

/// Which sets the server lives by: hourly ones where it makes no others.
fn regular(facts: &Facts) -> SetKind {
    if facts.daily.is_empty() && !facts.hourly.is_empty() {
        SetKind::Hourly
    } else {
        SetKind::Daily
    }
}

/// Everything that it was to hold is there.
fn is_whole(set: &Set) -> bool {
    let recorded_well = set
        .contents
        .as_ref()
        .is_none_or(|contents| contents.status == mail_common::record::EndStatus::Ok);
    set.damage.is_none()
        && recorded_well
        && matches!(set.state, SetState::Complete | SetState::Legacy)
}

/// It holds every component too; which those of the old scripts do, nobody recorded.
fn is_full(set: &Set, settings: &Settings) -> bool {
    is_whole(set) && missing(set, settings).is_empty()
}

fn missing(set: &Set, settings: &Settings) -> Vec<String> {
    let Some(contents) = &set.contents else {
        return Vec::new();
    };
    let required = if settings.components.is_empty() {
        &contents.wanted
    } else {
        &settings.components
    };
    without(contents, required)
}

/// Those of `required` that are not there.
fn without(contents: &Contents, required: &[Component]) -> Vec<String> {
    let missing = required
        .iter()
        .filter(|component| !contents.components.contains(component));
    missing.map(ToString::to_string).collect()
}

fn age(facts: &Facts, kind: SetKind, settings: &Settings, now: Timestamp) -> Finding {
    let sets = facts.of(kind);
    let target = kind.name();
    let max = match kind {
        SetKind::Daily => settings.daily_max_age,
        SetKind::Weekly => settings.weekly_max_age,
        SetKind::Hourly => settings.hourly_max_age,
    };
    // Beside daily ones, hourly sets of the mailboxes alone are as good as they were meant to be.
    let counts = |set: &&Set| match kind {
        SetKind::Hourly if regular(facts) != kind => is_whole(set),
        SetKind::Hourly | SetKind::Daily | SetKind::Weekly => is_full(set, settings),
    };
    let Some(newest) = sets.iter().find(counts) else {
        let message = format!(
            "there is no {target} set with every component; run mail-backup --{target}, or see \
             BACKUP_COMPONENTS"
        );
        return Finding::critical("backup", target, message);
    };
    let Some(done) = newest.done else {
        return Finding::unknown(
            "backup",
            target,
            format!("nothing tells when {} was made", newest.id),
        );
    };
    let seconds = now.as_second() - done.as_second();
    if seconds < -AHEAD_SECONDS {
        let message = format!(
            "{} was made in the future, at {done}; set the clock",
            newest.id
        );
        return Finding::warning("backup", target, message);
    }
    let age = Span::seconds(seconds.max(0).cast_unsigned());
    let message = if age > max {
        format!(
            "the newest complete {target} set, {}, is {age} old; see the log of mail-backup",
            newest.id
        )
    } else {
        format!("{} is complete and {age} old", newest.id)
    };
    // At its limit it is not late yet.
    let limits = Ceiling::critical((max.as_seconds() + 1.0) / 3600.0);
    Finding::ok("backup", target, message).under(age.as_seconds() / 3600.0, "hours", limits)
}

/// Nobody has a weekly set in the first week.
fn weekly_age(facts: &Facts, settings: &Settings, now: Timestamp) -> Finding {
    let is_young = |set: &Set| {
        set.done.is_some_and(|done| {
            ((now.as_second() - done.as_second()) as f64) < settings.weekly_max_age.as_seconds()
        })
    };
    if facts.weekly.is_empty() && !facts.daily.is_empty() && facts.daily.iter().all(is_young) {
        return Finding::ok(
            "backup",
            "weekly",
            "there is no weekly set yet, and none was due",
        );
    }
    age(facts, SetKind::Weekly, settings, now)
}

/// What the run of the newest weekly set found. Its set is whole; the disk may not be.
fn damage_found(facts: &Facts) -> Option<Finding> {
    let newest = facts.weekly.iter().find(|set| is_whole(set))?;
    let contents = newest.contents.as_ref();
    let files = contents.map_or(0, |contents| contents.damaged_files);
    let message = match files {
        0 => return None,
        1 => "its run found a damaged file, and saved what was in it again".to_owned(),
        _ => format!("its run found {files} damaged files, and saved what was in them again"),
    };
    let message = format!("{message}; its backup.log names them: look at that disk");
    Some(Finding::warning("backup", newest.id.to_string(), message))
}

/// Sets that are newer than the newest good one, and are not good.
fn failed_since(daily: &[Set]) -> Option<Finding> {
    let failed = daily.first().filter(|set| !is_whole(set))?;
    let reason = match (&failed.damage, &failed.contents) {
        (Some(damage), _) => damage.clone(),
        (None, Some(contents)) if !contents.errors.is_empty() => contents.errors.join("; "),
        _ => "it has no checksums: it was interrupted, or is damaged".to_owned(),
    };
    let target = failed.id.to_string();
    Some(Finding::critical(
        "backup",
        target,
        format!("the newest backup is not whole: {reason}"),
    ))
}

/// Older sets that are kept and are not what they seem: who needs them one day would learn it then.
fn damaged_before(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for set in facts.daily.iter().skip(1).chain(&facts.weekly) {
        if let Some(damage) = &set.damage {
            let message = format!("it cannot be restored as it was made: {damage}");
            findings.push(Finding::warning("backup", set.id.to_string(), message));
        }
    }
    findings
}

/// A set of a run with `--component` is no fault; that there is no full one shows in its age. One
/// that was complete when it was made may lack what is wanted since.
fn components(set: &Set, facts: &Facts, settings: &Settings) -> Finding {
    let (name, target) = ("backup-components", set.id.to_string());
    let Some(contents) = &set.contents else {
        return Finding::ok(name, target, "made by the old script, which kept no list");
    };
    let missing = missing(set, settings);
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let message = format!("without {missing}, as was asked for; no full backup");
        return Finding::ok(name, target, message);
    }
    let wanted_since = without(contents, &facts.wanted);
    if settings.components.is_empty() && !wanted_since.is_empty() {
        let message = format!(
            "without {}, which BACKUP_COMPONENTS wants now and did not when it was made; run \
             mail-backup, and see that it has the same settings",
            wanted_since.join(", ")
        );
        return Finding::warning(name, target, message);
    }
    Finding::ok(name, target, every_component(contents))
}

fn every_component(contents: &Contents) -> String {
    if contents.components.len() == Component::ALL.len() {
        return "every component is there".to_owned();
    }
    let names: Vec<&str> = contents.components.iter().map(|held| held.name()).collect();
    format!("every component is there: {}", names.join(", "))
}

/// The newest set beside the median of those of the seven before it that hold the same components.
fn size(daily: &[Set], settings: &Settings) -> Option<Finding> {
    let mut good = daily.iter().filter(|set| is_full(set, settings));
    let newest = good.next()?;
    let contents = newest.contents.as_ref()?;
    let bytes = contents.bytes;
    let mut earlier: Vec<u64> = good
        .filter_map(|set| set.contents.as_ref())
        .filter(|earlier| earlier.components == contents.components)
        .map(|contents| contents.bytes)
        .collect();
    if earlier.len() < COMPARED_AT_LEAST {
        return Some(Finding::ok(
            "backup-size",
            newest.id.to_string(),
            format!("{} in all", human_size(bytes)),
        ));
    }
    earlier.sort_unstable();
    let median = earlier[earlier.len() / 2];
    let percent = bytes.abs_diff(median) as f64 * 100.0 / median.max(1) as f64;
    let direction = if bytes < median { "smaller" } else { "larger" };
    let message = format!(
        "{}, {percent:.0} % {direction} than those before it ({})",
        human_size(bytes),
        human_size(median)
    );
    Some(
        Finding::ok("backup-size", newest.id.to_string(), message).under(
            percent,
            "percent",
            settings.size_change,
        ),
    )
}

/// What a daily set takes is what the larger ones of the last took: one that links nothing is
/// larger than usual, and comes again.
fn room(facts: &Facts, settings: &Settings) -> Finding {
    let Some(space) = facts.space else {
        return Finding::unknown(
            "backup-space",
            &facts.root,
            "nothing tells how much room there is",
        );
    };
    let news: Vec<&Contents> = facts
        .of(regular(facts))
        .iter()
        .filter_map(|set| set.contents.as_ref())
        .collect();
    match needed_bytes(&news) {
        Some(needed) => judge_room(facts, space, needed, settings),
        None => Finding::ok(
            "backup-space",
            &facts.root,
            format!("{} are left", human_size(space.bytes_free)),
        ),
    }
}

/// What a set takes that links everything: directories, log, manifest, checksums.
const SET_LEAST_BYTES: u64 = 64 << 10;

/// More sets than this are not counted: nobody keeps as many.
const COUNTED_SETS: f64 = 1000.0;

/// The mean of what was new in sets that linked something; else the size of the newest.
fn needed_bytes(sets: &[&Contents]) -> Option<u64> {
    let linked: Vec<u64> = sets
        .iter()
        .filter(|set| set.new_bytes < set.bytes)
        .map(|set| set.new_bytes)
        .collect();
    let mean = match linked.len() {
        0 => sets.first()?.bytes,
        count => linked.iter().sum::<u64>() / count as u64,
    };
    Some(mean.max(SET_LEAST_BYTES))
}

fn judge_room(facts: &Facts, space: Space, needed: u64, settings: &Settings) -> Finding {
    let sets = (space.bytes_free as f64 / needed as f64).floor();
    let counted = if sets > COUNTED_SETS {
        format!("more than {COUNTED_SETS}")
    } else {
        sets.to_string()
    };
    let message = format!(
        "{} are left, room for {counted} more {} sets of {}",
        human_size(space.bytes_free),
        regular(facts),
        human_size(needed)
    );
    let sets = sets.min(COUNTED_SETS);
    let finding =
        Finding::ok("backup-space", &facts.root, message).above(sets, "sets", settings.room);
    match finding.status {
        Status::Ok => finding,
        _ => Finding {
            message: format!(
                "{}; lower {} or add a disk",
                finding.message,
                match regular(facts) {
                    SetKind::Daily => "DAILY_RETENTION_DAYS",
                    SetKind::Weekly => "WEEKLY_RETENTION_WEEKS",
                    SetKind::Hourly => "HOURLY_RETENTION_HOURS",
                }
            ),
            ..finding
        },
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
