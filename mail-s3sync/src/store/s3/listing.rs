//! What is in the bucket: keys, versions, unfinished uploads. A listing that fails half-way is an error, and never a
//! short listing.

use jiff::Timestamp;
use rusoto_core::signature::decode_uri;
use rusoto_s3::{
    AbortMultipartUploadRequest, ListMultipartUploadsRequest, ListObjectVersionsRequest, ListObjectsV2Output,
    ListObjectsV2Request, ListPartsRequest, MultipartUpload, S3,
};

use super::Bucket;
use super::attempt::{self, Patience};
use super::failure::Failure;
use super::upload::unquoted;
use crate::store::{Billed, Cause, Listed};

/// Keys may hold what XML cannot.
const ESCAPED: &str = "url";
const STANDARD: &str = "STANDARD";

impl Bucket {
    pub(super) async fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), Cause> {
        let mut token = None;
        loop {
            let page = self.page(prefix, None, token).await?;
            let is_escaped = page.encoding_type.as_deref() == Some(ESCAPED);
            for object in page.contents.unwrap_or_default() {
                let key = self.own_key(object.key, is_escaped)?;
                // A key that ends in a slash is a directory that some programs make.
                if key.ends_with('/') {
                    continue;
                }
                let modified = object.last_modified.and_then(|time| time.parse().ok());
                each(Listed {
                    key,
                    bytes: attempt::bytes(object.size)?,
                    etag: object.e_tag.as_deref().map(unquoted),
                    modified: modified.ok_or_else(|| odd("an object without its time"))?,
                });
            }
            token = next(page.is_truncated, page.next_continuation_token)?;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    pub(super) async fn directories(&self, prefix: &str) -> Result<Vec<String>, Cause> {
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let page = self.page(prefix, Some("/"), token).await?;
            let is_escaped = page.encoding_type.as_deref() == Some(ESCAPED);
            for common in page.common_prefixes.unwrap_or_default() {
                let key = self.own_key(common.prefix, is_escaped)?;
                let name = key.strip_prefix(prefix).ok_or_else(|| odd("a prefix that was not asked for"))?;
                names.push(name.trim_end_matches('/').to_owned());
            }
            token = next(page.is_truncated, page.next_continuation_token)?;
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output, Cause> {
        let request = || ListObjectsV2Request {
            bucket: self.name.clone(),
            prefix: Some(self.full(prefix)),
            delimiter: delimiter.map(str::to_owned),
            encoding_type: Some(ESCAPED.to_owned()),
            continuation_token: token.clone(),
            ..Default::default()
        };
        self.attempt(Patience::Full, || self.client.list_objects_v2(request())).await?.map_err(Failure::cause)
    }

    /// The key without the prefix that all of ours have.
    fn own_key(&self, key: Option<String>, is_escaped: bool) -> Result<String, Cause> {
        let key = key.ok_or_else(|| odd("an object without its key"))?;
        let key = if is_escaped { unescaped(&key) } else { key };
        let own = key.strip_prefix(&self.prefix).ok_or_else(|| odd("a key that was not asked for"))?;
        Ok(own.to_owned())
    }

    pub(super) async fn billed(&self, prefix: &str, each: &mut dyn FnMut(Billed)) -> Result<(), Cause> {
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let request = || ListObjectVersionsRequest {
                bucket: self.name.clone(),
                prefix: Some(self.full(prefix)),
                key_marker: Option::clone(&key_marker),
                version_id_marker: Option::clone(&version_marker),
                ..Default::default()
            };
            let page = self.attempt(Patience::Full, || self.client.list_object_versions(request())).await?;
            let page = page.map_err(Failure::cause)?;
            for version in page.versions.unwrap_or_default() {
                let storage_class = version.storage_class.unwrap_or_else(|| STANDARD.to_owned());
                each(Billed { bytes: attempt::bytes(version.size)?, storage_class });
            }
            if page.is_truncated != Some(true) {
                break;
            }
            (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
            if key_marker.is_none() {
                return Err(odd("a listing that goes on without saying where"));
            }
        }
        for upload in self.uploads(prefix).await? {
            let storage_class = upload.storage_class.clone().unwrap_or_else(|| STANDARD.to_owned());
            for bytes in self.part_sizes(&upload).await? {
                each(Billed { bytes, storage_class: storage_class.clone() });
            }
        }
        Ok(())
    }

    /// The sizes of the parts that an unfinished upload has.
    async fn part_sizes(&self, upload: &MultipartUpload) -> Result<Vec<u64>, Cause> {
        let (Some(key), Some(id)) = (&upload.key, &upload.upload_id) else { return Ok(Vec::new()) };
        let mut sizes = Vec::new();
        let mut marker: Option<i64> = None;
        loop {
            let request = || ListPartsRequest {
                bucket: self.name.clone(),
                key: key.clone(),
                upload_id: id.clone(),
                part_number_marker: marker,
                ..Default::default()
            };
            let page = match self.attempt(Patience::Full, || self.client.list_parts(request())).await? {
                Ok(page) => page,
                // It has ended meanwhile.
                Err(failure) if failure.is_not_found() => return Ok(sizes),
                Err(failure) => return Err(failure.cause()),
            };
            for part in page.parts.unwrap_or_default() {
                sizes.push(attempt::bytes(part.size)?);
            }
            match (page.is_truncated, page.next_part_number_marker) {
                (Some(true), Some(next)) if Some(next) != marker => marker = Some(next),
                _ => return Ok(sizes),
            }
        }
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<MultipartUpload>, Cause> {
        let (mut uploads, mut key_marker, mut id_marker) = (Vec::new(), None, None);
        loop {
            let request = || ListMultipartUploadsRequest {
                bucket: self.name.clone(),
                prefix: Some(self.full(prefix)),
                key_marker: Option::clone(&key_marker),
                upload_id_marker: Option::clone(&id_marker),
                ..Default::default()
            };
            let page = self.attempt(Patience::Full, || self.client.list_multipart_uploads(request())).await?;
            let page = page.map_err(Failure::cause)?;
            uploads.extend(page.uploads.unwrap_or_default());
            if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
                return Ok(uploads);
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    /// Drops unfinished uploads below the sets that were begun before `before`.
    pub(super) async fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<usize, Cause> {
        let is_stale = |upload: &MultipartUpload| {
            let begun = upload.initiated.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
            begun.is_some_and(|begun| begun < before)
        };
        let mut aborted = 0;
        for upload in self.uploads(prefix).await?.into_iter().filter(is_stale) {
            let (Some(key), Some(upload_id)) = (upload.key, upload.upload_id) else { continue };
            let request = || AbortMultipartUploadRequest {
                bucket: self.name.clone(),
                key: key.clone(),
                upload_id: upload_id.clone(),
                ..Default::default()
            };
            let answer = self.attempt(Patience::Short, || self.client.abort_multipart_upload(request())).await?;
            answer.map_err(Failure::cause)?;
            aborted += 1;
        }
        Ok(aborted)
    }
}

/// Where the next page begins; `None` after the last.
fn next(is_truncated: Option<bool>, token: Option<String>) -> Result<Option<String>, Cause> {
    match (is_truncated, token) {
        (Some(true), None) => Err(odd("a listing that goes on without saying where")),
        (Some(true), token) => Ok(token),
        _ => Ok(None),
    }
}

fn odd(what: &str) -> Cause {
    Cause::Odd(what.to_owned())
}

/// As in a form: a plus is a blank.
fn unescaped(key: &str) -> String {
    decode_uri(&key.replace('+', "%20"))
}
