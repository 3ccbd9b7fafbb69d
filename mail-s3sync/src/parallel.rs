//! Work on many things by a few threads, some of which may fail without harm to the others.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use mail_common::pool;

/// Does `work` on every item with `threads` threads at most, and gives the results in the order of
/// the items. Once a result `is_fatal`, nothing more is begun: `None` stands for what was not.
pub(crate) fn each_until_fatal<T: Sync, R: Send, E: Send>(
    threads: NonZeroUsize,
    items: &[T],
    is_fatal: impl Fn(&E) -> bool + Sync,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Vec<Option<Result<R, E>>> {
    let is_over = AtomicBool::new(false);
    let each = |(): &mut (), item| {
        if is_over.load(Ordering::Relaxed) {
            return Ok::<_, Infallible>(None);
        }
        let result = work(item);
        is_over.fetch_or(
            result.as_ref().err().is_some_and(&is_fatal),
            Ordering::Relaxed,
        );
        Ok(Some(result))
    };
    match pool::for_each(threads, items, || (), each) {
        Ok(results) => results,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

    #[test]
    fn a_failure_is_a_result_and_a_fatal_one_is_the_end() {
        let items: Vec<u32> = (0..1000).collect();
        let work = |item: &u32| {
            if item % 10 == 3 {
                Err(*item)
            } else {
                Ok(*item)
            }
        };
        let all = each_until_fatal(THREE, &items, |_| false, work);
        assert!(
            items
                .iter()
                .zip(&all)
                .all(|(item, result)| *result == Some(work(item)))
        );
        let begun = each_until_fatal(THREE, &items, |item| *item == 13, work);
        assert_eq!((begun[3], begun[13]), (Some(Err(3)), Some(Err(13))));
        assert!(
            begun.last().is_some_and(Option::is_none) && begun[..13].iter().all(Option::is_some)
        );
    }
}
