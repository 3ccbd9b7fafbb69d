//! A request to the bucket, tried again while that can help, with keys that are renewed.

use std::fmt::Debug;

use rusoto_core::RusotoError;

use super::bucket::Bucket;
use crate::aws::{Failure, Remedy, wait};
use crate::store::error::Cause;

const SHORT_ATTEMPTS: u32 = 2;

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
    /// Makes a request until it succeeds, or trying again cannot help. The outer error is that of
    /// the keys or of a signal; the inner one is the store's, for the caller to look at.
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
                Remedy::TryAgain if !is_last => wait(attempt).await,
                Remedy::RenewKeys if !is_last && self.keys.forget(&access_key).await => {}
                _ => return Ok(Err(failure)),
            }
        }
    }
}

/// A length that the store gives; an answer without it makes no sense.
pub(super) fn bytes(length: Option<i64>) -> Result<u64, Cause> {
    length
        .and_then(|length| u64::try_from(length).ok())
        .ok_or_else(|| Cause::Odd("no length".to_owned()))
}
