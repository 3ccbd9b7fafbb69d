//! What a dump turned out to hold.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::StoredKind;

/// A table, with the database that was selected.
pub(super) type TableKey = (String, String);

/// A view, trigger, routine or event.
pub(super) type StoredKey = (String, StoredKind, String);

/// The rows of a table, as a dump has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableRows {
    pub(super) rows: u64,
    /// Not so where rows may replace each other.
    pub(super) is_exact: bool,
}

/// What a dump turned out to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The databases that it concerns.
    pub(super) databases: BTreeSet<String>,
    /// That of them which it does not select, since the file is called so.
    pub(super) implied: Option<String>,
    /// Those of them in which it makes anything.
    pub(super) filled: BTreeSet<String>,
    /// Those of them that it makes itself.
    pub(super) created: BTreeSet<String>,
    /// The tables that are there at its end.
    pub(super) tables: BTreeMap<TableKey, TableRows>,
    /// The stored objects that are there at its end.
    pub(super) stored: BTreeSet<StoredKey>,
    /// Databases of which a foreign key names a table.
    pub(super) referenced: BTreeSet<String>,
    /// What stored code names before a dot, by what names it.
    pub(super) reached: Vec<(String, BTreeSet<String>)>,
    /// In whose names stored code runs.
    pub(super) definers: BTreeSet<(String, String)>,
    /// What is not loaded: the server's own databases, and statements about the server.
    pub(super) passed_over: BTreeSet<String>,
    /// Events and triggers that call procedures.
    pub(super) callers: BTreeSet<String>,
    /// Routines that run statements out of strings.
    pub(super) dynamic: BTreeSet<String>,
}
