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
            "there is no {target} set with every component; run mail-backup --{target}, or see BACKUP_COMPONENTS"
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
mod tests {
    use super::*;
    use jiff::ToSpan;
    use mail_common::record::EndStatus;
    use mail_common::set::SetId;

    const NOW: &str = "2026-11-23T12:00:00+00:00[UTC]";

    /// A daily set that was done `hours_ago`.
    fn set(day: i8, hours_ago: i64, bytes: u64) -> Set {
        let now: ZonedDateTime = NOW.parse().unwrap();
        let contents = Contents {
            status: EndStatus::Ok,
            components: Component::ALL.to_vec(),
            wanted: Component::ALL.to_vec(),
            bytes,
            new_bytes: bytes / 10,
            errors: Vec::new(),
            damaged_files: 0,
        };
        Set {
            id: SetId::for_date(SetKind::Daily, jiff::civil::date(2026, 11, day)),
            state: SetState::Complete,
            done: Some(
                Timestamp::from_second(now.timestamp().as_second() - hours_ago * 3600).unwrap(),
            ),
            contents: Some(contents),
            damage: None,
        }
    }

    fn found(daily: Vec<Set>, free: u64) -> Vec<Finding> {
        found_wanting(daily, free, &Component::ALL)
    }

    fn found_wanting(daily: Vec<Set>, free: u64, wanted: &[Component]) -> Vec<Finding> {
        let space = Space {
            bytes_free: free,
            bytes_total: free * 2,
            inodes_free: None,
        };
        let facts = Facts {
            daily,
            weekly: Vec::new(),
            hourly: Vec::new(),
            root: "/b".to_owned(),
            wanted: wanted.to_vec(),
            space: Some(space),
            changes: changes::Changes::default(),
        };
        judge(&facts, &Settings::default(), &NOW.parse().unwrap())
    }

    #[track_caller]
    fn check(findings: &[Finding], name: &str, target: &str, status: Status, part: &str) {
        let found = findings
            .iter()
            .find(|finding| finding.name == name && finding.target == target);
        let found = found.unwrap_or_else(|| panic!("no {name} {target} in {findings:?}"));
        assert!(
            found.status == status && found.message.contains(part),
            "{found:?}"
        );
    }

    #[test]
    fn an_older_set_that_is_damaged_is_a_warning_of_its_own() {
        let mut older = set(22, 33, 100);
        older.damage = Some("open manifest /b: not a regular file".to_owned());
        let findings = found(vec![set(23, 9, 100), older], 1000);
        check(&findings, "backup", "daily", Status::Ok, "complete");
        let (id, words) = ("daily/2026-11-22", "cannot be restored as it was made");
        check(&findings, "backup", id, Status::Warning, words);
        let sound = found(vec![set(23, 9, 100), set(22, 33, 100)], 1000);
        assert!(!sound.iter().any(|finding| finding.target == id));
    }

    #[test]
    fn a_young_whole_set_is_ok_and_an_old_one_is_critical() {
        check(
            &found(vec![set(23, 9, 100)], 1000),
            "backup",
            "daily",
            Status::Ok,
            "complete and 9 h old",
        );
        check(
            &found(vec![set(22, 26, 100)], 1000),
            "backup",
            "daily",
            Status::Ok,
            "1 d 2 h old",
        );
        check(
            &found(vec![set(22, 27, 100)], 1000),
            "backup",
            "daily",
            Status::Critical,
            "see the log of mail-backup",
        );
        check(
            &found(Vec::new(), 1000),
            "backup",
            "daily",
            Status::Critical,
            "no daily set with every component",
        );
        check(
            &found(vec![set(24, -9, 100)], 1000),
            "backup",
            "daily",
            Status::Warning,
            "in the future",
        );
    }

    #[test]
    fn a_weekly_set_is_due_after_a_week() {
        check(
            &found(vec![set(23, 9, 100)], 1000),
            "backup",
            "weekly",
            Status::Ok,
            "none was due",
        );
        let longer = vec![set(23, 9, 100), set(14, 9 * 24, 100)];
        check(
            &found(longer, 1000),
            "backup",
            "weekly",
            Status::Critical,
            "no weekly set with every component",
        );
    }

    fn hourly(minutes_ago: i64) -> Set {
        let now: ZonedDateTime = NOW.parse().unwrap();
        let made = now.saturating_sub(minutes_ago.minutes());
        Set {
            id: SetId::for_time(SetKind::Hourly, made.datetime()),
            done: Some(made.timestamp()),
            ..set(23, 0, 100)
        }
    }

