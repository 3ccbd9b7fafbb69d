//! Works on many things with several threads; the first failure ends the work.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Lets `threads` threads take `items` one after the other. `start` makes what a thread has for
/// itself, `work` does one item with it.
///
/// # Errors
/// The failure of the first item in order that failed; items after it may not have been worked on.
pub fn for_each<'a, T: Sync, S, R: Send, E: Send>(
    threads: NonZeroUsize,
    items: &'a [T],
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &'a T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let is_failed = AtomicBool::new(false);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        let mut own = start();
        while !is_failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = work(&mut own, item);
            is_failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((at, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.get().min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

    #[test]
    fn results_come_in_order() {
        let items: Vec<u32> = (0..100).collect();
        let doubled = for_each(THREE, &items, || (), |(), item| Ok::<_, ()>(item * 2)).unwrap();
        assert_eq!(doubled, (0..200).step_by(2).collect::<Vec<_>>());
        assert_eq!(
            for_each(THREE, &[] as &[u32], || (), |(), item| Ok::<_, ()>(*item)),
            Ok(Vec::new())
        );
    }

    #[test]
    fn a_failure_ends_the_work() {
        let items: Vec<u32> = (0..1_000_000).collect();
        let done = AtomicUsize::new(0);
        let failed = for_each(
            THREE,
            &items,
            || (),
            |(), item| {
                done.fetch_add(1, Ordering::Relaxed);
                if *item >= 10 { Err(*item) } else { Ok(()) }
            },
        );
        assert_eq!(failed, Err(10));
        assert!(done.into_inner() < 1_000_000);
    }
}
