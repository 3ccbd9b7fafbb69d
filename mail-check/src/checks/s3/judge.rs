//! From records of mail-s3sync to findings.

use jiff::Timestamp;
use mail_common::record::{StoredSet, Usage};
use mail_common::set::SetKind;
use mail_common::upstream::ToolRun;

use super::settings::Settings;
use super::source::Source;
use crate::finding::Finding;
use crate::limits::Ceiling;
use crate::span::Span;
use crate::status::Status;
use crate::stream::{Facts, begun};

const TOOL: &str = "mail-s3sync";

pub(super) fn judge(sources: &[Source], settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let mut findings: Vec<Finding> = sources
        .iter()
        .filter_map(|source| judge_run(source, now))
        .collect();
    let sets: Vec<&StoredSet> = sources
        .iter()
        .flat_map(|source| last_sets(&source.facts))
        .collect();
    let lists = sources
        .iter()
        .any(|source| source.facts.runs.iter().any(is_list));
    let kinds = by_kind(&sets);
    for (kind, of_kind) in &kinds {
        findings.extend(judge_kind(*kind, of_kind, settings, now));
    }
    match kinds.first() {
        Some(_) => {}
        None if lists => {
            let message = "there is no complete set in the store; run mail-s3sync push";
            findings.push(Finding::critical("offsite", "newest", message));
        }
        None => {
            let message = "no records of mail-s3sync list: nothing tells what the store holds; \
                           set ask = true in [s3]";
            findings.push(Finding::unknown("offsite", "newest", message));
        }
    }
    findings.extend(
        sources
            .iter()
            .filter_map(|source| source.facts.usages.last())
            .map(|usage| cost(usage, settings)),
    );
    findings
}

/// A list that could not finish says nothing of what is not in it.
fn is_list(run: &ToolRun) -> bool {
    run.begin.tool == TOOL
        && run.begin.args.iter().any(|arg| arg == "list")
        && run.ending().is_finished()
}

/// A file to which every night's list is added names a set many times: the last word counts.
fn last_sets(facts: &Facts) -> Vec<&StoredSet> {
    let mut last: Vec<&StoredSet> = Vec::new();
    for set in facts.sets.iter().rev() {
        if !last.iter().any(|later| later.url == set.url) {
            last.push(set);
        }
    }
    last
}

/// The sets of each kind that the store has any of. Daily ones are expected wherever there are
/// sets; where only others are kept, these stand for them.
fn by_kind<'a>(sets: &[&'a StoredSet]) -> Vec<(SetKind, Vec<&'a StoredSet>)> {
    let of = |kind: SetKind| -> Vec<&StoredSet> {
        let start = format!("{kind}/");
        let sets = sets.iter().filter(|set| set.set.starts_with(&start));
        sets.copied().collect()
    };
    let all = SetKind::ALL.map(|kind| (kind, of(kind)));
    all.into_iter()
        .filter(|(_, sets)| !sets.is_empty())
        .collect()
}

fn judge_kind(
    kind: SetKind,
    sets: &[&StoredSet],
    settings: &Settings,
    now: Timestamp,
) -> Vec<Finding> {
    let (target, max_age) = match kind {
        SetKind::Daily => ("newest", settings.max_age),
        SetKind::Weekly => ("newest weekly", settings.weekly_max_age),
        SetKind::Hourly => ("newest hourly", settings.hourly_max_age),
    };
    if let Some(newest) = newest_complete(sets) {
        return judge_set(newest, target, max_age, settings.locked_for, now);
    }
    let message = format!("there is no complete {kind} set in the store; run mail-s3sync push");
    vec![Finding::critical("offsite", target, message)]
}

fn newest_complete<'a>(sets: &[&'a StoredSet]) -> Option<&'a StoredSet> {
    let stored = |set: &&StoredSet| set.stored.parse::<Timestamp>().ok();
    sets.iter()
        .filter(|set| set.complete && stored(set).is_some())
        .max_by_key(|set| stored(set))
        .copied()
}

/// How the last run in the source went; a source without one says so.
fn judge_run(source: &Source, now: Timestamp) -> Option<Finding> {
    let Some(run) = source.facts.last_run(TOOL) else {
        let why = source
            .facts
            .broken
            .as_deref()
            .unwrap_or("they hold no run of it");
        return Some(Finding::unknown(
            "offsite",
            &source.name,
            format!("no records of mail-s3sync: {why}"),
        ));
    };
    let did = run
        .begin
        .args
        .iter()
        .find(|arg| !arg.starts_with('-'))
        .map_or(TOOL, String::as_str);
    let ago = begun(run).map_or_else(String::new, |begun| {
        let seconds = (now.as_second() - begun.as_second()).max(0).cast_unsigned();
        format!(" {} ago", Span::seconds(seconds))
    });
    let failed = |status, words: String| Some(Finding::new(status, "offsite", &source.name, words));
    match &run.end {
        Some(end) if end.exit == 0 => Some(Finding::ok(
            "offsite",
            &source.name,
            format!("{did} went well{ago}"),
        )),
        Some(end) => {
            let why = source
                .facts
                .errors_first
                .first()
                .map_or("see its records", String::as_str);
            failed(
                Status::Critical,
                format!("{did} failed{ago} (exit {}): {why}", end.exit),
            )
        }
        None => failed(
            Status::Unknown,
            format!("{did}{ago} has not ended, or has died"),
        ),
    }
}

