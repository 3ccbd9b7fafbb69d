//! What is in the store: the sets, and what they use of the pool.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use mail_common::checksum::Sha256;
use mail_common::pool;

use super::fate::Candidate;
use crate::remote::{Error, Pool, RemoteSet, names};
use crate::store::Listed;

/// Every set, and what those use that are not past their days.
#[derive(Debug)]
pub(super) struct Census {
    /// By name.
    pub(super) sets: Vec<Counted>,
    /// Of the pool.
    pub(super) used: HashSet<Sha256>,
}

/// A set.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) candidate: Candidate,
    /// What lies below its name.
    pub(super) objects: Vec<Listed>,
    /// What it uses of the pool, where it is past its days.
    pub(super) uses: Vec<Sha256>,
    /// Why that is not known.
    pub(super) damage: Option<Error>,
    /// Whether its checksums say that all of it came.
    pub(super) is_closed: bool,
}

impl Census {
    /// Reads every set. A listing that fails, or checksums that cannot be fetched, end it.
    pub(super) fn take(
        pool: &Pool<'_>,
        jobs: NonZeroUsize,
        is_past: impl Fn(&Candidate) -> bool + Sync,
    ) -> Result<Self, Error> {
        let mut names = names(pool.store)?;
        names.sort_unstable();
        let used = Mutex::new(HashSet::new());
        let count = |(): &mut (), name: &_| {
            let set = RemoteSet::read(pool, *name)?;
            let mut counted = Counted::new(set);
            if !is_past(&counted.candidate) {
                let uses = std::mem::take(&mut counted.uses);
                let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
                used.extend(uses);
                // What is not looked at again is not remembered: there are many.
                counted.objects.clear();
            }
            Ok::<_, Error>(counted)
        };
        let sets = pool::for_each(jobs, &names, || (), count)?;
        Ok(Self {
            sets,
            used: used.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }
}

impl Counted {
    fn new(set: RemoteSet) -> Self {
        let contents = set.contents.as_ref();
        let of_set = contents.and_then(|contents| contents.locked_until);
        let of_checksums = contents.and_then(|contents| contents.checksums_locked_until);
        let written = set.listed.values().map(|object| object.modified).max();
        Self {
            candidate: Candidate {
                name: set.name,
                written: written.unwrap_or(Timestamp::MAX),
                is_complete: set.is_complete(),
                locked_until: of_set.max(of_checksums),
            },
            uses: set.uses().collect(),
            is_closed: contents.is_some(),
            objects: set.listed.into_values().collect(),
            damage: set.damage,
        }
    }

    /// The size of what lies below its name.
    pub(super) fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}
