//! `HOLD`: the alarms that nobody has accepted, in the root beside the sets.
//!
//! The alarms are in the manifests, too. They hold until they are accepted, whether `HOLD` is there
//! or not: a file that somebody removed, or that could not be written, must not cost the last good
//! set. What was accepted stays in `accepted.jsonl`.

use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;

use super::day::moment_of;
use crate::atomic;
use crate::beneath;
use crate::failure::{Failed, Failure, FailureKind};
use crate::manifest::ManifestHead;
use crate::record::{Accepted, Alarm, AlarmLevel, Record};
use crate::set::{self, BackupRoot, MANIFEST, RootLock, SetId, SetKind, SetState};

/// The file in the root that says since which set nobody has looked.
pub const HOLD: &str = "HOLD";

/// The file in the root that says who has accepted which alarms.
pub const ACCEPTED: &str = "accepted.jsonl";

/// Alarms that nobody has accepted, the first one first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hold {
    /// The alarms.
    pub alarms: Vec<Alarm>,
    /// `HOLD` is there and cannot be read, or not all of it: nothing is known of its alarms.
    pub unreadable: Option<String>,
}

/// Why an alarm cannot be raised or accepted.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The root cannot be read.
    #[error(transparent)]
    Root(#[from] set::Error),
    /// A file of the root cannot be written.
    #[error(transparent)]
    Failed(#[from] Failed),
}

impl Failure for HoldError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Root(error) => error.kind(),
            Self::Failed(error) => error.kind(),
        }
    }
}

impl Hold {
    /// What holds in `root`: the alarms of `HOLD` and of the manifests that were not accepted;
    /// `None` when there are none.
    ///
    /// # Errors
    /// When the sets cannot be listed.
    pub fn of(root: &BackupRoot) -> Result<Option<Self>, set::Error> {
        let mut hold = Self::read(&root.path().join(HOLD));
        for kind in SetKind::ALL {
            for found in root.sets(kind)? {
                if matches!(found.state, SetState::Complete | SetState::Incomplete)
                    && let Ok(head) = ManifestHead::read(&found.path.join(MANIFEST))
                {
                    hold.alarms.extend(head.day.alarms);
                }
            }
        }
        let accepted = accepted(root);
        let is_over = |alarm: &Alarm| {
            accepted
                .iter()
                .any(|it| it.alarms.iter().any(|old| is_same(old, alarm)))
        };
        hold.alarms
            .retain(|alarm| alarm.level == AlarmLevel::Alarm && !is_over(alarm));
        hold.alarms
            .sort_by(|a, b| (instant(a), &a.set, &a.rule).cmp(&(instant(b), &b.set, &b.rule)));
        hold.alarms.dedup_by(|b, a| is_same(a, b));
        let is_any = !hold.alarms.is_empty() || hold.unreadable.is_some();
        Ok(is_any.then_some(hold))
    }

