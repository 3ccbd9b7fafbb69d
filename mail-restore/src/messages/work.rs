//! Work on all processors, until it is done or a signal comes.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What every piece of work is told.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Raised when the run is to end.
    pub stop: &'a AtomicBool,
    /// Told of message bytes that were read.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Work<'_> {
    /// Whether the run is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("stop", self.stop).finish_non_exhaustive()
    }
}

/// Calls `each` with every item, on all processors. The answers come in the order of the items.
pub(super) fn for_each<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    if threads <= 1 {
        return items.iter().map(each).collect();
    }
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(number) else { break };
                    let answer = each(item);
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((number, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_unstable_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
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
