//! The bucket as an [`ObjectStore`]: its methods block, and end when a signal comes.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use mail_common::interrupt::Interrupt;
use rusoto_core::{Client, Region};
use rusoto_s3::S3Client;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::bucket::{Bucket, parts_in_memory};
use super::config::S3Config;
use super::{download, interrupted, upload};
use crate::aws::{Addressing, Dispatcher, Signer};
use crate::credentials::Keys;
use crate::limit::Limit;
use crate::store::body::Body;
use crate::store::buffers::Buffers;
use crate::store::error::{Cause, StoreError};
use crate::store::object::{
    Attributes, Billed, Confirmed, Download, Expiry, Found, Listed, Lock, NotListed, ObjectStore,
    Protection, Removal, TreeRemoval,
};

/// Threads that move bytes; files are read and hashed elsewhere.
const RUNTIME_THREADS: usize = 2;

/// A bucket.
pub(crate) struct S3Store {
    runtime: Runtime,
    bucket: Arc<Bucket>,
}

impl S3Store {
    /// A store that asks nothing yet.
    pub(crate) fn open(
        config: S3Config,
        keys: Keys,
        limit: Option<Arc<Limit>>,
        interrupt: Interrupt,
    ) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .enable_all()
            .build()?;
        let region = Region::Custom {
            name: config.region,
            endpoint: config.endpoint,
        };
        let signer = Arc::new(Signer::none());
        let addressing =
            Addressing::new(config.addressing, &config.bucket, config.endpoint_is_given);
        let dispatcher = Dispatcher::new(
            Arc::clone(&signer),
            config.timeout,
            config.trust,
            config.proxies,
        )
        .limited(limit.clone())
        .addressed(addressing);
        let parts = parts_in_memory(config.jobs, &config.sizes);
        let bucket = Bucket {
            client: S3Client::new_with_client(Client::new_not_signing(dispatcher), region),
            keys,
            signer,
            name: config.bucket,
            prefix: config.prefix,
            interrupt,
            attempts: config.attempts.max(1),
            limit,
            unfinished: Mutex::default(),
            writing: config.writing,
            sizes: config.sizes,
            parts: Arc::new(Semaphore::new(parts)),
            buffers: Buffers::default(),
        };
        Ok(Self {
            runtime,
            bucket: Arc::new(bucket),
        })
    }

    /// Waits for `work`, and not longer than until a signal comes.
    fn wait<T>(
        &self,
        doing: &'static str,
        key: &str,
        work: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, StoreError> {
        let result = self.runtime.block_on(async {
            tokio::select! {
                result = work => result,
                interrupted = interrupted::wait(&self.bucket.interrupt) => {
                    upload::abort_unfinished(&self.bucket, key).await;
                    Err(interrupted.into())
                }
            }
        });
        result.map_err(|cause| StoreError::new(doing, self.bucket.url(key), cause))
    }
}

impl ObjectStore for S3Store {
    fn url(&self, key: &str) -> String {
        self.bucket.url(key)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.wait("list", prefix, self.bucket.list(prefix, each))
    }

    fn directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.wait("list", prefix, self.bucket.directories(prefix))
    }

    fn look(&self, key: &str) -> Result<Option<Found>, StoreError> {
        self.wait("ask for", key, self.bucket.look(key))
    }

    fn get(&self, key: &str, from: u64) -> Result<Option<Download>, StoreError> {
        self.wait(
            "read",
            key,
            download::open(&self.bucket, self.runtime.handle(), key, from),
        )
    }

    fn put(&self, key: &str, body: Body, attributes: &Attributes) -> Result<Confirmed, StoreError> {
        self.wait("write", key, async {
            let confirmed = upload::put(&self.bucket, key, body, attributes).await?;
            self.bucket.confirm_lock(key, attributes).await?;
            Ok(confirmed)
        })
    }

    fn copy(
        &self,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Option<Confirmed>, StoreError> {
        self.wait("copy to", key, async {
            let confirmed = self.bucket.copy(source, key, attributes).await?;
            if confirmed.is_some() {
                self.bucket.confirm_lock(key, attributes).await?;
            }
            Ok(confirmed)
        })
    }

    fn extend_lock(&self, key: &str, lock: Lock) -> Result<(), StoreError> {
        self.wait("lock", key, self.bucket.extend_lock(key, lock))
    }

    fn remove(&self, object: &Listed, now: Timestamp) -> Result<Removal, StoreError> {
        self.wait("remove", &object.key, self.bucket.remove(object, now))
    }

    fn remove_tree(&self, _: &str) -> Result<TreeRemoval, StoreError> {
        Ok(TreeRemoval::Unsupported)
    }

    fn keeps_marks(&self) -> bool {
        true
    }

    fn copies_share_storage(&self) -> bool {
        false
    }

    fn protection(&self) -> Result<Option<Protection>, StoreError> {
        self.wait("ask for the protection of", "", self.bucket.protection())
            .map(Some)
    }

    fn expiry(&self, prefix: &str) -> Result<Expiry, StoreError> {
        self.wait(
            "ask for the lifecycle of",
            prefix,
            self.bucket.expiry(prefix),
        )
    }

    fn billed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Vec<NotListed>, StoreError> {
        self.wait(
            "list all versions of",
            prefix,
            self.bucket.billed(prefix, each),
        )
    }

    fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<usize, StoreError> {
        self.wait(
            "clear unfinished uploads of",
            prefix,
            self.bucket.abort_stale(prefix, before),
        )
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("url", &self.bucket.url(""))
            .finish_non_exhaustive()
    }
}
