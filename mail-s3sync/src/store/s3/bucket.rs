//! What the requests to a bucket share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail_common::interrupt::Interrupt;
use rusoto_s3::S3Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::{Sizes, Writing};
use crate::aws::Signer;
use crate::credentials::Keys;
use crate::limit::Limit;
use crate::store::buffers::Buffers;
use crate::store::error::Cause;

/// Pieces in memory for each file that is sent at a time.
const PARTS_PER_JOB: usize = 2;

/// What requests need; shared with the tasks that make them.
pub(super) struct Bucket {
    pub(super) client: S3Client,
    pub(super) keys: Keys,
    pub(super) signer: Arc<Signer>,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) interrupt: Interrupt,
    pub(super) attempts: u32,
    pub(super) limit: Option<Arc<Limit>>,
    /// Uploads in parts that have begun and not ended: key in the bucket, and id.
    pub(super) unfinished: Mutex<Vec<(String, String)>>,
    pub(super) writing: Writing,
    pub(super) sizes: Sizes,
    /// Parts in memory, all files together.
    pub(super) parts: Arc<Semaphore>,
    pub(super) buffers: Buffers,
}

impl Bucket {
    pub(super) fn url(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.name, self.prefix)
    }

    /// The key in the bucket.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Waits until `parts` more parts may be in memory.
    pub(super) async fn acquire(&self, parts: u32) -> Result<OwnedSemaphorePermit, Cause> {
        let acquired = Arc::clone(&self.parts).acquire_many_owned(parts).await;
        acquired.map_err(|_| Cause::Odd("the store is closed".to_owned()))
    }

    /// The uploads that have begun and not ended.
    pub(super) fn unfinished(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many parts may be in memory: enough for the jobs, and for the largest file that is put at
/// once.
pub(super) fn parts_in_memory(jobs: usize, sizes: &Sizes) -> usize {
    let largest =
        usize::try_from(sizes.whole_bytes.div_ceil(sizes.part_bytes)).unwrap_or(usize::MAX);
    (jobs.max(1) * PARTS_PER_JOB).max(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_that_is_put_at_once_finds_room_with_one_job() {
        let sizes = Sizes::default();
        let needed = sizes.whole_bytes.div_ceil(sizes.part_bytes);
        assert!(
            parts_in_memory(1, &sizes) as u64 >= needed
                && parts_in_memory(4, &sizes) as u64 * sizes.part_bytes <= 64 << 20
        );
    }
}
