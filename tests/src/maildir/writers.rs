//! A mail server at work: threads that deliver, flag, move and expunge messages and rename folders
//! until they are stopped, for tests of a backup of a live tree. They know afterwards what such a
//! backup must hold.
#![expect(
    clippy::disallowed_methods,
    reason = "messages are renamed as Dovecot does it, not as a backup set is"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::dice::Dice;
use super::folder::{Message, Place, folders, message_path, write_uidlist};
use super::generate::{address_of, unique_name, write_message};
use super::message;
use super::moment::Moment;
use super::name::MessageName;
use crate::tree::file_digests;

/// How the writers work.
#[derive(Clone, Copy, Debug)]
pub struct WriterPlan {
    /// What they do is drawn from it; when they do it is up to the machine.
    pub seed: u64,
    /// How many work at the same time.
    pub threads: u32,
    /// Changes a second, of all threads together.
    pub changes_per_second: u32,
    /// The mean size of a delivered message.
    pub mean_bytes: u32,
}

impl Default for WriterPlan {
    fn default() -> Self {
        Self {
            seed: 1,
            threads: 2,
            changes_per_second: 500,
            mean_bytes: 3_000,
        }
    }
}

/// What was there while the writers worked: unique names with the sha256 of their content in
/// hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Messages that were in the tree the whole time, with whatever flags and in whatever folder.
    pub throughout: BTreeMap<String, String>,
    /// Messages that were there the whole time as well, but got another unique name when they were
    /// moved to another folder by copying: the sha256 with all names that they had, of which one at
    /// a time was there.
    pub renamed: BTreeMap<String, BTreeSet<String>>,
    /// Messages that came in the meantime and were there at the end.
    pub delivered: BTreeMap<String, String>,
    /// Messages that were expunged.
    pub expunged: BTreeSet<String>,
    /// How many changes were made.
    pub changes: u64,
}

/// Writers at work. Dropping them stops them as well, without a ledger.
pub struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Worker>>,
    digests: BTreeMap<String, String>,
}

impl Writers {
    /// Sets writers to work on the tree at `dir`. No one else may change it.
    ///
    /// # Panics
    /// When the tree cannot be read or holds no folder.
    #[must_use]
    pub fn start(dir: &Path, plan: WriterPlan) -> Self {
        let found = folders(dir).expect("the mail tree is readable");
        assert!(
            !found.is_empty(),
            "no Maildir folder under {}",
            dir.display()
        );
        let paths: Vec<PathBuf> = found.iter().map(|folder| folder.path.clone()).collect();
        let mailboxes: Arc<[PathBuf]> = found
            .iter()
            .map(|folder| folder.mailbox().to_owned())
            .collect();
        let live: Vec<Live> = found
            .iter()
            .enumerate()
            .flat_map(|(folder, f)| {
                f.messages
                    .iter()
                    .map(move |message| Live::new(folder, message.clone()))
            })
            .collect();
        let digests = digests_of(&paths, &live);
        let paths = Arc::new(RwLock::new(paths));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..plan.threads)
            .map(|number| {
                let own = live
                    .iter()
                    .skip(number as usize)
                    .step_by(plan.threads as usize)
                    .cloned()
                    .collect();
                let worker = Worker::new(
                    number,
                    plan,
                    (Arc::clone(&paths), Arc::clone(&mailboxes)),
                    own,
                );
                let stop = Arc::clone(&stop);
                thread::spawn(move || worker.work(&stop))
            })
            .collect();
        Self {
            stop,
            threads,
            digests,
        }
    }

    /// Stops the writers and tells what was there.
    ///
    /// # Panics
    /// When a writer could not make a change.
    #[must_use]
    pub fn stop(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        let mut ledger = Ledger {
            throughout: std::mem::take(&mut self.digests),
            ..Ledger::default()
        };
        for thread in std::mem::take(&mut self.threads) {
            let worker = thread
                .join()
                .expect("every change succeeds, since no one else changes the tree");
            let delivered = worker
                .live
                .iter()
                .filter(|live| worker.delivered.contains(&live.message.name.unique));
            ledger
                .delivered
                .extend(digests_of(&worker.folders(), delivered));
            for live in worker.live.iter().filter(|live| !live.former.is_empty()) {
                if let Some(digest) = ledger.throughout.remove(&live.former[0]) {
                    ledger
                        .renamed
                        .insert(digest, live.names().cloned().collect());
                }
            }
            ledger.expunged.extend(worker.expunged);
            ledger.changes += worker.changes;
        }
        ledger
            .throughout
            .retain(|unique, _| !ledger.expunged.contains(unique));
        ledger
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            // A panic of a writer has been printed, and this may be part of another.
            let _ = thread.join();
        }
    }
}

/// A message that this thread alone changes.
#[derive(Clone)]
struct Live {
    folder: usize,
    message: Message,
    /// The unique names that it had before, the first one first.
    former: Vec<String>,
}