    fn read(path: &Path) -> Self {
        let mut hold = Self::default();
        match lines(path) {
            Ok(records) => {
                for record in records {
                    match record {
                        Some(Record::Alarm(alarm)) => hold.alarms.push(alarm),
                        _ => hold.unreadable = Some("a line of it is damaged".to_owned()),
                    }
                }
                if hold.alarms.is_empty() && hold.unreadable.is_none() {
                    hold.unreadable = Some("it is empty".to_owned());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => hold.unreadable = Some(error.to_string()),
        }
        hold
    }

    /// The first alarm; `None` when that is not known.
    #[must_use]
    pub fn first(&self) -> Option<&Alarm> {
        match self.unreadable {
            None => self.alarms.first(),
            Some(_) => None,
        }
    }

    /// Whether the set `id` must stay: it is from before the first alarm, or the one in which that
    /// was seen.
    #[must_use]
    pub fn keeps(&self, id: SetId) -> bool {
        let Some(first) = self.first() else {
            return true;
        };
        let Some(seen) = seen(first) else {
            return true;
        };
        id.start() <= seen
    }
}

impl Hold {
    /// Whether the set `id` is from before the first alarm.
    #[must_use]
    pub fn is_before(&self, id: SetId) -> bool {
        let is_own = |alarm: &Alarm| alarm.set.trim_end_matches(".incomplete") == id.to_string();
        let first = self.first().filter(|alarm| !is_own(alarm));
        first.and_then(seen).is_some_and(|seen| id.start() < seen)
    }
}

/// The clock on the wall when an alarm was seen, on the day of its set.
fn seen(alarm: &Alarm) -> Option<DateTime> {
    let clock: DateTime = alarm.time.parse().ok()?;
    let set = alarm.set.trim_end_matches(".incomplete");
    Some(moment_of(set.parse().ok()?, clock))
}

fn instant(alarm: &Alarm) -> Option<jiff::Timestamp> {
    alarm.time.parse().ok()
}

/// An alarm is known by its run and its rule.
fn is_same(a: &Alarm, b: &Alarm) -> bool {
    (&a.set, &a.time, &a.rule) == (&b.set, &b.time, &b.rule)
}

/// The records of a file, `None` for a line that is none.
fn lines(path: &Path) -> io::Result<Vec<Option<Record>>> {
    let bytes = beneath::read(path)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let records = lines
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| serde_json::from_slice(line).ok());
    Ok(records.collect())
}

/// What was accepted in `root`, in the order of the file. A line that cannot be read accepts
/// nothing.
#[must_use]
pub fn accepted(root: &BackupRoot) -> Vec<Accepted> {
    let records = lines(&root.path().join(ACCEPTED)).unwrap_or_default();
    let accepted = records
        .into_iter()
        .flatten()
        .filter_map(|record| match record {
            Record::Accepted(accepted) => Some(accepted),
            _ => None,
        });
    accepted.collect()
}

/// Writes `HOLD` with all that holds in `root`, if anything does, and removes it if nothing does.
/// Gives what holds. The only function that writes it.
///
/// # Errors
/// When the root cannot be read or written.
pub fn raise(_: &RootLock, root: &BackupRoot) -> Result<Option<Hold>, HoldError> {
    let path = root.path().join(HOLD);
    let hold = Hold::of(root)?;
    match &hold {
        Some(hold) if hold.unreadable.is_none() => write_hold(&path, hold)?,
        // What cannot be read is left for people to look at.
        Some(_) => {}
        None => remove(&path).map_err(Failed::at("remove", &path))?,
    }
    Ok(hold)
}

fn write_hold(path: &Path, hold: &Hold) -> Result<(), Failed> {
    let records = hold.alarms.iter().cloned().map(Record::Alarm);
    let text: String = records.map(|record| line(&record)).collect();
    if beneath::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let written = atomic::write_file(path, text.as_bytes());
    written.map(drop).map_err(Failed::at("write", path))
}

/// Logs that somebody has looked, and ends what holds in `root`.
///
/// # Errors
/// When a file of the root cannot be written: then all is as it was.
pub fn accept(_: &RootLock, root: &BackupRoot, accepted: &Accepted) -> Result<(), HoldError> {
    let log = root.path().join(ACCEPTED);
    let mut text = match beneath::read(&log) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Failed::at("read", &log)(error).into()),
    };
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend(line(&Record::Accepted(accepted.clone())).bytes());
    atomic::write_file(&log, &text).map_err(Failed::at("write", &log))?;
    let hold: PathBuf = root.path().join(HOLD);
    Ok(remove(&hold).map_err(Failed::at("remove", &hold))?)
}

