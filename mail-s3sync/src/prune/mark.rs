//! Says to pushes that a prune is at work, and learns the time of the store.

use jiff::{SignedDuration, Timestamp};

use super::context::Prune;
use super::error::Error;
use crate::layout::POOL;
use crate::remote::{PRUNE_MARK, PoolListing, since};
use crate::store::{Attributes, Body, Listed, Removal};

/// A clock that is wrong by more than that must not decide what is old.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(24);
/// Pushes look at a mark for a day: nothing is removed when it is half as old.
const MOST_HOURS: i64 = 12;

/// The mark that this run has put.
#[derive(Debug)]
pub(super) struct Mark {
    object: Listed,
    begun: Timestamp,
}

impl Mark {
    /// The time of the store.
    pub(super) fn time(&self) -> Timestamp {
        self.object.modified
    }

    /// Whether there is still time to remove something.
    pub(super) fn check(&self) -> Result<(), Error> {
        if Timestamp::now().duration_since(self.begun) < SignedDuration::from_hours(MOST_HOURS) {
            return Ok(());
        }
        Err(Error::TooLong { hours: MOST_HOURS })
    }
}

impl Prune<'_> {
    /// Puts the mark, unless another prune has one there.
    pub(super) fn put_mark(&self) -> Result<(), Error> {
        let mut there = None;
        self.store.list(&key(), &mut |object| {
            if object.key == key() {
                there = since(&object, self.now);
            }
        })?;
        if let Some(since) = there {
            let url = self.store.url(&key());
            return Err(Error::UnderWay { url, since });
        }
        let text = format!("mail-s3sync prune is at work since {}\n", self.now);
        let body = Body::of_bytes(PRUNE_MARK, text);
        self.store.put(&key(), body, &Attributes::default())?;
        Ok(())
    }

    /// The mark, as a listing after it was put has it.
    pub(super) fn mark(&self, listing: &PoolListing) -> Result<Mark, Error> {
        let found = listing.others.get(PRUNE_MARK).cloned();
        let object = found.ok_or_else(|| Error::MarkLost {
            url: self.store.url(&key()),
        })?;
        let there = object.modified;
        if self.now.duration_since(there).abs() > CLOCKS_DIFFER {
            let here = self.now;
            return Err(Error::Clock { here, there });
        }
        let begun = Timestamp::now();
        Ok(Mark { object, begun })
    }

    /// Takes the mark away; where a lock keeps it, an empty one says that the prune has ended.
    pub(super) fn take_mark(&self) -> Result<(), Error> {
        let mut mark = None;
        self.store.list(&key(), &mut |object| {
            mark = Some(object)
                .filter(|object| object.key == key())
                .or(mark.take());
        })?;
        let Some(mark) = mark else {
            return Ok(());
        };
        if let Ok(Removal::Removed | Removal::Changed) = self.store.remove(&mark, self.now) {
            return Ok(());
        }
        let body = Body::of_bytes(PRUNE_MARK, "");
        self.store.put(&key(), body, &Attributes::default())?;
        Ok(())
    }
}

fn key() -> String {
    format!("{POOL}{PRUNE_MARK}")
}
