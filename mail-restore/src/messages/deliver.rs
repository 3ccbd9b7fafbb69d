//! Adds messages to a live mailbox while Dovecot runs, by the rules of Maildir: written whole into
//! `tmp/`, then renamed into `cur/` or `new/` under a name that nobody has.
//!
//! No message that is there is touched, and none is added whose content is there already. Killed at
//! any moment, a run leaves a file in `tmp/`, which Dovecot removes after a while, and perhaps an
//! empty folder.
//!
//! The order is what keeps this true. The mailbox is locked first, since two runs that look before
//! either writes would both add the message; Dovecot does not know this lock, and `present` finds
//! what it moves meanwhile. Then all that is there and has a size that is wanted is hashed, and
//! only what is missing is written. A message is whole, has its owner and its time, and is synced
//! before its rename: from then on Dovecot may index it, move it or hand it out. The rename never
//! replaces, so it cannot cover another message. Directories are synced last: what a power cut
//! takes back, the next run adds. When a write fails, the disk is taken to be full and no further
//! message is begun; when a content is damaged, the others are still delivered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use mail_common::failure::Failed;
use mail_common::flock::Flock;
use mail_common::message::is_packed;
use mail_common::relpath::RelPath;
use mail_common::report;
use mail_common::set::address_of;

use super::candidate::{Candidate, Owner, SavedFile, Selection, folder_name};
use super::content::{Content, read_all, read_small, unreadable};
use super::directory::{Directory, Made};
use super::error::{Error, Problem};
use super::folder::{ACL, Folder, Parent, Saved, hand_over, set_time};
use super::keywords::{FILE_MAX_BYTES, Keywords};
use super::outcome::{Disposition, Outcome, Warning};
use super::present::{Known, Wanted, look_through};
use super::quota;
use super::subscriptions;
use super::unique_name::{Namer, Sizes, flagged, flags_of, named};
use super::work::Work;

/// How long to wait before another run is asked again whether it is done with the mailbox.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Adds the messages of `selection` to the mailboxes below `live_root`, each to its folder, with
/// the flags and the time of delivery that it had. What is missing of a mailbox or a folder is
/// made. `now` is for the names.
///
/// # Errors
/// When the live mail root cannot be opened. What fails later is in the outcome.
pub fn deliver(
    selection: &Selection,
    live_root: &Path,
    now: Timestamp,
    work: &Work<'_>,
) -> Result<Outcome, Error> {
    deliver_knowing(selection, live_root, now, &mut Known::default(), work)
}

/// The same for one of several lots, of whose mailboxes something is known.
pub(crate) fn deliver_knowing(
    selection: &Selection,
    live_root: &Path,
    now: Timestamp,
    known: &mut Known,
    work: &Work<'_>,
) -> Result<Outcome, Error> {
    let root = Directory::open_root(live_root).map_err(Failed::at("open", live_root))?;
    let namer = Namer::new(now);
    let mut outcome = Outcome::default();
    for (path, candidates) in selection.by_mailbox() {
        outcome.left += candidates.len();
        let delivery = Delivery {
            selection,
            namer: &namer,
            work,
            path,
        };
        if let Err(error) = delivery.run(&root, &candidates, known, &mut outcome) {
            outcome.failures.push(Problem {
                mailbox: address_of(path),
                path: None,
                error,
            });
        }
    }
    outcome.restored.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(outcome)
}

/// What is added to one mailbox.
struct Delivery<'a> {
    selection: &'a Selection,
    namer: &'a Namer<'a>,
    work: &'a Work<'a>,
    /// Of the mailbox, relative to the mail root.
    path: &'a RelPath,
}

/// The mailbox while it is added to: no other run has it.
struct Open<'a> {
    lock: Flock<&'a Directory>,
    owner: Owner,
    /// Permission bits of messages.
    mode: u32,
}

impl Open<'_> {
    fn directory(&self) -> &Directory {
        self.lock.file()
    }
}

/// A message that was added.
struct Added {
    /// Relative to the live mail root.
    target: RelPath,
    dropped: Vec<String>,
    uncounted: Option<io::Error>,
    /// Device and inode.
    file: (u64, u64),
}

