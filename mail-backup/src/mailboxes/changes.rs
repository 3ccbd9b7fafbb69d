//! What became of the messages of a mailbox since the last backup, for the judgement of the day.
//!
//! The comparison knows which old messages were not found by name or inode. The packing knows which
//! messages are stored as new, with their digests. The two are matched here: first by the unique
//! name, then by the digest alone, within the mailbox (a restore, dsync into a new server) and at
//! last among all mailboxes (a migration that renames them). Memory grows with what changed.

use std::collections::HashMap;

use mail_common::checksum::Sha256;
use mail_common::maildir::unique_name;
use mail_common::record::{self, MessageChanges};
use mail_common::relpath::RelPath;

use super::old_member::OldMember;
use crate::source::pack::PackedEntry;

/// Enough of a digest to know a message again.
type Fingerprint = [u8; 16];

/// Old messages that were not found again.
#[derive(Debug, Default)]
pub(crate) struct Buried {
    by_name: HashMap<Box<[u8]>, Vec<Lost>>,
    count: u64,
}

#[derive(Debug)]
struct Lost {
    path: RelPath,
    print: Fingerprint,
}

/// A message that is stored as new.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    print: Fingerprint,
    start: Start,
}

/// How a message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Header,
    Nothing,
}

/// Counts what becomes of the messages of a mailbox while they are packed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    messages: MessageChanges,
    buried: Buried,
    /// With the unique name of an old message, and other content.
    clashes: Vec<(Box<[u8]>, Arrived)>,
    arrived: Vec<Arrived>,
}

/// What became of the messages of a mailbox. What neither the old nor the new names tell waits for
/// those of the other mailboxes.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) mailbox: String,
    pub(crate) gone: bool,
    messages: MessageChanges,
    arrived: Vec<Arrived>,
    lost: Vec<Fingerprint>,
}

impl Buried {
    pub(crate) fn add(&mut self, old: &OldMember) {
        if let Some(sha256) = &old.known.sha256 {
            let name = unique_name(old.path.name());
            self.count += 1;
            self.by_name.entry(name.into()).or_default().push(Lost {
                path: old.path.clone(),
                print: print(sha256),
            });
        }
    }

    /// Forgets those at places that could not be read: nobody knows whether they are there.
    fn forget(&mut self, unread: &[&RelPath]) {
        if unread.is_empty() {
            return;
        }
        let is_unread = |lost: &Lost| unread.iter().any(|path| lost.path.is_within(path));
        for lost in self.by_name.values_mut() {
            let before = lost.len();
            lost.retain(|lost| !is_unread(lost));
            self.count -= (before - lost.len()) as u64;
        }
    }
}

impl Tally {
    /// Of a mailbox with `unchanged` messages that are known to be there, `renamed` of them under
    /// another name.
    pub(crate) fn new(unchanged: u64, renamed: u64, buried: Buried) -> Self {
        Self {
            messages: MessageChanges {
                before: unchanged,
                renamed,
                ..MessageChanges::default()
            },
            buried,
            ..Self::default()
        }
    }

    /// A message has been stored.
    pub(crate) fn add(&mut self, entry: &PackedEntry) {
        let Some(sha256) = &entry.sha256 else {
            return;
        };
        let arrived = Arrived {
            print: print(sha256),
            start: if entry.message.is_headless {
                Start::Nothing
            } else {
                Start::Header
            },
        };
        let name = unique_name(entry.live.path.name());
        let Some(lost) = self.buried.by_name.get_mut(name) else {
            return self.arrived.push(arrived);
        };
        match lost.iter().position(|lost| lost.print == arrived.print) {
            Some(same) => {
                lost.swap_remove(same);
                self.messages.renamed += 1;
            }
            None => self.clashes.push((name.into(), arrived)),
        }
    }

