//! Content into the bucket: at once, or in parts that travel side by side.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::stream;
use md5::{Digest, Md5};
use rusoto_core::ByteStream;
use rusoto_s3::{
    AbortMultipartUploadRequest, CompleteMultipartUploadRequest, CompletedMultipartUpload,
    CompletedPart, CreateMultipartUploadRequest, HeadObjectRequest, PutObjectRequest, S3,
    UploadPartRequest,
};
use tokio::task::JoinSet;

use super::attempt::Patience;
use super::bucket::Bucket;
use super::etag::{Part, confirm, etag_of_parts, hex, unquoted};
use super::request::new_object;
use crate::store::body::Body;
use crate::store::error::Cause;
use crate::store::object::{Attributes, Confirmed};

/// After a signal.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);
/// Stores `body`, and compares what the store says that it has.
pub(super) async fn put(
    bucket: &Arc<Bucket>,
    key: &str,
    body: Body,
    attributes: &Attributes,
) -> Result<Confirmed, Cause> {
    if body.bytes() <= bucket.sizes.whole_bytes {
        let pieces = body.bytes().div_ceil(bucket.sizes.part_bytes).max(1);
        let _permit = bucket
            .acquire(u32::try_from(pieces).unwrap_or(u32::MAX))
            .await?;
        return bucket.put_whole(key, body.whole()?, attributes).await;
    }
    let upload = Upload {
        bucket: Arc::clone(bucket),
        key: bucket.full(key),
        id: bucket.create(key, attributes).await?,
    };
    let result = upload.send(body).await;
    if result.is_err() {
        upload.abort().await;
    }
    result
}

impl Bucket {
    async fn put_whole(
        &self,
        key: &str,
        content: Bytes,
        attributes: &Attributes,
    ) -> Result<Confirmed, Cause> {
        let md5 = Md5::digest(&content);
        let request = || PutObjectRequest {
            body: Some(stream_of(&content)),
            content_length: i64::try_from(content.len()).ok(),
            content_md5: Some(BASE64.encode(md5)),
            ..new_object!(PutObjectRequest, self, key, attributes)
        };
        let answer = self
            .attempt(Patience::Full, || self.client.put_object(request()))
            .await?
            .map_err(Cause::from)?;
        let etag = answer.e_tag.map(|etag| unquoted(&etag));
        confirm(etag, &hex(&md5), answer.server_side_encryption.as_deref())
    }

    /// Begins an upload in parts.
    pub(super) async fn create(&self, key: &str, attributes: &Attributes) -> Result<String, Cause> {
        let request = || new_object!(CreateMultipartUploadRequest, self, key, attributes);
        let answer = self
            .attempt(Patience::Full, || {
                self.client.create_multipart_upload(request())
            })
            .await?;
        let id = answer.map_err(Cause::from)?.upload_id;
        let id = id.ok_or_else(|| Cause::Odd("an upload without its id".to_owned()))?;
        self.unfinished().push((self.full(key), id.clone()));
        Ok(id)
    }
}

/// An upload in parts that has begun.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) bucket: Arc<Bucket>,
    /// In the bucket.
    pub(super) key: String,
    pub(super) id: String,
}

impl Upload {
    /// Reads, hashes and sends, all at the same time; the last part only when the whole is what it
    /// should be.
    async fn send(&self, mut body: Body) -> Result<Confirmed, Cause> {
        let part_bytes = self.bucket.sizes.part_bytes_of(body.bytes());
        let part_bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
        let mut tasks = JoinSet::new();
        let mut parts = Vec::new();
        for number in 1.. {
            let permit = self.bucket.acquire(1).await?;
            // Read on this thread; what is in flight goes on by itself.
            let Some(piece) = body.next_in(&self.bucket.buffers, part_bytes)? else {
                break;
            };
            let upload = self.clone();
            tasks.spawn(async move {
                let part = upload.send_part(number, piece).await;
                drop(permit);
                part
            });
            // What has failed already is not waited for.
            while let Some(part) = tasks.try_join_next() {
                parts.push(part.map_err(|error| Cause::Odd(error.to_string()))??);
            }
        }
        while let Some(part) = tasks.join_next().await {
            parts.push(part.map_err(|error| Cause::Odd(error.to_string()))??);
        }
        self.complete(parts).await
    }

