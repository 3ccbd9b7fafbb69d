//! A request, tried again while that can help: each time after a longer wait, of random length, so
//! that a store that is busy is not asked by everybody at once.

use std::fmt::Debug;
use std::time::Duration;

use rusoto_core::RusotoError;

use super::failure::{Failure, Remedy};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Makes a request that needs no keys but its own, so often at most, while trying again can help.
pub(crate) async fn persist<T, E, F>(
    most: u32,
    mut request: impl FnMut() -> F,
) -> Result<T, Failure>
where
    E: std::error::Error + Debug + 'static,
    F: Future<Output = Result<T, RusotoError<E>>>,
{
    let mut attempt = 0;
    loop {
        let failure = match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => Failure::new(error),
        };
        attempt += 1;
        if attempt >= most || failure.remedy() != Remedy::TryAgain {
            return Err(failure);
        }
        wait(attempt).await;
    }
}

/// Waits before the next attempt.
pub(crate) async fn wait(attempt: u32) {
    tokio::time::sleep(wait_before(attempt, fastrand::f64())).await;
}

/// Full jitter: anything up to twice the wait before, from 0.1 s on, and never more than 20 s.
fn wait_before(attempt: u32, random: f64) -> Duration {
    let longest = FIRST_WAIT
        .saturating_mul(1 << attempt.min(16))
        .min(LONGEST_WAIT);
    longest.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        assert_eq!(wait_before(1, 1.0), Duration::from_millis(200));
        assert_eq!(wait_before(3, 0.5), Duration::from_millis(400));
        assert_eq!(wait_before(40, 1.0), LONGEST_WAIT);
        assert_eq!(wait_before(5, 0.0), Duration::ZERO);
    }
}
