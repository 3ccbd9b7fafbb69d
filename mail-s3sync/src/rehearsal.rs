//! A store that is asked and never changed: what is written to it is remembered, so that whoever
//! writes goes on as if it were there, and every request is counted that a run would make.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use crate::cost::Requests;
use crate::store::s3::Sizes;
use crate::store::{
    Attributes, Billed, Body, Cause, Confirmed, Download, Expiry, Found, Listed, Lock, NotListed,
    ObjectStore, Protection, Removal, StoreError, TreeRemoval,
};

/// S3 lists so many at a time.
const PAGE: u64 = 1000;
/// Object Lock, versions and encryption are asked for one by one.
const PROTECTION_REQUESTS: u64 = 3;

/// The store, and what would have been done to it.
#[derive(Debug)]
pub(crate) struct RehearsedStore {
    inner: Arc<dyn ObjectStore>,
    /// From which sizes on a bucket does things in parts; `None` for a directory, of which nothing
    /// is requested.
    sizes: Option<Sizes>,
    now: Timestamp,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    written: BTreeMap<String, Written>,
    /// Objects that were listed, and their sizes.
    there: HashMap<String, u64>,
    done: Done,
    number: u64,
}

/// What would have been done since it was last asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) requests: Requests,
    /// The sizes of the objects that would be written, and of those in whose place.
    pub(crate) writes: Vec<(u64, Option<u64>)>,
    /// What the store would read to give or copy it.
    pub(crate) retrieved_bytes: u64,
}

/// An object as it would be there.
#[derive(Clone, Debug)]
struct Written {
    listed: Listed,
    attributes: Attributes,
    content: Option<Bytes>,
}

impl RehearsedStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, sizes: Option<Sizes>, now: Timestamp) -> Self {
        Self {
            inner,
            sizes,
            now,
            state: Mutex::default(),
        }
    }

    /// What would have been done since the last time.
    pub(crate) fn take(&self) -> Done {
        std::mem::take(&mut self.state().done)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts requests; those of a directory are none.
    fn count(&self, requests: Requests) {
        if self.sizes.is_some() {
            self.state().done.requests.add(requests);
        }
    }

    fn count_pages(&self, listed: usize) {
        let list = (listed as u64).div_ceil(PAGE).max(1);
        self.count(Requests {
            list,
            ..Requests::default()
        });
    }

    fn written(&self, key: &str) -> Option<Written> {
        self.state().written.get(key).cloned()
    }

    fn write(
        &self,
        key: &str,
        bytes: u64,
        attributes: &Attributes,
        content: Option<Bytes>,
    ) -> Confirmed {
        let mut state = self.state();
        state.number += 1;
        // As long as one of the store: the ledger has it.
        let etag = format!("{:032x}", state.number);
        let etag = self.keeps_marks().then_some(etag);
        let replaced = state.there.insert(key.to_owned(), bytes);
        state.done.writes.push((bytes, replaced));
        let listed = Listed {
            key: key.to_owned(),
            bytes,
            etag: etag.clone(),
            modified: self.now,
        };
        let written = Written {
            listed,
            attributes: attributes.clone(),
            content,
        };
        state.written.insert(key.to_owned(), written);
        Confirmed { etag }
    }

    /// A lock that goes with what is written is looked at.
    fn count_lock(&self, attributes: &Attributes) {
        self.count(Requests {
            head: u64::from(attributes.lock.is_some()),
            ..Requests::default()
        });
    }

    fn found(&self, key: &str) -> Result<Option<Found>, StoreError> {
        match self.written(key) {
            Some(written) => Ok(Some(written.found(self.keeps_marks()))),
            None => self.inner.look(key),
        }
    }
}

impl Written {
    fn found(&self, keeps_marks: bool) -> Found {
        let mut marks = self.attributes.marks.clone();
        if !keeps_marks {
            marks = crate::store::Marks {
                sha256: marks.sha256,
                ..Default::default()
            };
        }
        Found {
            bytes: self.listed.bytes,
            etag: self.listed.etag.clone(),
            marks,
            lock: self.attributes.lock,
        }
    }
}

impl ObjectStore for RehearsedStore {
    fn url(&self, key: &str) -> String {
        self.inner.url(key)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let mut listed = BTreeMap::new();
        self.inner.list(prefix, &mut |object| {
            listed.insert(object.key.clone(), object);
        })?;
        let mut state = self.state();
        for (key, object) in &listed {
            state.there.entry(key.clone()).or_insert(object.bytes);
        }
        let written = state.written.iter();
        let written = written.filter(|(key, _)| key.starts_with(prefix));
        listed.extend(written.map(|(key, written)| (key.clone(), written.listed.clone())));
        drop(state);
        self.count_pages(listed.len());
        listed.into_values().for_each(each);
        Ok(())
    }

