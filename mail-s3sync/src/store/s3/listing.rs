//! What is in the bucket: keys, versions, unfinished uploads. A listing that fails half-way is an
//! error, and never a short listing.

use std::collections::HashSet;

use jiff::Timestamp;
use rusoto_core::signature::decode_uri;
use rusoto_s3::{
    AbortMultipartUploadRequest, ListMultipartUploadsRequest, ListObjectVersionsRequest,
    ListObjectsV2Output, ListObjectsV2Request, ListPartsRequest, MultipartUpload, Part, S3,
};

use super::attempt::{self, Patience};
use super::bucket::Bucket;
use super::etag::unquoted;
use crate::aws::Failure;
use crate::store::error::Cause;
use crate::store::object::{Billed, Listed, NotListed, Withheld};

/// Keys may hold what XML cannot.
pub(super) const ESCAPED: &str = "url";
const STANDARD: &str = "STANDARD";

impl Bucket {
    pub(super) async fn list(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), Cause> {
        self.each_page(prefix, None, &mut |page| {
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
            Ok(())
        })
        .await
    }

    pub(super) async fn directories(&self, prefix: &str) -> Result<Vec<String>, Cause> {
        let mut names = Vec::new();
        self.each_page(prefix, Some("/"), &mut |page| {
            let is_escaped = page.encoding_type.as_deref() == Some(ESCAPED);
            for common in page.common_prefixes.unwrap_or_default() {
                let key = self.own_key(common.prefix, is_escaped)?;
                let name = key
                    .strip_prefix(prefix)
                    .ok_or_else(|| odd("a prefix that was not asked for"))?;
                names.push(name.trim_end_matches('/').to_owned());
            }
            Ok(())
        })
        .await?;
        Ok(names)
    }

    /// Calls `each` with every page of a listing, to its end.
    async fn each_page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        each: &mut dyn FnMut(ListObjectsV2Output) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let (mut token, mut begins) = (None, HashSet::new());
        loop {
            let mut page = self.page(prefix, delimiter, token.as_deref()).await?;
            if first_key(&page).is_some_and(|key| !begins.insert(key)) {
                return Err(odd("a listing that begins again and again"));
            }
            let following = page.next_continuation_token.take();
            let is_truncated = page.is_truncated;
            each(page)?;
            token = next(is_truncated, token.as_ref(), following)?;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        token: Option<&str>,
    ) -> Result<ListObjectsV2Output, Cause> {
        let request = || ListObjectsV2Request {
            bucket: self.name.clone(),
            prefix: Some(self.full(prefix)),
            delimiter: delimiter.map(str::to_owned),
            encoding_type: Some(ESCAPED.to_owned()),
            continuation_token: token.map(str::to_owned),
            ..Default::default()
        };
        self.attempt(Patience::Full, || self.client.list_objects_v2(request()))
            .await?
            .map_err(Cause::from)
    }

    /// The key without the prefix that all of ours have.
    pub(super) fn own_key(&self, key: Option<String>, is_escaped: bool) -> Result<String, Cause> {
        let key = key.ok_or_else(|| odd("an object without its key"))?;
        let key = if is_escaped { unescaped(&key) } else { key };
        let own = key
            .strip_prefix(&self.prefix)
            .ok_or_else(|| odd("a key that was not asked for"))?;
        Ok(own.to_owned())
    }

    pub(super) async fn billed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Vec<NotListed>, Cause> {
        let mut not_listed = Vec::new();
        let mut lacks = |what, why| not_listed.push(NotListed { what, why });
        if let Some(why) = self.billed_versions(prefix, each).await? {
            self.billed_objects(prefix, each).await?;
            lacks("earlier versions", why);
        }
        match self.uploads(prefix).await? {
            Ok(uploads) => {
                if let Some(why) = self.billed_parts(uploads, each).await? {
                    lacks("parts of unfinished uploads", why);
                }
            }
            Err(failure) => {
                let why = withheld(failure, "s3:ListBucketMultipartUploads")?;
                lacks("unfinished uploads", why);
            }
        }
        Ok(not_listed)
    }

