//! One day in the life of a mail tree: deliveries, flags, deletions and moves, the same from the
//! same tree.
#![expect(
    clippy::disallowed_methods,
    reason = "messages are renamed as Dovecot does it, not as a backup set is"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::dice::Dice;
use super::error::{Error, Result};
use super::folder::{Folder, Message, Place, folders, message_path, write_control_files};
use super::generate::{DEFAULT_BASE_SECONDS, address_of, unique_name, write_message};
use super::message::{self, DEFAULT_MEAN_BYTES};
use super::moment::{DAY_SECONDS, Moment, stamp};
use super::name::MessageName;

/// Where flags, deletions and moves fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Among the messages of the last days, as people read their mail.
    Recent,
    /// Anywhere, as in the worst case.
    Uniform,
}

/// What happens on a day, in percent of the messages that are there when it begins.
#[derive(Clone, Debug)]
pub struct DayPlan {
    /// Day 1 is the one after the tree's last.
    pub day: u32,
    /// Equal seeds change equal trees equally.
    pub seed: u64,
    /// The `base_seconds` that the tree was made with.
    pub base_seconds: i64,
    /// The mean size of a new message.
    pub mean_bytes: u32,
    /// Messages delivered.
    pub new_percent: f64,
    /// Messages whose flags change.
    pub flag_percent: f64,
    /// Messages expunged.
    pub delete_percent: f64,
    /// Messages moved to another folder of their mailbox.
    pub move_percent: f64,
    /// Which messages change.
    pub spread: Spread,
}

