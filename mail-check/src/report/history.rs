//! The sets of thirty days, as their manifests tell.

use std::path::Path;

use jiff::ToSpan;
use jiff::civil::Date;
use mail_common::manifest::{DayRecords, Manifest};
use mail_common::record::{Alarm, EndStatus, MessageChanges};
use mail_common::report::chain;
use mail_common::set::{BackupRoot, FoundSet, MANIFEST, SetKind, SetState};

/// How many days are shown, today among them.
pub(super) const DAYS: usize = 30;

/// What there is of each day, the oldest first; or why it cannot be seen.
pub(super) struct History {
    pub(super) days: Vec<Day>,
    pub(super) problem: Option<String>,
}

/// A day with its daily and weekly sets, and its hourly ones as if they were one.
pub(super) struct Day {
    pub(super) date: Date,
    pub(super) sets: Vec<Backup>,
    /// What became of the mail; `None` when nothing was compared and nothing is told.
    pub(super) changes: Option<MailChanges>,
}

/// What became of the mail on a day, as its daily and hourly sets tell.
#[derive(Debug, Default)]
pub(super) struct MailChanges {
    pub(super) messages: MessageChanges,
    /// What was not as on an ordinary day.
    pub(super) alarms: Vec<Alarm>,
}

/// A set.
pub(super) struct Backup {
    /// Such as `daily/2026-11-23`.
    pub(super) name: String,
    pub(super) kind: SetKind,
    pub(super) state: SetState,
    /// What its manifest tells; a set of the old scripts has none.
    pub(super) run: Option<Run>,
    /// What is wrong with it.
    pub(super) problem: Option<String>,
}

/// The run that made a set.
pub(super) struct Run {
    pub(super) seconds: f64,
    pub(super) total_bytes: u64,
    /// Of which these were written, and not linked from an earlier set.
    pub(super) new_bytes: u64,
    pub(super) components: Vec<&'static str>,
    pub(super) day: DayRecords,
}

impl Backup {
    pub(super) fn is_whole(&self) -> bool {
        self.problem.is_none() && matches!(self.state, SetState::Complete | SetState::Legacy)
    }
}

/// Reads manifests and nothing else: that a set is as it was made, `mail-check set` says.
pub(super) fn read(root: &Path, today: Date) -> History {
    let (sets, problem) = match find(root) {
        Ok(sets) => (sets, None),
        Err(error) => (Vec::new(), Some(chain(&error))),
    };
    let days = (0..DAYS).rev().map(|ago| {
        let date = today.saturating_sub((ago as i64).days());
        let of_day = sets.iter().filter(|set| set.id.date() == date);
        let (hourly, others): (Vec<_>, Vec<_>) =
            of_day.partition(|set| set.id.kind() == SetKind::Hourly);
        let mut sets: Vec<Backup> = others.into_iter().map(backup).collect();
        let hourly: Vec<Backup> = hourly.into_iter().map(backup).collect();
        let changes = changes(sets.iter().chain(&hourly));
        sets.extend(together(date, hourly));
        Day {
            date,
            sets,
            changes,
        }
    });
    History {
        days: days.collect(),
        problem,
    }
}

/// A weekly set tells once more what the daily ones do.
fn changes<'a>(sets: impl Iterator<Item = &'a Backup>) -> Option<MailChanges> {
    let told = sets.filter(|set| set.kind != SetKind::Weekly);
    let told = told.filter_map(|set| Some(&set.run.as_ref()?.day));
    let mut sum: Option<MailChanges> = None;
    for day in told.filter(|day| day.changes.is_some() || !day.alarms.is_empty()) {
        let sum = sum.get_or_insert_default();
        if let Some(changes) = &day.changes {
            sum.messages.add(&changes.messages);
        }
        sum.alarms.extend(day.alarms.iter().cloned());
    }
    sum
}

