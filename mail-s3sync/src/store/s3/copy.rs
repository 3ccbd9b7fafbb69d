//! A copy inside the bucket, of exactly the object that was listed.

use std::sync::Arc;

use rusoto_core::signature::encode_uri_path;
use rusoto_s3::{CopyObjectRequest, S3, UploadPartCopyRequest};

use super::attempt::Patience;
use super::bucket::Bucket;
use super::etag::{Part, is_copy, unquoted};
use super::request::new_object;
use super::upload::Upload;
use crate::aws::Failure;
use crate::store::error::Cause;
use crate::store::object::{Attributes, Confirmed, Listed};

impl Bucket {
    /// `None` when the source is gone, or is another object by now.
    pub(super) async fn copy(
        self: &Arc<Self>,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Option<Confirmed>, Cause> {
        let copied = if source.bytes > self.sizes.whole_copy_bytes {
            self.copy_in_parts(source, key, attributes).await?
        } else {
            self.copy_whole(source, key, attributes).await?
        };
        match copied {
            Ok(confirmed) => Ok(confirmed),
            Err(failure) if failure.is_not_found() || failure.is_precondition() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The source as the header wants it.
    fn copy_source(&self, source: &Listed) -> String {
        format!("{}/{}", self.name, encode_uri_path(&self.full(&source.key)))
    }

    async fn copy_whole(
        &self,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Result<Option<Confirmed>, Failure>, Cause> {
        let request = || CopyObjectRequest {
            copy_source: self.copy_source(source),
            copy_source_if_match: quoted(source),
            metadata_directive: Some("REPLACE".to_owned()),
            tagging_directive: self.writing.tags.as_ref().map(|_| "REPLACE".to_owned()),
            ..new_object!(CopyObjectRequest, self, key, attributes)
        };
        let answer = self
            .attempt(Patience::Full, || self.client.copy_object(request()))
            .await?;
        Ok(answer.and_then(|answer| {
            let etag = answer.copy_object_result.and_then(|result| result.e_tag);
            let etag =
                etag.ok_or_else(|| Failure::Transport("a copy without its ETag".to_owned()))?;
            let etag = unquoted(&etag);
            let is_same = is_copy(
                source.etag.as_deref(),
                &etag,
                answer.server_side_encryption.as_deref(),
            );
            Ok(is_same.then_some(Confirmed { etag: Some(etag) }))
        }))
    }

    async fn copy_in_parts(
        self: &Arc<Self>,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Result<Option<Confirmed>, Failure>, Cause> {
        let id = self.create(key, attributes).await?;
        let upload = Upload {
            bucket: Arc::clone(self),
            key: self.full(key),
            id,
        };
        let parts = self.copy_parts(&upload, source).await;
        let completed = match parts {
            Ok(Ok(parts)) => upload
                .complete(parts)
                .await
                .map(|confirmed| Ok(Some(confirmed))),
            Ok(Err(failure)) => Ok(Err(failure)),
            Err(cause) => Err(cause),
        };
        if !matches!(completed, Ok(Ok(_))) {
            upload.abort().await;
        }
        completed
    }

    async fn copy_parts(
        &self,
        upload: &Upload,
        source: &Listed,
    ) -> Result<Result<Vec<Part>, Failure>, Cause> {
        let mut parts = Vec::new();
        let mut start = 0;
        while start < source.bytes {
            let end = source.bytes.min(start + self.sizes.copy_part_bytes);
            let number = i64::try_from(parts.len() + 1).unwrap_or(i64::MAX);
            let request = || UploadPartCopyRequest {
                bucket: self.name.clone(),
                key: upload.key.clone(),
                upload_id: upload.id.clone(),
                part_number: number,
                copy_source: self.copy_source(source),
                copy_source_if_match: quoted(source),
                copy_source_range: Some(format!("bytes={start}-{}", end - 1)),
                ..Default::default()
            };
            let copied = self
                .attempt(Patience::Full, || self.client.upload_part_copy(request()))
                .await?;
            let etag = match copied {
                Ok(answer) => answer.copy_part_result.and_then(|result| result.e_tag),
                Err(failure) => return Ok(Err(failure)),
            };
            let etag =
                etag.ok_or_else(|| Cause::Odd("a copied part without its ETag".to_owned()))?;
            parts.push(Part::copied(number, &etag));
            start = end;
        }
        Ok(Ok(parts))
    }
}

fn quoted(source: &Listed) -> Option<String> {
    source.etag.as_ref().map(|etag| format!("\"{etag}\""))
}
