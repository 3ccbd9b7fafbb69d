//! How much content may be in memory at a time, so that memory does not grow with what is scanned.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Bytes that may be taken at a time, shared between threads.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit_bytes: u64,
    taken_bytes: Mutex<u64>,
    given_back: Condvar,
}

/// Bytes that were taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            limit_bytes,
            taken_bytes: Mutex::new(0),
            given_back: Condvar::new(),
        }))
    }

    /// Waits until `bytes` are free. What is more than the whole budget is taken alone.
    pub(crate) fn take(&self, bytes: u64) -> Taken {
        let Inner {
            limit_bytes,
            taken_bytes,
            given_back,
        } = &*self.0;
        let mut taken = taken_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken > 0 && taken.saturating_add(bytes) > *limit_bytes {
            taken = given_back
                .wait(taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *taken = taken.saturating_add(bytes);
        Taken {
            budget: self.clone(),
            bytes,
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Inner {
            taken_bytes,
            given_back,
            ..
        } = &*self.budget.0;
        let mut taken = taken_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(self.bytes);
        given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let (budget, now, most) = (Budget::new(100), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for bytes in (1..60).chain([300]) {
                        let taken = budget.take(bytes);
                        if bytes <= 100 {
                            most.fetch_max(
                                now.fetch_add(bytes, Ordering::SeqCst) + bytes,
                                Ordering::SeqCst,
                            );
                            now.fetch_sub(bytes, Ordering::SeqCst);
                        } else {
                            assert_eq!(now.load(Ordering::SeqCst), 0, "what is too large is alone");
                        }
                        drop(taken);
                    }
                });
            }
        });
        assert!((1..=100).contains(&most.load(Ordering::SeqCst)));
    }
}
