//! Messages in lots: however many are meant, a run holds no more than a lot of them at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use mail_common::archive::segment::segment_name;
use mail_common::relpath::RelPath;

use super::candidate::{Place, SavedFile};

/// How many messages a run holds. In memory each comes to a kilobyte, all in all. The tests, whose
/// mailboxes are small, go through several lots too.
pub(crate) const LOT: usize = if cfg!(debug_assertions) { 100 } else { 50_000 };

/// Of so many messages one gives its path for where lots begin.
const SAMPLE: usize = 16;

/// Room for so many messages, for all threads together.
#[derive(Debug)]
pub(crate) struct Room(AtomicUsize);

impl Room {
    pub(crate) const fn new(messages: usize) -> Self {
        Self(AtomicUsize::new(messages))
    }

    /// Whether there is room for one more.
    pub(crate) fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok()
    }

    /// Whether there is none left. A set that has just as many as fit is taken for one with more,
    /// which costs a reading and nothing else.
    pub(crate) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// The messages whose paths are in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lot {
    /// The first path of it; from the first message on where there is none.
    from: Option<RelPath>,
    /// The first path after it.
    until: Option<RelPath>,
}

impl Lot {
    /// Whether a path is in the range.
    pub(crate) fn holds(&self, path: &RelPath) -> bool {
        self.from.as_ref().is_none_or(|from| from <= path)
            && self.until.as_ref().is_none_or(|until| path < until)
    }
}

/// What is known of messages that were counted and not kept.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) messages: usize,
    sample: Vec<RelPath>,
    segments: BTreeSet<u32>,
    /// The files of the set that hold them.
    pub(crate) archives: BTreeSet<RelPath>,
}

impl Survey {
    /// Counts a message.
    pub(super) fn note(&mut self, file: &SavedFile) {
        if self.messages.is_multiple_of(SAMPLE) {
            self.sample.push(file.path.clone());
        }
        self.messages += 1;
        match &file.place {
            Place::Frame {
                directory,
                location,
            } => {
                if self.segments.insert(location.segment) {
                    let segment = segment_name(location.segment).below(directory);
                    self.archives.insert(segment);
                }
            }
            Place::File(path) => drop(self.archives.insert(path.clone())),
        }
    }

    /// Adds what another part of the set holds.
    pub(super) fn merge(&mut self, other: Self) {
        self.messages += other.messages;
        self.sample.extend(other.sample);
        self.archives.extend(other.archives);
    }

    /// Lots of about so many messages each, in the order of their paths.
    pub(crate) fn lots(&self, messages: usize) -> Vec<Lot> {
        let mut sample: Vec<&RelPath> = self.sample.iter().collect();
        sample.sort_unstable();
        sample.dedup();
        let step = (messages / SAMPLE).max(1);
        let begins: Vec<&RelPath> = sample.into_iter().skip(step).step_by(step).collect();
        let begin = |number: usize| begins.get(number).map(|path| RelPath::clone(path));
        (0..=begins.len())
            .map(|number| Lot {
                from: number.checked_sub(1).and_then(begin),
                until: begin(number),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidate::Owner;
    use super::*;
    use mail_common::checksum::Sha256;

    fn file(number: usize) -> SavedFile {
        let path: RelPath = format!("m/cur/{number:05}").parse().unwrap();
        SavedFile {
            stored: path.clone(),
            place: Place::File(path.clone()),
            path,
            size: 0,
            mtime_ns: 0,
            sha256: Sha256::of(b""),
            owner: Owner {
                uid: 0,
                gid: 0,
                mode: 0,
            },
        }
    }

    #[test]
    fn each_message_is_in_one_lot_and_no_lot_is_large() {
        for messages in [0, 1, 15, 16, 17, 1000, 5000] {
            let mut survey = Survey::default();
            // As the days of a mailbox have them: not in the order of their names.
            let numbers: Vec<usize> = (0..messages).map(|n| (n * 7919) % messages).collect();
            numbers.iter().for_each(|n| survey.note(&file(*n)));
            let lots = survey.lots(500);
            let mut sizes = vec![0; lots.len()];
            for number in 0..messages {
                let path = file(number).path;
                let holding = lots.iter().enumerate().filter(|(_, lot)| lot.holds(&path));
                let holding: Vec<usize> = holding.map(|(at, _)| at).collect();
                assert_eq!(holding.len(), 1, "{number} of {messages}");
                sizes[holding[0]] += 1;
            }
            assert!(sizes.iter().all(|size| *size <= 600), "{sizes:?}");
            assert!(lots.len() <= messages / 400 + 1, "{sizes:?}");
        }
    }

    #[test]
    fn room_is_for_so_many() {
        let room = Room::new(2);
        assert!(room.take() && !room.is_full() && room.take());
        assert!(room.is_full() && !room.take());
    }
}
