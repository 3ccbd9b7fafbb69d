//! Dumps back into a MariaDB server: the current databases are saved first, and any failure brings
//! them back.
//!
//! A dump is read twice. The first time nothing is touched: what it concerns, whether it may be
//! loaded and whether it is whole are known before a connection loads anything.

mod sql_mode; // how a dump's strings are to be read
mod token; // the words of one statement
mod statement; // statements out of a stream
mod text; // a statement as it is sent
mod kind; // what a statement does
mod route; // who runs it, if anybody
mod error; // what can go wrong
mod source; // the content of a dump, unpacked on a thread of its own
mod dump; // the dumps of a set
mod share; // which connection loads which table
mod survey; // a dump read to its end before anything is touched
mod order; // which dump comes first
mod server; // a connection, set up for loading
mod gate; // connections that wait for each other
mod load; // one dump, over several connections
mod accounts; // users and roles
mod before; // what was there, saved as a set
mod restore; // all dumps or none
mod inspect; // what would be done
mod sql_files; // dumps as plain files

use std::path::Path;
use std::sync::atomic::AtomicBool;

use jiff::ZonedDateTime;
use mail_common::relpath::RelPath;
use mail_common::set::Inventory;

pub use error::Error;
pub use inspect::{InspectedDump, Inspection, Replaced};
pub use load::Watch;
pub use restore::{Loaded, Restored, Target};
pub use sql_files::WrittenSql;
pub use statement::ReadError;

use dump::{Dump, Dumps};
use restore::Surveyed;
use survey::Survey;

/// Whether accounts are loaded too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// They stay as they are.
    Leave,
    /// Those that are missing are made, with their grants.
    Load,
}

/// The dumps of a set that are to be restored.
#[derive(Clone, Debug)]
pub struct Databases {
    dumps: Dumps,
}

impl Databases {
    /// Finds the dumps of a set; nothing of their content is read.
    ///
    /// # Errors
    /// When accounts are asked for and the set has none.
    pub fn plan(inventory: &Inventory, accounts: Accounts) -> Result<Self, Error> {
        let mut dumps = Dumps::of(inventory);
        match (accounts, &dumps.accounts) {
            (Accounts::Load, None) => return Err(Error::NoAccounts),
            (Accounts::Leave, _) => dumps.accounts = None,
            _ => {}
        }
        Ok(Self { dumps })
    }

    /// Whether there is nothing to restore.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// The files that will be used.
    pub fn paths(&self) -> impl Iterator<Item = &RelPath> {
        self.all().map(|dump| &dump.path)
    }

    /// Files beside the dumps that are none.
    #[must_use]
    pub fn ignored(&self) -> &[RelPath] {
        &self.dumps.ignored
    }

    /// Finds out what a restore would do: reads every dump to its end, asks the server, writes
    /// nothing.
    ///
    /// # Errors
    /// When a dump may not be loaded or is not whole, or the server does not answer.
    pub fn inspect(&self, target: &Target, stop: &AtomicBool) -> Result<Inspection, Error> {
        inspect::inspect(target, &self.survey(stop)?)
    }

    /// Loads every dump. What the databases held before is saved in `<root>/pre-restore/<now>`,
    /// which is a set.
    ///
    /// # Errors
    /// [`Error::RolledBack`] and [`Error::NotRolledBack`] say what became of the databases; after any other error,
    /// nothing was touched.
    pub fn restore(
        &self,
        target: &Target,
        root: &Path,
        now: &ZonedDateTime,
        watch: Watch<'_>,
    ) -> Result<Loaded, Error> {
        restore::restore(target, &self.survey(watch.stop)?, (root, now), watch)
    }

    /// Writes every dump as `dir/<name>.sql`. `watch` is told of bytes written.
    ///
    /// # Errors
    /// When a dump cannot be read, or its file is there or cannot be written.
    pub fn write_sql(&self, dir: &Path, watch: Watch<'_>) -> Result<Vec<WrittenSql>, Error> {
        self.all()
            .map(|dump| sql_files::write(dump, dir, watch))
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Dump> {
        self.dumps.databases.iter().chain(&self.dumps.accounts)
    }

    fn survey(&self, stop: &AtomicBool) -> Result<Surveyed, Error> {
        let dumps = restore::survey_all(&self.dumps.databases, stop)?;
        let accounts = match &self.dumps.accounts {
            Some(dump) => Some((dump.clone(), Survey::of_accounts(dump, stop)?)),
            None => None,
        };
        Ok(Surveyed { dumps, accounts })
    }
}
