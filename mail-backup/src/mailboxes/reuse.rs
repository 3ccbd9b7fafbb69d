//! Decides what becomes of the segments of the last backup. Pure: it looks at sizes and counts
//! only.
//!
//! A segment is linked as long as nothing in it has changed. Once it is dirty it must be written
//! again, since a message that is gone may be in no archive. Three faults are to be avoided:
//!
//! - *Old mail mixed with new.* New mail will change again tomorrow, and would make the old mail in
//!   its segment dirty every day. So the rest of a dirty segment joins the new mail only where that
//!   costs no more than saving the new mail does.
//! - *Too many files.* Each day adds a segment, and with one a day a mailbox would have hundreds of
//!   them after a year. So the smallest are merged once there are more than [`SMALL_SEGMENTS`].
//! - *Merging the same bytes every day.* So a merge takes many segments at a time, and takes none
//!   that is larger than all the smaller ones together: a byte is written again only when its
//!   segment grows by half, and the work of merging grows with the logarithm of the mailbox.

/// At this size a segment is closed.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// With more small segments than this, the smallest are merged.
const SMALL_SEGMENTS: usize = 16;

/// How many are merged at least, so that merging is rare.
const MERGE_AT_LEAST: usize = 8;

/// A segment of messages as the last backup left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The size of the frames that still hold a message.
    pub(crate) live_bytes: u64,
    pub(crate) condition: Condition,
}

/// What has happened to the messages in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// All are unchanged.
    Clean,
    /// Some are gone or changed.
    Dirty,
    /// None is left.
    Dead,
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Linked into the new set, unread.
    Link,
    /// Written again under its number, without what is gone.
    Rewrite,
    /// Written into the segment of what is new.
    Merge,
    /// Left out of the new set.
    Drop,
}

/// The disposition of each candidate, in their order, when `new_bytes` of messages are to be saved
/// beside them.
pub(crate) fn decide(candidates: &[Candidate], new_bytes: u64) -> Vec<Disposition> {
    let mut dispositions: Vec<Disposition> = candidates
        .iter()
        .map(|candidate| candidate.alone(new_bytes))
        .collect();
    for index in surplus(candidates, &dispositions) {
        dispositions[index] = Disposition::Merge;
    }
    dispositions
}

impl Candidate {
    fn is_small(&self) -> bool {
        self.live_bytes < SEGMENT_BYTES / 2
    }

    /// The disposition without regard to the others.
    fn alone(&self, new_bytes: u64) -> Disposition {
        match self.condition {
            Condition::Dead => Disposition::Drop,
            Condition::Clean => Disposition::Link,
            Condition::Dirty if self.is_small() && self.live_bytes <= new_bytes => {
                Disposition::Merge
            }
            Condition::Dirty => Disposition::Rewrite,
        }
    }
}

/// The indices of the small segments that are too many: the smallest, at least
/// [`MERGE_AT_LEAST`], and on while each is no larger than all before it together.
fn surplus(candidates: &[Candidate], dispositions: &[Disposition]) -> Vec<usize> {
    let mut small: Vec<usize> = (0..candidates.len())
        .filter(|&index| {
            let stays = matches!(
                dispositions[index],
                Disposition::Link | Disposition::Rewrite
            );
            stays && candidates[index].is_small()
        })
        .collect();
    if small.len() <= SMALL_SEGMENTS {
        return Vec::new();
    }
    small.sort_by_key(|&index| candidates[index].live_bytes);
    let mut merged = Vec::new();
    let mut merged_bytes = 0;
    for index in small {
        let bytes = candidates[index].live_bytes;
        if merged.len() >= MERGE_AT_LEAST && bytes > merged_bytes {
            break;
        }
        merged_bytes += bytes;
        merged.push(index);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn segment(stored: u64, live: u64) -> Candidate {
        let condition = match live {
            0 => Condition::Dead,
            _ if live == stored => Condition::Clean,
            _ => Condition::Dirty,
        };
        Candidate {
            live_bytes: live * MIB,
            condition,
        }
    }

    fn check(segments: &[(u64, u64)], new: u64, expected: &[Disposition]) {
        let candidates: Vec<Candidate> = segments
            .iter()
            .map(|&(stored, live)| segment(stored, live))
            .collect();
        assert_eq!(decide(&candidates, new * MIB), expected, "{segments:?}");
    }

    #[test]
    fn unchanged_is_linked_and_dirty_is_written_again() {
        check(
            &[(64, 64), (10, 10)],
            1,
            &[Disposition::Link, Disposition::Link],
        );
        check(
            &[(64, 60), (64, 40)],
            100,
            &[Disposition::Rewrite, Disposition::Rewrite],
        );
        check(&[(64, 0)], 1, &[Disposition::Drop]);
    }

    #[test]
    fn a_small_rest_joins_what_is_new_when_that_is_little_work() {
        check(&[(64, 20)], 30, &[Disposition::Merge]);
        check(&[(64, 20)], 1, &[Disposition::Rewrite]);
    }

    #[test]
    fn too_many_small_segments_are_merged_smallest_first() {
        check(&[(1, 1); 16], 0, &[Disposition::Link; 16]);
        check(&[(1, 1); 17], 0, &[Disposition::Merge; 17]);
        let mut sizes = vec![(1, 1); 16];
        sizes.push((30, 30));
        let mut dispositions = vec![Disposition::Merge; 16];
        dispositions.push(Disposition::Link);
        check(&sizes, 0, &dispositions);
    }
}
