//! Which part of all messages a pass over the indexes keeps: all, where there are few, or else one
//! lot after the other, each as a search for it alone would find it.
//!
//! A lot is made of contents, not of lines: all that sets say of a content is met in one pass, so
//! that the first and the last set that has it, and its answer, are what they would be.

use std::cmp::Reverse;
use std::collections::HashMap;

use mail_common::checksum::Sha256;
use mail_common::relpath::RelPath;

use crate::messages::Room;

/// A content of a mailbox, in a few bytes: half of a digest, which nobody can make to be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key([u8; 16]);

impl Key {
    /// Of a content in `mailbox`, which is `unit` or, where that is the root, a part of it.
    pub(crate) fn of(unit: &RelPath, mailbox: &RelPath, sha256: Sha256) -> Self {
        if unit == mailbox {
            return Self::of_content(sha256);
        }
        let both = [mailbox.as_bytes(), b"\0", sha256.as_bytes()].concat();
        Self::of_content(Sha256::of(&both))
    }

    /// Of a content where the mailbox is known.
    pub(crate) fn of_content(sha256: Sha256) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&sha256.as_bytes()[..16]);
        Self(half)
    }
}

/// What a pass keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Share<'a> {
    /// Everything, as long as there is room.
    All(&'a Room),
    /// Nothing: what there is, is noted with the time of its delivery.
    Survey,
    /// Those of this lot.
    Lot(&'a HashMap<Key, i64>, i64),
}

/// The contents of several mailboxes, each with the number of its lot.
#[derive(Debug)]
pub(crate) struct Lots {
    pub(crate) of_mailbox: Vec<HashMap<Key, i64>>,
    pub(crate) count: i64,
}

impl Lots {
    /// Divides contents, of which the times of delivery are given: the newest come first. Those of
    /// one moment stay together, unless they are too many by themselves.
    pub(crate) fn new(mut of_mailbox: Vec<HashMap<Key, i64>>, size: usize) -> Self {
        let mut all: Vec<(Reverse<i64>, usize, Key)> = Vec::new();
        for (mailbox, times) in of_mailbox.iter().enumerate() {
            all.extend(
                times
                    .iter()
                    .map(|(key, time)| (Reverse(*time), mailbox, *key)),
            );
        }
        all.sort_unstable();
        let (mut lot, mut filled, mut last) = (0, 0, None);
        for (time, mailbox, key) in all {
            let is_apart = last != Some(time) || filled >= 2 * size;
            if filled >= size && is_apart {
                lot += 1;
                filled = 0;
            }
            filled += 1;
            last = Some(time);
            of_mailbox[mailbox].insert(key, lot);
        }
        let count = lot + 1;
        Self { of_mailbox, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key::of_content(Sha256::of(&number.to_be_bytes()))
    }

    /// The lots of messages of two mailboxes that were delivered at these times.
    fn lots(times: &[i64], size: usize) -> Vec<i64> {
        let mut of_mailbox = vec![HashMap::new(), HashMap::new()];
        for (number, time) in (0..).zip(times) {
            of_mailbox[number as usize % 2].insert(key(number), *time);
        }
        let lots = Lots::new(of_mailbox, size);
        let numbers = 0..times.len();
        let of = |number: usize| lots.of_mailbox[number % 2][&key(number as u32)];
        let lot_of: Vec<i64> = numbers.map(of).collect();
        assert_eq!(lot_of.iter().max().copied().unwrap_or(0) + 1, lots.count);
        lot_of
    }

    #[test]
    fn the_newest_are_in_the_first_lot() {
        assert_eq!(lots(&[1, 5, 3, 4, 2], 2), [2, 0, 1, 0, 1]);
        assert_eq!(lots(&[7, 7, 7, 6, 8], 2), [0, 0, 0, 1, 0]);
        assert!(lots(&[], 2).is_empty());
        let mut same = lots(&[9; 10], 2);
        same.sort_unstable();
        assert_eq!(same, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn a_content_is_another_in_another_mailbox() {
        let path = |text: &str| text.parse::<RelPath>().unwrap();
        let (root, one, two) = (RelPath::root(), path("a"), path("b"));
        let content = Sha256::of(b"x");
        assert_ne!(Key::of(&root, &one, content), Key::of(&root, &two, content));
        assert_eq!(Key::of(&one, &one, content), Key::of_content(content));
    }
}