    /// Every version; why not, where they cannot be listed, and then none was counted. That is said
    /// with the first page alone.
    async fn billed_versions(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Option<Withheld>, Cause> {
        let mut marker = None;
        loop {
            let (key_marker, version_id_marker) = marker.clone().unzip();
            let request = || ListObjectVersionsRequest {
                bucket: self.name.clone(),
                prefix: Some(self.full(prefix)),
                key_marker: key_marker.clone(),
                version_id_marker: version_id_marker.clone().flatten(),
                ..Default::default()
            };
            let page = self
                .attempt(Patience::Full, || {
                    self.client.list_object_versions(request())
                })
                .await?;
            let page = match page {
                Err(failure) if marker.is_none() => {
                    return withheld(failure, "s3:ListBucketVersions").map(Some);
                }
                page => page.map_err(Cause::from)?,
            };
            for version in page.versions.unwrap_or_default() {
                each(billed(version.size, version.storage_class)?);
            }
            let following = page
                .next_key_marker
                .map(|key| (key, page.next_version_id_marker));
            marker = next(page.is_truncated, marker.as_ref(), following)?;
            if marker.is_none() {
                return Ok(None);
            }
        }
    }

    /// What a plain listing shows.
    async fn billed_objects(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<(), Cause> {
        self.each_page(prefix, None, &mut |page| {
            for object in page.contents.unwrap_or_default() {
                each(billed(object.size, object.storage_class)?);
            }
            Ok(())
        })
        .await
    }

    async fn billed_parts(
        &self,
        uploads: Vec<MultipartUpload>,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Option<Withheld>, Cause> {
        let mut why = None;
        for upload in uploads {
            match self.parts(&upload).await? {
                Ok(parts) => {
                    for part in parts {
                        each(billed(part.size, upload.storage_class.clone())?);
                    }
                }
                Err(failure) => why = Some(withheld(failure, "s3:ListMultipartUploadParts")?),
            }
        }
        Ok(why)
    }

    /// The parts that an unfinished upload has; the inner error is the store's.
    async fn parts(&self, upload: &MultipartUpload) -> Result<Result<Vec<Part>, Failure>, Cause> {
        let (Some(key), Some(id)) = (&upload.key, &upload.upload_id) else {
            return Ok(Ok(Vec::new()));
        };
        let mut parts = Vec::new();
        let mut marker: Option<i64> = None;
        loop {
            let request = || ListPartsRequest {
                bucket: self.name.clone(),
                key: key.clone(),
                upload_id: id.clone(),
                part_number_marker: marker,
                ..Default::default()
            };
            let page = match self
                .attempt(Patience::Full, || self.client.list_parts(request()))
                .await?
            {
                Ok(page) => page,
                // It has ended meanwhile.
                Err(failure) if failure.is_not_found() => return Ok(Ok(parts)),
                Err(failure) => return Ok(Err(failure)),
            };
            parts.extend(page.parts.unwrap_or_default());
            marker = next(
                page.is_truncated,
                marker.as_ref(),
                page.next_part_number_marker,
            )?;
            if marker.is_none() {
                return Ok(Ok(parts));
            }
        }
    }

    /// Unfinished uploads; the inner error is the store's.
    async fn uploads(&self, prefix: &str) -> Result<Result<Vec<MultipartUpload>, Failure>, Cause> {
        let (mut uploads, mut marker) = (Vec::new(), None);
        loop {
            let (key_marker, upload_id_marker) = marker.clone().unzip();
            let request = || ListMultipartUploadsRequest {
                bucket: self.name.clone(),
                prefix: Some(self.full(prefix)),
                key_marker: key_marker.clone(),
                upload_id_marker: upload_id_marker.clone().flatten(),
                ..Default::default()
            };
            let page = self
                .attempt(Patience::Full, || {
                    self.client.list_multipart_uploads(request())
                })
                .await?;
            let page = match page {
                Ok(page) => page,
                Err(failure) => return Ok(Err(failure)),
            };
            uploads.extend(page.uploads.unwrap_or_default());
            let following = page
                .next_key_marker
                .map(|key| (key, page.next_upload_id_marker));
            marker = next(page.is_truncated, marker.as_ref(), following)?;
            if marker.is_none() {
                return Ok(Ok(uploads));
            }
        }
    }

    /// Drops unfinished uploads to which nothing was added since `before`. A large file over a slow
    /// line may take days.
    pub(super) async fn abort_stale(
        &self,
        prefix: &str,
        before: Timestamp,
    ) -> Result<usize, Cause> {
        let is_old = |time: Option<&String>| {
            time.and_then(|time| time.parse::<Timestamp>().ok())
                .is_some_and(|time| time < before)
        };
        let mut aborted = 0;
        for upload in self
            .uploads(prefix)
            .await??
            .into_iter()
            .filter(|upload| is_old(upload.initiated.as_ref()))
        {
            if !self
                .parts(&upload)
                .await??
                .iter()
                .all(|part| is_old(part.last_modified.as_ref()))
            {
                continue;
            }
            let (Some(key), Some(upload_id)) = (upload.key, upload.upload_id) else {
                continue;
            };
            let request = || AbortMultipartUploadRequest {
                bucket: self.name.clone(),
                key: key.clone(),
                upload_id: upload_id.clone(),
                ..Default::default()
            };
            let answer = self
                .attempt(Patience::Short, || {
                    self.client.abort_multipart_upload(request())
                })
                .await?;
            answer.map_err(Cause::from)?;
            aborted += 1;
        }
        Ok(aborted)
    }
}

/// Where a page begins: a store that ignores the token gives the first one each time.
fn first_key(page: &ListObjectsV2Output) -> Option<String> {
    let object = page.contents.iter().flatten().next();
    let object = object.and_then(|object| object.key.clone());
    let common = page.common_prefixes.iter().flatten().next();
    object.or_else(|| common.and_then(|common| common.prefix.clone()))
}

/// Where the page after this one begins, which began at `current`; `None` after the last.
pub(super) fn next<T: PartialEq>(
    is_truncated: Option<bool>,
    current: Option<&T>,
    following: Option<T>,
) -> Result<Option<T>, Cause> {
    match following {
        _ if is_truncated != Some(true) => Ok(None),
        None => Err(odd("a listing that goes on without saying where")),
        following if following.as_ref() == current => {
            Err(odd("a listing that goes on where it was"))
        }
        following => Ok(following),
    }
}

/// Why something is not listed, where the rest can be; else the failure.
fn withheld(failure: Failure, action: &'static str) -> Result<Withheld, Cause> {
    if failure.is_not_implemented() {
        return Ok(Withheld::Absent);
    }
    match failure.into() {
        Cause::Denied { .. } => Ok(Withheld::Denied(action)),
        cause => Err(cause),
    }
}

fn billed(size: Option<i64>, storage_class: Option<String>) -> Result<Billed, Cause> {
    Ok(Billed {
        bytes: attempt::bytes(size)?,
        storage_class: storage_class.unwrap_or_else(|| STANDARD.to_owned()),
    })
}

pub(super) fn odd(what: &str) -> Cause {
    Cause::Odd(what.to_owned())
}

/// As in a form: a plus is a blank.
pub(super) fn unescaped(key: &str) -> String {
    decode_uri(&key.replace('+', "%20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_ends_where_it_says_and_not_before() {
        assert_eq!(next(Some(true), Some(&1), Some(2)).unwrap(), Some(2));
        assert_eq!(next(Some(false), Some(&1), Some(2)).unwrap(), None);
        assert_eq!(next(None, None::<&u8>, None).unwrap(), None);
        assert!(next(Some(true), Some(&1), None).is_err(), "cut off");
        assert!(
            next(Some(true), Some(&2), Some(2)).is_err(),
            "round and round"
        );
    }
}