    fn directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut names = self.inner.directories(prefix)?;
        for key in self.state().written.keys() {
            let below = key.strip_prefix(prefix);
            if let Some((name, _)) = below.and_then(|below| below.split_once('/')) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names.dedup();
        self.count_pages(names.len());
        Ok(names)
    }

    fn look(&self, key: &str) -> Result<Option<Found>, StoreError> {
        self.count(Requests {
            head: 1,
            ..Requests::default()
        });
        self.found(key)
    }

    fn get(&self, key: &str, from: u64) -> Result<Option<Download>, StoreError> {
        self.count(Requests {
            get: 1,
            ..Requests::default()
        });
        let Some(written) = self.written(key) else {
            let download = self.inner.get(key, from)?;
            let bytes = download.as_ref().map_or(0, |download| download.found.bytes);
            self.state().done.retrieved_bytes += bytes.saturating_sub(from);
            return Ok(download);
        };
        let Some(content) = &written.content else {
            let cause = Cause::Odd("it would be sent, and is not there to be read".to_owned());
            return Err(StoreError::new("read", self.url(key), cause));
        };
        let mut reader = Cursor::new(content.clone());
        reader.set_position(from);
        Ok(Some(Download {
            found: written.found(self.keeps_marks()),
            reader: Box::new(reader),
        }))
    }

    fn put(&self, key: &str, body: Body, attributes: &Attributes) -> Result<Confirmed, StoreError> {
        if let Some(sizes) = &self.sizes {
            self.count(of_put(body.bytes(), sizes));
            self.count_lock(attributes);
        }
        Ok(self.write(key, body.bytes(), attributes, body.in_memory()))
    }

    fn copy(
        &self,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Option<Confirmed>, StoreError> {
        if let Some(sizes) = &self.sizes {
            self.count(of_copy(source.bytes, sizes));
            self.count_lock(attributes);
        }
        self.state().done.retrieved_bytes += source.bytes;
        let content = self.written(&source.key);
        let content = content.and_then(|written| written.content);
        Ok(Some(self.write(key, source.bytes, attributes, content)))
    }

    fn extend_lock(&self, key: &str, lock: Lock) -> Result<(), StoreError> {
        let found = self.found(key)?;
        let until = found.and_then(|found| found.locked_until());
        let is_longer = until.is_none_or(|until| until < lock.until);
        self.count(Requests {
            head: 1,
            retention: u64::from(is_longer),
            ..Requests::default()
        });
        if let Some(written) = self.state().written.get_mut(key)
            && is_longer
        {
            written.attributes.lock = Some(lock);
        }
        Ok(())
    }

    /// Nothing that a push asks for.
    fn remove(&self, _: &Listed, _: Timestamp) -> Result<Removal, StoreError> {
        Ok(Removal::Changed)
    }

    fn remove_tree(&self, _: &str) -> Result<TreeRemoval, StoreError> {
        Ok(TreeRemoval::Unsupported)
    }

    fn keeps_marks(&self) -> bool {
        self.inner.keeps_marks()
    }

    fn copies_share_storage(&self) -> bool {
        self.inner.copies_share_storage()
    }

    fn protection(&self) -> Result<Option<Protection>, StoreError> {
        self.count(Requests {
            get: PROTECTION_REQUESTS,
            ..Requests::default()
        });
        self.inner.protection()
    }

    fn expiry(&self, prefix: &str) -> Result<Expiry, StoreError> {
        self.count(Requests {
            get: 1,
            ..Requests::default()
        });
        self.inner.expiry(prefix)
    }

    /// Nothing that a push asks for.
    fn billed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Vec<NotListed>, StoreError> {
        self.inner.billed(prefix, each)
    }

    /// Aborts nothing. What runs that died have left costs some requests more, and once.
    fn abort_stale(&self, _: &str, _: Timestamp) -> Result<usize, StoreError> {
        self.count_pages(0);
        Ok(0)
    }
}

fn of_put(bytes: u64, sizes: &Sizes) -> Requests {
    if bytes <= sizes.whole_bytes {
        return Requests {
            put: 1,
            ..Requests::default()
        };
    }
    Requests {
        part: bytes.div_ceil(sizes.part_bytes_of(bytes)),
        multipart: 2,
        ..Requests::default()
    }
}

fn of_copy(bytes: u64, sizes: &Sizes) -> Requests {
    if bytes <= sizes.whole_copy_bytes {
        return Requests {
            copy: 1,
            ..Requests::default()
        };
    }
    Requests {
        copy: bytes.div_ceil(sizes.copy_part_bytes),
        multipart: 2,
        ..Requests::default()
    }
}