    async fn send_part(&self, number: i64, content: Bytes) -> Result<Part, Cause> {
        let md5 = Md5::digest(&content);
        let request = || UploadPartRequest {
            bucket: self.bucket.name.clone(),
            key: self.key.clone(),
            upload_id: self.id.clone(),
            part_number: number,
            body: Some(stream_of(&content)),
            content_length: i64::try_from(content.len()).ok(),
            content_md5: Some(BASE64.encode(md5)),
            ..Default::default()
        };
        let sent = self
            .bucket
            .attempt(Patience::Full, || self.bucket.client.upload_part(request()))
            .await?;
        let answer = sent.map_err(Cause::from)?;
        let encryption = answer.server_side_encryption;
        let confirmed = confirm(
            answer.e_tag.map(|etag| unquoted(&etag)),
            &hex(&md5),
            encryption.as_deref(),
        )?;
        let etag = confirmed
            .etag
            .ok_or_else(|| Cause::Odd("a part without its ETag".to_owned()))?;
        Ok(Part {
            number,
            etag,
            md5: Some(md5.into()),
            encryption,
        })
    }

    /// Lets the store make one object of the parts.
    pub(super) async fn complete(&self, mut parts: Vec<Part>) -> Result<Confirmed, Cause> {
        parts.sort_by_key(|part| part.number);
        let completed = parts.iter().map(|part| CompletedPart {
            e_tag: Some(format!("\"{}\"", part.etag)),
            part_number: Some(part.number),
        });
        let list = CompletedMultipartUpload {
            parts: Some(completed.collect()),
        };
        let request = || CompleteMultipartUploadRequest {
            bucket: self.bucket.name.clone(),
            key: self.key.clone(),
            upload_id: self.id.clone(),
            multipart_upload: Some(list.clone()),
            ..Default::default()
        };
        let expected = etag_of_parts(&parts);
        let answer = self.bucket.attempt(Patience::Full, || {
            self.bucket.client.complete_multipart_upload(request())
        });
        let etag = match answer.await? {
            Ok(answer) => answer.e_tag.map(|etag| unquoted(&etag)),
            // The first attempt may have succeeded and its answer was lost.
            Err(failure) if failure.has_code("NoSuchUpload") => match self.etag_there().await? {
                Some(etag) if expected.as_ref() == Some(&etag) => Some(etag),
                _ => return Err(failure.into()),
            },
            Err(failure) => return Err(failure.into()),
        };
        self.forget();
        match expected {
            Some(expected) => confirm(etag, &expected, parts[0].encryption.as_deref()),
            None => Ok(Confirmed { etag }),
        }
    }

    async fn etag_there(&self) -> Result<Option<String>, Cause> {
        let bucket = &self.bucket;
        let request = || HeadObjectRequest {
            bucket: bucket.name.clone(),
            key: self.key.clone(),
            ..Default::default()
        };
        let answer = bucket
            .attempt(Patience::Full, || bucket.client.head_object(request()))
            .await?;
        Ok(answer
            .ok()
            .and_then(|answer| answer.e_tag)
            .map(|etag| unquoted(&etag)))
    }

    /// Lets the store drop the parts. Where that is not allowed, the bucket's lifecycle rule does
    /// it.
    pub(super) async fn abort(&self) {
        let request = AbortMultipartUploadRequest {
            bucket: self.bucket.name.clone(),
            key: self.key.clone(),
            upload_id: self.id.clone(),
            ..Default::default()
        };
        // The failure before it matters more than this one.
        let _ = self.bucket.client.abort_multipart_upload(request).await;
        self.forget();
    }

    fn forget(&self) {
        self.bucket.unfinished().retain(|(_, id)| *id != self.id);
    }
}

/// Aborts what a signal has stopped half-way; waits a moment, and no longer.
pub(super) async fn abort_unfinished(bucket: &Arc<Bucket>, key: &str) {
    let full = bucket.full(key);
    let stopped: Vec<_> = bucket
        .unfinished()
        .iter()
        .filter(|(key, _)| *key == full)
        .cloned()
        .collect();
    for (key, id) in stopped {
        let upload = Upload {
            bucket: Arc::clone(bucket),
            key,
            id,
        };
        // Where even that takes too long, a later push or the lifecycle rule does it.
        let _ = tokio::time::timeout(ABORT_PATIENCE, upload.abort()).await;
    }
}

/// One piece, shared between attempts.
fn stream_of(content: &Bytes) -> ByteStream {
    let piece = content.clone();
    ByteStream::new_with_size(stream::once(async move { Ok(piece) }), content.len())
}