impl Delivery<'_> {
    fn run(
        &self,
        root: &Directory,
        candidates: &[&Candidate],
        known: &mut Known,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        if self.work.is_stopped() {
            return Ok(());
        }
        let directory = self.open_mailbox(root, outcome)?;
        let Some(lock) = self.lock(&directory)? else {
            return Ok(());
        };
        let look = |source| Failed::at("look through", self.path.as_path())(source);
        let files = candidates.iter().map(|candidate| &candidate.file);
        let sought = Wanted::of(files.map(|file| (file.size, file.sha256)));
        let present = look_through(&directory, &sought, known).map_err(look)?;
        let open = Open {
            owner: directory.owner().map_err(look)?,
            lock,
            mode: present.mode,
        };
        let mut wanted = Vec::new();
        for candidate in candidates {
            if let Some(place) = present.place_of(candidate.file.sha256) {
                outcome.note(candidate, place.below(self.path), Disposition::Present);
            } else if let Some(owners) = self.selection.control.other_owner(candidate) {
                let error = Error::other_owner(&candidate.file.path, owners);
                outcome.fail(candidate, error);
            } else {
                wanted.push(*candidate);
            }
        }
        self.add(&open, &wanted, known, outcome)
    }

    /// Opens the mailbox. One that is gone is made, whole, for the owner that it had; so are
    /// directories above it.
    fn open_mailbox(&self, root: &Directory, outcome: &mut Outcome) -> Result<Directory, Error> {
        let (path, control) = (self.path, &self.selection.control);
        let failed = |source| Failed::at("open or make", path.as_path())(source);
        let mut directory = root.descend(&RelPath::root()).map_err(failed)?;
        let mut at = RelPath::root();
        for name in path.components() {
            at = at
                .child(name)
                .map_err(|error| failed(io::Error::other(error)))?;
            let saved = control.owners.get(&at).or_else(|| control.owners.get(path));
            let owner = saved
                .copied()
                .map_or_else(|| directory.owner(), Ok)
                .map_err(failed)?;
            (directory, _) = directory.ensure(name, &owner).map_err(failed)?;
        }
        if directory.entries().map_err(failed)?.is_empty() {
            self.make_inbox(&directory, outcome)?;
        }
        Ok(directory)
    }

    fn make_inbox(&self, mailbox: &Directory, outcome: &mut Outcome) -> Result<(), Error> {
        let failed = Failed::at("open or make", self.path.as_path());
        let (inbox, owner) = (RelPath::root(), mailbox.owner().map_err(failed)?);
        let parent = Parent {
            mailbox,
            path: self.path,
            owner: &owner,
        };
        let acl = self.saved_file(&self.selection.control.acls, &inbox, outcome);
        let saved = Saved {
            acl: &acl,
            ..Saved::default()
        };
        Folder::open(parent, &inbox, saved)?;
        if !acl.is_empty() {
            outcome
                .warnings
                .push(Warning::acl_restored(self.path, &inbox));
        }
        Ok(())
    }

    /// Waits until no other run adds to the mailbox; gives up when this one is to end.
    fn lock<'a>(&self, mailbox: &'a Directory) -> Result<Option<Flock<&'a Directory>>, Error> {
        while !self.work.is_stopped() {
            let locked = Flock::try_exclusive(mailbox);
            if let Some(locked) = locked.map_err(Failed::at("lock", self.path.as_path()))? {
                return Ok(Some(locked));
            }
            thread::sleep(LOCK_POLL);
        }
        Ok(None)
    }

    fn add(
        &self,
        open: &Open<'_>,
        wanted: &[&Candidate],
        known: &mut Known,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let folders = self.folders(open, wanted, outcome);
        let wanted: Vec<(&Candidate, &Target)> = wanted
            .iter()
            .filter_map(|candidate| {
                folders
                    .get(&candidate.folder_path())
                    .map(|target| (*candidate, target))
            })
            .collect();
        let files: Vec<&SavedFile> = wanted
            .iter()
            .map(|(candidate, _)| &candidate.file)
            .collect();
        let is_full = AtomicBool::new(false);
        let is_over = || self.work.is_stopped() || is_full.load(Ordering::Relaxed);
        let answers = read_all(&self.selection.set, &files, is_over, |number, content| {
            if is_over() {
                return None;
            }
            let added = self.add_one(open, wanted[number].1, files[number], content);
            if matches!(added, Err(Error::Write { .. })) {
                is_full.store(true, Ordering::Relaxed);
            }
            Some(added)
        });
        for ((candidate, _), answer) in wanted.iter().zip(answers) {
            match answer.flatten() {
                Some(Ok(added)) => {
                    known.added.insert(added.file);
                    self.note_added(candidate, added, outcome);
                }
                Some(Err(error)) => outcome.fail(candidate, error),
                None => {}
            }
        }
        for target in folders.values() {
            target.folder.sync()?;
        }
        Ok(())
    }

    fn note_added(&self, candidate: &Candidate, added: Added, outcome: &mut Outcome) {
        let Added {
            target,
            dropped,
            uncounted,
            ..
        } = added;
        if !dropped.is_empty() {
            let path = candidate.file.path.clone();
            outcome.warnings.push(Warning::KeywordsDropped {
                path,
                keywords: dropped,
            });
        }
        if let Some(error) = uncounted {
            let warning = Warning::QuotaNotCounted {
                mailbox: address_of(self.path),
                reason: error.to_string(),
            };
            if !outcome.warnings.contains(&warning) {
                outcome.warnings.push(warning);
            }
        }
        outcome.note(candidate, target, Disposition::Added);
    }

    /// The folders that something is added to, by their paths in the mailbox. One that cannot be
    /// opened is a failure of its own.
    fn folders(
        &self,
        open: &Open<'_>,
        wanted: &[&Candidate],
        outcome: &mut Outcome,
    ) -> BTreeMap<RelPath, Target> {
        let mut has_keywords: BTreeMap<RelPath, bool> = BTreeMap::new();
        for candidate in wanted {
            let flags = flags_of(candidate.file.path.name());
            *has_keywords.entry(candidate.folder_path()).or_default() |=
                flags.iter().any(u8::is_ascii_lowercase);
        }
        let mut folders = BTreeMap::new();
        for (path, has_keywords) in has_keywords {
            let saved = &self.selection.control;
            let (mut text, mut acl) = (Vec::new(), Vec::new());
            if has_keywords {
                text = self.saved_file(&saved.keywords, &path, outcome);
            }
            if !Folder::is_there(open.directory(), &path) {
                acl = self.saved_file(&saved.acls, &path, outcome);
            }
            let parent = Parent {
                mailbox: open.directory(),
                path: self.path,
                owner: &open.owner,
            };
            let saved = Saved {
                keywords: &text,
                acl: &acl,
            };
            match Folder::open(parent, &path, saved) {
                Ok(folder) => {
                    if folder.made == Made::Now && !path.is_root() {
                        outcome.warnings.push(self.subscribed(open, &path));
                    }
                    if folder.made == Made::Now && !acl.is_empty() {
                        outcome
                            .warnings
                            .push(Warning::acl_restored(self.path, &path));
                    }
                    folders.insert(
                        path,
                        Target {
                            folder,
                            keywords: Keywords::parse(&text),
                        },
                    );
                }
                Err(error) => outcome.failures.push(Problem {
                    mailbox: address_of(self.path),
                    path: None,
                    error,
                }),
            }
        }
        folders
    }

    /// Lets mail programs show a folder that was made.
    fn subscribed(&self, open: &Open<'_>, path: &RelPath) -> Warning {
        let (mailbox, folder) = (address_of(self.path), folder_name(path));
        match subscriptions::subscribe(open.directory(), path, &open.owner) {
            Ok(()) => Warning::FolderMade { mailbox, folder },
            Err(error) => Warning::NotSubscribed {
                mailbox,
                folder,
                reason: error.to_string(),
            },
        }
    }

    /// What the set has of a folder among `files`; empty where it has nothing.
    fn saved_file(
        &self,
        files: &BTreeMap<RelPath, SavedFile>,
        folder: &RelPath,
        outcome: &mut Outcome,
    ) -> Vec<u8> {
        let Some(file) = files.get(&folder.below(self.path)) else {
            return Vec::new();
        };
        match read_small(&self.selection.set, file, FILE_MAX_BYTES) {
            Ok(text) => text,
            Err(error) => {
                let (path, reason) = (file.path.clone(), report::chain(&error));
                outcome.warnings.push(match file.path.name() {
                    ACL => Warning::AclUnread { path, reason },
                    _ => Warning::KeywordsUnread { path, reason },
                });
                Vec::new()
            }
        }
    }

    fn add_one(
        &self,
        open: &Open<'_>,
        target: &Target,
        file: &SavedFile,
        content: Result<Content<'_>, Error>,
    ) -> Result<Added, Error> {
        let (content, folder) = (content?, &target.folder);
        let unique = self.namer.next();
        let write = |source| Error::Write {
            path: folder.path.clone(),
            source,
        };
        let mut temporary = folder.tmp.create_file(unique.as_bytes()).map_err(write)?;
        let created = temporary.metadata().map_err(write)?;
        let added = self
            .fill(&mut temporary, content, open, file, &write)
            .and_then(|sizes| {
                let message = Message::of(file, target, &named(&unique, sizes));
                folder
                    .tmp
                    .move_into(
                        unique.as_bytes(),
                        message.directory,
                        message.name.as_bytes(),
                    )
                    .map_err(write)?;
                Ok((message, sizes))
            });
        match added {
            Ok((message, sizes)) => {
                let uncounted =
                    quota::count(open.directory(), sizes.plain.unwrap_or(file.size)).err();
                Ok(Added {
                    target: message.path(folder),
                    dropped: message.dropped,
                    uncounted,
                    file: (created.dev(), created.ino()),
                })
            }
            Err(error) => {
                // The failure matters more than whether this succeeds.
                let _ = folder.tmp.remove_file(unique.as_bytes());
                Err(error)
            }
        }
    }

    /// Writes the content, gives the file owner, mode and time, and waits until it is on stable
    /// storage.
    fn fill(
        &self,
        temporary: &mut File,
        mut content: Content<'_>,
        open: &Open<'_>,
        file: &SavedFile,
        write: &impl Fn(io::Error) -> Error,
    ) -> Result<Sizes, Error> {
        let mut buffer = vec![0; 128 * 1024];
        let mut count = Counter::default();
        loop {
            let read = content.read(&mut buffer).map_err(unreadable(file))?;
            if read == 0 {
                break;
            }
            temporary.write_all(&buffer[..read]).map_err(write)?;
            count.add(&buffer[..read]);
            (self.work.progress)(read as u64);
        }
        let finished = hand_over(temporary, &open.owner, open.mode)
            .and_then(|()| set_time(temporary, file.mtime_ns))
            .and_then(|()| temporary.sync_all());
        finished.map_err(write)?;
        Ok(count.sizes(file.path.name()))
    }
}

