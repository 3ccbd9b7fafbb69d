//! A bucket: rusoto behind the trait, and nowhere else.
//!
//! The methods of the trait block; inside, requests run on a small runtime of their own. Every
//! request is tried again while that can help, and a put counts once the store's ETag is the one
//! computed here.

mod answer; // what came back, checked before rusoto reads it
mod attempt; // again, later, a little later
mod copy; // inside the store, whole or in parts
mod dispatch; // over the wire, with time-outs
mod download; // content, taken up again where it broke off
mod failure; // what a failed request means
mod host; // the bucket in the path or in the host
mod listing; // keys, versions, unfinished uploads
mod marks; // what we write beside the content
mod request; // what all requests that make an object have
mod tls; // whose certificates are trusted
mod upload; // content, whole or in parts

pub(crate) use attempt::persist;
pub(crate) use dispatch::{Dispatcher, Signer};
pub(crate) use failure::Failure;
pub(crate) use host::AddressingStyle;
pub(crate) use tls::{BundleError, Trust};

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use mail_common::interrupt::Interrupt;
use rusoto_core::{Client, Region};
use rusoto_s3::{
    GetBucketEncryptionRequest, GetBucketVersioningRequest, GetObjectLockConfigurationRequest,
    HeadObjectRequest, ObjectLockRetention, PutObjectRetentionRequest, S3, S3Client,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::{
    Attributes, Billed, Body, Buffers, Cause, Confirmed, Download, Found, Limit, Listed, Lock,
    ObjectStore, Protection, StoreError,
};
use crate::credentials::Keys;
use attempt::Patience;
use host::Addressing;

/// Threads that move bytes; files are read and hashed elsewhere.
const RUNTIME_THREADS: usize = 2;
/// After a signal nothing is waited for longer.
const INTERRUPT_POLL: Duration = Duration::from_millis(50);

/// How a bucket is spoken to.
#[derive(Debug)]
pub(crate) struct S3Config {
    pub(crate) bucket: String,
    /// Empty, or ending in a slash.
    pub(crate) prefix: String,
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) endpoint_is_given: bool,
    pub(crate) addressing: AddressingStyle,
    pub(crate) trust: Trust,
    pub(crate) timeout: Duration,
    /// So often a request is tried.
    pub(crate) attempts: u32,
    pub(crate) jobs: usize,
    pub(crate) limit: Option<Arc<Limit>>,
    pub(crate) writing: Writing,
    pub(crate) sizes: Sizes,
}

/// What every object that is written gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writing {
    pub(crate) storage_class: Option<String>,
    pub(crate) encryption: Option<String>,
    pub(crate) kms_key: Option<String>,
    /// As in a query: `a=b&c=d`.
    pub(crate) tags: Option<String>,
}

/// From which sizes on things are done in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The most that is put at once.
    pub(crate) whole_bytes: u64,
    /// S3 takes no less than 5 MiB; so many are in memory for each file at a time as `upload` says.
    pub(crate) part_bytes: u64,
    /// The most that is copied at once; AWS allows 5 GiB.
    pub(crate) whole_copy_bytes: u64,
    pub(crate) copy_part_bytes: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            whole_bytes: 16 << 20,
            part_bytes: 8 << 20,
            whole_copy_bytes: 5 << 30,
            copy_part_bytes: 1 << 30,
        }
    }
}

/// A bucket.
pub(crate) struct S3Store {
    runtime: Runtime,
    bucket: Arc<Bucket>,
}

/// What requests need; shared with the tasks that make them.
struct Bucket {
    client: S3Client,
    keys: Keys,
    signer: Arc<Signer>,
    name: String,
    prefix: String,
    interrupt: Interrupt,
    attempts: u32,
    limit: Option<Arc<Limit>>,
    /// Uploads in parts that have begun and not ended: key in the bucket, and id.
    unfinished: Mutex<Vec<(String, String)>>,
    writing: Writing,
    sizes: Sizes,
    /// Parts in memory, all files together.
    parts: Arc<Semaphore>,
    buffers: Buffers,
}

