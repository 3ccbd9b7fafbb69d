//! Decides what becomes of the segments of the last backup. Pure: it looks at sizes, counts and
//! times only.
//!
//! A segment is linked, with what is dead in it, until it is worth the work to write it again. Four
//! faults are to be avoided:
//!
//! - *Room for the dead.* A segment of which a third is dead is written again without it.
//! - *What was deleted stays for ever.* A segment in which something has been dead for longer than
//!   the purge allows is written again, too. Where mail is deleted evenly, that falls due for many
//!   segments on one day; so for this reason a run writes no more than its part of the mailbox
//!   (and the segment with which that is reached), the oldest death first. A day's part is a
//!   thirtieth, a week's a third: what has been gone for the time of the purge and 31 days more is
//!   in no segment, however often the chain has a set.
//! - *Too many files.* Each day adds a segment, and with one a day a mailbox would have hundreds of
//!   them after a year. So the smallest are merged once there are more than [`SMALL_SEGMENTS`].
//! - *Merging the same bytes every month.* So a merge takes many segments at a time, and then none
//!   that is larger than an eighth of all the smaller ones together: the young are merged among
//!   themselves, the old wait for their like, and a byte is written again two or three times in
//!   three years. With "larger than all the smaller ones" each merge pulled the next larger
//!   segment with it: after a month of ordinary life half of all mail was written again. With "a
//!   quarter" that happened to the youngest part of the first backup, for as long as older sets
//!   hold it: 6 % of all that is kept.

use super::usage::SegmentUse;

/// At this size a segment is closed.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// With more small segments than this, the smallest are merged.
const SMALL_SEGMENTS: usize = 32;

/// How many are merged at least, so that merging is rare.
const MERGE_AT_LEAST: usize = 16;

/// Beyond these a segment is merged only with this many times its bytes in smaller ones.
const MERGE_RATIO: u64 = 8;

/// What has been gone for the time of the purge and these days is in no segment.
const PURGE_DAYS_MORE: i64 = 31;

const DAY_SECONDS: i64 = 86_400;

/// A segment of messages as the last backup left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The size of its file.
    pub(crate) stored_bytes: u64,
    /// What is alive in it.
    pub(crate) usage: SegmentUse,
}

/// How long a segment may hold what is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purge {
    /// Not beyond the next run.
    AtOnce,
    /// What died before a moment is to go.
    DeadBefore {
        /// The moment, in seconds since 1970.
        seconds: i64,
        /// The number of runs in which all of it is to be written.
        runs: u64,
    },
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Linked into the new set, unread.
    Link,
    /// Written again as a new segment, without what is dead.
    Rewrite,
    /// Written into the segment of what is new.
    Merge,
    /// Left out of the new set.
    Drop,
}

impl Purge {
    /// Allows the dead to stay for `days` at `now_seconds`, in a chain of sets in which this one
    /// comes `interval_seconds` after the last.
    pub(crate) fn after_days(days: u32, now_seconds: i64, interval_seconds: i64) -> Self {
        match days {
            0 => Self::AtOnce,
            _ => Self::DeadBefore {
                seconds: now_seconds - i64::from(days) * DAY_SECONDS,
                runs: purge_runs(interval_seconds),
            },
        }
    }
}

/// In how many runs what is overdue is written. A death is seen up to an interval late, and found
/// overdue up to another one late: the first is taken off here, the second is that of the first
/// run.
fn purge_runs(interval_seconds: i64) -> u64 {
    let interval_seconds = interval_seconds.max(60);
    let left_seconds = PURGE_DAYS_MORE * DAY_SECONDS - interval_seconds;
    u64::try_from(left_seconds / interval_seconds)
        .unwrap_or(0)
        .max(1)
}

/// The disposition of each candidate, in their order.
pub(crate) fn decide(candidates: &[Candidate], purge: Purge) -> Vec<Disposition> {
    let mut dispositions: Vec<Disposition> = candidates
        .iter()
        .map(|candidate| candidate.alone(purge))
        .collect();
    for index in overdue(candidates, &dispositions, purge) {
        dispositions[index] = Disposition::Rewrite;
    }
    for index in surplus(candidates, &dispositions) {
        dispositions[index] = Disposition::Merge;
    }
    dispositions
}

