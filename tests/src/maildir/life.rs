//! A day of ordinary life: mail arrives, is read, answered, filed and thrown away in the days
//! after.
//!
//! What becomes of a message is drawn from its unique name, so nothing is kept from day to day but
//! the tree itself. Only mail that arrives on one of these days has a fate; what was there before
//! changes by events alone.
#![expect(
    clippy::disallowed_methods,
    reason = "folders are renamed as Dovecot does it, not as a backup set is"
)]

use std::fs;
use std::path::Path;

use super::day::{Day, DayPlan, DayTotals, Target};
use super::dice::Dice;
use super::error::{Error, Result};
use super::folder::{Folder, folders};
use super::generate::create_folder;
use super::moment::DAY_SECONDS;

const TRASH: &str = ".Trash";
const ARCHIVE: &str = ".Archive.2025";
/// How long a message lies in the trash.
const TRASH_DAYS: u32 = 30;
/// Streams of fates; no other streams of dice have this bit.
const FATE_STREAMS: u64 = 1 << 63;

/// What happens on a day of ordinary life.
#[derive(Clone, Debug)]
pub struct LifePlan {
    /// Day 1 is the one after the tree's last.
    pub day: u32,
    /// Equal seeds change equal trees equally.
    pub seed: u64,
    /// The `base_seconds` that the tree was made with.
    pub base_seconds: i64,
    /// The mean size of a new message.
    pub mean_bytes: u32,
    /// Messages that arrive.
    pub arrivals: u64,
    /// What happens besides.
    pub events: Vec<Event>,
}

/// Something that touches much old mail on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Every message of the first mailbox gets a flag.
    Mark,
    /// A tenth of the mail from before the first day is deleted, evenly.
    Purge,
    /// A folder of the first mailbox gets another name.
    Rename,
}

/// Lets a day of ordinary life pass in the tree at `dir`.
///
/// # Errors
/// When there is no Maildir folder in it, or when the file system refuses.
pub fn live(dir: &Path, plan: &LifePlan) -> Result<DayTotals> {
    let day_plan = DayPlan {
        base_seconds: plan.base_seconds,
        mean_bytes: plan.mean_bytes,
        ..DayPlan::new(plan.day, plan.seed)
    };
    create_missing_folders(dir)?;
    let mut arriving = Day::open(dir, &day_plan)?;
    for number in 1..=plan.arrivals {
        arriving.deliver(number)?;
    }
    let mut totals = arriving.finish()?;
    let mut reading = Day::open(dir, &day_plan)?;
    for (target, act) in acts_due(&reading.folders, plan) {
        act.carry_out(&mut reading, &target)?;
    }
    totals.include(&reading.finish()?);
    for event in &plan.events {
        let mut day = Day::open(dir, &day_plan)?;
        event.happen(&mut day, plan)?;
        totals.include(&day.finish()?);
    }
    Ok(totals)
}

/// Every mailbox has a trash and an archive.
fn create_missing_folders(dir: &Path) -> Result<()> {
    for folder in folders(dir)? {
        for name in [TRASH, ARCHIVE] {
            create_folder(&folder.mailbox().join(name))?;
        }
    }
    Ok(())
}

/// What happens to a message on a day.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    Expunge,
    /// It gets these flags, and goes to this folder of its mailbox, if to any.
    Handle(String, Option<&'static str>),
}

impl Act {
    fn carry_out(self, day: &mut Day<'_>, target: &Target) -> Result<()> {
        let (flags, folder) = match self {
            Self::Expunge => return day.delete(target),
            Self::Handle(flags, folder) => (flags, folder),
        };
        let home = &day.folders[target.folder];
        let folder = folder
            .map(|name| home.mailbox().join(name))
            .and_then(|path| day.folders.iter().position(|other| other.path == path))
            .unwrap_or(target.folder);
        let name = flags
            .chars()
            .fold(target.message.name.clone(), |name, flag| name.with(flag));
        day.rename(target, folder, name)?;
        day.totals.moved += u64::from(folder != target.folder);
        day.totals.flagged += u64::from(folder == target.folder);
        Ok(())
    }
}

