//! The dumps of a set: those of mail-backup, and those of the old scripts.

use std::path::PathBuf;

use mail_common::relpath::RelPath;
use mail_common::set::{Component, Inventory, Recorded, SetFile};
use mail_mysql::file_name;

use super::error::Error;

/// A file of SQL in a set.
#[derive(Clone, Debug)]
pub(super) struct Dump {
    /// In the set.
    pub(super) path: RelPath,
    /// On the disk.
    pub(super) file: PathBuf,
    /// Its name without suffixes.
    pub(super) stem: String,
    /// What the manifest says of it; only mail-backup writes one.
    pub(super) recorded: Option<Recorded>,
}

/// The dumps of a set, and what else lies beside them.
#[derive(Clone, Debug, Default)]
pub(super) struct Dumps {
    /// Of databases, in the order of their names.
    pub(super) databases: Vec<Dump>,
    /// Of the accounts.
    pub(super) accounts: Option<Dump>,
    /// Files of the component that are no dumps.
    pub(super) ignored: Vec<RelPath>,
}

impl Dumps {
    /// Finds them by their names.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let mut dumps = Self::default();
        for file in inventory.of_component(Component::Mysql) {
            match Dump::of(inventory, file) {
                Some(dump) if file.path == file_name::of_accounts() => dumps.accounts = Some(dump),
                Some(dump) => dumps.databases.push(dump),
                None => dumps.ignored.push(file.path.clone()),
            }
        }
        dumps
    }
}

impl Dumps {
    /// A dump whose rows lie beside it, as `mysqldump --tab` writes them, and these.
    pub(super) fn rows_apart(&self) -> Option<(RelPath, RelPath)> {
        self.databases.iter().find_map(|dump| {
            let name = format!("{}.txt", dump.stem);
            let has_name = |path: &&RelPath| path.components().last() == Some(name.as_bytes());
            let rows = self.ignored.iter().find(has_name)?;
            Some((dump.path.clone(), rows.clone()))
        })
    }
}

impl Dump {
    fn of(inventory: &Inventory, file: &SetFile) -> Option<Self> {
        let name = String::from_utf8_lossy(file.path.components().nth(1)?).into_owned();
        let stem = [".sql.zst", ".sql.gz", ".sql.bz2", ".sql.xz", ".sql"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))?;
        let is_direct = file.path.depth() == 2 && !stem.is_empty();
        is_direct.then(|| Self {
            path: file.path.clone(),
            file: inventory.set.join(file.path.as_path()),
            stem: stem.to_owned(),
            recorded: file.recorded,
        })
    }

    /// The database that the file is called after.
    pub(super) fn database(&self) -> String {
        file_name::database_of(&self.stem).unwrap_or_else(|| self.stem.clone())
    }

    pub(super) fn expected_bytes(&self) -> Option<u64> {
        self.recorded.map(|recorded| recorded.source_bytes)
    }

    pub(super) fn refused(&self, line: u64, reason: impl Into<String>) -> Error {
        Error::Refused {
            file: self.path.clone(),
            line,
            reason: reason.into(),
        }
    }

    pub(super) fn incomplete(&self, reason: impl Into<String>) -> Error {
        Error::Incomplete {
            file: self.path.clone(),
            reason: reason.into(),
        }
    }
}
