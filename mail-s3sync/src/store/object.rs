//! What a store of objects can do, whatever it is: a bucket, or a directory.
//!
//! A store is shared by threads, and its methods block. A put or a copy that gives `Ok` has been
//! confirmed from the store's answer. Only [`ObjectStore::remove`] and
//! [`ObjectStore::remove_tree`] delete, for `prune`.

use std::fmt::Debug;
use std::io::Read;

use jiff::Timestamp;
use mail_common::checksum::Sha256;

use super::body::Body;
use super::error::StoreError;
use crate::layout::Layout;

/// A place that keeps objects under keys, which are UTF-8 and do not begin with a slash.
pub(crate) trait ObjectStore: Debug + Send + Sync {
    /// The URL of an object, or of what keys begin with, for people and records.
    fn url(&self, key: &str) -> String;

    /// Calls `each` for every object whose key begins with `prefix`, in no particular order.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError>;

    /// The names between `prefix`, which ends in a slash or is empty, and the next slash.
    fn directories(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// What the store says of an object; `None` when there is none.
    fn look(&self, key: &str) -> Result<Option<Found>, StoreError>;

    /// The content of an object from the byte `from` on, nothing where that is its end or beyond;
    /// `None` when there is no such object.
    fn get(&self, key: &str, from: u64) -> Result<Option<Download>, StoreError>;

    /// Stores `body`, and has the store confirm it.
    fn put(&self, key: &str, body: Body, attributes: &Attributes) -> Result<Confirmed, StoreError>;

    /// Lets the store copy `source`; `None` when that is not what is there any more.
    fn copy(
        &self,
        source: &Listed,
        key: &str,
        attributes: &Attributes,
    ) -> Result<Option<Confirmed>, StoreError>;

    /// Lets the store refuse to delete the object before the lock ends. A longer lock stays as it
    /// is.
    fn extend_lock(&self, key: &str, lock: Lock) -> Result<(), StoreError>;

    /// Removes an object and its earlier versions, if it is what was listed and was not written
    /// again. The earlier ones go first: none of them comes to light when a run is killed.
    fn remove(&self, object: &Listed, now: Timestamp) -> Result<Removal, StoreError>;

    /// Removes all that is below `prefix`, a directory, which vanishes in one step; `Unsupported`
    /// where the store has no such step.
    fn remove_tree(&self, prefix: &str) -> Result<TreeRemoval, StoreError>;

    /// Whether it keeps [`Marks`].
    fn keeps_marks(&self) -> bool;

    /// Whether a copy is the same bytes on the same disk, so that damage to one damages the other.
    fn copies_share_storage(&self) -> bool;

    /// How many objects could not share their storage, if that was not said before.
    fn unlinked_to_say(&self) -> u64 {
        0
    }

    /// How the place protects what it holds; `None` where that is not its business.
    fn protection(&self) -> Result<Option<Protection>, StoreError>;

    /// After how many days at the least the place itself removes objects below `prefix`.
    fn expiry(&self, prefix: &str) -> Result<Expiry, StoreError>;

    /// Calls `each` for everything below `prefix` that costs money: all versions, and parts of
    /// unfinished uploads. Returns what is not known.
    fn billed(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Billed),
    ) -> Result<Vec<NotListed>, StoreError>;

    /// Drops what uploads that were begun before `before` and never ended have left below `prefix`,
    /// and says how many.
    fn abort_stale(&self, prefix: &str, before: Timestamp) -> Result<usize, StoreError>;
}

/// What a store may hold that was not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotListed {
    /// Such as `earlier versions`.
    pub(crate) what: &'static str,
    pub(crate) why: Withheld,
}

/// Why something cannot be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// The store does not have such a listing.
    Absent,
    /// The keys may not ask for it: they lack this action.
    Denied(&'static str),
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Timestamp,
}

/// What we write beside the content of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The digest of the content as it is stored.
    pub(crate) sha256: Option<Sha256>,
    /// The digest of what was encrypted; `None` where nothing was.
    pub(crate) plain_sha256: Option<Sha256>,
    /// To whom it was encrypted.
    pub(crate) recipients: Option<String>,
    /// Until when every object of the set is locked; only with its checksums.
    pub(crate) locked_until: Option<Timestamp>,
    /// Where the files of the set lie; only with its checksums.
    pub(crate) layout: Option<Layout>,
    /// Of every other object of the set, the ETag that was confirmed; only with its checksums.
    pub(crate) seal: Option<Sha256>,
}

/// An object that was asked for by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bytes: u64,
    pub(crate) etag: Option<String>,
    pub(crate) marks: Marks,
    /// The store itself refuses to delete it before that ends.
    pub(crate) lock: Option<Lock>,
}

impl Found {
    /// Until when the store refuses to delete it.
    pub(crate) fn locked_until(&self) -> Option<Timestamp> {
        self.lock.map(|lock| lock.until)
    }
}

/// The content of an object.
pub(crate) struct Download {
    pub(crate) found: Found,
    pub(crate) reader: Box<dyn Read + Send>,
}

/// How an object is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) marks: Marks,
    pub(crate) lock: Option<Lock>,
}

/// Object Lock of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) mode: LockMode,
    pub(crate) until: Timestamp,
}

/// Who may end a lock early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LockMode {
    /// Whoever has the permission s3:BypassGovernanceRetention
    Governance,
    /// Nobody, not even the owner of the account
    Compliance,
}

/// The store's answer to a put or a copy, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(crate) etag: Option<String>,
}

/// What became of an object that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Removed,
    /// It is another by now, was written again, or is gone: nothing was done.
    Changed,
    /// The store keeps it, or an earlier version, until then.
    Locked(Timestamp),
}

/// Whether a directory was removed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeRemoval {
    Removed,
    Unsupported,
}

/// How a place protects what it holds; `None` where it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Protection {
    pub(crate) object_lock: Option<bool>,
    pub(crate) versioning: Option<bool>,
    pub(crate) encryption: Option<bool>,
}

/// When a place removes objects by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    Never,
    /// So many days after they were written.
    After(u32),
    /// The keys may not ask.
    Denied,
    /// It did not say, for this reason.
    Unknown(String),
}

/// Something that costs money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Billed {
    pub(crate) bytes: u64,
    pub(crate) storage_class: String,
}

impl LockMode {
    /// As S3 writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// What the store says of an object. A mode that is not known is one that somebody can end.
    pub(crate) fn of_name(name: Option<&str>) -> Self {
        match name {
            Some("COMPLIANCE") => Self::Compliance,
            _ => Self::Governance,
        }
    }
}