impl Candidate {
    /// About what its living members take, in bytes of a file.
    fn living_stored_bytes(&self) -> u64 {
        let SegmentUse {
            living_bytes,
            dead_bytes,
            ..
        } = self.usage;
        let all = u128::from(living_bytes) + u128::from(dead_bytes);
        let living = u128::from(self.stored_bytes) * u128::from(living_bytes);
        u64::try_from(living / all.max(1)).unwrap_or(self.stored_bytes)
    }

    fn is_small(&self) -> bool {
        self.living_stored_bytes() < SEGMENT_BYTES / 4
    }

    /// The disposition without regard to the others.
    fn alone(&self, purge: Purge) -> Disposition {
        let SegmentUse {
            living,
            living_bytes,
            dead_bytes,
            ..
        } = self.usage;
        match dead_bytes {
            _ if living == 0 => Disposition::Drop,
            0 => Disposition::Link,
            _ if purge == Purge::AtOnce => Disposition::Rewrite,
            _ if dead_bytes >= living_bytes / 2 => Disposition::Rewrite,
            _ => Disposition::Link,
        }
    }
}

/// The indices of the segments to be written for the purge in this run.
fn overdue(candidates: &[Candidate], dispositions: &[Disposition], purge: Purge) -> Vec<usize> {
    let Purge::DeadBefore {
        seconds: limit_seconds,
        runs,
    } = purge
    else {
        return Vec::new();
    };
    let mut due: Vec<(i64, usize)> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let oldest = candidate.usage.oldest_death_seconds;
        if let Some(oldest) = oldest.filter(|oldest| *oldest < limit_seconds)
            && dispositions[index] == Disposition::Link
        {
            due.push((oldest, index));
        }
    }
    due.sort_unstable();
    let all_bytes: u64 = candidates.iter().map(|other| other.stored_bytes).sum();
    let mut left_bytes = all_bytes.div_ceil(runs);
    let mut chosen = Vec::new();
    for (_, index) in due {
        if left_bytes == 0 {
            break;
        }
        left_bytes = left_bytes.saturating_sub(candidates[index].stored_bytes);
        chosen.push(index);
    }
    chosen
}