/// A folder, and what its flags meant when it was saved.
struct Target {
    folder: Folder,
    keywords: Keywords,
}

/// Where a message goes, and under which name.
struct Message<'a> {
    directory: &'a Directory,
    place: &'static [u8],
    name: String,
    dropped: Vec<String>,
}

impl<'a> Message<'a> {
    fn of(file: &SavedFile, target: &'a Target, name: &str) -> Self {
        let folder = &target.folder;
        if file
            .path
            .parent()
            .is_some_and(|parent| parent.name() == b"new")
        {
            return Self {
                directory: &folder.new,
                place: b"new",
                name: name.to_owned(),
                dropped: Vec::new(),
            };
        }
        let translated = target
            .keywords
            .translate(&flags_of(file.path.name()), &folder.keywords);
        let name = flagged(name, &translated.flags);
        Self {
            directory: &folder.cur,
            place: b"cur",
            name,
            dropped: translated.dropped,
        }
    }

    fn path(&self, folder: &Folder) -> RelPath {
        let child = folder
            .path
            .child(self.place)
            .and_then(|place| place.child(self.name.as_bytes()));
        child.unwrap_or_else(|_| folder.path.clone())
    }
}

/// Counts a message as it would be on the wire: with CRLF at the end of each line.
#[derive(Default)]
struct Counter {
    bytes: u64,
    bare_line_ends: u64,
    last: u8,
    is_packed: bool,
}

