//! The frames of the last backup that hold messages, and which of their members are still wanted.

use std::collections::BTreeMap;

use mail_common::archive::index::Location;

use crate::saved::Content;

/// Every frame of messages that the last index names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frames(BTreeMap<Location, FrameUse>);

/// Which members of a frame are still wanted, in the order in which they lie in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrameUse {
    pub(crate) keep: Vec<bool>,
    /// Sum of the sizes of those that are kept.
    kept_bytes: u64,
}

impl Frames {
    /// The next member of the frame at `location` is unchanged in the live mailbox.
    pub(crate) fn keep_member(&mut self, location: Location, bytes: u64) {
        let frame = self.0.entry(location).or_default();
        frame.keep.push(true);
        frame.kept_bytes += bytes;
    }

    /// The next member of the frame at `location` is gone or changed.
    pub(crate) fn drop_member(&mut self, location: Location) {
        self.0.entry(location).or_default().keep.push(false);
    }

    /// Whether the member `rank` (from 0) of the frame at `location` is kept.
    pub(crate) fn keeps(&self, location: Location, rank: usize) -> bool {
        self.0
            .get(&location)
            .is_some_and(|frame| frame.keep.get(rank) == Some(&true))
    }

    /// Whether every member of every frame is kept.
    pub(crate) fn are_clean(&self) -> bool {
        self.0.values().all(FrameUse::is_clean)
    }

    /// Sum of the sizes of all members that are kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.0.values().map(|frame| frame.kept_bytes).sum()
    }

    /// The frames of a segment, in the order in which they lie in it.
    pub(crate) fn of_segment(&self, number: u32) -> impl Iterator<Item = (Location, &FrameUse)> {
        let first = Location {
            segment: number,
            frame_offset: 0,
            frame_bytes: 0,
        };
        self.0
            .range(first..)
            .take_while(move |(location, _)| location.segment == number)
            .map(|(location, usage)| (*location, usage))
    }
}

impl FrameUse {
    /// What is kept of the frame.
    pub(crate) fn kept(&self) -> Content {
        Content {
            entries: self.keep.iter().filter(|keep| **keep).count() as u64,
            source_bytes: self.kept_bytes,
        }
    }

    /// Whether any member is kept.
    pub(crate) fn is_live(&self) -> bool {
        self.keep.contains(&true)
    }

    /// Whether every member is kept.
    pub(crate) fn is_clean(&self) -> bool {
        !self.keep.contains(&false)
    }
}