    /// Matches what is left, but for what lies at places that could not be read.
    pub(crate) fn finish(mut self, mailbox: String, unread: &[&RelPath]) -> Compared {
        self.buried.forget(unread);
        self.messages.before += self.buried.count;
        for (name, arrived) in std::mem::take(&mut self.clashes) {
            match self.buried.by_name.get_mut(&name).and_then(Vec::pop) {
                Some(_) => {
                    self.messages.replaced += 1;
                    self.messages.spoiled += 1;
                    self.messages.headless += u64::from(arrived.start == Start::Nothing);
                }
                None => self.arrived.push(arrived),
            }
        }
        let lost = self.buried.by_name.into_values().flatten();
        let mut compared = Compared {
            mailbox,
            gone: false,
            messages: self.messages,
            arrived: self.arrived,
            lost: lost.map(|lost| lost.print).collect(),
        };
        match_by_content(std::slice::from_mut(&mut compared));
        compared
    }
}

impl Compared {
    /// A mailbox that is gone, with its messages.
    pub(crate) fn gone(mailbox: String, lost: impl Iterator<Item = Sha256>) -> Self {
        let lost: Vec<Fingerprint> = lost.map(|sha256| print(&sha256)).collect();
        Self {
            mailbox,
            gone: true,
            messages: MessageChanges {
                before: lost.len() as u64,
                ..MessageChanges::default()
            },
            arrived: Vec::new(),
            lost,
        }
    }

    /// Its record. What was matched with no other is new, or gone.
    fn record(self) -> record::MailboxChanges {
        let mut messages = self.messages;
        messages.vanished += self.lost.len() as u64;
        for arrived in self.arrived {
            messages.new += 1;
            if arrived.start == Start::Nothing {
                messages.headless += 1;
                messages.spoiled += 1;
            }
        }
        record::MailboxChanges {
            mailbox: self.mailbox,
            gone: self.gone,
            messages,
        }
    }
}

/// The records of all mailboxes, after messages that went from one to another were matched.
pub(crate) fn match_mailboxes(mut all: Vec<Compared>) -> Vec<record::MailboxChanges> {
    match_by_content(&mut all);
    all.into_iter().map(Compared::record).collect()
}

/// Lost messages with the content of one that arrived have moved.
fn match_by_content(all: &mut [Compared]) {
    let mut wanted: HashMap<Fingerprint, u64> = HashMap::new();
    for print in all.iter().flat_map(|mailbox| &mailbox.lost) {
        *wanted.entry(*print).or_default() += 1;
    }
    if wanted.is_empty() {
        return;
    }
    let mut found: HashMap<Fingerprint, u64> = HashMap::new();
    for mailbox in all.iter_mut() {
        mailbox.arrived.retain(|arrived| {
            let is_wanted = take(&mut wanted, arrived.print);
            if is_wanted {
                *found.entry(arrived.print).or_default() += 1;
            }
            !is_wanted
        });
    }
    for mailbox in all.iter_mut() {
        let before = mailbox.lost.len();
        mailbox.lost.retain(|print| !take(&mut found, *print));
        mailbox.messages.renamed += (before - mailbox.lost.len()) as u64;
    }
}

