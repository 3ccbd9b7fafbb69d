//! How fast bytes may flow, all threads together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A piece in which a limited flow is cut.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// A rate that is not exceeded.
#[derive(Debug)]
pub(crate) struct Limit {
    bytes_per_second: u64,
    /// When all that was let through so far will have had its time.
    due: Mutex<Option<Instant>>,
}

impl Limit {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            due: Mutex::new(None),
        }
    }

    /// How long to wait, from `now`, before `bytes` more may flow.
    pub(crate) fn reserve(&self, bytes: usize, now: Instant) -> Duration {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let start = due.map_or(now, |due| due.max(now));
        *due = Some(start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64));
        start - now
    }

    /// Waits until `bytes` more may flow.
    pub(crate) fn wait(&self, bytes: usize) {
        std::thread::sleep(self.reserve(bytes, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them() {
        let (limit, now) = (Limit::new(1000), Instant::now());
        assert_eq!(limit.reserve(500, now), Duration::ZERO);
        assert_eq!(limit.reserve(500, now), Duration::from_millis(500));
        assert_eq!(
            limit.reserve(1, now + Duration::from_secs(5)),
            Duration::ZERO
        );
    }
}
