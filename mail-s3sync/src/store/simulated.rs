//! A store in memory with a clock of its own, versions, locks, and rules that take what is old, as
//! S3 has them; for tests that last longer than a server can be made to wait.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use mail_common::checksum::Sha256;

use super::body::Body;
use super::error::{Cause, StoreError};
use super::object::{
    Attributes, Billed, Confirmed, Download, Expiry, Found, Listed, Lock, Marks, NotListed,
    ObjectStore, Protection, Removal, TreeRemoval,
};
use crate::keep::{days_after, end_of_day};

/// A store in memory.
#[derive(Debug)]
pub(crate) struct SimulatedStore(Mutex<State>);

/// What a store does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// It copies nothing.
    Copy,
    /// It locks nothing.
    Locks,
    /// It lists in no order.
    Order,
    /// It has no versions: what is removed is whatever is there by then.
    Versions,
}

#[derive(Clone, Debug)]
struct State {
    now: Timestamp,
    lacks: Vec<Lack>,
    objects: BTreeMap<String, Vec<Version>>,
    requests: BTreeMap<&'static str, u64>,
}

/// A version of an object: the last one is what a key leads to.
#[derive(Clone, Debug)]
struct Version {
    /// `None` for a delete marker.
    content: Option<Vec<u8>>,
    marks: Marks,
    etag: String,
    written: Timestamp,
    lock: Option<Lock>,
    replaced: Option<Timestamp>,
}

/// What the rules of a bucket take: the current objects below a prefix after so many days.
pub(crate) struct Rule {
    pub(crate) prefix: &'static str,
    pub(crate) days: u32,
}

/// For how long a version is kept after it was replaced.
const REPLACED_DAYS: u32 = 7;

impl SimulatedStore {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self::lacking(now, &[])
    }

    /// A store that does not do everything.
    pub(crate) fn lacking(now: Timestamp, lacks: &[Lack]) -> Self {
        Self(Mutex::new(State {
            now,
            lacks: lacks.to_vec(),
            objects: BTreeMap::new(),
            requests: BTreeMap::new(),
        }))
    }

    /// The same, as it is now.
    pub(crate) fn twin(&self) -> Self {
        Self(Mutex::new(self.state().clone()))
    }

    fn refuse(&self, doing: &'static str, key: &str) -> StoreError {
        let cause = Cause::Refused {
            status: 501,
            code: "NotImplemented".to_owned(),
            message: String::new(),
            hint: "",
        };
        StoreError::new(doing, self.url(key), cause)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the time be `now`, and the rules do their work. They take no version that is locked,
    /// and they count from the midnight after it was written.
    pub(crate) fn pass_to(&self, now: Timestamp, rules: &[Rule]) {
        let mut state = self.state();
        state.now = now;
        for (key, versions) in &mut state.objects {
            let is_due = |version: &Version| {
                let mut rules = rules.iter().filter(|rule| key.starts_with(rule.prefix));
                rules.any(|rule| end_of_day(version.written, rule.days) <= now)
            };
            let last = versions.last().filter(|version| version.content.is_some());
            if last.is_some_and(is_due) {
                replace(versions, Version::marker(now), now);
            }
            versions.retain(|version| {
                let is_locked = version.lock.is_some_and(|lock| lock.until > now);
                let goes = version
                    .replaced
                    .is_some_and(|replaced| end_of_day(replaced, REPLACED_DAYS) <= now);
                is_locked || !goes
            });
            // A delete marker that is alone hides nothing.
            if versions.len() == 1 && versions[0].content.is_none() {
                versions.clear();
            }
        }
        state.objects.retain(|_, versions| !versions.is_empty());
    }

    /// Every key with any version, and until when the longest lock on it lasts.
    pub(crate) fn everything(&self) -> BTreeMap<String, Option<Timestamp>> {
        let state = self.state();
        let lock = |versions: &Vec<Version>| {
            let locks = versions.iter().map(|version| Some(version.lock?.until));
            locks.max().flatten()
        };
        let objects = state.objects.iter();
        objects
            .map(|(key, versions)| (key.clone(), lock(versions)))
            .collect()
    }

    /// How many requests of that kind there were since this was last asked.
    pub(crate) fn take_requests(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.state().requests)
    }

    /// As if they had been made once more.
    pub(crate) fn add_requests(&self, kind: &'static str, count: u64) {
        *self.state().requests.entry(kind).or_default() += count;
    }

    fn count(&self, kind: &'static str) -> MutexGuard<'_, State> {
        let mut state = self.state();
        *state.requests.entry(kind).or_default() += 1;
        state
    }
}