fn judge_set(
    newest: &StoredSet,
    target: &str,
    max_age: Span,
    locked_for: Option<Span>,
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = vec![age(newest, target, max_age, now)];
    findings.extend(locked_for.map(|span| lock(newest, target, span, now)));
    findings
}

fn age(newest: &StoredSet, target: &str, max: Span, now: Timestamp) -> Finding {
    // It parses: it was chosen by it.
    let stored = newest
        .stored
        .parse::<Timestamp>()
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let age = Span::seconds(
        (now.as_second() - stored.as_second())
            .max(0)
            .cast_unsigned(),
    );
    let message = if age > max {
        format!(
            "the newest complete set, {}, is {age} old; see the log of mail-s3sync push",
            newest.set
        )
    } else {
        format!("{} is complete, stored {age} ago", newest.set)
    };
    let limits = Ceiling::critical((max.as_seconds() + 1.0) / 3600.0);
    Finding::ok("offsite", target, message).under(age.as_seconds() / 3600.0, "hours", limits)
}

fn lock(newest: &StoredSet, target: &str, wanted: Span, now: Timestamp) -> Finding {
    let until = newest
        .locked_until
        .as_deref()
        .and_then(|text| text.parse::<Timestamp>().ok());
    let Some(until) = until else {
        let message = format!(
            "{} is not locked: whoever has the keys can delete it; push with --lock-days",
            newest.set
        );
        return Finding::critical("offsite-lock", target, message);
    };
    let seconds = until.as_second() - now.as_second();
    let days = seconds as f64 / 86_400.0;
    let message = format!("{} is locked until {until}, {days:.0} days", newest.set);
    let finding = if (seconds as f64) < wanted.as_seconds() {
        let message = format!("{message}, and should be for {wanted}");
        Finding::warning("offsite-lock", target, message)
    } else {
        Finding::ok("offsite-lock", target, message)
    };
    finding.measured(days, "days")
}

