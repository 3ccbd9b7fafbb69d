//! What the copy elsewhere will take and cost, before it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a store will hold when the first sets go because of their age, if the mail grows as it does
/// now; what is not known exactly is taken for the larger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Forecast {
    /// In how many days that is.
    pub days: u32,
    /// How many sets of each kind there will be.
    pub sets: BTreeMap<String, u64>,
    /// How much is new each day.
    pub daily_bytes: u64,
    /// The size of everything.
    pub bytes: u64,
    /// Of that, versions that were replaced or have expired, and are still there.
    pub noncurrent_bytes: u64,
    /// The price of keeping it, in US dollars a month; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd: Option<f64>,
}

/// What the push of a set would do and cost. Nothing has been done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlannedPush {
    /// The set, relative to its root.
    pub set: String,
    /// Where it would be in the store.
    pub url: String,
    /// What would be sent.
    pub send: FilesAndBytes,
    /// What the store would copy by itself.
    pub copy: FilesAndBytes,
    /// What is there already.
    pub skip: FilesAndBytes,
    /// The requests that it would take; a directory takes none.
    pub requests: RequestCounts,
    /// The storage class of what is sent.
    pub storage_class: String,
    /// The price of the push, in US dollars; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// The price of keeping what is there now, in US dollars a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd_now: Option<f64>,
    /// The price of keeping what is there after the push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_usd_after: Option<f64>,
    /// The storage classes without a known price: they are not in the prices of a month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_priced: Vec<String>,
    /// What could not be listed, and is not in the prices of a month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_listed: Vec<String>,
    /// When the prices were taken, such as `2026-11-29`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices_taken: Option<String>,
}

/// How many files, and their size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FilesAndBytes {
    /// Files of the set.
    pub files: u64,
    /// Their size as they are stored.
    pub bytes: u64,
}

/// Requests to a store, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RequestCounts {
    /// Listings, by page.
    pub list: u64,
    /// Contents of objects, and settings of the bucket.
    pub get: u64,
    /// Questions about an object.
    pub head: u64,
    /// Whole objects that are sent.
    pub put: u64,
    /// Objects, and parts of such, that the store copies.
    pub copy: u64,
    /// Parts of objects that are sent.
    pub part: u64,
    /// Beginnings and ends of uploads in parts.
    pub multipart: u64,
    /// Locks that are put on or extended.
    pub retention: u64,
}

/// Something that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Warning {
    /// What was met, such as `billed-longer`; newer versions may have more rules.
    pub rule: String,
    /// A sentence for people.
    pub message: String,
}
