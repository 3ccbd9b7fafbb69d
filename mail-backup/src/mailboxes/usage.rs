//! How much of the segments of the last backup is still alive.

use std::collections::BTreeMap;

/// What the headers of a member take, about.
const HEAD_BYTES: u64 = 1024;

/// The segments of messages by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage(BTreeMap<u32, SegmentUse>);

/// What is alive in a segment. Bytes are those of the tar, before compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentUse {
    pub(crate) living: u64,
    pub(crate) living_bytes: u64,
    pub(crate) dead_bytes: u64,
    /// When the first of its members was found gone, in seconds since 1970.
    pub(crate) oldest_death_seconds: Option<i64>,
}

impl Usage {
    /// A member of `bytes` lives.
    pub(crate) fn add_living(&mut self, segment: u32, bytes: u64) {
        let usage = self.0.entry(segment).or_default();
        usage.living += 1;
        usage.living_bytes += bytes + HEAD_BYTES;
    }

    /// A member of `bytes` has been gone since then.
    pub(crate) fn add_dead(&mut self, segment: u32, bytes: u64, since_seconds: i64) {
        let usage = self.0.entry(segment).or_default();
        usage.dead_bytes += bytes + HEAD_BYTES;
        let oldest = usage.oldest_death_seconds.unwrap_or(since_seconds);
        usage.oldest_death_seconds = Some(oldest.min(since_seconds));
    }

    /// What is alive in the segment `number`.
    pub(crate) fn of(&self, number: u32) -> SegmentUse {
        self.0.get(&number).copied().unwrap_or_default()
    }
}
