//! How often sending is tried.

use std::thread;
use std::time::Duration;

use super::error::NotifyError;

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What all attempts may take beyond their own time-outs: a conversation has several steps.
const GRACE: Duration = Duration::from_secs(10);

/// What all attempts may take together, where each may take `within`.
pub(super) fn patience(within: Duration) -> Duration {
    (within + PAUSE) * ATTEMPTS + GRACE
}

/// Tries until it works, as long as trying again is of use.
pub(super) fn retrying(attempt: impl Fn() -> Result<(), NotifyError>) -> Result<(), NotifyError> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if !error.is_lasting() => thread::sleep(PAUSE),
            result => return result,
        }
    }
    attempt()
}
