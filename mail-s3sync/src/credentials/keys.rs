//! The keys of a run: fetched when they are needed, and renewed before they expire.

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::error::Error;
use super::fetch;
use super::source::{Source, StsEndpoint};
use crate::aws::Credentials;

/// The keys of a run.
#[derive(Debug)]
pub(crate) struct Keys {
    source: Source,
    sts_endpoint: StsEndpoint,
    current: Mutex<Option<Credentials>>,
}

impl Keys {
    /// Keys from `source`.
    pub(crate) fn new(source: Source, sts_endpoint: StsEndpoint) -> Self {
        Self {
            source,
            sts_endpoint,
            current: Mutex::new(None),
        }
    }

    /// Keys that are good for some minutes yet. A failure is not remembered.
    pub(crate) async fn current(&self) -> Result<Credentials, Error> {
        let mut current = self.current.lock().await;
        let now = Timestamp::now();
        if let Some(keys) = current.as_ref().filter(|keys| !keys.is_stale(now)) {
            return Ok(keys.clone());
        }
        match fetch::fetch(&self.source, &self.sts_endpoint).await {
            Ok(keys) => Ok(current.insert(keys).clone()),
            // The old ones may be good until the last minute.
            Err(error) => match current
                .as_ref()
                .filter(|keys| keys.expires.is_some_and(|end| now < end))
            {
                Some(keys) => Ok(keys.clone()),
                None => Err(error),
            },
        }
    }

    /// The store has called these keys expired: new ones are fetched for the next request. Returns
    /// whether that can help.
    pub(crate) async fn forget(&self, access_key: &str) -> bool {
        let mut current = self.current.lock().await;
        if current
            .as_ref()
            .is_some_and(|keys| keys.access_key == access_key)
        {
            *current = None;
        }
        !matches!(self.source, Source::Static(_))
    }
}