/// Counts one down, if there is any.
fn take(counts: &mut HashMap<Fingerprint, u64>, print: Fingerprint) -> bool {
    match counts.get_mut(&print) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

fn print(sha256: &Sha256) -> Fingerprint {
    let mut print = [0; 16];
    print.copy_from_slice(&sha256.as_bytes()[..16]);
    print
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::recheck::{Known, KnownXattrs};
    use mail_common::archive::index::{Kind, LiveEntry, Location, Stat};

    fn path(name: &str) -> RelPath {
        format!("e/a/cur/{name}").parse().unwrap()
    }

    fn stat() -> Stat {
        Stat {
            size: 1,
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime_ns: 0,
            inode: 1,
            ctime_ns: 1,
        }
    }

    fn old(name: &str, content: &str) -> OldMember {
        OldMember {
            segment: 1,
            location: Location {
                segment: 1,
                frame_offset: 0,
                frame_bytes: 1,
            },
            stored: path(name),
            path: path(name),
            known: Known {
                stat: stat(),
                sha256: Some(Sha256::of(content.as_bytes())),
                xattrs: KnownXattrs::Digest(None),
            },
        }
    }

    fn new(name: &str, content: &str) -> PackedEntry {
        let live = LiveEntry {
            path: path(name),
            kind: Kind::File,
            stat: stat(),
        };
        PackedEntry {
            stored: live.path.clone(),
            message: crate::source::pack::MessageFields::of(&live.path, content.as_bytes(), 9),
            live,
            sha256: Some(Sha256::of(content.as_bytes())),
            holds_key: false,
            xattrs_sha256: None,
        }
    }

    fn compared(mailbox: &str, before: &[(&str, &str)], now: &[(&str, &str)]) -> Compared {
        let mut buried = Buried::default();
        for (name, content) in before {
            buried.add(&old(name, content));
        }
        let mut tally = Tally::new(10, 0, buried);
        for (name, content) in now {
            tally.add(&new(name, content));
        }
        tally.finish(mailbox.to_owned(), &[])
    }

    /// Before, new, renamed, vanished, replaced, headless, spoiled.
    fn numbers(of: &record::MailboxChanges) -> [u64; 7] {
        let it = &of.messages;
        [
            it.before,
            it.new,
            it.renamed,
            it.vanished,
            it.replaced,
            it.headless,
            it.spoiled,
        ]
    }

    #[track_caller]
    fn check(before: &[(&str, &str)], now: &[(&str, &str)], expected: [u64; 7]) {
        let records = match_mailboxes(vec![compared("e/a", before, now)]);
        assert_eq!(numbers(&records[0]), expected);
    }

    #[test]
    fn messages_are_known_by_their_unique_names_and_by_their_content() {
        let (a, b) = ("A: a", "B: b");
        check(&[], &[], [10, 0, 0, 0, 0, 0, 0]);
        check(&[], &[("1:2,", a)], [10, 1, 0, 0, 0, 0, 0]);
        check(&[("1:2,", a)], &[], [11, 0, 0, 1, 0, 0, 0]);
        check(&[("1:2,", a)], &[("1:2,S", a)], [11, 0, 1, 0, 0, 0, 0]);
        check(&[("1:2,", a)], &[("2:2,", a)], [11, 0, 1, 0, 0, 0, 0]);
        check(&[("1:2,", a)], &[("1:2,", b)], [11, 0, 0, 0, 1, 0, 1]);
        check(&[("1:2,", a)], &[("2:2,", b)], [11, 1, 0, 1, 0, 0, 0]);
        // A copy keeps its unique name, and one of the two is the old one.
        check(
            &[("1:2,", a)],
            &[("1:2,", b), ("1:2,S", a)],
            [11, 1, 1, 0, 0, 0, 0],
        );
        check(
            &[("1:2,", a), ("2", a)],
            &[("3", a)],
            [12, 0, 1, 1, 0, 0, 0],
        );
        check(
            &[("1:2,", a), ("2:2,", b)],
            &[("1", b), ("2", a)],
            [12, 0, 0, 0, 2, 0, 2],
        );
    }

    #[test]
    fn what_begins_with_no_header_is_counted_where_it_is_new() {
        let noise = "\u{1}\u{2}noise";
        check(&[("1", "A: a")], &[("1", noise)], [11, 0, 0, 0, 1, 1, 1]);
        check(&[("1", "A: a")], &[("1", "")], [11, 0, 0, 0, 1, 1, 1]);
        check(&[("1", "A: a")], &[("2", noise)], [11, 1, 0, 1, 0, 1, 1]);
        check(&[("1", noise)], &[("2", noise)], [11, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn mailboxes_that_are_renamed_have_lost_nothing() {
        let content = [
            Sha256::of(b"A: a"),
            Sha256::of(b"B: b"),
            Sha256::of(b"C: c"),
        ];
        let gone = Compared::gone("old/a".to_owned(), content.into_iter());
        let there = compared("new/a", &[], &[("1", "A: a"), ("2", "B: b"), ("3", "D: d")]);
        let records = match_mailboxes(vec![gone, there]);
        assert_eq!(numbers(&records[0]), [3, 0, 2, 1, 0, 0, 0]);
        assert_eq!(numbers(&records[1]), [10, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_could_not_be_read_is_not_lost() {
        let mut buried = Buried::default();
        buried.add(&old("1", "A: a"));
        buried.add(&old("2", "B: b"));
        let unread = path("1");
        let compared = Tally::new(10, 0, buried).finish("e/a".to_owned(), &[&unread]);
        assert_eq!(
            numbers(&match_mailboxes(vec![compared])[0]),
            [11, 0, 0, 1, 0, 0, 0]
        );
    }
}