impl S3Store {
    /// A store that asks nothing yet.
    pub(crate) fn open(config: S3Config, keys: Keys, interrupt: Interrupt) -> io::Result<Self> {
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
        let dispatcher = Dispatcher::new(Arc::clone(&signer), config.timeout, config.trust)
            .limited(config.limit.clone())
            .addressed(addressing);
        let bucket = Bucket {
            client: S3Client::new_with_client(Client::new_not_signing(dispatcher), region),
            keys,
            signer,
            name: config.bucket,
            prefix: config.prefix,
            interrupt,
            attempts: config.attempts.max(1),
            limit: config.limit,
            unfinished: Mutex::default(),
            writing: config.writing,
            sizes: config.sizes,
            parts: Arc::new(Semaphore::new(upload::pieces(config.jobs, &config.sizes))),
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
        let interrupted = async {
            loop {
                self.bucket.interrupt.check()?;
                tokio::time::sleep(INTERRUPT_POLL).await;
            }
        };
        let result = self.runtime.block_on(async {
            tokio::select! {
                result = work => result,
                interrupted = interrupted => {
                    upload::abort_unfinished(&self.bucket, key).await;
                    interrupted
                }
            }
        });
        result.map_err(|cause| StoreError::new(doing, self.bucket.url(key), cause))
    }
}

impl Bucket {
    fn url(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.name, self.prefix)
    }

    /// The key in the bucket.
    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn look(&self, key: &str) -> Result<Option<Found>, Cause> {
        let request = || HeadObjectRequest {
            bucket: self.name.clone(),
            key: self.full(key),
            ..Default::default()
        };
        match self
            .attempt(Patience::Full, || self.client.head_object(request()))
            .await?
        {
            Ok(answer) => Ok(Some(Found {
                bytes: attempt::bytes(answer.content_length)?,
                etag: answer.e_tag.as_deref().map(upload::unquoted),
                marks: marks::read(answer.metadata.as_ref()),
                locked_until: answer
                    .object_lock_retain_until_date
                    .and_then(|until| until.parse().ok()),
            })),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.cause()),
        }
    }

    /// Some stores leave the lock of an upload out, in silence: it is looked at, and put on where
    /// it is missing.
    async fn confirm_lock(&self, key: &str, attributes: &Attributes) -> Result<(), Cause> {
        match attributes.lock {
            Some(lock) => self.extend_lock(key, lock).await,
            None => Ok(()),
        }
    }

    async fn extend_lock(&self, key: &str, lock: Lock) -> Result<(), Cause> {
        // Where reading a lock is not allowed, the store itself refuses to shorten one.
        let found = self.look(key).await?;
        if found
            .and_then(|found| found.locked_until)
            .is_some_and(|until| until >= lock.until)
        {
            return Ok(());
        }
        let retention = ObjectLockRetention {
            mode: Some(lock.mode.name().to_owned()),
            retain_until_date: Some(lock.until.to_string()),
        };
        let put = || PutObjectRetentionRequest {
            bucket: self.name.clone(),
            key: self.full(key),
            retention: Some(retention.clone()),
            ..Default::default()
        };
        self.attempt(Patience::Full, || self.client.put_object_retention(put()))
            .await?
            .map_err(Failure::cause)?;
        Ok(())
    }

    async fn protection(&self) -> Result<Protection, Cause> {
        let bucket = || self.name.clone();
        let lock = || GetObjectLockConfigurationRequest {
            bucket: bucket(),
            ..Default::default()
        };
        let lock = self
            .attempt(Patience::Short, || {
                self.client.get_object_lock_configuration(lock())
            })
            .await?;
        let versioning = || GetBucketVersioningRequest {
            bucket: bucket(),
            ..Default::default()
        };
        let versioning = self
            .attempt(Patience::Short, || {
                self.client.get_bucket_versioning(versioning())
            })
            .await?;
        let encryption = || GetBucketEncryptionRequest {
            bucket: bucket(),
            ..Default::default()
        };
        let encryption = self
            .attempt(Patience::Short, || {
                self.client.get_bucket_encryption(encryption())
            })
            .await?;
        Ok(Protection {
            object_lock: match lock {
                Ok(answer) => Some(
                    answer
                        .object_lock_configuration
                        .is_some_and(|lock| lock.object_lock_enabled.as_deref() == Some("Enabled")),
                ),
                Err(failure) => failure
                    .has_code("ObjectLockConfigurationNotFoundError")
                    .then_some(false),
            },
            versioning: versioning
                .ok()
                .map(|answer| answer.status.as_deref() == Some("Enabled")),
            encryption: match encryption {
                Ok(answer) => Some(answer.server_side_encryption_configuration.is_some()),
                Err(failure) => failure
                    .has_code("ServerSideEncryptionConfigurationNotFoundError")
                    .then_some(false),
            },
        })
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

    fn billed(&self, prefix: &str, each: &mut dyn FnMut(Billed)) -> Result<(), StoreError> {
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

/// A name or value as it stands in a query.
pub(crate) fn encode_uri_strict(text: &str) -> String {
    // The path encoding of rusoto leaves the slash alone, and nothing else that would have to be
    // escaped.
    rusoto_core::signature::encode_uri_path(text).replace('/', "%2F")
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("url", &self.bucket.url(""))
            .finish_non_exhaustive()
    }
}