impl Counter {
    fn add(&mut self, data: &[u8]) {
        if self.bytes == 0 {
            self.is_packed = is_packed(data);
        }
        self.bytes += data.len() as u64;
        for &byte in data {
            self.bare_line_ends += u64::from(byte == b'\n' && self.last != b'\r');
            self.last = byte;
        }
    }

    /// The sizes for a name. Those of a compressed message are of its plain text, and are in the
    /// name that it had.
    fn sizes(&self, old_name: &[u8]) -> Sizes {
        if self.is_packed {
            return Sizes::of_name(old_name);
        }
        Sizes {
            plain: Some(self.bytes),
            wire: Some(self.bytes + self.bare_line_ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parts: &[&str], old_name: &str, expected: Sizes) {
        let mut counter = Counter::default();
        for part in parts {
            counter.add(part.as_bytes());
        }
        assert_eq!(counter.sizes(old_name.as_bytes()), expected, "{parts:?}");
    }

    #[test]
    fn sizes_count_line_ends_as_on_the_wire() {
        let sizes = |plain, wire| Sizes {
            plain: Some(plain),
            wire: Some(wire),
        };
        check(&["a\nb\n"], "1.a,S=9,W=9", sizes(4, 6));
        check(&["a\r\nb\r\n"], "1.a", sizes(6, 6));
        check(&["a\r", "\nb", "\n"], "1.a", sizes(5, 6));
        check(&[], "1.a", sizes(0, 0));
        check(&["BZh91AY"], "1.a,S=900,W=910:2,S", sizes(900, 910));
        check(&["BZh91AY"], "1.a:2,S", Sizes::default());
    }
}
