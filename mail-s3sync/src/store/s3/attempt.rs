//! A request, tried again while that can help: each time after a longer wait, of random length, so
//! that a store that is busy is not asked by everybody at once.

use std::fmt::Debug;
use std::time::Duration;

use rusoto_core::RusotoError;

use super::Bucket;
use super::failure::{Failure, Remedy};
use crate::store::Cause;

const SHORT_ATTEMPTS: u32 = 2;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How often a request is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The work depends on it.
    Full,
    /// It would be nice to know.
    Short,
}

impl Patience {
    fn attempts(self, most: u32) -> u32 {
        match self {
            Self::Full => most,
            Self::Short => most.min(SHORT_ATTEMPTS),
        }
    }
}

impl Bucket {
    /// Makes a request until it succeeds, or it is no use. The outer error is that of the keys or
    /// of a signal; the inner one is the store's, for the caller to look at.
    pub(super) async fn attempt<T, E, F>(
        &self,
        patience: Patience,
        mut request: impl FnMut() -> F,
    ) -> Result<Result<T, Failure>, Cause>
    where
        E: std::error::Error + Debug + 'static,
        F: Future<Output = Result<T, RusotoError<E>>>,
    {
        let mut attempt = 0;
        loop {
            self.interrupt.check()?;
            let keys = self.keys.current().await.map_err(Cause::Credentials)?;
            let access_key = keys.access_key.clone();
            self.signer.set(keys);
            let failure = match request().await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) => Failure::new(error),
            };
            attempt += 1;
            let is_last = attempt >= patience.attempts(self.attempts);
            match failure.remedy() {
                Remedy::TryAgain if !is_last => {
                    tokio::time::sleep(wait(attempt, fastrand::f64())).await
                }
                Remedy::RenewKeys if !is_last && self.keys.forget(&access_key).await => {}
                _ => return Ok(Err(failure)),
            }
        }
    }
}

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
        tokio::time::sleep(wait(attempt, fastrand::f64())).await;
    }
}

/// Full jitter: anything up to twice the wait before, from 0.1 s on, and never more than 20 s.
fn wait(attempt: u32, random: f64) -> Duration {
    let longest = FIRST_WAIT
        .saturating_mul(1 << attempt.min(16))
        .min(LONGEST_WAIT);
    longest.mul_f64(random)
}

/// A length that the store gives; an answer without it makes no sense.
pub(super) fn bytes(length: Option<i64>) -> Result<u64, Cause> {
    length
        .and_then(|length| u64::try_from(length).ok())
        .ok_or_else(|| Cause::Odd("no length".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        assert_eq!(wait(1, 1.0), Duration::from_millis(200));
        assert_eq!(wait(3, 0.5), Duration::from_millis(400));
        assert_eq!(wait(40, 1.0), LONGEST_WAIT);
        assert_eq!(wait(5, 0.0), Duration::ZERO);
    }
}