    fn found_hourly(hourly: Vec<Set>, settings: &Settings) -> Vec<Finding> {
        let facts = Facts {
            daily: vec![set(23, 9, 100)],
            weekly: Vec::new(),
            hourly,
            root: "/b".to_owned(),
            wanted: Component::ALL.to_vec(),
            space: None,
            changes: changes::Changes::default(),
        };
        judge(&facts, settings, &NOW.parse().unwrap())
    }

    #[test]
    fn hourly_sets_are_late_where_there_are_any_or_should_be() {
        let settings = Settings::default();
        let is_hourly = |finding: &Finding| finding.target.starts_with("hourly");
        assert!(!found_hourly(Vec::new(), &settings).iter().any(is_hourly));
        let findings = found_hourly(vec![hourly(10), hourly(20)], &settings);
        check(
            &findings,
            "backup",
            "hourly",
            Status::Ok,
            "T1150 is complete",
        );
        let mut mail_alone = hourly(5);
        mail_alone.contents.as_mut().unwrap().components = vec![Component::Mailboxes];
        let findings = found_hourly(vec![mail_alone], &settings);
        check(
            &findings,
            "backup",
            "hourly",
            Status::Ok,
            "T1155 is complete",
        );
        let findings = found_hourly(vec![hourly(121)], &settings);
        check(
            &findings,
            "backup",
            "hourly",
            Status::Critical,
            "2 h 1 min old",
        );
        let wanted = Settings {
            hourly: Some(true),
            ..Settings::default()
        };
        let findings = found_hourly(Vec::new(), &wanted);
        let advice = "run mail-backup --hourly";
        check(&findings, "backup", "hourly", Status::Critical, advice);
        let unwanted = Settings {
            hourly: Some(false),
            ..Settings::default()
        };
        let findings = found_hourly(vec![hourly(999)], &unwanted);
        assert!(!findings.iter().any(is_hourly));
    }

    fn found_hourly_alone(hourly: Vec<Set>, settings: &Settings) -> Vec<Finding> {
        let facts = Facts {
            daily: Vec::new(),
            weekly: Vec::new(),
            hourly,
            root: "/b".to_owned(),
            wanted: Component::ALL.to_vec(),
            space: None,
            changes: changes::Changes::default(),
        };
        judge(&facts, settings, &NOW.parse().unwrap())
    }

    #[test]
    fn a_server_that_makes_hourly_sets_alone_lives_by_them() {
        let settings = Settings::default();
        let findings = found_hourly_alone(vec![hourly(10), hourly(20)], &settings);
        let is_daily = |finding: &Finding| finding.target.starts_with("daily");
        assert!(!findings.iter().any(is_daily), "{findings:?}");
        check(&findings, "backup", "hourly", Status::Ok, "is complete");
        let (name, id) = ("backup-components", "hourly/2026-11-23T1150");
        check(&findings, name, id, Status::Ok, "every component");
        // Nothing else has the other components.
        let mut mail_alone = hourly(5);
        mail_alone.contents.as_mut().unwrap().components = vec![Component::Mailboxes];
        let findings = found_hourly_alone(vec![mail_alone], &settings);
        check(
            &findings,
            "backup",
            "hourly",
            Status::Critical,
            "with every",
        );
    }

    #[test]
    fn daily_sets_are_asked_for_where_a_setting_says_so() {
        let with = |daily| Settings {
            daily: Some(daily),
            ..Settings::default()
        };
        let findings = found_hourly_alone(vec![hourly(10)], &with(true));
        check(
            &findings,
            "backup",
            "daily",
            Status::Critical,
            "no daily set",
        );
        let findings = found_hourly(vec![hourly(10)], &with(false));
        assert!(!findings.iter().any(|finding| finding.target == "daily"));
    }

    #[test]
    fn damage_that_a_weekly_run_found_is_a_warning() {
        let mut weekly = set(22, 20, 100);
        weekly.id = SetId::for_date(SetKind::Weekly, jiff::civil::date(2026, 11, 22));
        let found = |damaged_files| {
            let mut weekly = weekly.clone();
            weekly.contents.as_mut().unwrap().damaged_files = damaged_files;
            let facts = Facts {
                daily: vec![set(23, 9, 100)],
                weekly: vec![weekly],
                hourly: Vec::new(),
                root: "/b".to_owned(),
                wanted: Component::ALL.to_vec(),
                space: None,
                changes: changes::Changes::default(),
            };
            judge(&facts, &Settings::default(), &NOW.parse().unwrap())
        };
        let id = "weekly/2026-week-47";
        check(&found(2), "backup", id, Status::Warning, "2 damaged files");
        check(&found(1), "backup", id, Status::Warning, "a damaged file");
        check(&found(2), "backup", "weekly", Status::Ok, "is complete");
        assert!(!found(0).iter().any(|finding| finding.target == id));
    }