/// The messages that something happens to on this day.
fn acts_due(folders: &[Folder], plan: &LifePlan) -> Vec<(Target, Act)> {
    all(folders)
        .filter_map(|target| {
            let arrived = target.message.name.delivered_seconds() - plan.base_seconds;
            let age = i64::from(plan.day) - 1 - arrived.div_euclid(DAY_SECONDS);
            let age = u32::try_from(age).ok().filter(|_| arrived >= 0)?;
            let fate = Fate::of(plan.seed, &target.message.name.unique);
            Some((target, fate.act_at(age)?))
        })
        .collect()
}

fn all(folders: &[Folder]) -> impl Iterator<Item = Target> {
    folders.iter().enumerate().flat_map(|(number, folder)| {
        folder.messages.iter().map(move |message| Target {
            folder: number,
            message: message.clone(),
        })
    })
}

/// At which age what happens to a message, in days.
struct Fate {
    read: Option<u32>,
    answered: Option<u32>,
    put_away: Option<(u32, &'static str)>,
}

impl Fate {
    /// Four in five are read by the next day, one in eight is answered within three; one in four is
    /// thrown away within a week, and one in ten is filed.
    fn of(seed: u64, unique: &str) -> Self {
        let mut dice = Dice::new(seed, FATE_STREAMS | fnv(unique.as_bytes()));
        let is_read = dice.percent(80);
        let read_after = dice.below(2);
        let is_answered = dice.below(8) == 0;
        let answered_after = 1 + dice.below(3);
        let put_away_after = 1 + dice.below(6);
        let folder = match dice.below(100) {
            0..25 => Some(TRASH),
            25..35 => Some(ARCHIVE),
            _ => None,
        };
        Self {
            read: is_read.then_some(read_after),
            answered: is_answered.then_some(answered_after),
            put_away: folder.map(|folder| (put_away_after, folder)),
        }
    }

    fn act_at(&self, age_days: u32) -> Option<Act> {
        let put_away = self.put_away.filter(|(days, _)| *days == age_days);
        if let Some((days, TRASH)) = self.put_away
            && days + TRASH_DAYS == age_days
        {
            return Some(Act::Expunge);
        }
        let mut flags = String::new();
        if self.read == Some(age_days) {
            flags.push('S');
        }
        if self.answered == Some(age_days) {
            flags.push_str("RS");
        }
        match put_away {
            Some((_, TRASH)) => flags.push_str("ST"),
            Some(_) => flags.push('S'),
            None if flags.is_empty() => return None,
            None => {}
        }
        Some(Act::Handle(flags, put_away.map(|(_, folder)| folder)))
    }
}

/// FNV-1a of 64 bits: the same on every machine.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Event {
    fn happen(self, day: &mut Day<'_>, plan: &LifePlan) -> Result<()> {
        let Some(first) = day
            .folders
            .first()
            .map(|folder| folder.mailbox().to_owned())
        else {
            return Ok(());
        };
        match self {
            Self::Mark => mark_all(day, &first),
            Self::Purge => purge(day, plan.base_seconds),
            Self::Rename => rename_archive(&first, plan.day),
        }
    }
}

fn mark_all(day: &mut Day<'_>, mailbox: &Path) -> Result<()> {
    let targets: Vec<Target> = all(&day.folders)
        .filter(|target| day.folders[target.folder].mailbox() == mailbox)
        .collect();
    for target in targets {
        Act::Handle("F".to_owned(), None).carry_out(day, &target)?;
    }
    Ok(())
}

fn purge(day: &mut Day<'_>, before_seconds: i64) -> Result<()> {
    let old: Vec<Target> = all(&day.folders)
        .filter(|target| target.message.name.delivered_seconds() < before_seconds)
        .collect();
    for target in old {
        if day.dice.percent(10) {
            day.delete(&target)?;
        }
    }
    Ok(())
}

