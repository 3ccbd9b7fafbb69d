//! What is past its days in a store, and what became of it.

use serde::{Deserialize, Serialize};

/// A set of a store that is past its days, or what no set uses any more of its pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pruned {
    /// The set, relative to the store's root; none where it is the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Where it is in the store.
    pub url: String,
    /// Objects below it, or in the pool those that this is about.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// What became of it.
    pub outcome: PruneOutcome,
    /// Until when the store refuses to delete it: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<String>,
}

/// What became of what is past its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PruneOutcome {
    /// It would be removed.
    Due,
    /// It was removed.
    Removed,
    /// It stays, since it is one of the newest complete sets of its kind.
    Newest,
    /// It stays because of an alarm that nobody has accepted.
    Held,
    /// It is locked.
    Locked,
    /// It was to be removed, and is still there, or a part of it.
    Failed,
}