fn cost(usage: &Usage, settings: &Settings) -> Finding {
    let mut message = format!(
        "{} objects cost {} US dollars a month",
        usage.objects,
        usage.price()
    );
    if !usage.not_listed.is_empty() {
        message += &format!("; not listed: {}", usage.not_listed.join(" and "));
    }
    if !usage.not_priced.is_empty() {
        let classes = usage.not_priced.join(", ");
        message += &format!("; no price is known for {classes}: set S3_PRICES");
    }
    match usage.monthly_usd {
        Some(usd) => {
            Finding::ok("offsite-cost", &usage.url, message).under(usd, "usd", settings.monthly_usd)
        }
        None => Finding::unknown("offsite-cost", &usage.url, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T09:00:00Z";

    fn begin(what: &str) -> String {
        format!(
            r#"{{"type":"begin","data":{{"v":1,"tool":"mail-s3sync","version":"1","host":"mx","time":"2026-11-24T08:00:00+00:00","args":["{what}"]}}}}"#
        )
    }

    fn end(exit: u8) -> String {
        format!(
            r#"{{"type":"end","data":{{"tool":"mail-s3sync","status":"ok","exit":{exit},"seconds":1,"totals":{{}}}}}}"#
        )
    }

    fn set(name: &str, complete: bool, stored: &str, locked: &str) -> String {
        format!(
            r#"{{"type":"set","data":{{"set":"{name}","url":"s3://b/{name}","objects":9,"bytes":9,"complete":{complete},"missing":0,"encrypted":false,"stored":"{stored}","age_seconds":1{locked}}}}}"#
        )
    }

    fn found(lines: &[String]) -> Vec<Finding> {
        let text = lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        let source = Source {
            name: "r".to_owned(),
            facts: Facts::read(text.as_bytes()),
        };
        let settings = Settings {
            locked_for: Some(Span::days(20)),
            ..Settings::default()
        };
        judge(&[source], &settings, NOW.parse().unwrap())
    }

    #[track_caller]
    fn check(lines: &[String], name: &str, target: &str, status: Status, part: &str) {
        let findings = found(lines);
        let found = findings
            .iter()
            .find(|finding| finding.name == name && finding.target == target);
        let found = found.unwrap_or_else(|| panic!("no {name} {target} in {findings:#?}"));
        assert!(
            found.status == status && found.message.contains(part),
            "{found:?}"
        );
    }

    fn list(sets: &[String]) -> Vec<String> {
        [&[begin("list")], sets, &[end(0)]].concat()
    }

    #[test]
    fn the_newest_complete_set_is_judged() {
        let old = set("daily/2026-11-22", true, "2026-11-22T04:00:00Z", "");
        let new = set(
            "daily/2026-11-24",
            true,
            "2026-11-24T04:00:00Z",
            r#","locked_until":"2026-12-24T04:00:00Z""#,
        );
        let half = set("daily/2026-11-24", false, "2026-11-24T04:00:00Z", "");
        check(
            &list(&[old.clone(), new.clone()]),
            "offsite",
            "newest",
            Status::Ok,
            "daily/2026-11-24 is complete",
        );
        check(
            &list(&[old.clone(), new]),
            "offsite-lock",
            "newest",
            Status::Ok,
            "30 days",
        );
        check(
            &list(&[old.clone(), half]),
            "offsite",
            "newest",
            Status::Critical,
            "daily/2026-11-22, is 2 d 5 h old",
        );
        check(
            &list(&[old]),
            "offsite-lock",
            "newest",
            Status::Critical,
            "is not locked",
        );
        check(
            &list(&[]),
            "offsite",
            "newest",
            Status::Critical,
            "no complete set",
        );
    }

    #[test]
    fn each_kind_that_the_store_has_is_judged_by_itself() {
        let day = set("daily/2026-11-22", true, "2026-11-22T04:00:00Z", "");
        let week = set("weekly/2026-week-47", true, "2026-11-24T04:00:00Z", "");
        let both = list(&[day.clone(), week.clone()]);
        // A weekly copy of today does not hide that the daily ones have stopped.
        let old = "daily/2026-11-22, is 2 d 5 h old";
        check(&both, "offsite", "newest", Status::Critical, old);
        let there = "weekly/2026-week-47 is complete";
        check(&both, "offsite", "newest weekly", Status::Ok, there);
        let locked = "is not locked";
        check(
            &both,
            "offsite-lock",
            "newest weekly",
            Status::Critical,
            locked,
        );
        let before = set("weekly/2026-week-45", true, "2026-11-10T04:00:00Z", "");
        let late = list(&[day.clone(), before]);
        let old = "weekly/2026-week-45, is 14 d 5 h old";
        check(&late, "offsite", "newest weekly", Status::Critical, old);
        let half = set("weekly/2026-week-47", false, "2026-11-24T04:00:00Z", "");
        let none = "no complete weekly set";
        check(
            &list(&[day.clone(), half]),
            "offsite",
            "newest weekly",
            Status::Critical,
            none,
        );
        let only_daily = found(&list(&[day]));
        assert!(
            only_daily
                .iter()
                .all(|finding| !finding.target.contains("weekly"))
        );
    }

    #[test]
    fn a_lock_that_ends_soon_is_a_warning() {
        let soon = set(
            "daily/2026-11-24",
            true,
            "2026-11-24T04:00:00Z",
            r#","locked_until":"2026-12-01T04:00:00Z""#,
        );
        check(
            &list(&[soon]),
            "offsite-lock",
            "newest",
            Status::Warning,
            "should be for 20 d",
        );
    }

    #[test]
    fn a_push_that_failed_or_died_is_reported() {
        let error = r#"{"type":"error","data":{"message":"access denied","causes":[]}}"#.to_owned();
        check(
            &[begin("push"), error, end(3)],
            "offsite",
            "r",
            Status::Critical,
            "push failed 1 h ago (exit 3): access denied",
        );
        check(
            &[begin("push")],
            "offsite",
            "r",
            Status::Unknown,
            "has died",
        );
        check(
            &[begin("push"), end(0)],
            "offsite",
            "newest",
            Status::Unknown,
            "nothing tells what the store holds",
        );
        check(
            &[],
            "offsite",
            "r",
            Status::Unknown,
            "no records of mail-s3sync",
        );
    }

    #[test]
    fn the_bill_has_a_limit() {
        let usage = |usd: f64| {
            let usage = format!(
                r#"{{"type":"usage","data":{{"url":"s3://b","objects":5,"bytes":5,"monthly_usd":{usd},"by_storage_class":{{}}}}}}"#
            );
            [begin("usage"), usage, end(0)]
        };
        check(&usage(4.99), "offsite-cost", "s3://b", Status::Ok, "4.99");
        check(
            &usage(5.0),
            "offsite-cost",
            "s3://b",
            Status::Warning,
            "5.00",
        );
    }

    #[test]
    fn a_bill_without_prices_is_unknown() {
        let usage = r#"{"type":"usage","data":{"url":"s3://b","objects":5,"bytes":5,"by_storage_class":{},"not_priced":["MINE"]}}"#;
        let lines = [begin("usage"), usage.to_owned(), end(0)];
        let part = "unknown US dollars a month; no price is known for MINE: set S3_PRICES";
        check(&lines, "offsite-cost", "s3://b", Status::Unknown, part);
    }

    #[test]
    fn a_bill_that_is_not_whole_is_marked() {
        let usage = r#"{"type":"usage","data":{"url":"s3://b","objects":5,"bytes":5,"monthly_usd":1,"by_storage_class":{},"not_listed":["earlier versions","unfinished uploads"]}}"#;
        let lines = [begin("usage"), usage.to_owned(), end(0)];
        let part =
            "at least 1.00 US dollars a month; not listed: earlier versions and unfinished uploads";
        check(&lines, "offsite-cost", "s3://b", Status::Ok, part);
    }
}
