//! Who runs a statement, and when.

use super::found::{StoredKey, TableKey};
use super::kind::{DatabaseVerb, StoredKind, TableVerb};
use super::modes::Modes;

/// Who runs a statement, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Every connection.
    Everyone,
    /// Every connection selects this database.
    Select(String),
    /// One connection, when all others are idle; it concerns this database itself.
    Database(DatabaseVerb, String),
    /// The connection that has the table.
    Owner(TableKey, TableVerb),
    /// One connection, when all others are idle.
    Alone,
    /// One connection, after all tables of all databases are loaded.
    Stored(StoredStep),
    /// Nobody.
    Nobody,
}

/// What a statement does for stored code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredStep {
    /// Makes this.
    Create(StoredKey),
    /// Drops one of this kind.
    Drop(StoredKind),
    /// Keeps this code, which makes this, until it is run.
    Keep(StoredKey, Vec<u8>, Modes),
    /// Runs the code that was kept.
    Run,
}
