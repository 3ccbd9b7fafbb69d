//! One object: what the store says of it, and its lock.

use rusoto_s3::{HeadObjectRequest, ObjectLockRetention, PutObjectRetentionRequest, S3};

use super::attempt::{self, Patience};
use super::bucket::Bucket;
use super::etag::unquoted;
use super::marks;
use crate::store::error::Cause;
use crate::store::object::{Attributes, Found, Lock, LockMode};

impl Bucket {
    pub(super) async fn look(&self, key: &str) -> Result<Option<Found>, Cause> {
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
                etag: answer.e_tag.as_deref().map(unquoted),
                marks: marks::read(answer.metadata.as_ref()),
                lock: lock(
                    answer.object_lock_mode.as_deref(),
                    answer.object_lock_retain_until_date.as_deref(),
                ),
            })),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Some stores leave the lock of an upload out, in silence: it is looked at, and put on where
    /// it is missing.
    pub(super) async fn confirm_lock(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<(), Cause> {
        match attributes.lock {
            Some(lock) => self.extend_lock(key, lock).await,
            None => Ok(()),
        }
    }

    pub(super) async fn extend_lock(&self, key: &str, lock: Lock) -> Result<(), Cause> {
        // Where reading a lock is not allowed, the store itself refuses to shorten one.
        let found = self.look(key).await?;
        if found
            .and_then(|found| found.locked_until())
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
            .map_err(Cause::from)?;
        Ok(())
    }
}

/// A lock, as headers say it.
pub(super) fn lock(mode: Option<&str>, until: Option<&str>) -> Option<Lock> {
    Some(Lock {
        mode: LockMode::of_name(mode),
        until: until?.parse().ok()?,
    })
}
