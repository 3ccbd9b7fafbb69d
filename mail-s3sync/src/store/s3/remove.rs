//! Removes an object with all its versions, for `prune`. A version that is locked stays, and so
//! does all that came after it.

use jiff::Timestamp;
use rusoto_s3::{
    DeleteObjectRequest, HeadObjectOutput, HeadObjectRequest, ListObjectVersionsOutput,
    ListObjectVersionsRequest, S3,
};

use super::attempt::Patience;
use super::bucket::Bucket;
use super::etag::unquoted;
use super::listing::{ESCAPED, next, odd, unescaped};
use super::look;
use crate::aws::Failure;
use crate::store::error::Cause;
use crate::store::object::{Listed, Removal};

/// A version of an object; without an ETag it says that the object was deleted.
struct Version {
    id: Option<String>,
    etag: Option<String>,
    modified: Timestamp,
    is_latest: bool,
}

impl Bucket {
    /// Removes the object that was listed. Versions are removed by their names: what another
    /// program writes under the key meanwhile has a name of its own, and stays.
    pub(super) async fn remove(&self, object: &Listed, now: Timestamp) -> Result<Removal, Cause> {
        let versions = match self.versions(&object.key).await? {
            Ok(versions) => versions,
            Err(failure) if failure.is_not_implemented() => {
                self.only_version(&object.key).await?.into_iter().collect()
            }
            Err(failure) => return Err(failure.into()),
        };
        let is_listed = |newest: &Version| {
            newest.etag.is_some()
                && newest.etag == object.etag
                && newest.modified.as_second() <= object.modified.as_second()
        };
        if !versions.last().is_some_and(is_listed) {
            return Ok(Removal::Changed);
        }
        for version in &versions {
            let id = version.id.as_deref();
            if let Some(until) = self.remove_version(&object.key, id, now).await? {
                return Ok(Removal::Locked(until));
            }
        }
        Ok(Removal::Removed)
    }

    /// The versions under a key, the oldest first; the inner error is the store's.
    async fn versions(&self, key: &str) -> Result<Result<Vec<Version>, Failure>, Cause> {
        let (mut versions, mut marker) = (Vec::new(), None);
        loop {
            let (key_marker, version_id_marker) = marker.clone().unzip();
            let request = || ListObjectVersionsRequest {
                bucket: self.name.clone(),
                prefix: Some(self.full(key)),
                encoding_type: Some(ESCAPED.to_owned()),
                key_marker: key_marker.clone(),
                version_id_marker: version_id_marker.clone().flatten(),
                ..Default::default()
            };
            let page = self
                .attempt(Patience::Full, || {
                    self.client.list_object_versions(request())
                })
                .await?;
            let mut page = match page {
                Ok(page) => page,
                Err(failure) => return Ok(Err(failure)),
            };
            let is_escaped = page.encoding_type.as_deref() == Some(ESCAPED);
            let key_marker = page.next_key_marker.take();
            let key_marker = key_marker.map(|key| if is_escaped { unescaped(&key) } else { key });
            let following = key_marker.map(|key| (key, page.next_version_id_marker.take()));
            let is_truncated = page.is_truncated;
            versions.extend(self.versions_of(page, key)?);
            marker = next(is_truncated, marker.as_ref(), following)?;
            if marker.is_none() {
                break;
            }
        }
        // The store lists the newest first, also of those of one second.
        versions.reverse();
        versions.sort_by_key(|version| (version.is_latest, version.modified));
        Ok(Ok(versions))
    }

    fn versions_of(
        &self,
        page: ListObjectVersionsOutput,
        key: &str,
    ) -> Result<Vec<Version>, Cause> {
        let is_escaped = page.encoding_type.as_deref() == Some(ESCAPED);
        let mut versions = Vec::new();
        let mut add = |of: Option<String>, id, etag: Option<String>, time, is_latest| {
            if self.own_key(of, is_escaped)? == key {
                versions.push(Version {
                    id,
                    etag,
                    modified: parsed(time)?,
                    is_latest: is_latest == Some(true),
                });
            }
            Ok::<_, Cause>(())
        };
        for version in page.versions.unwrap_or_default() {
            let etag = version.e_tag.as_deref().map(unquoted);
            let time = version.last_modified;
            add(
                version.key,
                version.version_id,
                etag,
                time,
                version.is_latest,
            )?;
        }
        for marker in page.delete_markers.unwrap_or_default() {
            let time = marker.last_modified;
            add(marker.key, marker.version_id, None, time, marker.is_latest)?;
        }
        Ok(versions)
    }

    /// The object under a key, where the store has no versions.
    async fn only_version(&self, key: &str) -> Result<Option<Version>, Cause> {
        let Some(answer) = self.head(key, None).await? else {
            return Ok(None);
        };
        let time = answer.last_modified.as_deref();
        let modified = time.and_then(|time| jiff::fmt::rfc2822::parse(time).ok());
        Ok(Some(Version {
            id: None,
            etag: answer.e_tag.as_deref().map(unquoted),
            modified: modified
                .ok_or_else(|| odd("an object without its time"))?
                .timestamp(),
            is_latest: true,
        }))
    }

    /// Removes a version; until when it is locked, where the store refuses that for a lock.
    async fn remove_version(
        &self,
        key: &str,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Cause> {
        let request = || DeleteObjectRequest {
            bucket: self.name.clone(),
            key: self.full(key),
            version_id: id.map(str::to_owned),
            ..Default::default()
        };
        let answer = self
            .attempt(Patience::Full, || self.client.delete_object(request()))
            .await?;
        let failure = match answer {
            Ok(_) => return Ok(None),
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => failure,
        };
        let head = self.head(key, id).await?;
        let lock = head.and_then(|head| {
            let until = head.object_lock_retain_until_date;
            look::lock(head.object_lock_mode.as_deref(), until.as_deref())
        });
        match lock.filter(|lock| lock.until > now) {
            Some(lock) => Ok(Some(lock.until)),
            None => Err(failure.into()),
        }
    }

    async fn head(&self, key: &str, id: Option<&str>) -> Result<Option<HeadObjectOutput>, Cause> {
        let request = || HeadObjectRequest {
            bucket: self.name.clone(),
            key: self.full(key),
            version_id: id.map(str::to_owned),
            ..Default::default()
        };
        let answer = self
            .attempt(Patience::Full, || self.client.head_object(request()))
            .await?;
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn parsed(time: Option<String>) -> Result<Timestamp, Cause> {
    let time = time.and_then(|time| time.parse().ok());
    time.ok_or_else(|| odd("a version without its time"))
}