impl State {
    fn current(&self, key: &str) -> Option<&Version> {
        let last = self.objects.get(key)?.last()?;
        last.content.is_some().then_some(last)
    }

    fn write(&mut self, key: &str, content: Vec<u8>, attributes: &Attributes) -> Confirmed {
        let etag = Sha256::of(&content).to_string()[..32].to_owned();
        let version = Version {
            content: Some(content),
            marks: attributes.marks.clone(),
            etag: etag.clone(),
            written: self.now,
            lock: attributes.lock,
            replaced: None,
        };
        let now = self.now;
        replace(
            self.objects.entry(key.to_owned()).or_default(),
            version,
            now,
        );
        Confirmed { etag: Some(etag) }
    }

    fn listed(&self, prefix: &str) -> Vec<Listed> {
        let keys = self.objects.keys().filter(|key| key.starts_with(prefix));
        let listed = keys.filter_map(|key| Some((key, self.current(key)?)));
        let mut listed: Vec<Listed> = listed
            .map(|(key, version)| Listed {
                key: key.clone(),
                bytes: version.bytes(),
                etag: Some(version.etag.clone()),
                modified: version.written,
            })
            .collect();
        if self.lacks.contains(&Lack::Order) {
            // As good as none, and always the same.
            listed.sort_by_key(|listed| Sha256::of(listed.key.as_bytes()).to_string());
        }
        listed
    }
}

impl Version {
    fn marker(now: Timestamp) -> Self {
        Self {
            content: None,
            marks: Marks::default(),
            etag: String::new(),
            written: now,
            lock: None,
            replaced: None,
        }
    }

    fn bytes(&self) -> u64 {
        self.content
            .as_ref()
            .map_or(0, |content| content.len() as u64)
    }

    fn found(&self) -> Found {
        Found {
            bytes: self.bytes(),
            etag: Some(self.etag.clone()),
            marks: self.marks.clone(),
            lock: self.lock,
        }
    }
}

fn replace(versions: &mut Vec<Version>, version: Version, now: Timestamp) {
    if let Some(last) = versions.last_mut() {
        last.replaced = Some(now);
    }
    versions.push(version);
}

impl ObjectStore for SimulatedStore {
    fn url(&self, key: &str) -> String {
        format!("s3://simulated/{key}")
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.count("list").listed(prefix).into_iter().for_each(each);
        Ok(())
    }

