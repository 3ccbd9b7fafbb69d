//! Work on all processors, until it is done or a signal comes.

use std::convert::Infallible;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mail_common::pool;

/// What every piece of work is given.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Raised when the run is to end.
    pub stop: &'a AtomicBool,
    /// Notified of message bytes that were read.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Work<'_> {
    /// Whether the run is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("stop", self.stop)
            .finish_non_exhaustive()
    }
}

/// Calls `each` with every item, on all processors. The answers come in the order of the items.
pub(crate) fn for_each<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let answers = pool::for_each(
        threads,
        items,
        || (),
        |(), item| Ok::<R, Infallible>(each(item)),
    );
    answers.unwrap_or_else(|never| match never {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_answered_in_order() {
        let items: Vec<u64> = (0..1000).collect();
        let expected: Vec<u64> = (0..1000).map(|number| number * 2).collect();
        assert_eq!(for_each(&items, |number| number * 2), expected);
        assert_eq!(for_each(&items[..1], |number| number + 7), [7]);
        assert!(for_each(&items[..0], |number| *number).is_empty());
    }
}