    #[test]
    fn an_hourly_set_that_is_not_whole_is_critical() {
        let mut failed = hourly(1);
        failed.state = SetState::Incomplete;
        let contents = failed.contents.as_mut().unwrap();
        contents.status = EndStatus::Incomplete;
        contents.errors.push("connect to the database".to_owned());
        let findings = found_hourly(vec![failed, hourly(11)], &Settings::default());
        check(
            &findings,
            "backup",
            "hourly",
            Status::Ok,
            "T1149 is complete",
        );
        let target = "hourly/2026-11-23T1159";
        check(&findings, "backup", target, Status::Critical, "connect to");
    }

    #[test]
    fn a_backup_that_failed_last_night_is_critical_although_the_one_before_is_young() {
        let mut failed = set(23, 1, 100);
        failed.state = SetState::Incomplete;
        let contents = failed.contents.as_mut().unwrap();
        contents.status = EndStatus::Incomplete;
        contents.errors.push("connect to the database".to_owned());
        let findings = found(vec![failed, set(22, 20, 100)], 1000);
        check(&findings, "backup", "daily", Status::Ok, "20 h old");
        check(
            &findings,
            "backup",
            "daily/2026-11-23",
            Status::Critical,
            "connect to the database",
        );
    }

    #[test]
    fn a_set_without_a_component_is_no_full_backup() {
        let mut partial = set(23, 1, 100);
        partial
            .contents
            .as_mut()
            .unwrap()
            .components
            .retain(|component| *component != Component::Mysql);
        let findings = found(vec![partial.clone(), set(22, 20, 100)], 1000);
        check(
            &findings,
            "backup",
            "daily",
            Status::Ok,
            "2026-11-22 is complete",
        );
        check(
            &findings,
            "backup-components",
            "daily/2026-11-23",
            Status::Ok,
            "without mysql",
        );
        check(
            &found(vec![partial], 1000),
            "backup",
            "daily",
            Status::Critical,
            "with every component",
        );
    }

    /// A daily set of a server that had only these components when it was made.
    fn set_of(day: i8, hours_ago: i64, components: &[Component]) -> Set {
        let mut set = set(day, hours_ago, 100);
        let contents = set.contents.as_mut().unwrap();
        contents.components = components.to_vec();
        contents.wanted = components.to_vec();
        set
    }

    #[test]
    fn a_set_is_complete_by_what_the_server_had() {
        let had = [Component::Mailboxes, Component::Config];
        let findings = found_wanting(vec![set_of(23, 1, &had)], 1000, &had);
        check(&findings, "backup", "daily", Status::Ok, "is complete");
        let (name, target) = ("backup-components", "daily/2026-11-23");
        check(
            &findings,
            name,
            target,
            Status::Ok,
            "every component is there: mailboxes, config",
        );
        // What is wanted since is named until a run has saved it.
        let findings = found_wanting(vec![set_of(23, 1, &had)], 1000, &Component::ALL);
        check(&findings, "backup", "daily", Status::Ok, "is complete");
        check(
            &findings,
            name,
            target,
            Status::Warning,
            "without mysql, ssl, dkim, which",
        );
        // What is no longer wanted may be there.
        let findings = found_wanting(vec![set(23, 1, 100)], 1000, &had);
        check(
            &findings,
            name,
            target,
            Status::Ok,
            "every component is there",
        );
    }

    #[test]
    fn a_set_of_an_unlikely_size_is_named() {
        let with = |bytes| {
            vec![
                set(23, 1, bytes),
                set(22, 25, 100),
                set(21, 49, 110),
                set(20, 73, 90),
            ]
        };
        let size = |bytes, status, part: &str| {
            check(
                &found(with(bytes), 100_000),
                "backup-size",
                "daily/2026-11-23",
                status,
                part,
            );
        };
        size(51, Status::Ok, "49 % smaller");
        size(49, Status::Warning, "51 % smaller");
        size(5, Status::Critical, "95 % smaller");
        size(160, Status::Warning, "60 % larger");
        check(
            &found(vec![set(23, 1, 5), set(22, 25, 100)], 1000),
            "backup-size",
            "daily/2026-11-23",
            Status::Ok,
            "in all",
        );
    }

    #[test]
    fn room_is_counted_in_sets() {
        let room = |free: u64, status, part: &str| {
            check(
                &found(vec![set(23, 1, 100 << 20)], free << 20),
                "backup-space",
                "/b",
                status,
                part,
            );
        };
        room(70, Status::Ok, "room for 7 more");
        room(69, Status::Warning, "room for 6 more");
        room(19, Status::Critical, "room for 1 more");
        room(
            1 << 20,
            Status::Ok,
            "room for more than 1000 more daily sets",
        );
    }
}