    fn directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let listed = self.count("list").listed(prefix);
        let rest = listed
            .iter()
            .filter_map(|listed| listed.key.strip_prefix(prefix));
        let mut names: Vec<String> = rest
            .filter_map(|rest| rest.split_once('/'))
            .map(|(name, _)| name.to_owned())
            .collect();
        names.dedup();
        Ok(names)
    }

    fn look(&self, key: &str) -> Result<Option<Found>, StoreError> {
        Ok(self.count("head").current(key).map(Version::found))
    }

    fn get(&self, key: &str, from: u64) -> Result<Option<Download>, StoreError> {
        let state = self.count("get");
        Ok(state.current(key).map(|version| {
            let content = version.content.clone().unwrap_or_default();
            let mut reader = Cursor::new(content);
            reader.set_position(from);
            Download {
                found: version.found(),
                reader: Box::new(reader),
            }
        }))
    }

    fn put(&self, key: &str, body: Body, attributes: &Attributes) -> Result<Confirmed, StoreError> {
        let content = body.whole().map_err(|error| {
            let cause = Cause::Local(error);
            StoreError::new("write", self.url(key), cause)
        })?;
        Ok(self.count("put").write(key, content.to_vec(), attributes))
    }

    fn copy(
        &self,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Option<Confirmed>, StoreError> {
        let mut state = self.count("copy");
        if state.lacks.contains(&Lack::Copy) {
            drop(state);
            return Err(self.refuse("copy to", key));
        }
        let current = state.current(&source.key);
        let same = current.filter(|version| Some(&version.etag) == source.etag.as_ref());
        let content = same.and_then(|version| version.content.clone());
        Ok(content.map(|content| state.write(key, content, attributes)))
    }

    fn extend_lock(&self, key: &str, lock: Lock) -> Result<(), StoreError> {
        let mut state = self.count("lock");
        if state.lacks.contains(&Lack::Locks) {
            drop(state);
            return Err(self.refuse("lock", key));
        }
        let version = state
            .objects
            .get_mut(key)
            .and_then(|versions| versions.last_mut());
        if let Some(version) = version.filter(|version| version.content.is_some()) {
            let is_shorter = version.lock.is_none_or(|there| there.until < lock.until);
            version.lock = if is_shorter { Some(lock) } else { version.lock };
        }
        Ok(())
    }

    fn remove(&self, object: &Listed, _: Timestamp) -> Result<Removal, StoreError> {
        let mut state = self.count("delete");
        let now = state.now;
        let is_listed = |version: &Version| {
            Some(&version.etag) == object.etag.as_ref() && version.written <= object.modified
        };
        if state.lacks.contains(&Lack::Versions) {
            state.objects.remove(&object.key);
            return Ok(Removal::Removed);
        }
        if !state.current(&object.key).is_some_and(is_listed) {
            return Ok(Removal::Changed);
        }
        let versions = state.objects.get_mut(&object.key);
        let versions = versions.map(std::mem::take).unwrap_or_default();
        let is_locked = |version: &Version| version.lock.filter(|lock| lock.until > now);
        let locked = versions
            .iter()
            .position(|version| is_locked(version).is_some());
        let Some(first) = locked else {
            state.objects.remove(&object.key);
            return Ok(Removal::Removed);
        };
        let until = is_locked(&versions[first]).map_or(now, |lock| lock.until);
        state
            .objects
            .insert(object.key.clone(), versions[first..].to_vec());
        Ok(Removal::Locked(until))
    }

    fn remove_tree(&self, _: &str) -> Result<TreeRemoval, StoreError> {
        Ok(TreeRemoval::Unsupported)
    }

    fn keeps_marks(&self) -> bool {
        true
    }

    fn copies_share_storage(&self) -> bool {
        false
    }

    fn protection(&self) -> Result<Option<Protection>, StoreError> {
        let lacks_locks = self.state().lacks.contains(&Lack::Locks);
        Ok(Some(Protection {
            object_lock: Some(!lacks_locks),
            versioning: Some(true),
            encryption: Some(true),
        }))
    }

    fn expiry(&self, _: &str) -> Result<Expiry, StoreError> {
        Ok(Expiry::Denied)
    }

    fn billed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Vec<NotListed>, StoreError> {
        let state = self.count("list");
        let objects = state
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix));
        for version in objects.flat_map(|(_, versions)| versions) {
            each(Billed {
                bytes: version.bytes(),
                storage_class: "STANDARD".to_owned(),
            });
        }
        Ok(Vec::new())
    }

    fn abort_stale(&self, _: &str, _: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LockMode;

    fn put(store: &SimulatedStore, key: &str, lock: Option<Timestamp>) {
        let lock = lock.map(|until| Lock {
            mode: LockMode::Compliance,
            until,
        });
        let marks = Marks::default();
        let attributes = Attributes { marks, lock };
        let body = Body::of_bytes(key, key);
        store.put(key, body, &attributes).unwrap();
    }

    #[test]
    fn rules_take_what_is_old_and_not_what_is_locked() {
        let begin: Timestamp = "2026-01-01T03:00:00Z".parse().unwrap();
        let store = SimulatedStore::new(begin);
        let rules = [Rule {
            prefix: "p/",
            days: 10,
        }];
        put(&store, "p/old", None);
        put(&store, "p/locked", Some(days_after(begin, 30)));
        put(&store, "q/other", None);
        let keys_after = |days| {
            store.pass_to(days_after(begin, days), &rules);
            let keys: Vec<String> = store.everything().into_keys().collect();
            let mut current = Vec::new();
            store
                .list("", &mut |listed| current.push(listed.key))
                .unwrap();
            (current.join(" "), keys.join(" "))
        };
        let check = |days, current: &str, all: &str| {
            assert_eq!(keys_after(days), (current.to_owned(), all.to_owned()));
        };
        check(10, "p/locked p/old q/other", "p/locked p/old q/other");
        check(11, "q/other", "p/locked p/old q/other");
        check(19, "q/other", "p/locked q/other");
        check(29, "q/other", "p/locked q/other");
        check(30, "q/other", "q/other");
    }

    #[test]
    fn what_is_read_is_the_last_that_was_written() {
        let store = SimulatedStore::new(Timestamp::UNIX_EPOCH);
        put(&store, "a", None);
        let mut content = Vec::new();
        let download = store.get("a", 0).unwrap().unwrap();
        let _ = { download.reader }.read_to_end(&mut content).unwrap();
        assert_eq!(content, b"a");
    }
}
