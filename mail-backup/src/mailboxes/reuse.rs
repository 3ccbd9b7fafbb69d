//! Decides what becomes of the segments of the last backup. Pure: it looks at sizes and counts
//! only.

use mail_common::archive::segment::SEGMENT_BYTES;

/// With more small segments than this, the smallest are merged.
const SMALL_SEGMENTS: usize = 16;

/// How many are merged at least, so that merging is rare.
const MERGE_AT_LEAST: usize = 8;

/// A segment of messages as the last backup left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) number: u32,
    /// Its size.
    pub(crate) stored_bytes: u64,
    /// The size of the frames that still hold a message.
    pub(crate) live_bytes: u64,
    pub(crate) condition: Condition,
}

/// What has happened to the messages in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// All are unchanged.
    Whole,
    /// Some are gone or changed.
    Worn,
    /// None is left.
    Dead,
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Linked into the new set, unread.
    Link,
    /// Written again under its number, without what is gone.
    Rewrite,
    /// Merged with what is new.
    Merge,
    /// Not in the new set.
    Leave,
}

/// The fate of each candidate, in their order, when `new_bytes` of messages are to be saved beside
/// them.
///
/// A worn segment that is small is merged when that is no more work than saving what is new; old
/// mail is not mixed with new, which will change again tomorrow.
pub(crate) fn decide(candidates: &[Candidate], new_bytes: u64) -> Vec<Fate> {
    let mut fates: Vec<Fate> = candidates
        .iter()
        .map(|candidate| alone(candidate, new_bytes))
        .collect();
    for index in surplus(candidates, &fates) {
        fates[index] = Fate::Merge;
    }
    fates
}

fn alone(candidate: &Candidate, new_bytes: u64) -> Fate {
    let is_small = candidate.live_bytes < SEGMENT_BYTES / 2;
    match candidate.condition {
        Condition::Dead => Fate::Leave,
        Condition::Whole => Fate::Link,
        Condition::Worn if is_small && candidate.live_bytes <= new_bytes => Fate::Merge,
        Condition::Worn => Fate::Rewrite,
    }
}

/// The small segments that are too many: the smallest, each no larger than all before it together,
/// so that a byte is written again only when its segment grows by half.
fn surplus(candidates: &[Candidate], fates: &[Fate]) -> Vec<usize> {
    let stays = |index: &usize| matches!(fates[*index], Fate::Link | Fate::Rewrite);
    let small = |index: &usize| candidates[*index].live_bytes < SEGMENT_BYTES / 2;
    let mut indices: Vec<usize> = (0..candidates.len())
        .filter(|index| stays(index) && small(index))
        .collect();
    if indices.len() <= SMALL_SEGMENTS {
        return Vec::new();
    }
    indices.sort_by_key(|&index| candidates[index].live_bytes);
    let mut merged_bytes = 0;
    let mut merged = 0;
    while merged < indices.len() {
        let bytes = candidates[indices[merged]].live_bytes;
        if merged >= MERGE_AT_LEAST && bytes > merged_bytes {
            break;
        }
        merged_bytes += bytes;
        merged += 1;
    }
    indices.truncate(merged);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn segment(stored: u64, live: u64) -> Candidate {
        let condition = match live {
            0 => Condition::Dead,
            _ if live == stored => Condition::Whole,
            _ => Condition::Worn,
        };
        Candidate {
            number: 1,
            stored_bytes: stored * MIB,
            live_bytes: live * MIB,
            condition,
        }
    }

    fn check(segments: &[(u64, u64)], new: u64, expected: &[Fate]) {
        let candidates: Vec<Candidate> = segments
            .iter()
            .map(|&(stored, live)| segment(stored, live))
            .collect();
        assert_eq!(decide(&candidates, new * MIB), expected, "{segments:?}");
    }

    #[test]
    fn unchanged_is_linked_and_worn_is_written_again() {
        check(&[(64, 64), (10, 10)], 1, &[Fate::Link, Fate::Link]);
        check(&[(64, 60), (64, 40)], 100, &[Fate::Rewrite, Fate::Rewrite]);
        check(&[(64, 0)], 1, &[Fate::Leave]);
    }

    #[test]
    fn a_small_rest_joins_what_is_new_when_that_is_little_work() {
        check(&[(64, 20)], 30, &[Fate::Merge]);
        check(&[(64, 20)], 1, &[Fate::Rewrite]);
    }

    #[test]
    fn too_many_small_segments_are_merged_smallest_first() {
        check(&[(1, 1); 16], 0, &[Fate::Link; 16]);
        check(&[(1, 1); 17], 0, &[Fate::Merge; 17]);
        let mut sizes = vec![(1, 1); 16];
        sizes.push((30, 30));
        let mut fates = vec![Fate::Merge; 16];
        fates.push(Fate::Link);
        check(&sizes, 0, &fates);
    }
}
