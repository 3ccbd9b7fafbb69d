//! Sets of all kinds, and what is said of them.

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
        done: Some(Timestamp::from_second(now.timestamp().as_second() - hours_ago * 3600).unwrap()),
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
        breaks: Vec::new(),
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
    found_of(vec![set(23, 9, 100)], hourly, settings)
}

fn found_hourly_alone(hourly: Vec<Set>, settings: &Settings) -> Vec<Finding> {
    found_of(Vec::new(), hourly, settings)
}

fn found_of(daily: Vec<Set>, hourly: Vec<Set>, settings: &Settings) -> Vec<Finding> {
    let facts = Facts {
        daily,
        weekly: Vec::new(),
        hourly,
        root: "/b".to_owned(),
        wanted: Component::ALL.to_vec(),
        space: None,
        changes: changes::Changes::default(),
        breaks: Vec::new(),
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
            breaks: Vec::new(),
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