fn line(record: &Record) -> String {
    let json = serde_json::to_string(record).expect("records have string keys and no cycles");
    format!("{}\n", crate::text::inert_json(&json))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| atomic::sync_parent(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(set: &str, time: &str) -> Alarm {
        Alarm {
            level: AlarmLevel::Alarm,
            rule: "spoiled".to_owned(),
            set: set.to_owned(),
            time: time.to_owned(),
            message: String::new(),
            component: None,
            mailboxes: Vec::new(),
        }
    }

    struct Kit {
        directory: tempfile::TempDir,
        root: BackupRoot,
        lock: RootLock,
    }

    fn kit() -> Kit {
        let directory = tempfile::tempdir().unwrap();
        let root = BackupRoot::open(directory.path()).unwrap();
        let now: jiff::ZonedDateTime = "2026-11-28T03:00:00+09:00[Asia/Tokyo]".parse().unwrap();
        let lock = RootLock::acquire(&root, &now).unwrap();
        Kit {
            directory,
            root,
            lock,
        }
    }

    impl Kit {
        /// A complete set whose manifest has `alarms`.
        fn add_set(&self, id: &str, alarms: &[Alarm]) {
            let set = self.directory.path().join(id);
            std::fs::create_dir_all(&set).unwrap();
            let begin = r#"{"type":"begin","data":{"v":1,"tool":"mail-backup","version":"1","host":"h","time":"2026-11-28T03:00:00+09:00","args":[]}}"#;
            let end = r#"{"type":"end","data":{"tool":"mail-backup","status":"ok","exit":0,"seconds":1.0,"totals":{}}}"#;
            let alarms: String = alarms
                .iter()
                .cloned()
                .map(Record::Alarm)
                .map(|it| line(&it))
                .collect();
            std::fs::write(set.join(MANIFEST), format!("{begin}\n{alarms}{end}\n")).unwrap();
            std::fs::write(set.join("checksums.sha256"), "").unwrap();
        }

        fn accept_all(&self) {
            let accepted = Accepted {
                time: "2026-11-28T09:00:00+09:00".into(),
                user: "root".into(),
                reason: "a migration".into(),
                alarms: Hold::of(&self.root).unwrap().unwrap().alarms,
            };
            accept(&self.lock, &self.root, &accepted).unwrap();
        }

        fn hold(&self) -> Option<Hold> {
            Hold::of(&self.root).unwrap()
        }
    }

    const TIME: &str = "2026-11-28T03:00:00+09:00";

    #[test]
    fn an_alarm_holds_until_it_is_accepted() {
        let kit = kit();
        kit.add_set("daily/2026-11-27", &[]);
        assert_eq!(kit.hold(), None);
        assert_eq!(raise(&kit.lock, &kit.root).unwrap(), None);
        kit.add_set("daily/2026-11-28", &[alarm("daily/2026-11-28", TIME)]);
        let hold = raise(&kit.lock, &kit.root).unwrap().unwrap();
        assert_eq!(hold.alarms, [alarm("daily/2026-11-28", TIME)]);
        let file = kit.directory.path().join(HOLD);
        assert!(file.is_file());

        kit.accept_all();
        assert!(!file.exists());
        assert_eq!(kit.hold(), None);
        assert_eq!(accepted(&kit.root)[0].reason, "a migration");
        assert_eq!(raise(&kit.lock, &kit.root).unwrap(), None);
    }

    #[test]
    fn neither_the_file_nor_the_set_may_be_removed_to_end_it() {
        let kit = kit();
        kit.add_set("daily/2026-11-28", &[alarm("daily/2026-11-28", TIME)]);
        raise(&kit.lock, &kit.root).unwrap();
        let file = kit.directory.path().join(HOLD);
        std::fs::remove_file(&file).unwrap();
        assert!(kit.hold().is_some());
        raise(&kit.lock, &kit.root).unwrap();
        assert!(file.is_file(), "it is written again");
        std::fs::remove_dir_all(kit.directory.path().join("daily/2026-11-28")).unwrap();
        assert!(kit.hold().is_some());
    }

    #[test]
    fn a_hold_that_cannot_be_read_keeps_everything() {
        let kit = kit();
        let old: SetId = "daily/2031-01-01".parse().unwrap();
        for damage in ["", "nonsense\n", "{\"type\":\"alarm\",\"data\":{}}\n"] {
            std::fs::write(kit.directory.path().join(HOLD), damage).unwrap();
            let hold = kit.hold().unwrap();
            assert!(hold.unreadable.is_some() && hold.keeps(old), "{damage:?}");
            assert!(raise(&kit.lock, &kit.root).unwrap().is_some());
        }
        kit_accepts_it(&kit);
    }

    /// Somebody has looked.
    fn kit_accepts_it(kit: &Kit) {
        kit.accept_all();
        assert_eq!(kit.hold(), None);
    }

    #[test]
    fn a_damaged_line_of_the_log_accepts_nothing() {
        let kit = kit();
        kit.add_set("daily/2026-11-28", &[alarm("daily/2026-11-28", TIME)]);
        kit.accept_all();
        let log = kit.directory.path().join(ACCEPTED);
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::write(&log, &text[..text.len() - 9]).unwrap();
        assert!(kit.hold().is_some());
        kit.accept_all();
        assert_eq!(kit.hold(), None);
    }

    #[test]
    fn what_was_accepted_does_not_cover_the_next_alarm() {
        let kit = kit();
        kit.add_set("daily/2026-11-28", &[alarm("daily/2026-11-28", TIME)]);
        kit.accept_all();
        let next = alarm("daily/2026-11-29", "2026-11-29T03:00:00+09:00");
        kit.add_set("daily/2026-11-29", std::slice::from_ref(&next));
        assert_eq!(kit.hold().unwrap().alarms, [next]);
    }

    #[test]
    fn a_notable_day_holds_nothing() {
        let kit = kit();
        let notable = Alarm {
            level: AlarmLevel::Notable,
            ..alarm("daily/2026-11-28", TIME)
        };
        kit.add_set("daily/2026-11-28", &[notable]);
        assert_eq!(kit.hold(), None);
    }

    #[test]
    fn sets_from_before_the_first_alarm_stay() {
        let hold = Hold {
            alarms: vec![
                alarm("daily/2026-11-28", TIME),
                alarm("daily/2026-11-29", "2026-11-29T03:00:00+09:00"),
            ],
            unreadable: None,
        };
        let check = |id: &str, keeps| assert_eq!(hold.keeps(id.parse().unwrap()), keeps, "{id}");
        check("daily/2026-10-01", true);
        check("daily/2026-11-28", true);
        check("daily/2026-11-29", false);
        check("hourly/2026-11-28T0210", true);
        check("hourly/2026-11-28T0310", false);
        check("weekly/2026-week-47", true);
        check("weekly/2026-week-48", false);
        let check =
            |id: &str, before| assert_eq!(hold.is_before(id.parse().unwrap()), before, "{id}");
        check("daily/2026-11-27", true);
        check("daily/2026-11-28", false);
        check("hourly/2026-11-28T0210", true);
        check("hourly/2026-11-28T0310", false);
    }
}