fn find(root: &Path) -> Result<Vec<FoundSet>, mail_common::set::Error> {
    let root = BackupRoot::open(root)?;
    let mut sets = Vec::new();
    for kind in SetKind::ALL {
        sets.extend(root.sets(kind)?);
    }
    Ok(sets)
}

/// The hourly sets of a day as one: the newest, and what is wrong with any of them.
fn together(date: Date, mut hourly: Vec<Backup>) -> Option<Backup> {
    let count = hourly.len();
    let bad: Vec<String> = hourly
        .iter()
        .filter(|set| !set.is_whole())
        .map(|set| match &set.problem {
            Some(problem) => format!("{}: {problem}", set.name),
            None => set.name.clone(),
        })
        .collect();
    let newest = hourly.pop()?;
    let problem = match &bad[..] {
        [] => None,
        [one] => Some(format!("1 of {count} is not whole: {one}")),
        [first, ..] => Some(format!(
            "{} of {count} are not whole, such as {first}",
            bad.len()
        )),
    };
    Some(Backup {
        name: format!("hourly/{date}, {count} sets"),
        problem,
        ..newest
    })
}

fn backup(set: &FoundSet) -> Backup {
    let (run, unread) = match set.state {
        SetState::Complete | SetState::Incomplete => match Manifest::read(&set.path.join(MANIFEST))
        {
            Ok(manifest) => (Some(run(&manifest)), problem_of(&manifest)),
            Err(error) => (None, Some(chain(&error))),
        },
        SetState::Legacy | SetState::Damaged => (None, None),
    };
    let problem = match set.state {
        SetState::Complete => unread,
        SetState::Legacy => None,
        SetState::Incomplete => unread.or_else(|| Some("a part failed".to_owned())),
        SetState::Damaged => Some("it has no checksums: interrupted or damaged".to_owned()),
    };
    let name = match set.state {
        SetState::Incomplete => format!("{}.incomplete", set.id),
        _ => set.id.to_string(),
    };
    Backup {
        name,
        kind: set.id.kind(),
        state: set.state,
        run,
        problem,
    }
}

fn problem_of(manifest: &Manifest) -> Option<String> {
    match (manifest.errors.first(), manifest.end.status) {
        (_, EndStatus::Ok) => None,
        (Some(error), _) => Some(error.message.clone()),
        (None, _) => Some("the run did not end well".to_owned()),
    }
}

fn run(manifest: &Manifest) -> Run {
    let sum = |is_wanted: fn(bool) -> bool| -> u64 {
        manifest
            .artifacts
            .iter()
            .filter(|artifact| is_wanted(artifact.reused))
            .map(|artifact| artifact.bytes)
            .sum()
    };
    Run {
        seconds: manifest.end.seconds,
        total_bytes: sum(|_| true),
        new_bytes: sum(|reused| !reused),
        components: manifest
            .components()
            .into_iter()
            .map(mail_common::set::Component::name)
            .collect(),
        day: manifest.day.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hourly(name: &str, problem: Option<&str>) -> Backup {
        Backup {
            name: name.to_owned(),
            kind: SetKind::Hourly,
            state: SetState::Complete,
            run: None,
            problem: problem.map(str::to_owned),
        }
    }

    #[test]
    fn the_hourly_sets_of_a_day_are_one_line() {
        let date = jiff::civil::date(2026, 11, 23);
        assert!(together(date, Vec::new()).is_none());
        let good = || hourly("hourly/2026-11-23T1510", None);
        let line = together(date, vec![good(), good()]).unwrap();
        assert_eq!(line.name, "hourly/2026-11-23, 2 sets");
        assert!(line.is_whole());
        let bad = hourly("hourly/2026-11-23T1520.incomplete", Some("no database"));
        let line = together(date, vec![bad, good(), good()]).unwrap();
        assert!(!line.is_whole());
        assert_eq!(
            line.problem.as_deref(),
            Some("1 of 3 is not whole: hourly/2026-11-23T1520.incomplete: no database")
        );
    }
}
