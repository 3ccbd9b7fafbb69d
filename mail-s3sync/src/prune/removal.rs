//! Removes objects, and sets of them, and counts what became of them.

use jiff::Timestamp;
use mail_common::set::CHECKSUMS;

use super::census::Counted;
use super::context::Prune;
use super::error::Error;
use super::mark::Mark;
use crate::parallel::each_until_fatal;
use crate::store::{Listed, Removal, TreeRemoval};

/// What became of objects that were to be removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) removed: u64,
    pub(super) removed_bytes: u64,
    pub(super) locked: u64,
    pub(super) locked_bytes: u64,
    /// The last lock that ends.
    pub(super) locked_until: Option<Timestamp>,
    /// Written again meanwhile, or gone.
    pub(super) changed: u64,
    pub(super) failed: u64,
}

impl Sum {
    fn add(&mut self, object: &Listed, removal: Removal) {
        match removal {
            Removal::Removed => {
                self.removed += 1;
                self.removed_bytes += object.bytes;
            }
            Removal::Changed => self.changed += 1,
            Removal::Locked(until) => {
                self.locked += 1;
                self.locked_bytes += object.bytes;
                self.locked_until = self.locked_until.max(Some(until));
            }
        }
    }

    /// Whether nothing is there any more of what was to go.
    pub(super) fn is_all(&self) -> bool {
        self.locked + self.changed + self.failed == 0
    }

    fn and(self, other: Self) -> Self {
        Self {
            removed: self.removed + other.removed,
            removed_bytes: self.removed_bytes + other.removed_bytes,
            locked: self.locked + other.locked,
            locked_bytes: self.locked_bytes + other.locked_bytes,
            locked_until: self.locked_until.max(other.locked_until),
            changed: self.changed + other.changed,
            failed: self.failed + other.failed,
        }
    }
}

/// Whether a set is still one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Its checksums are gone: it uses nothing any more.
    Nothing,
    Set,
}

impl Prune<'_> {
    /// Removes a set, its checksums first: without them nobody takes the rest for one.
    pub(super) fn remove_set(
        &self,
        set: &Counted,
        mark: Option<&Mark>,
    ) -> Result<(Left, Sum), Error> {
        self.interrupt.check()?;
        if self.store.remove_tree(&set.candidate.name.prefix())? == TreeRemoval::Removed {
            let sum = Sum {
                removed: set.objects.len() as u64,
                removed_bytes: set.bytes(),
                ..Sum::default()
            };
            return Ok((Left::Nothing, sum));
        }
        let checksums = format!("{}/{CHECKSUMS}", set.candidate.name);
        let (first, others): (Vec<&Listed>, Vec<&Listed>) = set
            .objects
            .iter()
            .partition(|object| object.key == checksums);
        let sum = self.remove_objects(&first, mark)?;
        if !sum.is_all() {
            return Ok((Left::Set, sum));
        }
        let others = self.remove_objects(&others, mark)?;
        Ok((Left::Nothing, sum.and(others)))
    }

    /// Removes objects by several threads. What cannot be removed is reported and counted.
    pub(super) fn remove_objects(
        &self,
        objects: &[&Listed],
        mark: Option<&Mark>,
    ) -> Result<Sum, Error> {
        let now = mark.map_or(self.now, Mark::time);
        let remove = |object: &&Listed| {
            self.interrupt.check()?;
            mark.map_or(Ok(()), Mark::check)?;
            Ok::<_, Error>(self.store.remove(object, now)?)
        };
        let results = each_until_fatal(self.jobs, objects, Error::is_fatal, remove);
        let (mut sum, mut fatal) = (Sum::default(), None);
        for (object, result) in objects.iter().zip(results) {
            match result {
                None => {}
                Some(Ok(removal)) => sum.add(object, removal),
                Some(Err(error)) if error.is_fatal() => fatal = Some(error),
                Some(Err(error)) => {
                    self.session.fail(None, None, &error);
                    sum.failed += 1;
                }
            }
        }
        fatal.map_or(Ok(sum), Err)
    }
}