/// The indices of the small segments that are too many: the smallest, at least
/// [`MERGE_AT_LEAST`], and on while each is small beside all before it together.
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
    small.sort_by_key(|&index| candidates[index].living_stored_bytes());
    let mut merged = Vec::new();
    let mut merged_bytes = 0;
    for index in small {
        let bytes = candidates[index].living_stored_bytes();
        if merged.len() >= MERGE_AT_LEAST && bytes > merged_bytes / MERGE_RATIO {
            break;
        }
        merged_bytes += bytes;
        merged.push(index);
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const MIB: u64 = 1 << 20;
    const NEVER: Purge = before(i64::MIN);

    /// In a chain with a set a day.
    const fn before(seconds: i64) -> Purge {
        Purge::DeadBefore { seconds, runs: 30 }
    }

    fn candidate(stored: u64, dead: u64, oldest_death: Option<i64>) -> Candidate {
        Candidate {
            stored_bytes: stored * MIB,
            usage: SegmentUse {
                living: stored - dead,
                living_bytes: (stored - dead) * MIB,
                dead_bytes: dead * MIB,
                oldest_death_seconds: oldest_death,
            },
        }
    }

    /// Segments by their stored and dead MiB.
    #[track_caller]
    fn check(segments: &[(u64, u64)], purge: Purge, expected: &[Disposition]) {
        let candidates: Vec<Candidate> = segments
            .iter()
            .map(|&(stored, dead)| candidate(stored, dead, (dead > 0).then_some(0)))
            .collect();
        assert_eq!(decide(&candidates, purge), expected, "{segments:?}");
    }

    #[test]
    fn a_segment_is_linked_until_a_third_of_it_is_dead() {
        check(&[(64, 0), (10, 0)], NEVER, &[Disposition::Link; 2]);
        check(&[(60, 19), (60, 1)], NEVER, &[Disposition::Link; 2]);
        check(&[(60, 20), (60, 59)], NEVER, &[Disposition::Rewrite; 2]);
        check(&[(64, 64)], NEVER, &[Disposition::Drop]);
    }

    #[test]
    fn without_patience_nothing_dead_stays() {
        let expected = [Disposition::Link, Disposition::Rewrite, Disposition::Drop];
        check(&[(64, 0), (64, 1), (64, 64)], Purge::AtOnce, &expected);
        assert_eq!(Purge::after_days(0, 9, DAY_SECONDS), Purge::AtOnce);
        assert_eq!(Purge::after_days(1, 86_400, DAY_SECONDS), before(0));
    }

    #[test]
    fn the_part_of_a_run_grows_with_the_time_since_the_last() {
        let check = |hours: i64, expected: u64| {
            assert_eq!(purge_runs(hours * 3600), expected, "{hours} hours");
        };
        check(24, 30);
        check(7 * 24, 3);
        check(1, 743);
        check(15 * 24, 1);
        check(40 * 24, 1);
        assert_eq!(purge_runs(0), purge_runs(60));
        assert_eq!(purge_runs(-5), 44_639);
    }

    #[test]
    fn the_purge_takes_a_thirtieth_a_run_the_oldest_death_first() {
        // A thirtieth of sixty is two.
        let mut candidates: Vec<Candidate> = (0..60)
            .map(|number| candidate(64, 1, Some((number * 7) % 60)))
            .collect();
        let mut rewritten = Vec::new();
        for run in 0..30 {
            let dispositions = decide(&candidates, before(60));
            let chosen: Vec<usize> = (0..60)
                .filter(|&index| dispositions[index] == Disposition::Rewrite)
                .collect();
            assert_eq!(chosen.len(), 2, "run {run}");
            for index in chosen {
                rewritten.push(candidates[index].usage.oldest_death_seconds.unwrap());
                candidates[index] = candidate(64, 0, None);
            }
        }
        let mut groups: Vec<i64> = rewritten.chunks(2).flat_map(sorted).collect();
        assert!(groups.is_sorted());
        groups.dedup();
        assert_eq!(groups.len(), 60);
        let dispositions = decide(&candidates, before(60));
        assert_eq!(dispositions, [Disposition::Link; 60]);
    }

    fn sorted(pair: &[i64]) -> Vec<i64> {
        let mut pair = pair.to_vec();
        pair.sort_unstable();
        pair
    }

    #[test]
    fn segments_of_any_size_are_through_in_thirty_runs() {
        let sizes = [64, 64, 64, 60, 33, 50, 40, 64, 37, 64];
        let mut candidates: Vec<Candidate> = sizes
            .iter()
            .map(|&size| candidate(size, 1, Some(0)))
            .collect();
        for _ in 0..30 {
            for (index, disposition) in decide(&candidates, before(1)).into_iter().enumerate() {
                if disposition == Disposition::Rewrite {
                    candidates[index] = candidate(sizes[index], 0, None);
                }
            }
        }
        assert!(candidates.iter().all(|other| other.usage.dead_bytes == 0));
    }

    #[test]
    fn what_died_lately_may_stay() {
        let candidates = [candidate(64, 1, Some(100)), candidate(64, 1, Some(99))];
        let dispositions = decide(&candidates, before(100));
        assert_eq!(dispositions, [Disposition::Link, Disposition::Rewrite]);
    }

    #[test]
    fn too_many_small_segments_are_merged_smallest_first() {
        check(&[(1, 0); 32], NEVER, &[Disposition::Link; 32]);
        check(&[(1, 0); 33], NEVER, &[Disposition::Merge; 33]);
        let mut sizes = vec![(1, 0); 30];
        sizes.extend([(8, 0), (8, 0), (8, 0)]);
        let mut dispositions = vec![Disposition::Merge; 30];
        dispositions.extend([Disposition::Link; 3]);
        check(&sizes, NEVER, &dispositions);
    }

    /// The segments of a mailbox through the years: of each the bytes that live in it, by the day
    /// on which they die.
    struct Mailbox {
        segments: Vec<BTreeMap<i64, u64>>,
        written_bytes: u64,
    }

    const DIES_NEVER: i64 = i64::MAX;
    const PURGE_DAYS: u32 = 90;

    impl Mailbox {
        fn candidates(&self, day: i64) -> Vec<Candidate> {
            let candidate = |segment: &BTreeMap<i64, u64>| {
                let dead = || segment.range(..=day);
                let (all_bytes, dead_bytes) = (segment.values().sum(), dead().map(|d| d.1).sum());
                Candidate {
                    stored_bytes: all_bytes,
                    usage: SegmentUse {
                        living: all_bytes - dead_bytes,
                        living_bytes: all_bytes - dead_bytes,
                        dead_bytes,
                        oldest_death_seconds: dead().next().map(|(died, _)| died * 86_400),
                    },
                }
            };
            self.segments.iter().map(candidate).collect()
        }

        /// A run, with what is new on this day by the day of its death.
        fn run(&mut self, day: i64, new: BTreeMap<i64, u64>) {
            let purge = Purge::after_days(PURGE_DAYS, day * 86_400, 86_400);
            let dispositions = decide(&self.candidates(day), purge);
            let mut added = new;
            let mut kept = Vec::new();
            for (mut segment, disposition) in self.segments.drain(..).zip(dispositions) {
                if disposition != Disposition::Link {
                    segment.retain(|died, _| *died > day);
                }
                match disposition {
                    Disposition::Link => kept.push(segment),
                    Disposition::Drop => {}
                    Disposition::Rewrite => {
                        self.written_bytes += segment.values().sum::<u64>();
                        kept.push(segment);
                    }
                    Disposition::Merge => {
                        for (died, bytes) in segment {
                            *added.entry(died).or_default() += bytes;
                        }
                    }
                }
            }
            self.written_bytes += added.values().sum::<u64>();
            kept.push(added);
            self.segments = kept;
        }
    }

    #[test]
    fn neither_files_nor_dead_bytes_grow_in_four_hundred_days() {
        // Of the old mail a hundredth dies every ten days; of the new a quarter after a month.
        let old = (1..=50).map(|part| (part * 10, MIB / 2));
        let old: BTreeMap<i64, u64> = old.chain([(DIES_NEVER, 25 * MIB)]).collect();
        let mut mailbox = Mailbox {
            segments: vec![old; 10],
            written_bytes: 0,
        };
        for day in 1..=400 {
            let new = BTreeMap::from([(day + 34, MIB / 4), (DIES_NEVER, MIB * 3 / 4)]);
            mailbox.run(day, new);
            let sum = |part: fn(&SegmentUse) -> u64| {
                let candidates = mailbox.candidates(day);
                candidates.iter().map(|one| part(&one.usage)).sum::<u64>()
            };
            let living = sum(|usage| usage.living_bytes);
            let dead = sum(|usage| usage.dead_bytes);
            assert!(dead <= living / 2, "day {day}: {dead} of {living} bytes");
            let large = living / (SEGMENT_BYTES / 4);
            let segments = mailbox.segments.len();
            assert!(segments as u64 <= 33 + large, "day {day}: {segments}");
            let oldest = mailbox.segments.iter().filter_map(|one| one.keys().next());
            let oldest = *oldest.min().expect("something is there");
            assert!(
                oldest > day - i64::from(PURGE_DAYS) - 31,
                "{oldest} on {day}"
            );
        }
    }

    #[test]
    fn a_hundred_days_of_new_mail_do_not_draw_the_old_into_a_merge() {
        // As a first backup divides 63 MiB by age, and the new mail of each day after it.
        let new = || BTreeMap::from([(DIES_NEVER, MIB * 3 / 10)]);
        let old = [23, 20, 13, 5, 2].map(|size| BTreeMap::from([(DIES_NEVER, size * MIB)]));
        let mut mailbox = Mailbox {
            segments: old.to_vec(),
            written_bytes: 0,
        };
        for day in 1..=100 {
            mailbox.run(day, new());
        }
        let again = mailbox.written_bytes / MIB - 30;
        assert!((20..45).contains(&again), "{again} MiB were written again");
    }
}