impl DayPlan {
    /// An ordinary day: 1 % new, 1 % re-flagged, 0.5 % deleted, none moved, among recent messages.
    #[must_use]
    pub fn new(day: u32, seed: u64) -> Self {
        Self {
            day,
            seed,
            base_seconds: DEFAULT_BASE_SECONDS,
            mean_bytes: DEFAULT_MEAN_BYTES,
            new_percent: 1.0,
            flag_percent: 1.0,
            delete_percent: 0.5,
            move_percent: 0.0,
            spread: Spread::Recent,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayTotals {
    /// Messages delivered.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Messages whose flags changed.
    pub flagged: u64,
    /// Messages expunged.
    pub deleted: u64,
    /// Messages moved.
    pub moved: u64,
}

impl DayTotals {
    /// Adds what happened besides.
    pub(super) fn include(&mut self, more: &Self) {
        self.delivered += more.delivered;
        self.delivered_bytes += more.delivered_bytes;
        self.flagged += more.flagged;
        self.deleted += more.deleted;
        self.moved += more.moved;
    }
}

/// How many days back are recent, where they hold enough messages.
const RECENT_DAYS: i64 = 7;
/// Streams of dice: messages of the tree count from 1, its folders from 2^40, days of change from
/// here.
const DAY_STREAMS: u64 = 1 << 41;

/// Lets a day pass in the tree at `dir`.
///
/// # Errors
/// When there is no Maildir folder in it, or when the file system refuses.
pub fn age(dir: &Path, plan: &DayPlan) -> Result<DayTotals> {
    let mut day = Day::open(dir, plan)?;
    let total: usize = day.folders.iter().map(|folder| folder.messages.len()).sum();
    let share = |percent: f64| (total as f64 * percent / 100.0).round() as usize;
    let (deletes, moves, flags) = (
        share(plan.delete_percent),
        share(plan.move_percent),
        share(plan.flag_percent),
    );
    let mut chosen = day.choose(deletes + moves + flags).into_iter();
    for target in chosen.by_ref().take(deletes) {
        day.delete(&target)?;
    }
    for target in chosen.by_ref().take(moves) {
        day.relocate(&target)?;
    }
    for target in chosen {
        day.flag(&target)?;
    }
    for number in 1..=share(plan.new_percent) as u64 {
        day.deliver(number)?;
    }
    day.finish()
}

pub(super) struct Day<'a> {
    plan: &'a DayPlan,
    pub(super) dice: Dice,
    pub(super) folders: Vec<Folder>,
    /// For each message that was there in the morning its folder, so that big folders get more
    /// mail.
    homes: Vec<usize>,
    touched: BTreeSet<usize>,
    pub(super) totals: DayTotals,
}

pub(super) struct Target {
    pub(super) folder: usize,
    pub(super) message: Message,
}

impl<'a> Day<'a> {
    pub(super) fn open(dir: &Path, plan: &'a DayPlan) -> Result<Self> {
        let folders = folders(dir)?;
        if folders.is_empty() {
            return Err(Error::NoFolder(dir.to_owned()));
        }
        let homes = folders
            .iter()
            .enumerate()
            .flat_map(|(i, f)| std::iter::repeat_n(i, f.messages.len()))
            .collect();
        let dice = Dice::new(plan.seed, DAY_STREAMS + (u64::from(plan.day) << 24));
        Ok(Self {
            plan,
            dice,
            folders,
            homes,
            touched: BTreeSet::new(),
            totals: DayTotals::default(),
        })
    }

    /// The first second of this day.
    pub(super) fn morning_seconds(&self) -> i64 {
        self.plan.base_seconds + (i64::from(self.plan.day) - 1) * DAY_SECONDS
    }

    /// `count` different messages, or all where there are fewer.
    fn choose(&mut self, count: usize) -> Vec<Target> {
        let mut all: Vec<(i64, usize, usize)> = Vec::with_capacity(self.homes.len());
        for (f, folder) in self.folders.iter().enumerate() {
            all.extend(
                folder
                    .messages
                    .iter()
                    .enumerate()
                    .map(|(m, message)| (message.name.delivered_seconds(), f, m)),
            );
        }
        // The newest first; equal times in the order of paths.
        all.sort_by_key(|&(seconds, f, m)| (std::cmp::Reverse(seconds), f, m));
        if self.plan.spread == Spread::Recent {
            let since = self.morning_seconds() - RECENT_DAYS * DAY_SECONDS;
            let recent = all.partition_point(|&(seconds, ..)| seconds >= since);
            all.truncate(recent.max(count * 2));
        }
        let count = count.min(all.len());
        for i in 0..count {
            let other = i + self.dice.below((all.len() - i) as u32) as usize;
            all.swap(i, other);
        }
        all.truncate(count);
        let target = |(_, folder, m): (i64, usize, usize)| Target {
            folder,
            message: self.folders[folder].messages[m].clone(),
        };
        all.into_iter().map(target).collect()
    }

    pub(super) fn delete(&mut self, target: &Target) -> Result<()> {
        let path = self.folders[target.folder].path_of(&target.message);
        fs::remove_file(&path).map_err(Error::io("delete", &path))?;
        self.touched.insert(target.folder);
        self.totals.deleted += 1;
        Ok(())
    }

    fn relocate(&mut self, target: &Target) -> Result<()> {
        let mailbox = self.folders[target.folder].mailbox();
        let others: Vec<usize> = (0..self.folders.len())
            .filter(|&other| other != target.folder && self.folders[other].mailbox() == mailbox)
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let folder = *self.dice.pick(&others);
        let flags = target.message.name.flags.clone().unwrap_or_default();
        let name = MessageName {
            unique: target.message.name.unique.clone(),
            flags: Some(flags),
        };
        self.rename(target, folder, name)?;
        self.totals.moved += 1;
        Ok(())
    }

    /// Marks an unseen message as seen, and changes a random flag of a seen one.
    fn flag(&mut self, target: &Target) -> Result<()> {
        let flag = if target.message.name.has('S') {
            *self.dice.pick(&['F', 'R'])
        } else {
            'S'
        };
        self.rename(target, target.folder, target.message.name.toggled(flag))?;
        self.totals.flagged += 1;
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        target: &Target,
        folder: usize,
        name: MessageName,
    ) -> Result<()> {
        let from = self.folders[target.folder].path_of(&target.message);
        let to = message_path(
            &self.folders[folder].path,
            &Message {
                place: Place::Cur,
                name,
            },
        );
        fs::rename(&from, &to).map_err(Error::io("rename", &from))?;
        self.touched.extend([target.folder, folder]);
        Ok(())
    }

    pub(super) fn deliver(&mut self, number: u64) -> Result<()> {
        let mut dice = Dice::new(
            self.plan.seed,
            DAY_STREAMS + (u64::from(self.plan.day) << 24) + number,
        );
        let home = if self.homes.is_empty() {
            0
        } else {
            *dice.pick(&self.homes)
        };
        let mailbox = self.folders[home].mailbox();
        let folder = self
            .folders
            .iter()
            .position(|f| f.path == mailbox)
            .unwrap_or(home);
        let moment = Moment {
            seconds: self.morning_seconds() + i64::from(dice.below(DAY_SECONDS as u32)),
            nanoseconds: dice.below(1_000_000_000),
        };
        let mail = message::compose(
            &mut dice,
            self.plan.mean_bytes,
            &address_of(mailbox),
            moment,
        );
        let name = MessageName::unseen(unique_name(moment, number, &mail));
        write_message(
            &message_path(
                &self.folders[folder].path,
                &Message {
                    place: Place::New,
                    name,
                },
            ),
            &mail,
            moment,
        )?;
        self.touched.insert(folder);
        self.totals.delivered += 1;
        self.totals.delivered_bytes += mail.len() as u64;
        Ok(())
    }

    /// Writes the control files of changed folders and dates everything that changed to the day's
    /// evening.
    pub(super) fn finish(mut self) -> Result<DayTotals> {
        let evening = Moment {
            seconds: self.morning_seconds() + DAY_SECONDS - 1,
            nanoseconds: 987_654_321,
        };
        for &folder in &self.touched {
            let path: PathBuf = self.folders[folder].path.clone();
            let now = folders(&path)?;
            let mut seen: Vec<MessageName> = now
                .iter()
                .filter(|f| f.path == path)
                .flat_map(|f| &f.messages)
                .filter(|message| message.place == Place::Cur)
                .map(|message| message.name.clone())
                .collect();
            seen.sort_by(|a, b| {
                (a.delivered_seconds(), &a.unique).cmp(&(b.delivered_seconds(), &b.unique))
            });
            write_control_files(&path, &seen, evening, &mut self.dice)?;
            for name in ["cur", "new", "tmp", ""] {
                stamp(&path.join(name), evening)?;
            }
        }
        Ok(self.totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::{TreePlan, generate};
    use crate::tree::snapshot;

    fn tree_after(plan: &DayPlan) -> (tempfile::TempDir, DayTotals) {
        let dir = tempfile::tempdir().unwrap();
        generate(
            dir.path(),
            &TreePlan {
                mean_bytes: 2_000,
                ..TreePlan::new(1_000, 3, 5)
            },
        )
        .unwrap();
        let totals = age(dir.path(), plan).unwrap();
        (dir, totals)
    }

    fn count(dir: &Path) -> usize {
        folders(dir)
            .unwrap()
            .iter()
            .map(|folder| folder.messages.len())
            .sum()
    }

    #[test]
    fn a_day_changes_as_much_as_was_asked_for() {
        let plan = DayPlan {
            move_percent: 2.0,
            ..DayPlan::new(1, 9)
        };
        let (dir, totals) = tree_after(&plan);
        let DayTotals {
            delivered,
            flagged,
            deleted,
            moved,
            ..
        } = totals;
        assert_eq!((delivered, flagged, deleted, moved), (10, 10, 5, 20));
        assert_eq!(count(dir.path()), 1_005);
    }

    #[test]
    fn equal_trees_age_equally() {
        let plan = DayPlan {
            move_percent: 2.0,
            ..DayPlan::new(1, 9)
        };
        let (one, _) = tree_after(&plan);
        let (two, _) = tree_after(&plan);
        assert_eq!(
            snapshot(one.path()).diff(&snapshot(two.path())),
            Vec::<String>::new()
        );
    }

    #[test]
    fn recent_changes_leave_old_mail_alone() {
        let names = |spread| {
            let (dir, _) = tree_after(&DayPlan {
                spread,
                new_percent: 0.0,
                delete_percent: 3.0,
                ..DayPlan::new(1, 9)
            });
            let old = DEFAULT_BASE_SECONDS - 60 * DAY_SECONDS;
            let messages = folders(dir.path()).unwrap();
            messages
                .iter()
                .flat_map(|f| &f.messages)
                .filter(|m| m.name.delivered_seconds() < old)
                .count()
        };
        assert!(names(Spread::Recent) > names(Spread::Uniform));
    }

    #[test]
    fn days_follow_one_another() {
        let (dir, _) = tree_after(&DayPlan::new(1, 9));
        let second = age(dir.path(), &DayPlan::new(2, 9)).unwrap();
        assert_eq!(second.delivered, 10);
        assert_eq!(count(dir.path()), 1_010);
    }

    #[test]
    fn an_empty_directory_cannot_age() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            age(dir.path(), &DayPlan::new(1, 1)),
            Err(Error::NoFolder(_))
        ));
    }
}
