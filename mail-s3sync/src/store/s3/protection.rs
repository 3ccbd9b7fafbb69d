//! How the bucket protects what it holds.

use rusoto_s3::{
    GetBucketEncryptionRequest, GetBucketVersioningRequest, GetObjectLockConfigurationRequest, S3,
};

use super::attempt::Patience;
use super::bucket::Bucket;
use crate::store::error::Cause;
use crate::store::object::Protection;

impl Bucket {
    pub(super) async fn protection(&self) -> Result<Protection, Cause> {
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
