//! How the bucket protects what it holds.

use rusoto_s3::{
    GetBucketEncryptionRequest, GetBucketVersioningRequest, GetObjectLockConfigurationRequest, S3,
};

use super::attempt::Patience;
use super::bucket::Bucket;
use crate::store::error::Cause;
use crate::store::object::Protection;

impl Bucket {
    /// `None` for what the store does not say.
    pub(super) async fn protection(&self) -> Result<Protection, Cause> {
        Ok(Protection {
            object_lock: self.has_object_lock().await?,
            versioning: self.has_versioning().await?,
            encryption: self.has_encryption().await?,
        })
    }

    async fn has_object_lock(&self) -> Result<Option<bool>, Cause> {
        let request = || GetObjectLockConfigurationRequest {
            bucket: self.name.clone(),
            ..Default::default()
        };
        let answer = self
            .attempt(Patience::Short, || {
                self.client.get_object_lock_configuration(request())
            })
            .await?;
        Ok(match answer {
            Ok(answer) => {
                let lock = answer.object_lock_configuration;
                let enabled = lock.and_then(|lock| lock.object_lock_enabled);
                Some(enabled.as_deref() == Some("Enabled"))
            }
            Err(failure) => failure
                .has_code("ObjectLockConfigurationNotFoundError")
                .then_some(false),
        })
    }

    async fn has_versioning(&self) -> Result<Option<bool>, Cause> {
        let request = || GetBucketVersioningRequest {
            bucket: self.name.clone(),
            ..Default::default()
        };
        let answer = self
            .attempt(Patience::Short, || {
                self.client.get_bucket_versioning(request())
            })
            .await?;
        let answer = answer.ok();
        Ok(answer.map(|answer| answer.status.as_deref() == Some("Enabled")))
    }

    async fn has_encryption(&self) -> Result<Option<bool>, Cause> {
        let request = || GetBucketEncryptionRequest {
            bucket: self.name.clone(),
            ..Default::default()
        };
        let answer = self
            .attempt(Patience::Short, || {
                self.client.get_bucket_encryption(request())
            })
            .await?;
        Ok(match answer {
            Ok(answer) => Some(answer.server_side_encryption_configuration.is_some()),
            Err(failure) => failure
                .has_code("ServerSideEncryptionConfigurationNotFoundError")
                .then_some(false),
        })
    }
}