impl Live {
    fn new(folder: usize, message: Message) -> Self {
        Self {
            folder,
            message,
            former: Vec::new(),
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.former.iter().chain([&self.message.name.unique])
    }
}

fn digests_of<'a>(
    folders: &[PathBuf],
    live: impl IntoIterator<Item = &'a Live>,
) -> BTreeMap<String, String> {
    let (names, paths): (Vec<String>, Vec<PathBuf>) = live
        .into_iter()
        .map(|live| {
            (
                live.message.name.unique.clone(),
                message_path(&folders[live.folder], &live.message),
            )
        })
        .unzip();
    names.into_iter().zip(file_digests(&paths)).collect()
}

struct Worker {
    number: u32,
    plan: WriterPlan,
    dice: Dice,
    /// Shared, since any thread may rename a folder; locked for as long as a change takes.
    paths: Arc<RwLock<Vec<PathBuf>>>,
    /// For each folder the mailbox that it belongs to.
    mailboxes: Arc<[PathBuf]>,
    live: Vec<Live>,
    delivered: BTreeSet<String>,
    expunged: BTreeSet<String>,
    changes: u64,
}

impl Worker {
    fn new(
        number: u32,
        plan: WriterPlan,
        (paths, mailboxes): (Arc<RwLock<Vec<PathBuf>>>, Arc<[PathBuf]>),
        live: Vec<Live>,
    ) -> Self {
        let dice = Dice::new(plan.seed, u64::from(number) + 1);
        let (delivered, expunged) = (BTreeSet::new(), BTreeSet::new());
        Self {
            number,
            plan,
            dice,
            paths,
            mailboxes,
            live,
            delivered,
            expunged,
            changes: 0,
        }
    }

    fn folders(&self) -> RwLockReadGuard<'_, Vec<PathBuf>> {
        self.paths.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(mut self, stop: &AtomicBool) -> Self {
        let pause =
            Duration::from_secs(1) * self.plan.threads / self.plan.changes_per_second.max(1);
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            self.change();
            self.changes += 1;
            next += pause;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        self
    }

    fn change(&mut self) {
        let kind = self
            .dice
            .weighted(&[20.0, 22.0, 15.0, 12.0, 10.0, 16.0, 4.7, 0.3]);
        if kind == 0 || self.live.is_empty() {
            return self.deliver();
        }
        let index = self.dice.below(self.live.len() as u32) as usize;
        match kind {
            1 => self.flag(index),
            2 => self.see(index),
            3 => self.relocate(index),
            4 => self.relocate_by_copy(index),
            5 => self.expunge(index),
            6 => self.rewrite_uidlist(),
            _ => self.rename_folder(),
        }
    }

    /// Writes to `tmp/` and makes the message visible in `new/`, by link and unlink or by rename.
    fn deliver(&mut self) {
        let folder = self.dice.below(self.mailboxes.len() as u32) as usize;
        let address = address_of(&self.mailboxes[folder]);
        let moment = now();
        let mail = message::compose(&mut self.dice, self.plan.mean_bytes, &address, moment);
        let unique = unique_name(moment, self.own_number(), &mail);
        let message = Message {
            place: Place::New,
            name: MessageName::unseen(unique.clone()),
        };
        let by_link = self.dice.percent(50);
        let folders = self.folders();
        let (tmp, target) = (
            folders[folder].join("tmp").join(&unique),
            message_path(&folders[folder], &message),
        );
        write_message(&tmp, &mail, moment).expect("tmp/ is writable");
        if by_link {
            fs::hard_link(&tmp, &target).expect("a message in tmp/ can be linked to new/");
            fs::remove_file(&tmp).expect("a message in tmp/ can be unlinked");
        } else {
            fs::rename(&tmp, &target).expect("a message in tmp/ can be renamed to new/");
        }
        drop(folders);
        self.delivered.insert(unique);
        self.live.push(Live::new(folder, message));
    }

    /// In the place of a process number: no two threads make one name, and no earlier run did.
    fn own_number(&self) -> u64 {
        (self.changes << 8) + 10_000_000 + u64::from(self.number)
    }

    fn flag(&mut self, index: usize) {
        let flag = *self.dice.pick(&['F', 'R', 'S', 'T']);
        let name = self.live[index].message.name.toggled(flag);
        self.rename(index, self.live[index].folder, name);
    }

    fn see(&mut self, index: usize) {
        let name = &self.live[index].message.name;
        let name = if name.has('S') {
            name.clone()
        } else {
            name.toggled('S')
        };
        self.rename(index, self.live[index].folder, name);
    }

    fn relocate(&mut self, index: usize) {
        let folder = self.folder_beside(self.live[index].folder);
        let name = self.live[index].message.name.clone();
        let flags = Some(name.flags.unwrap_or_default());
        self.rename(
            index,
            folder,
            MessageName {
                unique: name.unique,
                flags,
            },
        );
    }