fn rename_archive(mailbox: &Path, day: u32) -> Result<()> {
    let old = mailbox.join(ARCHIVE);
    let new = mailbox.join(format!("{ARCHIVE} until day {day}"));
    fs::rename(&old, new).map_err(Error::io("rename", &old))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::maildir::{DEFAULT_BASE_SECONDS, Message, TreePlan, generate};
    use crate::tree::snapshot;

    const SEED: u64 = 9;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let plan = TreePlan {
            mean_bytes: 1_000,
            ..TreePlan::new(200, 2, SEED)
        };
        generate(dir.path(), &plan).unwrap();
        dir
    }

    fn plan(day: u32, events: &[Event]) -> LifePlan {
        LifePlan {
            day,
            seed: SEED,
            base_seconds: DEFAULT_BASE_SECONDS,
            mean_bytes: 1_000,
            arrivals: 40,
            events: events.to_vec(),
        }
    }

    /// How many messages lie in each folder, by its name.
    fn counts(dir: &Path, is_counted: impl Fn(&Message) -> bool) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for folder in folders(dir).unwrap() {
            let is_inbox = folder.mailbox() == folder.path;
            let name = folder.path.file_name().unwrap().to_str().unwrap();
            let name = if is_inbox { "" } else { name };
            let count = folder.messages.iter().filter(|m| is_counted(m)).count();
            *counts.entry(name.to_owned()).or_default() += count;
        }
        counts
    }

    fn arrived(message: &Message) -> bool {
        message.name.delivered_seconds() >= DEFAULT_BASE_SECONDS
    }

    #[test]
    fn mail_is_read_thrown_away_and_expunged() {
        let dir = tree();
        let mut deleted = 0;
        for day in 1..=50 {
            deleted += live(dir.path(), &plan(day, &[])).unwrap().deleted;
        }
        // 2,000 arrived; a quarter is thrown away, and that of the first two weeks is expunged.
        let all = counts(dir.path(), arrived);
        assert_eq!(all.values().sum::<usize>() as u64, 2_000 - deleted);
        assert!((100..200).contains(&deleted), "{deleted} expunged");
        assert!(
            (280..400).contains(&all[TRASH]),
            "{} thrown away",
            all[TRASH]
        );
        assert!((150..250).contains(&all[ARCHIVE]), "{} filed", all[ARCHIVE]);
        let unread = counts(dir.path(), |m| arrived(m) && m.name.flags.is_none());
        assert!((150..350).contains(&unread[""]), "{} unread", unread[""]);
        let old = counts(dir.path(), |m| !arrived(m));
        assert_eq!(old.values().sum::<usize>(), 200);
    }

    #[test]
    fn events_touch_old_mail() {
        let dir = tree();
        let before = counts(dir.path(), |m| m.name.has('F'));
        live(dir.path(), &plan(1, &[Event::Mark, Event::Purge])).unwrap();
        let after = counts(dir.path(), |m| m.name.has('F'));
        assert!(after[""] > before[""] + 30, "{before:?} {after:?}");
        let old = counts(dir.path(), |m| !arrived(m)).values().sum::<usize>();
        assert!((165..195).contains(&old), "{old} left");
        live(dir.path(), &plan(2, &[Event::Rename])).unwrap();
        live(dir.path(), &plan(3, &[])).unwrap();
        let names = counts(dir.path(), |_| true);
        assert!(names.contains_key(".Archive.2025 until day 2"), "{names:?}");
        assert!(names.contains_key(ARCHIVE), "{names:?}");
    }

    #[test]
    fn equal_trees_live_equally() {
        let (one, two) = (tree(), tree());
        for dir in [&one, &two] {
            for day in 1..=3 {
                live(dir.path(), &plan(day, &[Event::Purge])).unwrap();
            }
        }
        let difference = snapshot(one.path()).diff(&snapshot(two.path()));
        assert_eq!(difference, Vec::<String>::new());
    }
}