    /// As Dovecot's MOVE does: a hard link in the other folder under a new unique name, then the
    /// old name goes.
    fn relocate_by_copy(&mut self, index: usize) {
        let folder = self.folder_beside(self.live[index].folder);
        let (moment, number) = (now(), self.own_number());
        let folders = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        let live = &mut self.live[index];
        let old = live.message.name.clone();
        let from = message_path(&folders[live.folder], &live.message);
        let sizes = old
            .unique
            .split_once(',')
            .map(|(_, sizes)| format!(",{sizes}"))
            .unwrap_or_default();
        let unique = format!(
            "{}.M{:06}P{number}.mx{sizes}",
            moment.seconds,
            moment.nanoseconds / 1_000
        );
        let name = MessageName {
            unique: unique.clone(),
            flags: Some(old.flags.unwrap_or_default()),
        };
        live.folder = folder;
        live.message = Message {
            place: Place::Cur,
            name,
        };
        let to = message_path(&folders[folder], &live.message);
        fs::hard_link(&from, &to).expect("a message of this thread can be linked");
        fs::remove_file(&from).expect("a message of this thread can be unlinked");
        if self.delivered.remove(&old.unique) {
            self.delivered.insert(unique);
        }
        live.former.push(old.unique);
    }

    /// A folder of the same mailbox.
    fn folder_beside(&mut self, folder: usize) -> usize {
        let beside = |other: &usize| self.mailboxes[*other] == self.mailboxes[folder];
        let choice: Vec<usize> = (0..self.mailboxes.len()).filter(beside).collect();
        *self.dice.pick(&choice)
    }

    fn rename(&mut self, index: usize, folder: usize, name: MessageName) {
        let folders = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        let live = &mut self.live[index];
        let from = message_path(&folders[live.folder], &live.message);
        live.folder = folder;
        live.message = Message {
            place: Place::Cur,
            name,
        };
        let to = message_path(&folders[folder], &live.message);
        fs::rename(&from, &to).expect("a message of this thread can be renamed");
    }

    fn expunge(&mut self, index: usize) {
        let live = self.live.swap_remove(index);
        let path = message_path(&self.folders()[live.folder], &live.message);
        fs::remove_file(&path).expect("a message of this thread can be deleted");
        self.delivered.remove(&live.message.name.unique);
        self.expunged.extend(live.names().cloned());
    }

    /// Only of folders that are this thread's, as the lock file would have it. It lists this
    /// thread's messages alone.
    fn rewrite_uidlist(&mut self) {
        let own = (self.number as usize..self.mailboxes.len())
            .step_by(self.plan.threads as usize)
            .collect::<Vec<_>>();
        if own.is_empty() {
            return;
        }
        let folder = *self.dice.pick(&own);
        let names = self
            .live
            .iter()
            .filter(|live| live.folder == folder)
            .map(|live| &live.message.name);
        write_uidlist(&self.folders()[folder], names).expect("a uidlist can be rewritten");
    }

    /// Any folder but the inbox, to a name of its own and back the next time.
    fn rename_folder(&mut self) {
        let mut folders = self.paths.write().unwrap_or_else(PoisonError::into_inner);
        let named: Vec<usize> = (0..folders.len())
            .filter(|&folder| folders[folder] != self.mailboxes[folder])
            .collect();
        if named.is_empty() {
            return;
        }
        let path = &mut folders[*self.dice.pick(&named)];
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let new = path.with_file_name(
            name.strip_suffix(RENAMED)
                .map_or(format!("{name}{RENAMED}"), str::to_owned),
        );
        fs::rename(&*path, &new).expect("a folder can be renamed");
        *path = new;
    }
}

/// What a renamed folder's name ends with.
const RENAMED: &str = " (renamed)";

fn now() -> Moment {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("the clock is past 1970");
    Moment {
        seconds: now.as_secs().cast_signed(),
        nanoseconds: now.subsec_nanos(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildir::{TreePlan, generate};

    #[test]
    fn the_ledger_agrees_with_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        generate(
            dir.path(),
            &TreePlan {
                mean_bytes: 1_500,
                ..TreePlan::new(300, 2, 5)
            },
        )
        .unwrap();
        let before = names(dir.path());
        let writers = Writers::start(
            dir.path(),
            WriterPlan {
                changes_per_second: 4_000,
                ..WriterPlan::default()
            },
        );
        thread::sleep(Duration::from_millis(300));
        let ledger = writers.stop();
        let after = names(dir.path());

        assert!(
            ledger.changes > 50 && !ledger.expunged.is_empty(),
            "{} changes",
            ledger.changes
        );
        let known: BTreeSet<String> = ledger
            .throughout
            .keys()
            .chain(ledger.delivered.keys())
            .cloned()
            .collect();
        let renamed: BTreeSet<String> = ledger.renamed.values().flatten().cloned().collect();
        assert!(!renamed.is_empty() && known.is_disjoint(&renamed));
        assert_eq!(&known | &(&renamed & &after), after);
        assert_eq!(after.len(), known.len() + ledger.renamed.len());
        let kept: BTreeSet<String> = before
            .difference(&(&ledger.expunged | &renamed))
            .cloned()
            .collect();
        assert_eq!(
            ledger.throughout.keys().cloned().collect::<BTreeSet<_>>(),
            kept
        );
    }

    fn names(dir: &Path) -> BTreeSet<String> {
        folders(dir)
            .unwrap()
            .into_iter()
            .flat_map(|f| f.messages)
            .map(|message| message.name.unique)
            .collect()
    }
}
